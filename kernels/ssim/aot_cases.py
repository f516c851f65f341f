"""The launches of the structural similarity that are compiled ahead of time."""

from __future__ import annotations

from edgefuse.kernels.aot import Case
from edgefuse.kernels.ssim.reference import WINDOW
from edgefuse.kernels.ssim.ssim_triton import TILES, Tile, ssim_kernel

__all__ = ["aot_cases"]

_FLOATS = ("per_pixel", "c1", "c2")


def aot_cases() -> list[Case]:
    """Return every kind of launch: all tiles in float32, half precision and the value alone for one tile."""
    by_tile = [_case(tile, fast=tile == TILES[0]) for tile in TILES]
    by_type = [_case(TILES[0], dtype=dtype) for dtype in ("fp16", "bf16")]
    return [*by_tile, *by_type, _case(TILES[0], with_gradient=False)]


def _case(tile: Tile, *, dtype: str = "fp32", with_gradient: bool = True, fast: bool = False) -> Case:
    """One launch of the kernel."""
    constants = {"WINDOW": WINDOW, "WITH_GRADIENT": with_gradient, "WARPS": tile.warps, "ROWS": tile.rows}
    names = [parameter.name for parameter in ssim_kernel.params if parameter.name not in constants]
    images = {"x_ptr": f"*{dtype}", "y_ptr": f"*{dtype}"}
    types = {
        name: images.get(name, "*fp32" if name.endswith("_ptr") else "fp32" if name in _FLOATS else "i32")
        for name in names
    }
    suffix = f"{dtype}_{tile.warps}x{tile.rows}" + ("" if with_gradient else "_value")
    return Case(f"ssim_{suffix}", ssim_kernel, types, constants, tile.warps, fast=fast)
