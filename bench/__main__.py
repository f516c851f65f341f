"""Upkeep of the project's own benchmarks: ``python -m edgefuse.bench readme``, ``ablation`` and ``quality``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgefuse.bench.quality_command import add_quality, measure_quality
from edgefuse.bench.readme import fill_tables, stale_tables
from edgefuse.errors import EdgeFuseError
from edgefuse.manifest import write_atomically
from edgefuse.wording import counted

__all__ = ["main"]

_KEEP_BYTES = 2 << 30
"""Decoded images kept in memory while training."""

_INTERRUPTED = 130
"""Exit code of a run that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the upkeep commands.

    Args:
        arguments: Command line without the program's name; by default this process's.

    Returns:
        Exit code: 0 done, 1 failed or stale.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["kernels"]:
        return _bench_kernels(given)
    parser = argparse.ArgumentParser(prog="python -m edgefuse.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    readme = commands.add_parser("readme", help="write the tables of a document anew from the saved records")
    readme.add_argument("files", nargs="*", type=Path, default=[Path("README.md")], help="documents with markers")
    readme.add_argument("--results", type=Path, default=Path("bench/results"), help="folder with the records")
    readme.add_argument("--check", action="store_true", help="change nothing; fail if a table is stale")
    _add_ablation(commands)
    add_quality(commands)
    options = parser.parse_args(given)
    try:
        if options.command == "ablation":
            return _ablate(options)
        if options.command == "quality":
            return measure_quality(options)
        return _update(options.files, options.results, check=options.check)
    except EdgeFuseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


def _bench_kernels(arguments: Sequence[str]) -> int:
    """The command of that name; it ends the process with its exit code."""
    from edgefuse.cli import main as command_line

    sys.argv = ["edgefuse", "bench", *arguments]
    command_line()
    return 0


def _add_ablation(commands: Any) -> None:
    ablation = commands.add_parser("ablation", help="train the rows of the papers' ablation tables that are missing")
    ablation.add_argument("--data", type=Path, action="append", required=True, help="training pairs; repeatable")
    ablation.add_argument("--test", type=Path, action="append", required=True, help="test set; repeatable")
    ablation.add_argument("--rows", default="", metavar="TEXT", help="only tables, recipes or rows named so")
    ablation.add_argument("--max-minutes", type=float, help="stop after this time; the same command goes on")
    ablation.add_argument("--device", default="auto", help="auto, cpu or cuda")
    ablation.add_argument(
        "--results", type=Path, default=Path("bench/results/ablation.json"), help="file of the results"
    )
    ablation.add_argument("--scratch", type=Path, default=Path("runs/ablation"), help="folder of the training runs")


def _ablate(options: argparse.Namespace) -> int:
    """Train rows; `readme docs/ablations.md` then writes the tables."""
    from edgefuse.bench.ablation import chosen_rows, load_plan, run_ablation
    from edgefuse.data import check_pairs, discover

    plan = load_plan()
    chosen_rows(plan, options.rows)  # a slip in the text is told before minutes go into reading pictures
    found = discover(options.data, split="train")
    data = check_pairs(found.pairs, keep_bytes=_KEEP_BYTES)
    for problem in (*found.problems, *data.problems):
        sys.stderr.write(f"{problem}\n")
    try:
        left = run_ablation(
            plan,
            data,
            options.test,
            options.results,
            scratch=options.scratch,
            pattern=options.rows,
            max_minutes=options.max_minutes,
            device=options.device,
            on_row=lambda line: sys.stderr.write(f"{line}\n"),
        )
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on\n")
        return _INTERRUPTED
    sys.stdout.write(f"{counted(left, 'row')} left\n")
    return 0


def _update(files: Sequence[Path], results: Path, *, check: bool) -> int:
    """Fill the tables of each document, or tell which are stale."""
    stale = 0
    for path in files:
        text = path.read_text(encoding="utf-8")
        names = stale_tables(text, results)
        stale += len(names)
        if names:
            sys.stderr.write(f"{path}: {', '.join(names)} {'differ from their records' if check else 'updated'}\n")
        if names and not check:
            write_atomically(path, fill_tables(text, results).encode())
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
