"""The ``edgefuse`` command."""

from edgefuse.cli.app import app, main

__all__ = ["app", "main"]
