"""ONNX Runtime as a runner: its formats, CUDA that is not there, and tensors that stay where they are."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgefuse.errors import ArtifactError, MissingDependencyError, TrustError
from edgefuse.export import export
from edgefuse.runtime import OnnxRuntimeRunner, create_runner
from edgefuse.runtime.io_binding import BoundSession

RNG = np.random.default_rng(0)


@pytest.fixture
def no_cuda() -> None:
    """Skip where ONNX Runtime has CUDA."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")


def test_cuda_that_is_not_built_in_names_the_commands(average_model: Path, no_cuda: None) -> None:
    """Exit code 3; the two packages must not stay side by side."""
    with pytest.raises(MissingDependencyError, match="pip uninstall -y onnxruntime && pip install") as caught:
        OnnxRuntimeRunner(average_model, device="cuda").activate()
    assert caught.value.exit_code == 3


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_that_does_not_start_is_no_silent_cpu(
    average_model: Path, no_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime itself goes on without a provider whose libraries are missing."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(MissingDependencyError, match=r"cannot start CUDA: it needs a GPU .* or take --device cpu"):
        OnnxRuntimeRunner(average_model, device="cuda").activate()


def test_a_transform_that_an_older_onnx_runtime_lacks_names_the_export(tmp_path: Path) -> None:
    """ONNX Runtime 1.23, the last for Python 3.10, has no one-sided inverse: graphs that keep the operator fail."""
    path = tmp_path / "rpfnet.onnx"
    path.write_bytes(b"not a graph")
    manifest = json.loads(Path(str(resources.files("edgefuse") / "assets" / "rpfnet.json")).read_text(encoding="utf-8"))
    manifest |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size_bytes": path.stat().st_size}
    manifest["dft_lowering"] = "keep"
    path.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"cannot load it .*--lower-dft keep.*edgefuse export rpfnet"):
        OnnxRuntimeRunner(path).activate()


@pytest.fixture
def sizes_loaded(monkeypatch: pytest.MonkeyPatch) -> list[list[int | str]]:
    """The input shape of each session that is made."""
    loaded = []

    class Counting(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            loaded.append(self.get_inputs()[0].shape)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Counting)
    return loaded


def test_the_first_size_gets_a_graph_of_its_own(average_model: Path, sizes_loaded: list[Any]) -> None:
    """Once, however many images of other sizes come between; they and it are fused alike."""
    with create_runner(average_model) as runner:
        for size in ((16, 20), (16, 20), (12, 8), (16, 20), (12, 8)):
            images = [RNG.random((1, 1, *size), dtype=np.float32) for _ in range(2)]
            np.testing.assert_allclose(runner.infer(*images), 0.5 * (images[0] + images[1]), atol=1e-7)
    assert sizes_loaded[1:] == [[1, 1, 16, 20]]
    assert isinstance(sizes_loaded[0][2], str)


def test_a_graph_that_was_replaced_meanwhile_does_not_slip_in(
    average_model: Path, tmp_path: Path, sizes_loaded: list[Any]
) -> None:
    """The first image may come long after the file was checked."""
    path = tmp_path / "average.onnx"
    path.write_bytes(average_model.read_bytes())
    zeros, ones = (make((1, 1, 16, 20), dtype=np.float32) for make in (np.zeros, np.ones))
    with create_runner(path) as runner:
        other = path.read_bytes().replace(np.float32(0.5).tobytes(), np.float32(0.25).tobytes())
        assert other != path.read_bytes()
        path.write_bytes(other)
        np.testing.assert_array_equal(runner.infer(zeros, ones), 0.5 * ones)
    assert len(sizes_loaded) == 2
    with create_runner(path) as runner:
        np.testing.assert_array_equal(runner.infer(zeros, ones), 0.25 * ones)


def test_a_size_that_the_graph_does_not_take_is_told_once_it_runs(tmp_path: Path) -> None:
    """And does not keep others from running."""
    onnx = pytest.importorskip("onnx")
    make, shape, types = onnx.helper, [1, 1, "height", "width"], onnx.TensorProto
    values = [make.make_tensor_value_info(name, types.FLOAT, shape) for name in ("ir", "vis", "fused")]
    rows = onnx.numpy_helper.from_array(np.ones((1, 1, 8, 1), dtype=np.float32), "rows")
    nodes = [make.make_node("Add", ["ir", "vis"], ["sum"]), make.make_node("Mul", ["sum", "rows"], ["fused"])]
    graph = make.make_graph(nodes, "g", values[:2], values[2:], [rows])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "eight.onnx"
    path.write_bytes(model.SerializeToString())
    with create_runner(path) as runner:
        wrong = np.ones((1, 1, 6, 6), dtype=np.float32)
        with pytest.raises(ArtifactError, match=r"inference failed at \(1, 1, 6, 6\)"):
            runner.infer(wrong, wrong)
        right = np.ones((1, 1, 8, 6), dtype=np.float32)
        np.testing.assert_array_equal(runner.infer(right, right), 2 * right)


def test_bound_tensors_are_allocated_once_a_shape(average_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was returned is not overwritten by the next frame. On the CPU here; a GPU differs in the name alone."""
    allocated = []
    original = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def counting(shape: Any, *rest: Any) -> Any:
        allocated.append(shape)
        return original(shape, *rest)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", counting)
    session = onnxruntime.InferenceSession(str(average_model), providers=["CPUExecutionProvider"])
    bound = BoundSession(session, ("ir", "vis"), np.float32, device="cpu")
    kept = []
    for shape in ((1, 1, 16, 16), (1, 1, 16, 16), (2, 1, 8, 12), (2, 1, 8, 12)):
        images = [RNG.random(shape, dtype=np.float32) for _ in range(2)]
        kept.append((0.5 * (images[0] + images[1]), bound.run(images)))
    for expected, found in kept:
        np.testing.assert_array_equal(found, expected)
    assert len(allocated) == 6


def test_bound_tensors_have_the_types_of_the_graph(tmp_path: Path) -> None:
    """Of a graph of others too, whose output is not of the inputs' type."""
    onnx = pytest.importorskip("onnx")
    make, shape, types = onnx.helper, [1, 1, 8, 8], onnx.TensorProto
    images = [make.make_tensor_value_info(name, types.FLOAT16, shape) for name in ("ir", "vis")]
    nodes = [make.make_node("Add", ["ir", "vis"], ["sum"]), make.make_node("Cast", ["sum"], ["fused"], to=types.FLOAT)]
    graph = make.make_graph(nodes, "g", images, [make.make_tensor_value_info("fused", types.FLOAT, shape)])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    halves = [RNG.random(shape).astype(np.float16) for _ in range(2)]
    fused = BoundSession(session, ("ir", "vis"), np.float16, device="cpu").run(halves)
    # A sum of at most 2 is rounded to half precision, or not where ONNX Runtime leaves the casts out.
    np.testing.assert_allclose(fused, halves[0].astype(np.float32) + halves[1], atol=2.0**-10)


def test_ort_files_run_too(average_model: Path, tmp_path: Path) -> None:
    """The format of ONNX Runtime's minimal builds, with its manifest checked as any other."""
    path = tmp_path / "average.ort"
    export(average_model, path, format="ort")
    images = [RNG.random((1, 1, 16, 20), dtype=np.float32) for _ in range(2)]
    with create_runner(path) as runner:
        np.testing.assert_allclose(runner.infer(*images), 0.5 * (images[0] + images[1]), atol=1e-7)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match="content differs"):
        create_runner(path)


@pytest.mark.parametrize("location", ["../outside.bin", "ABSOLUTE", "link.bin"])
def test_external_data_outside_the_folder_is_refused_at_run_time_too(tmp_path: Path, location: str) -> None:
    """ONNX Runtime does so itself from 1.24 on only."""
    onnx = pytest.importorskip("onnx")
    outside, folder = tmp_path / "outside.bin", tmp_path / "model"
    outside.write_bytes(bytes(64))
    folder.mkdir()
    (folder / "link.bin").symlink_to(outside)
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[16])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": str(outside) if location == "ABSOLUTE" else location, "length": "64"}.items():
        tensor.external_data.add(key=key, value=value)
    make, shape = onnx.helper, [1, 1, 16, 16]
    images = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("ir", "vis", "fused")]
    nodes = [make.make_node("Add", ["ir", "w"], ["sum"]), make.make_node("Add", ["sum", "vis"], ["fused"])]
    graph = make.make_graph(nodes, "g", images[:2], images[2:], [tensor])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TrustError, match=r"m\.onnx: external data of 'w' .*; refused"):
        create_runner(folder / "m.onnx").activate()
