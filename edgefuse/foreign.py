"""Networks and losses of a user's own, named as ``package.module:Class``."""

from __future__ import annotations

import importlib
import re
from typing import Any

from edgefuse.errors import UsageError

__all__ = ["import_foreign", "is_foreign"]

_FOREIGN_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_foreign(name: str) -> bool:
    """Whether a name is written as ``package.module:Class``."""
    return _FOREIGN_NAME.fullmatch(name) is not None


def import_foreign(name: str, *, kind: str) -> Any:
    """Import what a name of a user's own stands for.

    Args:
        name: As in ``package.module:Class``.
        kind: What it is meant to be, for the message: ``"model"`` or ``"loss"``.

    Returns:
        The class, or the function that builds one.

    Raises:
        UsageError: The name cannot be read, its module not be imported, or there is nothing callable behind it.
    """
    if not is_foreign(name):
        raise UsageError(f"cannot read the {kind} name {name!r}; write it as package.module:Class")
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(
            f"{kind} {name!r}: cannot import {module_name} ({error}); PYTHONPATH must name the folder that holds it, "
            "as in PYTHONPATH=. edgefuse …"
        ) from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UsageError(f"{kind} {name!r}: {module_name} has no class or function {attribute}")
    return found
