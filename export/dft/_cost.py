"""What a lowering costs on a kind of machine: bytes moved, and arithmetic as the bytes that it could have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FLOPS_PER_BYTE", "Cost", "Target"]

Target = Literal["cpu", "tensor-core"]

# FLOPs that a machine does while it moves one byte. CPU: about 95 GFLOP/s and 15 GB/s of one core under ONNX Runtime,
# fitted to the products and transposes of the block in `python -m edgefuse.bench.bench_dft_lowering`. Tensor cores:
# 495 TFLOP/s of dense TF32 over 4.8 TB/s (H200 data sheet).
FLOPS_PER_BYTE: dict[Target, float] = {"cpu": 6.0, "tensor-core": 100.0}

_FREE = frozenset({"Reshape", "Identity", "Shape"})
# ONNX Runtime moves a block or transposes a matrix at memory speed; an odd permutation goes element by element.
_GATHER_FACTOR = 1.5


@dataclass
class Cost:
    """Running total of emitted work.

    Attributes:
        target: Kind of machine.
        bytes_moved: Bytes read and written by them.
        flops: Their floating-point operations.
    """

    target: Target = "cpu"
    bytes_moved: float = 0.0
    flops: float = 0.0

    def add(self, op_type: str, size_bytes: float, flops: float) -> None:
        """Count one node."""
        if op_type in _FREE:
            return
        self.bytes_moved += size_bytes * (_GATHER_FACTOR if op_type == "Gather" else 1.0)
        self.flops += flops

    @property
    def total(self) -> float:
        """Bytes moved, or that could have been."""
        return self.bytes_moved + self.flops / FLOPS_PER_BYTE[self.target]
