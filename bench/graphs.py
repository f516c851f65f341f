"""ONNX graphs of networks: exported once and kept, counted, and run as a reference."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import edgefuse
from edgefuse import __version__
from edgefuse.bench.images import sample_pair
from edgefuse.bench.onnx_ops import count_operations
from edgefuse.errors import ArtifactError, InputError, UsageError
from edgefuse.external_data import check_external_data
from edgefuse.images import write_image
from edgefuse.manifest import ArtifactFormat, Precision

if TYPE_CHECKING:
    from torch import nn

    from edgefuse.bench.spec import Subject

__all__ = ["count_graph", "count_network", "export_network", "run_unoptimized"]


_SUFFIXES: dict[ArtifactFormat, str] = {"onnx": ".onnx", "ort": ".ort", "tensorrt": ".plan", "tensorrt-rtx": ".rtx"}


def count_graph(path: Path, batch: int, size: tuple[int, int]) -> dict[str, Any]:
    """Count the operations of a fusion graph at a size.

    Args:
        path: The ONNX file.
        batch: Image pairs an inference.
        size: Height and width of the network's inputs.

    Returns:
        ``macs``, ``flops``, ``uncounted``, ``moved_bytes``, ``initializer_elements``, and ``has_dft``: whether DFT
        operators are among them.
    """
    from edgefuse.export.trusted_graph import load_graph

    return _counts(load_graph(path), batch, size)


def _counts(model: Any, batch: int, size: tuple[int, int]) -> dict[str, Any]:
    stored = {item.name for item in model.graph.initializer}
    shapes = {item.name: (batch, 1, *size) for item in model.graph.input if item.name not in stored}
    counted = asdict(count_operations(model, shapes=shapes))
    kept = {name: counted[name] for name in ("macs", "flops", "uncounted", "moved_bytes", "initializer_elements")}
    return {**kept, "has_dft": "DFT" in counted["by_operator"]}


def run_unoptimized(path: Path, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a graph node by node, with none of ONNX Runtime's rewritings: what its optimised form must reproduce.

    Args:
        path: The ONNX file.
        ir: Infrared luminance.  # [B, 1, H, W]
        vis: Visible luminance.  # [B, 1, H, W]

    Returns:
        The graph's output.  # [B, 1, H, W]
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    check_external_data(path)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    if set(names) == {"ir", "vis"}:
        names = ["ir", "vis"]
    dtype = np.float16 if "float16" in session.get_inputs()[0].type else np.float32
    feed = {name: image.astype(dtype) for name, image in zip(names, (ir, vis), strict=True)}
    return np.asarray(session.run(None, feed)[0], dtype=np.float32)


def count_network(network: nn.Module, size: tuple[int, int], *, batch: int) -> dict[str, Any]:
    """Count what a PyTorch network does, from its exported graph with the Fourier transforms left as they are.

    Args:
        network: The network, in evaluation mode.
        size: Height and width of its inputs.
        batch: Image pairs an inference.

    Returns:
        As :func:`count_graph`, without ``initializer_elements``.
    """
    from edgefuse.export.from_torch import OPSETS, graph_of

    graph = graph_of(
        network,
        names=("ir", "vis"),
        output="fused",
        channels=(1, 1),
        imgsz=size,
        batch=batch,
        dynamic=False,
        opset=OPSETS[0],
    )
    counted = _counts(graph, batch, size)
    del counted["initializer_elements"]
    return counted


def export_network(
    network: nn.Module,
    subject: Subject,
    form: ArtifactFormat,
    precision: Precision,
    *,
    batch: int,
    size: tuple[int, int],
    folder: Path,
    cache: Path | None,
) -> Path:
    """Export a network for a row, or find the file of an earlier run.

    Networks of other packages are exported anew each time: nothing tells when their code has changed.

    Args:
        network: The network with its weights, in evaluation mode.
        subject: What it was built from.
        form: Kind of file.
        precision: Precision of the file.
        batch: Image pairs an inference.
        size: Height and width of the network's inputs.
        folder: Folder for files of this run.
        cache: Folder for files that later runs can use, or None.

    Returns:
        The file, its manifest beside it.

    Raises:
        InputError: The cache takes no files.
    """
    from edgefuse.export import export
    from edgefuse.manifest import verify

    if precision == "int8":
        raise UsageError(
            "int8 is calibrated on real pairs: edgefuse export --precision int8 --calib-data, then measure with --onnx"
        )
    name = f"{_key(network, subject, batch, size)}-{precision}{_SUFFIXES[form]}"
    keep = cache is not None and not subject.is_foreign
    path = (cache if cache is not None and keep else folder) / form / name
    if keep and path.is_file():
        try:
            verify(path)
        except ArtifactError:
            pass
        else:
            return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        way_out = "give --no-cache, or a folder that takes files as EDGEFUSE_CACHE"
        raise InputError(f"{path.parent}: cannot keep graphs there ({error.strerror}): {way_out}") from error
    # Every row checks its own output against the network, so that a lossy export is told by its row, and one pair is
    # enough here: a large network takes half a minute for it.
    export(
        network,
        path,
        format=form,
        imgsz=size,
        precision=precision,
        batch=batch,
        pairs=_write_pair(folder, size),
        allow_drift=True,
        overwrite=True,
    )
    return path


def _write_pair(folder: Path, size: tuple[int, int]) -> tuple[Path, Path]:
    """The pair that rows are measured on, as files for the export's own check."""
    paths = folder / "ir.png", folder / "vis.png"
    for path, images in zip(paths, sample_pair(1, size), strict=True):
        write_image(path, images[0])
    return paths


def _key(network: nn.Module, subject: Subject, batch: int, size: tuple[int, int]) -> str:
    """A name that changes with the network, its weights, the size, and the code that builds and exports it."""
    digest = hashlib.sha256(repr((subject.source, subject.config, batch, size, __version__)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    root = Path(edgefuse.__file__).parent
    for path in sorted(path for room in ("models", "export") for path in (root / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{subject.source}-{size[0]}x{size[1]}-b{batch}-{digest.hexdigest()[:16]}"
