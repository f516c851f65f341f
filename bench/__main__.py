"""Upkeep of the project's own benchmarks: ``python -m edgefuse.bench readme``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edgefuse.bench.readme import fill_tables, stale_tables
from edgefuse.errors import EdgeFuseError
from edgefuse.manifest import write_atomically

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the upkeep commands.

    Args:
        arguments: Command line without the program's name; by default this process's.

    Returns:
        Exit code: 0 done, 1 failed or stale.
    """
    parser = argparse.ArgumentParser(prog="python -m edgefuse.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    readme = commands.add_parser("readme", help="write the tables of a document anew from the saved records")
    readme.add_argument("files", nargs="*", type=Path, default=[Path("README.md")], help="documents with markers")
    readme.add_argument("--results", type=Path, default=Path("bench/results"), help="folder with the records")
    readme.add_argument("--check", action="store_true", help="change nothing; fail if a table is stale")
    options = parser.parse_args(arguments)
    try:
        return _update(options.files, options.results, check=options.check)
    except EdgeFuseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


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
