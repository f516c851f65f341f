"""The launches of the gradient loss that are compiled ahead of time."""

from __future__ import annotations

import itertools

from edgefuse.kernels.aot import Case
from edgefuse.kernels.gradient_loss.gradient_loss_triton import TILES, Tile, gradient_loss_kernel

__all__ = ["aot_cases"]

_SIZES = ("height", "width", "partial_stride", "partial_first")
_RECIPES = {"magnitude_angle": (1, 1, 0, 0), "direction": (0, 0, 1, 0), "all": (2, 1, 1, 1)}


def aot_cases() -> list[Case]:
    """Return every kind of launch: all tiles for the recipes' terms, all terms and types for one tile."""
    by_tile = [
        _case(name, terms, tile, fast=tile == TILES[0])
        for tile, (name, terms) in itertools.product(TILES, _RECIPES.items())
    ]
    by_term = [
        _case("terms" + "".join(map(str, terms)), terms)
        for terms in itertools.product((0, 1, 2), (0, 1), (0, 1), (0, 1))
        if any(terms)
    ]
    by_type = [_case("all", _RECIPES["all"], dtype=dtype) for dtype in ("fp16", "bf16")]
    by_scale = [_case("direction", _RECIPES["direction"], pool=pool, fast=pool == 4) for pool in (2, 4, 8)]
    return [*by_tile, *by_term, *by_type, *by_scale, _case("all", _RECIPES["all"], with_gradient=False)]


def _case(
    name: str,
    terms: tuple[int, int, int, int],
    tile: Tile = TILES[0],
    *,
    dtype: str = "fp32",
    pool: int = 1,
    with_gradient: bool = True,
    fast: bool = False,
) -> Case:
    """One launch of the kernel, with a coarser gradient to add wherever a launch can have one."""
    magnitude, angle, direction, max_magnitude = terms
    constants = {
        "MAGNITUDE": magnitude,
        "ANGLE": bool(angle),
        "DIRECTION": bool(direction),
        "MAX_MAGNITUDE": bool(max_magnitude),
        "WITH_GRADIENT": with_gradient,
        "WITH_COARSE": with_gradient and bool(direction),
        "POOL": pool,
        "WARPS": tile.warps,
        "ROWS": tile.rows,
    }
    names = [parameter.name for parameter in gradient_loss_kernel.params if parameter.name not in constants]
    suffix = f"{name}_{dtype}_pool{pool}_{tile.warps}x{tile.rows}" + ("" if with_gradient else "_value")
    types = {name: _type(name, dtype) for name in names}
    return Case(f"gradient_loss_{suffix}", gradient_loss_kernel, types, constants, tile.warps, fast=fast)


def _type(name: str, dtype: str) -> str:
    """Triton type of an argument by its name."""
    if name in ("fused_ptr", "ir_ptr", "vis_ptr"):
        return f"*{dtype}"
    if name.endswith("_ptr"):
        return "*fp32"
    return "i32" if name in _SIZES or "_stride_" in name else "fp32"
