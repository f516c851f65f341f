"""TensorRT and TensorRT-RTX through one thin adapter: what building and running engines share of the two modules."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Literal, get_args

from edgefuse.errors import MissingDependencyError

__all__ = ["ENGINE_KINDS", "EngineKind", "LibraryLog", "import_library", "library_targets"]

EngineKind = Literal["tensorrt", "tensorrt-rtx"]
ENGINE_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)

_LIBRARIES: dict[EngineKind, tuple[str, str]] = {
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt-rtx": ("tensorrt_rtx", "rtx"),
}


def import_library(kind: EngineKind, *, purpose: Literal["build", "run"] = "build") -> ModuleType:
    """Import the Python module that builds and runs a kind of engine.

    Args:
        kind: The kind.
        purpose: What it is wanted for, said where it is missing.

    Returns:
        ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        MissingDependencyError: It is not installed, or its libraries do not load.
    """
    module, extra = _LIBRARIES[kind]
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: the module is there, a shared library of it is not
        raise MissingDependencyError.for_package(module, extra=extra, purpose=f"{purpose} {kind} engines") from error


def library_targets(library: Any) -> tuple[str, ...]:
    """GPU targets that a library can build for without having the GPU, as in ``("sm_75", "sm_80")``."""
    known = getattr(library, "ComputeCapability", None)
    numbers = sorted(int(name[2:]) for name in dir(known) if name.startswith("SM") and name[2:].isdigit())
    return tuple(f"sm_{number}" for number in numbers)


class LibraryLog:
    """Collects a library's errors instead of printing them.

    Args:
        library: ``tensorrt`` or ``tensorrt_rtx``.
    """

    def __init__(self, library: Any) -> None:
        messages: list[str] = []

        class Logger(library.ILogger):  # type: ignore[misc]
            """Receives every message of the library."""

            def __init__(self) -> None:
                library.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                """Keep errors, drop the rest."""
                if severity <= library.ILogger.Severity.ERROR:
                    messages.append(message.strip())

        self.messages = messages
        self.logger = Logger()

    def reason(self, otherwise: str) -> str:
        """The first error in one line."""
        lines = [line.strip() for message in self.messages for line in message.splitlines() if line.strip()]
        return lines[0] if lines else otherwise
