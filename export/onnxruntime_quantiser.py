"""Runs ONNX Runtime's quantiser on a folder: ``python -m edgefuse.export.onnxruntime_quantiser FOLDER``.

The folder holds ``graph.onnx``, ``request.json`` and ``sample.*.npz``; ``graph.int8.onnx`` is written to it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

__all__ = ["quantise_folder"]


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    """Hands the samples over one by one."""

    def __init__(self, folder: Path) -> None:
        self._left = iter(sorted(folder.glob("sample.*.npz")))

    def get_next(self) -> Mapping[str, Any] | None:
        """The next sample, None after the last."""
        path = next(self._left, None)
        if path is None:
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)


def quantise_folder(folder: Path) -> None:
    """Quantise the folder's graph.

    Args:
        folder: With ``request.json``: ``nodes``, the names of those to quantise, ``types``, their operators, and
            ``signed``, whether activations are signed and symmetric, as TensorRT reads them, or unsigned, as CPUs are
            fast with.
    """
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    signed = request["signed"]
    # What TensorRT reads: symmetric on both sides, biases left in fp32.
    symmetric = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
    quantize_static(
        folder / "graph.onnx",
        folder / "graph.int8.onnx",
        _Samples(folder),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # A CPU with AVX2 and no VNNI adds two products in 16 bits: weights of 7 bits never overflow them.
        reduce_range=not signed,
        op_types_to_quantize=request["types"],
        nodes_to_quantize=request["nodes"],
        per_channel=True,
        # The graph itself takes the extremes: histograms need every layer's output of every sample at once.
        calibrate_method=CalibrationMethod.MinMax,
        extra_options=symmetric if signed else {"WeightSymmetric": True},
    )


if __name__ == "__main__":
    quantise_folder(Path(sys.argv[1]))
