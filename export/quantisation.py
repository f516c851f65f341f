"""int8 as pairs of quantise and dequantise nodes, of one kind for engines and of another for CPUs.

TensorRT takes signed activations around zero alone. ONNX Runtime computes a convolution in int8 on a CPU only where
what follows it is quantised too, its activation included, which takes unsigned activations with a zero point: given
TensorRT's kind it dequantises and computes in fp32, slower than without. So a graph serves the one or the other.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgefuse.errors import UsageError

__all__ = ["Feeds", "quantised", "refuse_quantised_for_cpu", "written_by"]

Feeds = Sequence[Sequence[NDArray[np.float32]]]

# Quantised frequencies ring over the whole picture: what lower_dft writes, the transforms and what lies between them,
# keeps the precision around it.
_LOWERED_PREFIX = "lower_dft."
_PRODUCTS = ("Conv", "MatMul", "Gemm")
_CLAMPS = ("Relu", "Clip")
# Products for each value that goes in or out, from which on int8 saves a convolution more time than quantising and
# dequantising those values takes. Of lite's convolutions those with 48 lose and those with 78 win on a CPU with AVX2.
_SMALLEST_REUSE = 64.0


def quantised(
    model: onnx.ModelProto, *, names: Sequence[str], samples: Feeds, for_engine: bool, optimiser: bool
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Put int8 into a graph.

    Args:
        model: The fp32 graph.
        names: Names of its inputs.
        samples: Inputs that ranges are measured on.
        for_engine: As TensorRT reads it, with the rest in fp16; else as ONNX Runtime computes it on a CPU.
        optimiser: Whether NVIDIA's Model Optimizer is installed; ONNX Runtime's quantiser stands in for it.

    Returns:
        The graph, and name and version of the tool that wrote it.
    """
    model = _named(model)
    nodes = _quantisable(model, for_engine=for_engine)
    if for_engine and optimiser:
        return _by_optimiser(model, names, samples, nodes)
    return _by_onnxruntime(model, names, samples, nodes, signed=for_engine)


def written_by(package: str) -> dict[str, str]:
    """Name and version of the tool that wrote a precision, for the manifest."""
    return {"precision": f"{package} {metadata.version(package)}"}


def refuse_quantised_for_cpu(model: onnx.ModelProto, name: str) -> None:
    """Tell a graph that was quantised for CPUs before TensorRT fails on it.

    Raises:
        UsageError: Zero points are not zero.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        point = stored.get(node.input[2]) if node.op_type == "QuantizeLinear" and len(node.input) > 2 else None
        if point is not None and (point.data_type == onnx.TensorProto.UINT8 or numpy_helper.to_array(point).any()):
            raise UsageError(
                f"{name} is quantised for CPUs, with zero points that TensorRT does not take: "
                "export the network itself, with --precision int8 and the engine's --format"
            )


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose nodes all have a name: the tools are told nodes by theirs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index, node in enumerate(copy.graph.node):
        node.name = node.name or f"edgefuse_{node.op_type}_{index}"
    return copy


def _quantisable(model: onnx.ModelProto, *, for_engine: bool) -> list[str]:
    """Nodes that int8 is for: nothing in frequencies, and no convolution that is over before its input is quantised.

    In ``lite`` that leaves the blend of the sources, whose errors nothing behind it would hide, in fp32. On a CPU
    products of two computed matrices, as attention has, stay in fp32 too: most of their time is not arithmetic.
    """
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in _PRODUCTS
        and not node.name.startswith(_LOWERED_PREFIX)
        and (for_engine or node.op_type == "Conv" or stored.keys() & set(node.input))
    ]
    paying = [node for node in nodes if node.op_type != "Conv" or _reuse(node, stored) >= _SMALLEST_REUSE]
    # Who asks for int8 gets it, though nothing be gained.
    return [node.name for node in paying or nodes]


def _reuse(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Products of a convolution for each value that it reads or writes; infinite where its weights are computed."""
    if len(node.input) < 2 or node.input[1] not in shapes:
        return float("inf")
    outputs, inputs_of_group, *kernel = shapes[node.input[1]]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    inputs = inputs_of_group * attributes.get("group", 1)
    # For one output position: a stride of 2 in both directions reads four input positions.
    values = outputs + inputs * math.prod(attributes.get("strides", [1]))
    products = outputs * inputs_of_group * math.prod(kernel)
    return float(products / values)


def _by_optimiser(
    model: onnx.ModelProto, names: Sequence[str], samples: Feeds, nodes: Sequence[str]
) -> tuple[onnx.ModelProto, dict[str, str]]:
    from modelopt.onnx.quantization import quantize

    stacked = [np.concatenate(images) for images in zip(*samples, strict=True)]
    kept = set(nodes)
    excluded = [node.name for node in model.graph.node if node.op_type in _PRODUCTS and node.name not in kept]
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder) / "graph.onnx", Path(folder) / "graph.int8.onnx"
        onnx.save(model, path)
        quantize(
            str(path),
            quantize_mode="int8",
            calibration_data=dict(zip(names, stacked, strict=True)),
            calibration_method="entropy",
            calibration_eps=["cpu"],
            high_precision_dtype="fp16",
            op_types_to_quantize=list(_PRODUCTS),
            nodes_to_exclude=[f"^{name}$".replace(".", r"\.") for name in excluded] or None,
            output_path=str(output),
            log_level="ERROR",
        )
        converted = onnx.load(output)
    return converted, written_by("nvidia-modelopt")


def _by_onnxruntime(
    model: onnx.ModelProto, names: Sequence[str], samples: Feeds, nodes: Sequence[str], *, signed: bool
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Quantise in a process of its own: Model Optimizer changes ONNX Runtime's quantiser in the one that loads it."""
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "graph.onnx")
        for index, images in enumerate(samples):
            feed: dict[str, Any] = dict(zip(names, images, strict=True))
            np.savez(Path(folder) / f"sample.{index:03}.npz", **feed)
        nodes = [*nodes, *_clamps_after(model, nodes)]
        request = {"nodes": nodes, "types": [*_PRODUCTS, *_CLAMPS], "signed": signed}
        (Path(folder) / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "edgefuse.export.onnxruntime_quantiser", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
        converted = onnx.load(Path(folder) / "graph.int8.onnx")
    return converted, written_by("onnxruntime")


def _clamps_after(model: onnx.ModelProto, nodes: Sequence[str]) -> list[str]:
    """Activations that the range of a quantised value can stand for."""
    kept = set(nodes)
    outputs = {name for node in model.graph.node if node.name in kept for name in node.output}
    return [node.name for node in model.graph.node if node.op_type in _CLAMPS and node.input[0] in outputs]
