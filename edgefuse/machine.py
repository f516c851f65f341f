"""What is installed on this machine and what it can run."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from edgefuse.errors import EdgeFuseError
from edgefuse.installing import install_command

__all__ = ["Component", "Gpu", "components", "gpus", "jetpack"]

_L4T_RELEASE = Path("/etc/nv_tegra_release")


@dataclass(frozen=True)
class Component:
    """A piece of software that EdgeFuse uses.

    Attributes:
        name: What people call it.
        purpose: What it serves.
        version: Installed version, or None.
        fix: Command that installs it or mends what is wrong, or None where all is well.
        required: Whether EdgeFuse does nothing without it.
        note: What else is to be said.
    """

    name: str
    purpose: str
    version: str | None
    fix: str | None = None
    required: bool = False
    note: str | None = None


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU, as its driver describes it."""

    name: str
    compute_capability: str
    memory_mib: int
    driver: str

    @property
    def target(self) -> str:
        """Its compute capability as compilers name it, as in ``"sm_86"``."""
        return f"sm_{self.compute_capability.replace('.', '')}"


@dataclass(frozen=True)
class _Package:
    name: str
    module: str
    distributions: tuple[str, ...]
    purpose: str
    command: str = ""
    required: bool = False
    extra: str = ""

    @property
    def fix(self) -> str:
        return self.command or install_command(self.extra)


_PACKAGES = (
    _Package("NumPy", "numpy", ("numpy",), "everything", "pip install numpy", True),
    _Package(
        "OpenCV",
        "cv2",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
        "images and video",
        "pip install opencv-python-headless",
        True,
    ),
    _Package(
        "ONNX Runtime", "onnxruntime", ("onnxruntime-gpu", "onnxruntime"), "fusing", "pip install onnxruntime", True
    ),
    _Package("PyTorch", "torch", ("torch",), "training, export from PyTorch", extra="train"),
    _Package("Triton", "triton", ("triton",), "GPU kernels for training", extra="train"),
    _Package("ONNX", "onnx", ("onnx",), "export", extra="train"),
    _Package(
        "TensorRT-RTX",
        "tensorrt_rtx",
        ("tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13"),
        "engines for RTX GPUs",
        extra="rtx",
    ),
    _Package(
        "TensorRT",
        "tensorrt",
        ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
        "engines for Jetson and data-centre GPUs",
        extra="tensorrt",
    ),
    _Package("PyCUDA", "pycuda", ("pycuda",), "running engines", "pip install pycuda"),
)


def components() -> list[Component]:
    """Look up every package that EdgeFuse uses, importing none of them into this process."""
    return [_component(package) for package in _PACKAGES]


def _component(package: _Package) -> Component:
    versions = {name: _version(name) for name in package.distributions}
    found = {name: installed for name, installed in versions.items() if installed is not None}
    if find_spec(package.module) is None:
        return Component(package.name, package.purpose, None, fix=package.fix, required=package.required)
    # A module without a distribution is the system's own, as cv2 and tensorrt of JetPack are.
    version = next(iter(found.values()), "system")
    if package.module == "onnxruntime" and len(found) > 1:
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        clash = "onnxruntime and onnxruntime-gpu are both installed and overwrite each other"
        return Component(package.name, package.purpose, version, fix=fix, required=True, note=clash)
    if package.module == "cv2" and not found and (reason := _refusal(package.module)):
        # JetPack's is built for NumPy 1; whatever else is wrong, a package of its own is the way out.
        fix = "pip install 'numpy<2'" if "numpy" in reason.lower() else package.fix
        return Component(
            package.name, package.purpose, version, fix=fix, required=True, note=f"does not load: {reason}"
        )
    note = ", ".join(found) if package.module in ("cv2", "onnxruntime") and found else None
    return Component(package.name, package.purpose, version, required=package.required, note=note)


def _refusal(module: str) -> str | None:
    """Why a module does not load, asked in a process of its own; None where it does."""
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit {done.returncode}")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def gpus() -> list[Gpu]:
    """Ask the NVIDIA driver for its GPUs; an empty list where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return _first_gpu()
    query = "--query-gpu=name,compute_cap,memory.total,driver_version"
    try:
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in answer.stdout.splitlines():
        name, capability, memory, driver = (part.strip() for part in line.rsplit(",", 3))
        found.append(Gpu(name, capability, int(memory) if memory.isdecimal() else 0, driver))
    return found


def _first_gpu() -> list[Gpu]:
    """The first GPU as the driver library tells it: older Jetsons have no nvidia-smi."""
    from edgefuse.runtime.device_memory import find_gpu

    try:
        found = find_gpu()
    except EdgeFuseError:
        return []
    capability = f"{found.target[3:-1]}.{found.target[-1]}"
    return [Gpu(found.name, capability, 0, f"for CUDA {found.cuda}")]


def jetpack() -> str | None:
    """The Jetson's JetPack version, where its package is installed, and its L4T release; None on another machine."""
    if platform.machine() != "aarch64" or not _L4T_RELEASE.is_file():
        return None
    release = (_L4T_RELEASE.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[0].lstrip("# ")
    query = ["dpkg-query", "--show", "--showformat", "${Version}", "nvidia-jetpack"]
    try:
        version = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        version = ""
    return f"JetPack {version}, L4T {release}" if version else f"L4T {release}"
