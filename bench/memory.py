"""The most memory that this process held."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["peak_host_bytes"]

_STATUS = Path("/proc/self/status")


def peak_host_bytes() -> int | None:
    """The high-water mark of this process's resident memory.

    On Linux it is read from ``VmHWM``, which starts anew with a program, and not from ``getrusage``, whose mark a
    process inherits from the one that started it.

    Returns:
        Bytes, or None where the system does not tell.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found.group(1)) << 10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) << 10
