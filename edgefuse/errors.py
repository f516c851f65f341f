"""Errors that EdgeFuse raises on purpose: each says what was wrong, with which input, and what to do."""

from __future__ import annotations

from typing import ClassVar

from edgefuse.installing import install_command

__all__ = [
    "ArtifactError",
    "EdgeFuseError",
    "InputError",
    "MissingDependencyError",
    "TrustError",
    "UsageError",
]


class EdgeFuseError(Exception):
    """Base of every deliberate error; its text is one line fit to show a user."""

    exit_code: ClassVar[int] = 1


class InputError(EdgeFuseError):
    """An image, video, folder or array that cannot be used as it is."""


class ArtifactError(EdgeFuseError):
    """A model file, engine, manifest or checkpoint that is damaged, unknown or does not fit."""


class TrustError(ArtifactError):
    """An artifact that is refused because its origin or content cannot be verified."""


class UsageError(EdgeFuseError):
    """A wrong option, name or combination of options."""

    exit_code = 2


class MissingDependencyError(EdgeFuseError):
    """Something is not installed on this machine; the message names the command that fixes it."""

    exit_code = 3

    @classmethod
    def for_package(cls, package: str, *, extra: str, purpose: str) -> MissingDependencyError:
        """Build the error for a Python package that an extra of EdgeFuse brings.

        Args:
            package: Import name, as in ``torch``.
            extra: The extra that installs it, as in ``train``.
            purpose: What it is needed for, completing "... is needed to".

        Returns:
            The error, naming the install command.
        """
        return cls(f"{package} is needed to {purpose}: {install_command(extra)}")
