"""Lower precision as nodes of the graph: casts for fp16 and bf16, quantise and dequantise pairs for int8.

TensorRT 11 and TensorRT-RTX know no other way, and TensorRT 10 takes it too, so one graph serves all three. NVIDIA's
Model Optimizer places the nodes where it is installed; ONNX Runtime's tools stand in for it for fp16 and int8, and
write int8 for CPUs.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript.optimizer

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.export.dft._free import MATRIX
from edgefuse.export.graph_editing import is_op
from edgefuse.export.quantisation import Feeds, quantised, written_by
from edgefuse.export.value_ranges import largest_values
from edgefuse.manifest import Precision

__all__ = ["simulate_bf16", "to_precision"]

# A node whose values come within a factor of 16 of what fp16 holds (65504) on the sample pairs stays in fp32: other
# pictures are brighter. An rfft2 with ortho normalisation peaks at sqrt(H * W), 554 for 480 x 640; without it at H *
# W.
_LARGEST_FP16_VALUE = 4096.0
_MATRIX_PREFIX = f"lower_dft.{MATRIX}_"
_INSTALL = (
    "pip install 'nvidia-modelopt>=0.40' onnx-graphsurgeon onnxslim polygraphy lief cppimport onnxconverter-common"
)


def to_precision(
    model: onnx.ModelProto, precision: Precision, *, samples: Feeds, for_engine: bool = False
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Rewrite an fp32 graph in a lower precision; its inputs and output stay fp32.

    Args:
        model: The graph, of fixed batch.
        precision: "fp16", "bf16" or "int8".
        samples: Inputs of the network: those that int8 is calibrated on, or on which value ranges are measured.
        for_engine: Quantise as TensorRT reads it, and leave what int8 does not reach in fp16, which GPUs are fast in.
            Otherwise int8 is as ONNX Runtime computes it on a CPU, and the rest fp32.

    Returns:
        The graph, and name and version of the tool that wrote it.

    Raises:
        UsageError: There are no samples.
        ArtifactError: The tool fails on the graph.
        MissingDependencyError: bf16 without the Model Optimizer.
    """
    if not samples:
        raise UsageError(f"{precision} needs image pairs to measure value ranges on")
    optimiser = _model_optimiser()
    try:
        with _quiet():
            if precision == "int8":
                return quantised(
                    model, names=_names(model), samples=samples, for_engine=for_engine, optimiser=optimiser
                )
            if optimiser:
                return _cast_by_optimiser(model, precision, samples)
            if precision == "fp16":
                return _fp16_by_onnxruntime(model, samples)
    except Exception as error:  # what the tools raise shares no base but Exception
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ArtifactError(f"the graph cannot be written in {precision}: {lines[0]}") from error
    raise MissingDependencyError(f"NVIDIA's Model Optimizer is needed for {precision}: {_INSTALL}")


def _model_optimiser() -> bool:
    """Whether Model Optimizer and the packages that its ONNX part needs are installed."""
    try:
        with _quiet():
            importlib.import_module("modelopt.onnx.autocast")
    except ImportError:
        return False
    return True


def _names(model: onnx.ModelProto) -> list[str]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in stored]


def _wide_nodes(model: onnx.ModelProto, samples: Feeds) -> list[str]:
    """Nodes that read or write values too large for fp16."""
    names = _names(model)
    feeds = [dict(zip(names, images, strict=True)) for images in samples[:2]]
    wide = {name for name, value in largest_values(model, feeds).items() if not value <= _LARGEST_FP16_VALUE}
    return [node.name for node in model.graph.node if wide.intersection((*node.input, *node.output))]


def _matrix_nodes(model: onnx.ModelProto) -> list[str]:
    """Nodes that make the matrices of transforms of free length: fp16 and bf16 cannot even count to the length."""
    return [node.name for node in model.graph.node if node.name.startswith(_MATRIX_PREFIX)]


def _cast_by_optimiser(
    model: onnx.ModelProto, precision: Precision, samples: Feeds
) -> tuple[onnx.ModelProto, dict[str, str]]:
    from modelopt.onnx.autocast import convert_to_mixed_precision

    kept = _matrix_nodes(model) + (_wide_nodes(model, samples) if precision == "fp16" else [])
    with tempfile.TemporaryDirectory() as folder:
        path, data = Path(folder) / "graph.onnx", Path(folder) / "samples.npz"
        onnx.save(model, path)
        arrays: dict[str, Any] = dict(zip(_names(model), samples[0], strict=True))
        np.savez(data, **arrays)
        converted: onnx.ModelProto = convert_to_mixed_precision(
            str(path),
            low_precision_type=precision,
            # bf16 has the range of fp32: no node needs to stay behind for its values.
            nodes_to_exclude=kept or None,
            data_max=_LARGEST_FP16_VALUE if precision == "fp16" else float(np.finfo(np.float32).max),
            keep_io_types=True,
            calibration_data=str(data),
        )
    converted.ir_version = max(model.ir_version, converted.ir_version)
    return converted, written_by("nvidia-modelopt")


def _fp16_by_onnxruntime(model: onnx.ModelProto, samples: Feeds) -> tuple[onnx.ModelProto, dict[str, str]]:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(
        copy, keep_io_types=True, node_block_list=_matrix_nodes(model) + _wide_nodes(model, samples)
    )
    # Of a value that several fp32 nodes read it appends the same cast for each of them.
    once = {node.output[0] if node.output else node.name: node for node in converted.graph.node}
    del converted.graph.node[:]
    converted.graph.node.extend(once.values())
    tidied = ir.from_proto(converted)
    tidied.graph.sort()  # it appends its casts at the end
    _join_wide_nodes(tidied.graph)
    onnxscript.optimizer.remove_unused_nodes(tidied)
    converted = ir.to_proto(tidied)
    del converted.graph.value_info[:]  # the types that it noted are not those of the nodes left in fp32
    return converted, written_by("onnxruntime")


def _join_wide_nodes(graph: Any) -> None:
    """Let a wide value go from one fp32 node to the next without a detour through fp16, where it would be infinite."""
    for node in list(graph):
        if not is_op(node, "Cast") or node.attributes["to"].value != ir.DataType.FLOAT:
            continue
        down = node.inputs[0].producer()
        if is_op(down, "Cast") and down.attributes["to"].value == ir.DataType.FLOAT16:
            node.outputs[0].replace_all_uses_with(down.inputs[0])


def simulate_bf16(graph: bytes) -> bytes:
    """Turn a bf16 graph into an fp32 one that rounds every value to bf16, for runtimes without bf16 operators.

    Args:
        graph: Serialised graph with bf16 values.

    Returns:
        The serialised fp32 graph.
    """
    model = ir.from_proto(onnx.load_model_from_string(graph))
    for value in list(model.graph.initializers.values()):
        if value.dtype == ir.DataType.BFLOAT16:
            value.const_value = ir.tensor(value.const_value.numpy().astype(np.float32), name=value.name)
            value.dtype = ir.DataType.FLOAT
    rounded = 0
    for node in list(model.graph):
        if node.op_type == "Cast" and node.attributes["to"].value == ir.DataType.BFLOAT16:
            node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)
        elif node.op_type == "Constant":
            _widen_constant(node)
        for output in node.outputs:
            if output.dtype != ir.DataType.BFLOAT16:
                continue
            output.dtype = ir.DataType.FLOAT
            down = ir.node("Cast", [output], {"to": ir.DataType.BFLOAT16}, name=f"round_{rounded}.down")
            up = ir.node("Cast", [down.outputs[0]], {"to": ir.DataType.FLOAT}, name=f"round_{rounded}.up")
            down.outputs[0].name, up.outputs[0].name = f"round_{rounded}.bf16", f"round_{rounded}.fp32"
            rounded += 1
            output.replace_all_uses_with(up.outputs[0], replace_graph_outputs=True)
            down.replace_input_with(0, output)
            model.graph.insert_after(node, [down, up])
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    content: bytes = proto.SerializeToString()
    return content


def _widen_constant(node: Any) -> None:
    value = node.attributes.get("value")
    if value is not None and value.value.dtype == ir.DataType.BFLOAT16:
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(value.value.numpy().astype(np.float32)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tools' progress bars and notes off the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
