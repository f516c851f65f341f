"""From a PyTorch network to an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgefuse.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import onnx
    from torch import nn

__all__ = ["OPSETS", "SHAPE_NAMES", "graph_of"]

OPSETS = (18, 19, 20, 21)
"""Opsets that can be asked for. 18 is what PyTorch's exporter writes itself and every TensorRT 10 reads."""

SHAPE_NAMES = {0: "batch", 2: "height", 3: "width"}
"""Names of the dimensions that may be dynamic."""

_LARGEST_SIDE = 8192
# ONNX Runtime 1.17 and TensorRT 10.3 read IR version 9; nothing below opset 22 needs a later one.
_IR_VERSION = 9


def graph_of(
    network: nn.Module,
    *,
    names: Sequence[str],
    output: str,
    channels: Sequence[int],
    imgsz: tuple[int, int],
    batch: int | None,
    dynamic: bool,
    opset: int,
) -> onnx.ModelProto:
    """Export a network with the exporter of PyTorch.

    Args:
        network: The network in evaluation mode, on the CPU.
        names: Names of its inputs.
        output: Name of its output.
        channels: Channels of each input.
        imgsz: Height and width in pixels; with ``dynamic`` an example of them.
        batch: Images an inference, or None for any number.
        dynamic: Leave height and width free.
        opset: ONNX opset.

    Returns:
        The graph, without traces of this machine.

    Raises:
        UsageError: The opset is not one that can be written.
        ArtifactError: PyTorch cannot export the network.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset must be one of {', '.join(map(str, OPSETS))}, not {opset}")
    import torch

    example = tuple(torch.zeros(2 if batch is None else batch, count, *imgsz) for count in channels)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=list(names),
                output_names=[output],
                dynamic_shapes=_dynamic_shapes(network, len(names), batch=batch, dynamic=dynamic),
                external_data=False,
            )
        except Exception as error:
            raise ArtifactError(f"PyTorch cannot export {type(network).__name__}: {_reason(error)}") from error
    if program is None:
        raise ArtifactError(f"PyTorch gave no graph for {type(network).__name__}")
    return _cleaned(program.model_proto, opset, _dynamic_names(batch=batch, dynamic=dynamic))


def _dynamic_names(*, batch: int | None, dynamic: bool) -> dict[int, str]:
    return {dim: name for dim, name in SHAPE_NAMES.items() if (dim == 0 and batch is None) or (dim > 0 and dynamic)}


def _dynamic_shapes(network: nn.Module, inputs: int, *, batch: int | None, dynamic: bool) -> Any:
    """Dynamic dimensions as PyTorch wants them: heights and widths as multiples of what the network asks for."""
    names = _dynamic_names(batch=batch, dynamic=dynamic)
    if not names:
        return None
    from torch.export import Dim

    multiple = int(getattr(network, "size_multiple", 1))
    smallest = max(2, -(-int(getattr(network, "min_size", 1)) // multiple))
    shape = {}
    for dim, name in names.items():
        if dim == 0:
            shape[dim] = Dim(name, min=1, max=1024)
        else:
            blocks = Dim(f"{name}_blocks" if multiple > 1 else name, min=smallest, max=_LARGEST_SIDE // multiple)
            shape[dim] = multiple * blocks if multiple > 1 else blocks
    return tuple(dict(shape) for _ in range(inputs))


def _cleaned(model: onnx.ModelProto, opset: int, names: dict[int, str]) -> onnx.ModelProto:
    """Drop stack traces (they name files of this machine) and name the dynamic dimensions plainly."""
    import onnx_ir as ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, CommonSubexpressionEliminationPass

    converted = ir.from_proto(model)
    ClearMetadataAndDocStringPass()(converted)
    CommonSubexpressionEliminationPass()(converted)
    cleaned: onnx.ModelProto = ir.to_proto(converted)
    declared = {entry.domain: entry.version for entry in cleaned.opset_import}.get("", opset)
    if declared != opset:
        raise ArtifactError(f"PyTorch wrote opset {declared} instead of {opset}; export with --opset {declared}")
    cleaned.ir_version = _IR_VERSION
    for value in cleaned.graph.input:
        for dim, name in names.items():
            value.type.tensor_type.shape.dim[dim].dim_param = name
    del cleaned.graph.value_info[:]
    if names:
        for dim, name in names.items():
            cleaned.graph.output[0].type.tensor_type.shape.dim[dim].dim_param = name
    return cleaned


def _reason(error: BaseException) -> str:
    """The innermost cause's first line that says something."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about itself off the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
