"""What a source distribution and the wheel built from it hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the source distribution, as a package index would."""
    folder = tmp_path_factory.mktemp("dist")
    # --no-isolation: the build tools are in the dev extra, so the test needs no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(repository)]
    # The editable install has compiled the CUDA library for every target: a second time would be a minute.
    command.append("--config-setting=cmake.define.EDGEFUSE_CUDA=OFF")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_one_package_with_the_three_rooms(wheel: Path) -> None:
    """Nothing but edgefuse is importable, and each room is in it once, with the native module and the default model."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"edgefuse"}
    for room in ("kernels", "export", "bench"):
        assert names.count(f"edgefuse/{room}/__init__.py") == 1
    assert any(name.startswith("edgefuse/kernels/_native.") and name.endswith((".so", ".pyd")) for name in names)
    for name in ("py.typed", "kernels/_native.pyi", "assets/lite.onnx", "assets/lite.json"):
        assert f"edgefuse/{name}" in names
    assert not [name for name in names if name.endswith((".cpp", ".cu", ".h"))]


def test_the_source_distribution_follows_no_link(wheel: Path) -> None:
    """The rooms are there at their own places and not a second time under edgefuse/."""
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    inside = {name.partition("/")[2] for name in names}
    assert {"kernels/module.cpp", "export/__init__.py", "bench/__init__.py", "CMakeLists.txt"} <= inside
    assert not [name for name in inside if name.startswith(("edgefuse/kernels", "edgefuse/export", "edgefuse/bench"))]
