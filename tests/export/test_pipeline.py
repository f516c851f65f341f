"""The whole way: a network or graph in, a checked artifact with its manifest out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgefuse.errors import ArtifactError, InputError, MissingDependencyError, TrustError, UsageError
from edgefuse.export import export
from edgefuse.export.dft import count_dft
from edgefuse.manifest import Manifest, Precision, manifest_path, verify

SIZE = (48, 64)


class Spectral(nn.Module):
    """A small fusion network with a Fourier transform and statistics of the image, as the zoo's largest has."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, width, 3, padding=1)
        self.mix = nn.Conv2d(2 * width, 2 * width, 1)
        self.norm = nn.BatchNorm2d(2 * width, track_running_stats=False)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse."""
        x = torch.relu(self.first(torch.cat([ir, vis], dim=1)))
        spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        b, c, h, w, _ = spectrum.shape
        parts = spectrum.permute(0, 1, 4, 2, 3).reshape(b, 2 * c, h, w)
        parts = torch.relu(self.norm(self.mix(parts))).reshape(b, c, 2, h, w).permute(0, 1, 3, 4, 2).contiguous()
        x = x + torch.fft.irfft2(torch.view_as_complex(parts), s=ir.shape[-2:], norm="ortho")
        return torch.sigmoid(self.last(x))


class Plain(nn.Module):
    """A convolution that takes any multiple of 4."""

    size_multiple = 4
    min_size = 8

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 8, 4, stride=4)
        self.up = nn.ConvTranspose2d(8, 1, 4, stride=4)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse."""
        return torch.sigmoid(self.up(torch.relu(self.down(torch.cat([ir, vis], dim=1)))))


class Colour(nn.Module):
    """One colour image in, one colour image out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, vis: torch.Tensor) -> torch.Tensor:
        """Enhance."""
        return self.conv(vis)


@pytest.fixture(scope="module")
def spectral() -> Spectral:
    """The network, its weights fixed."""
    torch.manual_seed(0)
    return Spectral().eval()


@pytest.fixture(scope="module")
def graph(spectral: Spectral, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an exported graph."""
    return export(spectral, tmp_path_factory.mktemp("graph") / "net.onnx", imgsz=SIZE).path


def run(path: Path, *images: np.ndarray) -> np.ndarray:
    """An exported graph's output."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(zip([one.name for one in session.get_inputs()], images, strict=True)))[0])


def images(size: tuple[int, int] = SIZE, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two random inputs."""
    rng = np.random.default_rng(0)
    return tuple(rng.random((batch, 1, *size), dtype=np.float32) for _ in range(2))  # type: ignore[return-value]


def test_graph_draws_what_the_network_draws(spectral: Spectral, graph: Path) -> None:
    """Equal to PyTorch in float64, with the names that the project fixes and no DFT left."""
    ir, vis = images()
    model = onnx.load(graph)
    assert count_dft(model) == 0
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["ir", "vis", "fused"]
    with torch.no_grad():
        wanted = spectral.double()(torch.from_numpy(ir).double(), torch.from_numpy(vis).double()).numpy()
    spectral.float()
    np.testing.assert_allclose(run(graph, ir, vis), wanted, atol=2e-6)


def test_manifest_tells_where_the_graph_came_from(graph: Path) -> None:
    """Complete, and checked against the file."""
    manifest = verify(graph)
    assert manifest.model.endswith(":Spectral")
    assert (manifest.imgsz, manifest.batch, manifest.precision, manifest.opset) == (SIZE, 1, "fp32", 18)
    assert manifest.dft_lowering == "auto (cpu)"
    assert set(manifest.builder) == {"edgefuse", "onnx", "torch"}
    assert manifest.parity is not None
    assert manifest.parity["passed"]
    assert manifest.parity["max_abs_error"] < 1e-5
    assert set(manifest.parity["metrics"]) == {"EN", "SD", "Qabf", "SSIM"}
    assert manifest.created_utc.endswith("+00:00")


def test_graph_holds_no_trace_of_this_machine(graph: Path) -> None:
    """PyTorch writes stack traces with the paths of source files into every node."""
    content = graph.read_bytes()
    assert b".py" not in content
    assert str(Path.home()).encode() not in content


def test_exporting_twice_gives_the_same_bytes(spectral: Spectral, graph: Path, tmp_path: Path) -> None:
    """A build can be reproduced."""
    again = export(spectral, tmp_path / "again.onnx", imgsz=SIZE)
    assert again.manifest.sha256 == verify(graph).sha256


def test_the_network_given_is_not_touched(spectral: Spectral) -> None:
    """Export works on a copy: the caller may be training it."""
    assert spectral.first.weight.requires_grad
    assert not spectral.training


def test_drift_fails_and_leaves_nothing(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is allowed; the manifest then says that it drifted."""
    from edgefuse.export import parity

    never = parity.Limits(0.0, -1.0, 2.0)
    monkeypatch.setattr(parity, "LIMITS", dict.fromkeys(parity.LIMITS, never))
    with pytest.raises(ArtifactError, match=r"strays from .*: largest error .* over .*--allow-drift"):
        export(graph, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []
    drifted = export(graph, tmp_path / "x.onnx", allow_drift=True)
    assert drifted.manifest.parity is not None
    assert not drifted.manifest.parity["passed"]


def test_real_pairs_are_read_and_named(graph: Path, tmp_path: Path) -> None:
    """Folders are paired by name; the manifest says what the check ran on, without the machine's paths."""
    rng = np.random.default_rng(0)
    for kind, shape in (("ir", (60, 80)), ("vis", (60, 80, 3))):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "1.png"), rng.integers(0, 255, shape, dtype=np.uint8))
    parity = export(graph, tmp_path / "x.onnx", pairs=(tmp_path / "ir", tmp_path / "vis")).manifest.parity
    assert parity is not None
    assert parity["pairs"] == 1
    assert str(tmp_path.parent) not in json.dumps(parity)


def test_engine_is_built_from_a_graph_without_torch(graph: Path, tmp_path: Path) -> None:
    """For all targets, with the first export's parity kept."""
    pytest.importorskip("tensorrt_rtx")
    engine = export(graph, tmp_path / "net.rtx", format="tensorrt-rtx")
    manifest = verify(engine.path)
    assert manifest.format == "tensorrt-rtx"
    assert "sm_75" in manifest.targets
    assert "tensorrt-rtx" in manifest.builder
    assert manifest.parity is not None
    assert manifest.parity["of_source"]["reference"].startswith("PyTorch")
    assert manifest.model.endswith(":Spectral")


def test_tensorrt_without_its_library_writes_the_graph_and_the_command(graph: Path, tmp_path: Path) -> None:
    """Exit code 3, with what to type on the device."""
    if "tensorrt" in sys.modules:
        pytest.skip("TensorRT is installed")
    with pytest.raises(MissingDependencyError) as caught:
        export(graph, tmp_path / "net.plan", format="tensorrt", workspace_mib=256, hardware_compatible=True)
    command = "edgefuse export net.graph.onnx --format tensorrt --output net.plan --workspace 256 --hardware-compat"
    assert command in str(caught.value)
    assert caught.value.exit_code == 3
    assert verify(tmp_path / "net.graph.onnx").format == "onnx"
    assert not (tmp_path / "net.plan").exists()


def test_ort_file_runs(graph: Path, tmp_path: Path) -> None:
    """ONNX Runtime's format gives the same picture."""
    converted = export(graph, tmp_path / "net.ort", format="ort")
    assert converted.manifest.format == "ort"
    assert converted.path.read_bytes()[4:8] == b"ORTM"
    np.testing.assert_allclose(run(converted.path, *images()), run(graph, *images()), atol=1e-6)


def test_model_repository_has_the_server_s_layout(graph: Path, tmp_path: Path) -> None:
    """A folder a model, a folder a version, and a configuration of matching names and shapes."""
    repository = tmp_path / "models"
    artifact = export(graph, repository, format="triton-repo")
    assert artifact.path == repository / "Spectral" / "1" / "model.onnx"
    assert verify(artifact.path).sha256 == verify(graph).sha256
    text = (repository / "Spectral" / "config.pbtxt").read_text()
    assert 'name: "Spectral"' in text
    assert text.count("dims: [ 1, 1, 48, 64 ]") == 3
    assert all(f'name: "{name}"' in text for name in ("ir", "vis", "fused"))
    with pytest.raises(InputError, match="--overwrite"):
        export(graph, repository, format="triton-repo")
    one = {"input_names": ["vis"], "channels": [3], "dynamic": True, "imgsz": (8, 8)}
    export(Colour(), repository, format="triton-repo", **one)  # type: ignore[arg-type]
    assert (repository / "Colour" / "config.pbtxt").read_text().count("dims: [ 1, 3, -1, -1 ]") == 2


def test_free_size_takes_any_multiple(tmp_path: Path) -> None:
    """Height, width and batch as the network allows."""
    free = export(Plain(), tmp_path / "free.onnx", dynamic=True, imgsz=(16, 24))
    assert (free.manifest.imgsz, free.manifest.size_multiple, free.manifest.min_size) == (None, 4, 8)
    for size in ((8, 8), (40, 12)):
        assert run(free.path, *images(size)).shape == (1, 1, *size)
    pytest.importorskip("tensorrt_rtx")
    span, one = ((8, 8), (64, 64)), {"format": "tensorrt-rtx", "targets": ("sm_86",), "dynamic": True}
    engine = export(free.path, tmp_path / "span.rtx", imgsz=(16, 24), span=span, **one)  # type: ignore[arg-type]
    assert engine.manifest.imgsz is None
    assert engine.manifest.builder["sizes"] == "--dynamic --imgsz 16 24 --min-imgsz 8 8 --max-imgsz 64 64"
    several = export(free.path, tmp_path / "two.rtx", imgsz=[(16, 24), (8, 8)], **one)  # type: ignore[arg-type]
    assert several.manifest.builder["sizes"] == "--dynamic --imgsz 16 24 8 8"
    # A profile more is bytes more: one of each size, not one for all between.
    single = export(free.path, tmp_path / "one.rtx", imgsz=(16, 24), **one)  # type: ignore[arg-type]
    assert several.manifest.size_bytes > single.manifest.size_bytes


def test_the_command_for_the_device_holds_every_size(tmp_path: Path) -> None:
    """As it is typed: several sizes after one --imgsz, or a span."""
    if "tensorrt" in sys.modules:
        pytest.skip("TensorRT is installed")
    one = {"format": "tensorrt", "dynamic": True, "overwrite": True}
    with pytest.raises(MissingDependencyError, match=r"--output x\.plan --dynamic --imgsz 16 24 8 8$"):
        export(Plain(), tmp_path / "x.plan", imgsz=[(16, 24), (8, 8)], **one)  # type: ignore[arg-type]
    command = r"--output x\.plan --dynamic --imgsz 16 24 --min-imgsz 8 8 --max-imgsz 64 64$"
    with pytest.raises(MissingDependencyError, match=command):
        export(Plain(), tmp_path / "x.plan", imgsz=(16, 24), span=((8, 8), (64, 64)), **one)  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "for_cpu"), [("fp32", True), ("int8", True), ("fp16", False)])
def test_what_a_cpu_computes_is_written_for_it(precision: Precision, for_cpu: bool, tmp_path: Path) -> None:
    """A pixel shuffle by transposing, in int8 as well; half precision is for GPUs, which take it as it is."""
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    calibration = (image, image) if precision == "int8" else None
    given = {"precision": precision, "calibration": calibration, "allow_drift": True}
    artifact = export("lite", tmp_path / "lite.onnx", imgsz=(64, 64), **given)
    operators = {node.op_type for node in onnx.load(artifact.path).graph.node}
    assert ("DepthToSpace" in operators) != for_cpu


def test_batch_is_part_of_the_graph(tmp_path: Path) -> None:
    """Several pairs an inference."""
    artifact = export(Plain(), tmp_path / "b.onnx", imgsz=(8, 8), batch=3)
    assert artifact.manifest.batch == 3
    assert run(artifact.path, *images((8, 8), batch=3)).shape == (3, 1, 8, 8)


@pytest.fixture(scope="module")
def free_graph(spectral: Spectral, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network with transforms, exported for any height and width."""
    return export(spectral, tmp_path_factory.mktemp("free") / "free.onnx", dynamic=True, imgsz=SIZE).path


def test_free_size_network_with_transforms_equals_pytorch(spectral: Spectral, free_graph: Path) -> None:
    """One graph without DFT operators for every height and width, odd and prime ones included."""
    assert count_dft(onnx.load(free_graph)) == 0
    manifest = verify(free_graph)
    assert (manifest.imgsz, manifest.dft_lowering) == (None, "auto (cpu)")
    for size in (SIZE, (33, 47), (7, 2), (50, 81)):
        ir, vis = images(size)
        with torch.no_grad():
            wanted = spectral.double()(torch.from_numpy(ir).double(), torch.from_numpy(vis).double()).numpy()
        spectral.float()
        np.testing.assert_allclose(run(free_graph, ir, vis), wanted, atol=2e-6)


def test_free_size_network_with_transforms_becomes_an_engine(free_graph: Path, tmp_path: Path) -> None:
    """Its matrices are computed, which sm_75 multiplies in fp16 only: in fp32 it is left out unless it is asked for."""
    pytest.importorskip("tensorrt_rtx")
    one = {"format": "tensorrt-rtx", "imgsz": SIZE, "span": ((16, 16), (96, 128))}
    single = export(free_graph, tmp_path / "fp32.rtx", **one)  # type: ignore[arg-type]
    assert single.manifest.imgsz is None
    assert "sm_75" not in single.manifest.targets
    assert "sm_86" in single.manifest.targets
    half = export(free_graph, tmp_path / "fp16.rtx", precision="fp16", targets=("sm_75",), **one)  # type: ignore[arg-type]
    assert half.manifest.targets == ("sm_75",)


def test_keep_leaves_the_operator(spectral: Spectral, tmp_path: Path, inverse_dft: None) -> None:
    """For comparison, and for other people's tools."""
    kept = export(spectral, tmp_path / "kept.onnx", imgsz=SIZE, lower="keep")
    assert count_dft(onnx.load(kept.path)) == 4
    with pytest.raises(UsageError, match="TensorRT does not have"):
        export(spectral, tmp_path / "x.rtx", format="tensorrt-rtx", lower="keep")


def test_a_class_of_ones_own_with_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As package.module:Class, with one colour input."""
    from safetensors.torch import save_file

    (tmp_path / "their_nets.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, width=1):\n        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, width, 1)\n"
        "    def forward(self, x):\n        return self.conv(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tensors = {"conv.weight": torch.full((2, 3, 1, 1), 0.25), "conv.bias": torch.zeros(2)}
    save_file(tensors, tmp_path / "w.safetensors")
    artifact = export(
        "their_nets:Net",
        tmp_path / "net.onnx",
        imgsz=(8, 8),
        weights=tmp_path / "w.safetensors",
        config={"width": 2},
        input_names=["vis"],
        channels=[3],
    )
    assert artifact.manifest.inputs == ("vis",)
    assert artifact.manifest.weights["origin"] == "w.safetensors"
    got = run(artifact.path, np.ones((1, 3, 8, 8), dtype=np.float32))
    np.testing.assert_allclose(got, 0.75)
    assert export(Colour(), tmp_path / "c.onnx", imgsz=(8, 8), input_names=["vis"], channels=[3]).path.exists()


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """A .pt file with anything but tensors in it would run code."""
    torch.save({"state_dict": Path}, tmp_path / "w.pt")
    with pytest.raises(TrustError, match="not plain tensors"):
        export("lite", tmp_path / "x.onnx", weights=tmp_path / "w.pt")


def test_changed_graph_is_refused(graph: Path, tmp_path: Path) -> None:
    """A graph whose manifest is of other bytes, or of another file."""
    copy = tmp_path / "net.onnx"
    copy.write_bytes(graph.read_bytes() + b"\0")
    manifest_path(copy).write_text(manifest_path(graph).read_text())
    with pytest.raises(TrustError, match="sha256"):
        export(copy, tmp_path / "x.onnx")
    (tmp_path / "other.onnx").write_bytes(graph.read_bytes())
    (tmp_path / "other.json").write_text(manifest_path(graph).read_text())
    with pytest.raises(TrustError, match=r"describes net\.onnx"):
        export(tmp_path / "other.onnx", tmp_path / "x.onnx")


def test_nothing_is_overwritten_unasked(graph: Path, tmp_path: Path) -> None:
    """Neither the artifact nor another artifact's manifest."""
    first = export(graph, tmp_path / "net.onnx")
    with pytest.raises(InputError, match="--overwrite"):
        export(graph, tmp_path / "net.onnx")
    assert export(graph, tmp_path / "net.onnx", overwrite=True).manifest.sha256 == first.manifest.sha256
    with pytest.raises(InputError, match=r"net\.json belongs to net\.onnx"):
        export(graph, tmp_path / "net.ort", format="ort", overwrite=True)
    assert verify(first.path)


def test_folder_that_cannot_be_written_is_named(graph: Path, tmp_path: Path) -> None:
    """One line, and no half artifact."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export(graph, tmp_path / "file" / "net.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "openvino"}, "onnx, ort, tensorrt, tensorrt-rtx, triton-repo"),
        ({"precision": "fp8"}, "fp32, fp16, bf16, int8"),
        ({"lower": "fft"}, "auto, dense, radix, keep"),
        ({"output": "x.rtx"}, "--format onnx writes a .onnx file"),
        ({"imgsz": (10, 12)}, "multiples of 4, at least 8; take --imgsz 12 12"),
        ({"imgsz": (0, 8)}, "from 1 to 8192"),
        ({"imgsz": [(8, 8), (16, 16)]}, "add --dynamic"),
        ({"span": ((8, 8), (16, 16)), "dynamic": True}, "span the sizes of an engine"),
        ({"span": ((8, 10), (16, 16))}, "multiples of 4"),
        ({"batch": 0}, "--batch must lie in 1 to"),
        ({"opset": 17}, "18, 19, 20, 21"),
        ({"input_names": ("ir", "ir")}, "--input-names"),
        ({"channels": (1, 2)}, "1 or 3 for each"),
        ({"targets": ("sm_86",)}, "--target belongs to engines"),
        ({"precision": "int8"}, "--calib-data"),
        ({"config": {"width": 3}}, "built already"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    """Before any work, with what is allowed."""
    arguments = {"output": "x.onnx", "imgsz": (8, 8), **options}
    with pytest.raises(UsageError, match=message):
        export(Plain(), tmp_path / str(arguments.pop("output")), **arguments)  # type: ignore[arg-type]


def test_models_without_weights_say_how_to_give_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing random is exported by mistake."""
    monkeypatch.setattr("edgefuse.zoo.ASSETS", tmp_path)
    with pytest.raises(UsageError, match=r"--weights FILE, or --untrained"):
        export("sspfusion", tmp_path / "x.onnx")


def test_a_finished_graph_takes_no_weights_and_no_other_size(graph: Path, tmp_path: Path) -> None:
    """What is in a graph is said by the graph."""
    with pytest.raises(UsageError, match="finished graph"):
        export(graph, tmp_path / "x.onnx", weights="w.safetensors")
    with pytest.raises(UsageError, match="is a graph for 48x64"):
        export(graph, tmp_path / "x.onnx", imgsz=(64, 64))
    with pytest.raises(UsageError, match="batches of 1"):
        export(graph, tmp_path / "x.onnx", batch=2)


def test_manifest_is_read_back_as_written(graph: Path) -> None:
    """Saving and loading lose nothing."""
    assert Manifest.load(manifest_path(graph)) == verify(graph)
