"""Options whose value was left out: the option behind them is no value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from edgefuse.errors import UsageError

__all__ = ["ValuesGroup"]

_NEGATIVE_NUMBER = re.compile(r"-\.?\d")


class ValuesGroup(TyperGroup):
    """Refuses an option that would take the next option for its value, in its commands and of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look at the group's own options, which stand before the name of a command."""
        _refuse_options_as_values(self, args, only_leading=True)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Look at the options of the command that was found; a group within looks at its own."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, TyperGroup):
            _refuse_options_as_values(command, rest, only_leading=False)
        return name, command, rest


def _refuse_options_as_values(command: Any, args: Sequence[str], *, only_leading: bool) -> None:
    options = {name: parameter for parameter in command.params for name in parameter.opts if name.startswith("-")}
    names = {*options, *(name for parameter in command.params for name in parameter.secondary_opts)}
    place = 0
    while place < len(args) and args[place] != "--":
        name, _, attached = args[place].partition("=")
        if only_leading and not name.startswith("-"):
            return
        place += 1
        option = options.get(name)
        if option is None or option.is_flag or option.count:
            continue
        wanted = option.nargs - bool(attached)
        given = args[place : place + wanted]
        for number, value in enumerate(given):
            if _is_option(value, names, strict=option.nargs == 1):
                raise UsageError(_missing(name, option, [*([attached] if attached else []), *given[:number]], value))
        place += len(given)


def _is_option(value: str, names: set[str], *, strict: bool) -> bool:
    """Whether a word is an option; a single value may well begin with a dash, as a token does."""
    if value.partition("=")[0] in names:
        return True
    return not strict and len(value) > 1 and value.startswith("-") and not _NEGATIVE_NUMBER.match(value)


def _missing(name: str, option: Any, given: Sequence[str], value: str) -> str:
    if option.nargs == 1:
        return f"{name} takes a value, and the option {value} follows"
    wanted = f"{option.nargs} values" + (f" ({option.metavar})" if option.metavar else "")
    return f"{name} takes {wanted}, and the option {value} follows {' '.join(given) or name}"
