"""What to type for software that is missing here."""

from __future__ import annotations

import platform

__all__ = ["install_command"]

_ON_AARCH64 = {
    "rtx": "there is no package for aarch64; take TensorRT, which a Jetson has from JetPack (--format tensorrt)",
    "tensorrt": "on a Jetson sudo apt-get install python3-libnvinfer (JetPack's; EdgeFuse in a venv made with "
    "--system-site-packages sees it), elsewhere pip install 'edgefuse[tensorrt]'",
}


def install_command(extra: str) -> str:
    """Tell how to get the packages of an extra on this machine.

    Args:
        extra: As in ``pip install 'edgefuse[train]'``.

    Returns:
        The command, or on processors that it does not serve what to do instead.
    """
    on_aarch64 = _ON_AARCH64.get(extra) if platform.machine() in ("aarch64", "arm64") else None
    return on_aarch64 or f"pip install 'edgefuse[{extra}]'"
