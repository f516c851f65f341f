"""``edgefuse data``: what a folder of image pairs holds and whether training can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.cli._values import ValuesGroup
from edgefuse.wording import counted

__all__ = ["data_app"]

data_app = typer.Typer(
    name="data",
    cls=ValuesGroup,
    help="Look after the image pairs that networks are trained on.",
    no_args_is_help=True,
)


@data_app.callback()
def _group() -> None:
    """Keeps ``check`` a command of its own while it is the only one."""


@data_app.command("check")
def check_command(
    folders: Annotated[list[Path], typer.Argument(help="Folders that hold ir and vis folders at any depth.")],
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    smallest_px: Annotated[int, typer.Option(help="Report pairs with a side shorter than this.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read every image of every pair, and name each file that is missing, damaged or does not match its partner.

    Exit code 1 says that something was found; training uses the pairs that are left.
    """
    from edgefuse.data import check_pairs, discover, require_split

    found = discover(folders, split=require_split(split))
    with progress("Checking", len(found.pairs)) as advance:
        checked = check_pairs(found.pairs, smallest_px=smallest_px, on_pair=advance)
    problems = [*found.problems, *checked.problems]
    for problem in problems:
        log(problem, style="red")
    sets: dict[str, int] = {}
    for pair in checked.pairs:
        name = pair.name.rpartition("/")[0]
        sets[name] = sets.get(name, 0) + 1
    if json:
        emit_json(
            "data check",
            {"pairs": len(checked.pairs), "sets": sets, "sha256": checked.sha256, "problems": problems},
        )
    else:
        for name, count in sets.items():
            out(f"{name}: {counted(count, 'pair')}")
        found_wrong = counted(len(problems), "problem")
        out(f"{counted(len(checked.pairs), 'usable pair')}, {found_wrong}, sha256 {checked.sha256}")
    if problems:
        raise typer.Exit(1)
