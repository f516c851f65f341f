"""TensorRT and TensorRT-RTX through one thin adapter: what building and running engines share of the two modules."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections import deque
from collections.abc import Callable
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
    """What a library complains about from now on, instead of its printing it.

    Args:
        library: ``tensorrt`` or ``tensorrt_rtx``.
    """

    def __init__(self, library: Any) -> None:
        self.logger, self._complaints, self._numbers = _logger(library)
        self.forget()

    def forget(self) -> None:
        """Leave out what was said so far: it is not the reason of what comes."""
        self._first = next(self._numbers)

    def create(self, factory: Callable[[Any], Any]) -> Any:
        """Make a builder or a runtime.

        Args:
            factory: Takes the logger.

        Returns:
            What it makes, or None where the library refuses: its bindings raise that as a TypeError without a reason.
        """
        try:
            return factory(self.logger)
        except TypeError:
            return None

    def reason(self, otherwise: str) -> str:
        """The first complaint in one line.

        Args:
            otherwise: What to say where there is none.
        """
        texts = [text for number, text in tuple(self._complaints) if number >= self._first]
        lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
        return lines[0] if lines else otherwise


@functools.cache
def _logger(library: Any) -> tuple[Any, deque[tuple[int, str]], itertools.count[int]]:
    """A library's logger, its last errors, numbered, and the numbers.

    There is one for all builders and engines, kept for good: the library holds a single pointer to a logger, that of
    the first of them, and goes on using it when that one is gone. It may be called from threads of the library.
    """
    complaints: deque[tuple[int, str]] = deque(maxlen=64)
    numbers = itertools.count()

    class Logger(library.ILogger):  # type: ignore[misc]
        """Receives every message of the library."""

        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Keep errors, drop the rest."""
            if severity <= library.ILogger.Severity.ERROR:
                complaints.append((next(numbers), message))

    return Logger(), complaints, numbers
