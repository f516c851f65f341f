"""Fixtures shared by all tests: reference data outside the repository, and the GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest


class CliResult(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


RunCli = Callable[..., CliResult]

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads of several workers on the same cores wait for each other; processes that tests start inherit the number.
    shared_by = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // shared_by)))

REPOSITORY = Path(__file__).resolve().parent.parent


def _skip_or_fail(reason: str, *, required: str) -> None:
    """Skip with the reason, or fail where the environment says that the thing must be there."""
    if os.environ.get(required) == "1":
        pytest.fail(f"{reason} ({required}=1)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data (real image pairs, golden values), or a skip with the reason."""
    folder = Path(os.environ.get("EDGEFUSE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (folder / "golden").is_dir():
        _skip_or_fail(
            f"no reference data in {folder}; set EDGEFUSE_SHARED to a folder that holds it",
            required="EDGEFUSE_REQUIRE_SHARED",
        )
    return folder


@pytest.fixture(scope="session")
def cuda_device() -> str:
    """The name of the CUDA device for kernel tests, or a skip with the reason."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        _skip_or_fail("no CUDA device on this machine", required="EDGEFUSE_REQUIRE_GPU")
    return "cuda"


@pytest.fixture(scope="session")
def inverse_dft() -> None:
    """Skip where ONNX Runtime lacks the one-sided inverse DFT, which PyTorch exports."""
    onnxruntime = pytest.importorskip("onnxruntime")
    version = onnxruntime.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < (1, 25):
        pytest.skip(f"ONNX Runtime {version} has no one-sided inverse DFT; 1.25 has")


@pytest.fixture(scope="session")
def host_cuda_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA library compiled for the host, or a skip: its kernels then run in memory of the host, without a GPU."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("the kernels are compiled for the host with c++")
    library = tmp_path_factory.mktemp("host_cuda") / "libedgefuse_cuda.so"
    headers, source = REPOSITORY / "tests" / "kernels" / "host_cuda", REPOSITORY / "kernels" / "warp" / "warp.cu"
    # No contraction to fused multiply-adds, as on the GPU and in the C++ code.
    flags = ["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, "-x", "c++", *flags, f"-I{headers}", "-o", library, source], check=True)
    return library


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCli:
    """Run the ``edgefuse`` command in this process, as in ``run_cli("fuse", "--ir", path)``."""
    from edgefuse.cli import main

    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> CliResult:
        monkeypatch.setattr(sys, "argv", ["edgefuse", *(str(argument) for argument in arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return CliResult(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def average_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ``.onnx`` with manifest whose output is the mean of its inputs, for sizes that are multiples of 4."""
    onnx = pytest.importorskip("onnx")
    from edgefuse.manifest import Manifest, manifest_path, sha256_file

    path = tmp_path_factory.mktemp("average") / "average.onnx"
    shape = ["B", 1, "H", "W"]
    images = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("ir", "vis", "fused")
    ]
    half = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [
        onnx.helper.make_node("Add", ["ir", "vis"], ["sum"]),
        onnx.helper.make_node("Mul", ["sum", "half"], ["fused"]),
    ]
    graph = onnx.helper.make_graph(nodes, "average", images[:2], images[2:], [half])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    Manifest(
        file=path.name,
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        format="onnx",
        model="average",
        size_multiple=4,
        min_size=16,
        opset=18,
    ).save(manifest_path(path))
    return path
