"""Every call on the GPU exists: pycuda's by the names of a release, the driver's by its own header."""

from __future__ import annotations

import ast
import ctypes
import inspect
import json
from pathlib import Path
from typing import Any

from edgefuse.runtime import device_memory

# Names that record_pycuda_api.py found in a build of pycuda.
PYCUDA = json.loads((Path(__file__).parent / "data" / "pycuda_api.json").read_text())
CLASS_OF = {
    "pycuda": "module",
    "_pycuda": "module",
    "_context": "Context",
    "_allocation": "DeviceAllocation",
    "stream": "Stream",
}


def attributes() -> set[tuple[str, str]]:
    """What is taken of which variable."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(device_memory))):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            found.add((name, node.attr))
    return found


def test_every_call_exists_in_pycuda() -> None:
    """By the names of its released module."""
    calls = {(CLASS_OF[name], attribute) for name, attribute in attributes() if name in CLASS_OF}
    assert {("module", "pagelocked_empty"), ("Context", "push"), ("Stream", "handle")} <= calls
    assert not {(kind, name) for kind, name in calls - {("module", "driver")} if name not in PYCUDA["names"][kind]}


def test_pycuda_still_lacks_stream_capture() -> None:
    """Which is why the driver library is called; once a release has it, this module can shrink."""
    assert not [name for name in (*PYCUDA["names"]["module"], *PYCUDA["names"]["Stream"]) if "capture" in name.lower()]


def test_every_function_of_the_driver_was_checked_by_its_header(pretend_driver: ctypes.CDLL) -> None:
    """The pretended driver has them all, and was compiled against NVIDIA's cuda.h with its exported names."""
    called = {attribute for _, attribute in attributes() if attribute.startswith("cu") and attribute != "cuda"}
    assert "cuStreamBeginCapture_v2" in called
    assert len(called) >= 12
    for name in called:
        assert hasattr(pretend_driver, name), name


def test_the_pretended_pycuda_has_no_name_of_its_own(gpu: Any) -> None:
    """What the other tests rest on is no wider than the real module."""
    import pycuda.driver

    names = {name for name in vars(pycuda.driver) if not name.startswith("_")}
    assert names <= set(PYCUDA["names"]["module"])
    for kind in ("Device", "Stream"):
        owner = getattr(pycuda.driver, kind)
        assert {name for name in vars(owner) if not name.startswith("_")} <= set(PYCUDA["names"][kind])
