"""The launches of the spectral convolution that are compiled ahead of time."""

from __future__ import annotations

import itertools
from typing import Any, get_args

from edgefuse.kernels.aot import Case
from edgefuse.kernels.spectral_conv import spectral_conv_triton as kernels
from edgefuse.kernels.spectral_conv.launch import MAX_REGISTERS, NUM_WARPS, Precision, block_rows, wide_of

__all__ = ["aot_cases"]

_TILED = {
    "statistics": kernels.statistics_kernel,
    "mix": kernels.mix_kernel,
    "reduce": kernels.reduce_kernel,
    "input_gradient": kernels.input_gradient_kernel,
    "weight_gradient": kernels.weight_gradient_kernel,
}
_FINISHING = (kernels.finish_statistics_kernel, kernels.finish_reduction_kernel)
_ROWS = (16, 32, 64, 128, 256)
_FLOATS = ("eps", "per_value")


def aot_cases() -> list[Case]:
    """Return the launches for 8 to 128 channels in both precisions, and aligned rows at 32 and 128 channels."""
    by_size = [
        _tiled(kernel, rows=rows, precision=precision, fast=(rows, precision) == (64, "tf32"))
        for kernel, rows, precision in itertools.product(_TILED, _ROWS, get_args(Precision))
    ]
    aligned = [
        _tiled(kernel, rows=rows, precision="tf32", divisible=("n_frequencies",))
        for kernel, rows in itertools.product(_TILED, (64, 256))
    ]
    finishing = [_finishing(kernel, programs) for kernel, programs in itertools.product(_FINISHING, (16, 1024))]
    return [*by_size, *aligned, *finishing]


def _finishing(kernel: Any, programs: int) -> Case:
    """One launch of a kernel that adds up what programs found."""
    constants = {"ROWS": 64, "PROGRAMS": programs}
    name = f"spectral_conv_{kernel.__name__}_{programs}"
    return Case(name, kernel, _types(kernel, constants), constants, 4, fast=programs == 1024)


def _tiled(name: str, *, rows: int, precision: Precision, divisible: tuple[str, ...] = (), fast: bool = False) -> Case:
    """One launch of a kernel that goes over tiles."""
    kernel, wide = _TILED[name], wide_of(name, rows)
    constants = {"ROWS": rows, "BLOCK": block_rows(rows), "WIDE": wide, "PRECISION": precision}
    return Case(
        f"spectral_conv_{name}_{rows}x{wide}_{precision}" + ("_aligned" if divisible else ""),
        kernel,
        _types(kernel, constants),
        constants,
        NUM_WARPS,
        max_registers=MAX_REGISTERS,
        fast=fast,
        divisible=divisible,
    )


def _types(kernel: Any, constants: dict[str, Any]) -> dict[str, str]:
    """Triton type of each argument by its name."""
    names = [parameter.name for parameter in kernel.params if parameter.name not in constants]
    return {name: "*fp32" if name.endswith("_ptr") else "fp32" if name in _FLOATS else "i32" for name in names}
