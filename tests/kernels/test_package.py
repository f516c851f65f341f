"""The kernels package as a whole: light to import, and exporting what it says."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["", ".gradient_loss", ".ssim", ".spectral_conv", ".warp"]


def test_importing_the_package_imports_neither_torch_nor_triton() -> None:
    """The deployment commands use the C++ kernels on machines without PyTorch."""
    code = "import sys, edgefuse.kernels.warp; print([name for name in ('torch', 'triton') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"


def test_operations_import_without_triton() -> None:
    """Without Triton the operations run their other backends, and asking for Triton says what to do."""
    code = """
import sys
sys.modules["triton"] = None  # makes `import triton` fail
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from edgefuse.errors import UsageError
from edgefuse.kernels.gradient_loss import gradient_loss
from edgefuse.kernels.spectral_conv import SpectralConv2d
from edgefuse.kernels.ssim import ssim
images = torch.rand(3, 1, 1, 8, 8)
gradient_loss(*images, angle=1.0), ssim(*images[:2]), SpectralConv2d(1)(images[0])
try:
    ssim(*images[:2], backend="triton")
except UsageError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'edgefuse[train]'" in run.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_export_what_they_name(package: str) -> None:
    """Every name in ``__all__`` exists, and they are sorted as readers expect."""
    module = importlib.import_module(f"edgefuse.kernels{package}")
    assert all(hasattr(module, name) for name in module.__all__)
    assert sorted(module.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == module.__all__
