"""The ``edgefuse`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line.

    It is imported here and not above: the process of each camera imports this file again, and needs none of it.
    """
    try:
        from edgefuse.cli.app import main as run
    except KeyboardInterrupt:  # the imports take long enough to be interrupted
        sys.exit(130)
    run()
