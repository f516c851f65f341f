"""Options that take any number of sizes."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["SizesCommand"]


class SizesCommand(TyperCommand):
    """Takes any number of heights and widths after one ``--imgsz``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the numbers that follow ``--imgsz`` into one value."""
        joined: list[str] = []
        pending = list(args)
        while pending:
            joined.append(pending.pop(0))
            if joined[-1] == "--imgsz":
                numbers = []
                while pending and pending[0].isdigit():
                    numbers.append(pending.pop(0))
                joined += [" ".join(numbers)] if numbers else []
        rest: list[str] = super().parse_args(ctx, joined)
        return rest
