"""The C++ code compiled for Jetson's processors, by a cross compiler where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

COMPILER, DISASSEMBLER = "aarch64-linux-gnu-g++", "aarch64-linux-gnu-objdump"
TOOLS = ("cmake", "ninja", COMPILER, DISASSEMBLER)

FUSED_MULTIPLY_ADD = re.compile(r"\s(fn?m(add|sub)|fml[as])\s")


@pytest.fixture(scope="module")
def build(repository, tmp_path_factory) -> Path:
    """A build folder of the extension for aarch64, with the flags that CMake chooses for it."""
    # Beside this Python lies the ninja that the development extras install.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt install cmake g++-aarch64-linux-gnu")
    folder: Path = tmp_path_factory.mktemp("aarch64")
    _run(
        *("cmake", "-S", repository, "-B", folder, "-G", "Ninja", "-DEDGEFUSE_CUDA=OFF"),
        *("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_INCLUDE_DIR={sysconfig.get_path('include')}"),
        f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja', path=path)}",
        "-DCMAKE_CXX_FLAGS=-Werror",
    )
    return folder


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _compile(build: Path, source: str) -> Path:
    name = f"CMakeFiles/_native.dir/kernels/{source}.o"
    _run("cmake", "--build", build, "--target", name)
    return build / name


@pytest.mark.parametrize("source", ["parallel.cpp", "ssim/rows.cpp"])
def test_compiles_without_a_warning(build, source) -> None:
    """The threads and the arithmetic of rows take nothing from x86."""
    assert _compile(build, source).stat().st_size


@pytest.mark.parametrize(
    "source", ["luminance/luminance.cpp", "temporal/temporal.cpp", "warp/rows.cpp", "warp/warp_map.cpp"]
)
def test_pictures_are_made_without_fused_multiply_adds(build, source) -> None:
    """What makes pictures rounds a product before it is added, so that they are those of x86-64 to the bit."""
    code = _run(DISASSEMBLER, "--disassemble", _compile(build, source))
    assert "fmul" in code
    assert [line for line in code.splitlines() if FUSED_MULTIPLY_ADD.search(line)] == []
