"""Kernels that TensorRT-RTX compiled for a GPU, kept in a file from one start to the next."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any

from edgefuse.manifest import write_atomically
from edgefuse.runtime.device_memory import Gpu
from edgefuse.runtime.engine_file import EngineFile
from edgefuse.zoo import cache_root

__all__ = ["RuntimeCache", "cache_path"]

_log = logging.getLogger(__name__)


def cache_path(file: EngineFile, gpu: Gpu, version: str) -> Path:
    """Where the kernels of an engine are kept: one file for each engine, GPU, driver and release of TensorRT-RTX.

    Args:
        file: The engine.
        gpu: The GPU that the kernels are compiled for.
        version: Version of TensorRT-RTX.

    Returns:
        A path in the cache folder; nothing has to be there.
    """
    engine = f"{file.path.stem}-{hashlib.sha256(file.content).hexdigest()[:12]}"
    name = re.sub(r"[^A-Za-z0-9]+", "-", gpu.name).strip("-")
    return cache_root() / "tensorrt-rtx" / engine / f"{name}-{gpu.target}-cuda{gpu.cuda}-rtx{version}.cache"


class RuntimeCache:
    """The runtime cache of one engine, filled from its file. The context of the GPU must be current in every call.

    It is never in the way: where the file cannot be used or written, that is one warning, and kernels are compiled as
    they are without it. It must outlive the execution context that is made with the configuration.

    Args:
        config: ``IRuntimeConfig`` that is to use it.
        path: Its file. A folder that others may write to is left alone: kernels are code, and TensorRT-RTX tells a
            stale file from a fresh one, not a forged one.

    Attributes:
        is_saved: Whether :meth:`save` was called since the start.
    """

    def __init__(self, config: Any, path: Path) -> None:
        self._path = path
        self._content: bytes | None = None  # of the file, where it is of use
        self.is_saved = False
        self._cache = config.create_runtime_cache()
        self._is_kept = self._cache is not None and config.set_runtime_cache(self._cache)
        if not self._is_kept:
            _log.warning("TensorRT-RTX gives no runtime cache: kernels are compiled at every start")
            return
        try:
            self._load()
        except Exception as error:  # whatever is wrong with the file, the engine runs without it
            _log.warning("%s: not read (%s); kernels are compiled, and it is written anew", path, _in_one_line(error))

    def _load(self) -> None:
        if self._path.parent.exists() and not _is_private(self._path.parent):
            _log.warning("%s: other users may write to it; compiled kernels are not kept there", self._path.parent)
            self._is_kept = False
        elif self._path.is_file():
            content = self._path.read_bytes()
            if content and self._cache.deserialize(content):
                self._content = content
            else:
                text = "%s: damaged, or not of this GPU and driver; kernels are compiled, and it is written anew"
                _log.warning(text, self._path)

    def save(self) -> None:
        """Write the file, if kernels were compiled that are not in it."""
        self.is_saved = True
        if not self._is_kept:
            return
        try:
            content = bytes(self._cache.serialize())
            if content and content != self._content:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(self._path, content)
                self._content = content
        except Exception as error:  # a full disk, or a library that does not serialise: pictures are not affected
            _log.warning("%s: compiled kernels are not kept (%s)", self._path, _in_one_line(error))
            self._is_kept = False


def _is_private(folder: Path) -> bool:
    """Whether only this user can write to a folder, as far as the operating system tells."""
    if os.name != "posix":
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _in_one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
