"""What can be imported, from where, and with what missing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import edgefuse

ROOT = Path(edgefuse.__file__).parent

OPTIONAL = [
    "torch",
    "triton",
    "onnx",
    "onnxscript",
    "safetensors",
    "accelerate",
    "tensorboard",
    "matplotlib",
    "scipy",
    "onnxruntime",
    "tensorrt",
    "tensorrt_rtx",
    "pycuda",
    "modelopt",
    "pycocotools",
    "av",
]

# What a device runs: none of these may import, even indirectly, anything but NumPy, OpenCV, typer and rich.
DEPLOYMENT = [
    "edgefuse.arrays",
    "edgefuse.errors",
    "edgefuse.folder",
    "edgefuse.fuser",
    "edgefuse.image_header",
    "edgefuse.images",
    "edgefuse.machine",
    "edgefuse.manifest",
    "edgefuse.padding",
    "edgefuse.pairs",
    "edgefuse.runtime",
    "edgefuse.sheet",
    "edgefuse.synthetic",
    "edgefuse.thermal",
    "edgefuse.video",
    "edgefuse.zoo",
    "edgefuse.kernels",
    "edgefuse.export",
    "edgefuse.bench",
    "edgefuse.metrics",
    "edgefuse.cli",
    "edgefuse.stream",
    "edgefuse.stream.session",
    "edgefuse.stream.preview",
    "edgefuse.calibrate",
]

COMMANDS = (
    "",
    "fuse",
    "stream",
    "replay",
    "calibrate",
    "export",
    "inspect",
    "train",
    "data check",
    "eval",
    "eval detect",
    "eval segment",
    "bench",
    "bench run",
    "demo",
    "models",
    "models pull",
    "doctor",
)

BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)
sys.meta_path.insert(0, Block())
"""


def run_without_optional(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that has none of the optional packages."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_deployment_modules_import_without_any_optional_package() -> None:
    """No torch, no ONNX, not even an inference runtime is needed until a model is loaded."""
    done = run_without_optional(
        "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in DEPLOYMENT)
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_is_shown_without_any_optional_package(command: str) -> None:
    """Help does not depend on what is installed."""
    arguments = ["edgefuse", *command.split(), "--help"]
    done = run_without_optional(f"import sys; sys.argv = {arguments!r}\nfrom edgefuse.cli import main\nmain()")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_fusing_without_a_runtime_names_the_install_command() -> None:
    """The exit code says that something is missing on this machine."""
    code = "import sys; sys.argv = ['edgefuse', 'demo', '-o', sys.argv[0] + '/x']\nfrom edgefuse.errors import *\n"
    code += "from edgefuse.runtime.onnx_runtime import _import_onnxruntime\n"
    code += (
        "try:\n    _import_onnxruntime()\nexcept MissingDependencyError as error:\n    print(error, error.exit_code)"
    )
    assert run_without_optional(code).stdout.strip() == "ONNX Runtime is not installed: pip install onnxruntime 3"


@pytest.mark.parametrize("room", ["kernels", "export", "bench"])
def test_rooms_are_not_importable_at_top_level(room: str, tmp_path: Path) -> None:
    """A stranger's project may have modules of these names."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {room}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr


def packages() -> list[str]:
    """Every package of the distribution that states what it exports."""
    found = []
    for init in sorted(ROOT.rglob("__init__.py")):
        name = ".".join(("edgefuse", *init.parent.relative_to(ROOT).parts))
        if "__all__" in init.read_text(encoding="utf-8"):
            found.append(name)
    return found


@pytest.mark.parametrize("package", packages())
def test_all_names_what_a_package_exports(package: str) -> None:
    """Every name in __all__ is there, and everything imported from the package's own modules is in __all__."""
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")
        for alias in node.names
    }
    assert {name for name in imported if not name.startswith("_")} <= set(module.__all__)


def test_the_version_is_the_distribution_s() -> None:
    """One version, in the code and in the metadata."""
    from importlib.metadata import version

    assert edgefuse.__version__ == version("edgefuse")
