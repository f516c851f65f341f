"""Registration of an infrared and a visible picture without a target.

Contours agree between the spectra where grey values do not, and their contrast may be reversed. Both pictures become
fields of contour directions with the angle doubled, so that a dark-to-light edge equals a light-to-dark one, weighted
by how far an edge stands out of its surroundings. The scale and place of one field in the other are found by
correlation in the Fourier domain over a range of scales; small blocks are then matched around that place and a
homography is fitted to them robustly.

A wrong match looks as confident as a right one in most measures. What tells them apart is repetition: two homographies
fitted to disjoint halves of the blocks must agree, and the blocks that agree must be many and cover the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.calibrate.calibration import Calibration
from edgefuse.errors import InputError
from edgefuse.fuser import luminance
from edgefuse.thermal import to_unit

__all__ = ["AutoMatch", "find_homography"]

Floats = NDArray[np.float32]

_WORK_WIDTH_PX = 640
_COARSE_WIDTH_PX = 256
_WIDTH_RATIOS = np.geomspace(0.4, 1.7, 60)
"""Width of what the visible camera sees over what the infrared camera sees; steps of 2.5 %."""

_SMALLEST_OVERLAP = 0.5
_ROUNDS = ((128, 20), (96, 12), (72, 7), (64, 5), (64, 4))
"""Block side and search radius of each round, in pixels of the working size."""

_SMALLEST_PEAK = 0.18
_INLIER_PX = 2.0
_FEWEST_INLIERS = 14
_SMALLEST_SHARE = 0.35
_LARGEST_DISAGREEMENT_PX = 4.0


@dataclass(frozen=True)
class AutoMatch:
    """A homography and what speaks for it.

    Args:
        calibration: The result.
        blocks: Blocks with a clear match.
        inliers: Those of them that agree with the homography.
        disagreement_px: Median distance between the homographies of two halves of the blocks, over the visible picture,
            in infrared pixels.
    """

    calibration: Calibration
    blocks: int
    inliers: int
    disagreement_px: float


def find_homography(ir: Image, vis: NDArray[np.uint8], *, distance_metres: float | None = None) -> AutoMatch:
    """Register one pair of pictures of the same moment.

    Args:
        ir: ``(H, W)`` uint8 or raw uint16.
        vis: ``(H, W)`` or ``(H, W, 3)`` BGR uint8, of any other size; turned by no more than a few degrees.
        distance_metres: Distance of the scene, to note.

    Returns:
        The calibration with its evidence.

    Raises:
        InputError: No match that can be trusted: a wrong calibration is worse than none.
    """
    work = min(1.0, _WORK_WIDTH_PX / ir.shape[1])
    ir_plane = _resized(to_unit(ir), work)
    vis_plane = luminance(vis)
    start = _search(ir_plane, vis_plane)
    to_ir, blocks = _refine(ir_plane, vis_plane, start)
    inliers = blocks.inliers(to_ir)
    disagreement = blocks.disagreement(to_ir, vis_plane.shape)
    _judge(blocks, inliers, disagreement, ir_plane.shape)
    scale = np.diag([1 / work, 1 / work, 1.0])
    shift = np.array([[1, 0, (1 / work - 1) / 2], [0, 1, (1 / work - 1) / 2], [0, 0, 1]])
    matrix = _inverse(shift @ scale @ to_ir)
    residual = _apply(_inverse(to_ir), blocks.ir[inliers]) - blocks.vis[inliers]
    calibration = Calibration.of(
        matrix,
        ir_size=(ir.shape[0], ir.shape[1]),
        vis_size=(vis.shape[0], vis.shape[1]),
        method="auto",
        error_px=float(np.sqrt(np.mean(np.sum(residual**2, axis=1)))),
        points=int(inliers.sum()),
        distance_metres=distance_metres,
    )
    return AutoMatch(calibration, len(blocks.ir), int(inliers.sum()), disagreement / work)


def _judge(blocks: _Blocks, inliers: NDArray[np.bool_], disagreement: float, size: tuple[int, ...]) -> None:
    found, share = int(inliers.sum()), float(inliers.mean()) if len(inliers) else 0.0
    advice = "point both cameras at a scene with contours in both pictures, or give four points"
    if found < _FEWEST_INLIERS or share < _SMALLEST_SHARE:
        raise InputError(f"no trustworthy match: {found} of {len(inliers)} blocks agree; {advice}")
    spread = float(np.sqrt(np.linalg.det(np.cov(blocks.ir[inliers].T)))) / (size[0] * size[1])
    if spread < 0.01:
        raise InputError(f"no trustworthy match: what agrees covers only a corner of the picture; {advice}")
    if not disagreement < _LARGEST_DISAGREEMENT_PX:
        raise InputError(f"no trustworthy match: two halves of the picture disagree by {disagreement:.1f} px; {advice}")


def _resized(plane: Floats, factor: float) -> Floats:
    if factor == 1.0:
        return plane
    size = max(1, round(plane.shape[1] * factor)), max(1, round(plane.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.float32)


def _contours(plane: Floats) -> Floats:
    """Directions of contours with the angle doubled, as complex numbers; their size is in [0, 1)."""  # [2, H, W]
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.2)
    gx, gy = (cv2.Scharr(smooth, cv2.CV_32F, dx, dy) for dx, dy in ((1, 0), (0, 1)))
    size = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
    around = cv2.blur(size, (41, 41)) + np.float32(0.004)
    weight = size / (size + around) / (size * size)
    return np.stack([(gx * gx - gy * gy) * weight, 2 * gx * gy * weight]).astype(np.float32)


def _search(ir_plane: Floats, vis_plane: Floats) -> NDArray[np.float64]:
    """Similarity without rotation from visible to infrared pixels: the highest correlation of all scales and places."""
    ir_factor = _COARSE_WIDTH_PX / ir_plane.shape[1]
    ir_field = _contours(_resized(ir_plane, ir_factor))
    best, found = -1.0, np.eye(3)
    for ratio in _WIDTH_RATIOS:
        factor = _COARSE_WIDTH_PX * ratio / vis_plane.shape[1]
        if factor > 1.5:
            continue
        score, x, y = _correlate(ir_field, _contours(_resized(vis_plane, factor)))
        if score > best:
            best, scale = score, factor / ir_factor
            found = np.array([[scale, 0, x / ir_factor], [0, scale, y / ir_factor], [0, 0, 1]])
    return found


def _correlate(field: Floats, template: Floats) -> tuple[float, float, float]:
    """Where a template, in whole or in part, lies in a field: score, x, y."""
    shape = [cv2.getOptimalDFTSize(a + b) for a, b in zip(field.shape[1:], template.shape[1:], strict=True)]

    def spectrum(plane: Floats) -> NDArray[np.complex128]:
        return np.fft.rfft2(plane, shape)

    def correlation(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(np.fft.irfft2(a * np.conj(b), shape))

    match = correlation(spectrum(field[0]), spectrum(template[0])) + correlation(
        spectrum(field[1]), spectrum(template[1])
    )
    energy, energy_t = (np.sum(item**2, axis=0) for item in (field, template))
    ones, ones_t = np.ones_like(energy), np.ones_like(energy_t)
    inside, inside_t = correlation(spectrum(energy), spectrum(ones_t)), correlation(spectrum(ones), spectrum(energy_t))
    common = np.maximum(correlation(spectrum(ones), spectrum(ones_t)), 0.0)
    overlap = common / min(ones.size, ones_t.size)
    score = match / np.sqrt(np.maximum(inside * inside_t, 1e-9))
    # A large overlap at the same likeness says more than a small one.
    score = np.where(overlap >= _SMALLEST_OVERLAP, score * np.sqrt(common / ones.size), -1.0)
    y, x = (int(part) for part in np.unravel_index(int(np.argmax(score)), score.shape))
    left, top = x if x < field.shape[2] else x - shape[1], y if y < field.shape[1] else y - shape[0]
    return float(score[y, x]), float(left), float(top)


@dataclass(frozen=True)
class _Blocks:
    """Centres of matched blocks."""

    ir: NDArray[np.float64]  # [N, 2]
    vis: NDArray[np.float64]  # [N, 2]

    def inliers(self, to_ir: NDArray[np.float64]) -> NDArray[np.bool_]:
        if not len(self.ir):
            return np.zeros(0, np.bool_)
        return np.asarray(np.hypot(*(_apply(to_ir, self.vis) - self.ir).T) < _INLIER_PX)

    def disagreement(self, to_ir: NDArray[np.float64], size: tuple[int, ...]) -> float:
        """Median distance between the homographies of two disjoint halves, over a grid of the picture."""
        agreeing = np.flatnonzero(self.inliers(to_ir))
        if len(agreeing) < _FEWEST_INLIERS:
            return float("inf")
        grid = _grid(size)
        halves = []
        for first in (0, 1):
            chosen = agreeing[first::2]
            half, _ = cv2.findHomography(self.vis[chosen], self.ir[chosen], 0)
            halves.append(_apply(np.asarray(half, np.float64), grid))
        return float(np.median(np.hypot(*(halves[0] - halves[1]).T)))


def _grid(size: tuple[int, ...]) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.linspace(0, size[1] - 1, 9), np.linspace(0, size[0] - 1, 7))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.perspectiveTransform(points.reshape(-1, 1, 2), matrix), np.float64).reshape(-1, 2)


def _refine(ir_plane: Floats, vis_plane: Floats, start: NDArray[np.float64]) -> tuple[NDArray[np.float64], _Blocks]:
    """Match ever smaller blocks around the homography so far and fit it anew."""
    field = _contours(ir_plane)
    size = ir_plane.shape[1], ir_plane.shape[0]
    to_ir, blocks = start, _Blocks(np.zeros((0, 2)), np.zeros((0, 2)))
    shrink = float(np.sqrt(abs(np.linalg.det(start[:2, :2]))))
    smooth = cv2.GaussianBlur(vis_plane, (0, 0), max(0.3, 0.4 / shrink)) if shrink < 0.8 else vis_plane
    covered_from = np.ones(vis_plane.shape, np.uint8)
    for number, (side, radius) in enumerate(_ROUNDS):
        warped = np.asarray(cv2.warpPerspective(smooth, to_ir, size, flags=cv2.INTER_LINEAR), np.float32)
        inside = cv2.warpPerspective(covered_from, to_ir, size, flags=cv2.INTER_NEAREST)
        covered = np.asarray(cv2.erode(inside, np.ones((5, 5), np.uint8)), np.uint8)
        moved = _contours(warped) * covered
        matched = _match_blocks(field, moved, covered, side, radius)
        if len(matched) < _FEWEST_INLIERS // 2:
            break
        at, shift = matched[:, :2], matched[:, 2:4]
        blocks = _Blocks(at + shift, _apply(_inverse(to_ir), at))
        fitted = _fit(blocks, affine=number == 0)
        if fitted is None:
            break
        to_ir = fitted
    return to_ir, blocks


def _fit(blocks: _Blocks, *, affine: bool) -> NDArray[np.float64] | None:
    """Few coarse blocks carry an affine map only; perspective is left to the later rounds."""
    if affine:
        matrix, _ = cv2.estimateAffine2D(blocks.vis, blocks.ir, method=cv2.RANSAC, ransacReprojThreshold=2 * _INLIER_PX)
        return None if matrix is None else np.vstack([matrix, [0.0, 0.0, 1.0]])
    matrix, _ = cv2.findHomography(blocks.vis, blocks.ir, cv2.USAC_MAGSAC, _INLIER_PX, maxIters=5000, confidence=0.999)
    return None if matrix is None else np.asarray(matrix, np.float64)


def _match_blocks(
    field: Floats, moved: Floats, covered: NDArray[np.uint8], side: int, radius: int
) -> NDArray[np.float64]:
    """Place of every block with a clear peak: x, y, dx, dy, score."""
    found = []
    height, width = covered.shape
    step = side // 2
    for top in range(radius, height - side - radius + 1, step):
        for left in range(radius, width - side - radius + 1, step):
            at = np.s_[top : top + side, left : left + side]
            if covered[at].mean() < 0.9:
                continue
            window = np.s_[top - radius : top + side + radius, left - radius : left + side + radius]
            peak = _peak([f[window] for f in field], [m[at] for m in moved], radius)
            if peak is not None:
                found.append((left + (side - 1) / 2, top + (side - 1) / 2, *peak))
    return np.array(found, np.float64).reshape(-1, 5)


def _peak(window: list[Floats], block: list[Floats], radius: int) -> tuple[float, float, float] | None:
    score = sum(np.asarray(cv2.matchTemplate(w, b, cv2.TM_CCORR)) for w, b in zip(window, block, strict=True))
    energy_b = sum(float(np.sum(b * b)) for b in block)
    ones = np.ones_like(block[0])
    energy_w = sum(np.asarray(cv2.matchTemplate(w * w, ones, cv2.TM_CCORR)) for w in window)
    score = np.asarray(score) / np.sqrt(np.maximum(np.asarray(energy_w) * energy_b, 1e-9))
    y, x = (int(part) for part in np.unravel_index(int(np.argmax(score)), score.shape))
    peak = float(score[y, x])
    if peak < _SMALLEST_PEAK or not (0 < x < 2 * radius and 0 < y < 2 * radius):
        return None
    dx = _vertex(score[y, x - 1], peak, score[y, x + 1])
    dy = _vertex(score[y - 1, x], peak, score[y + 1, x])
    return x - radius + dx, y - radius + dy, peak


def _vertex(before: float, at: float, after: float) -> float:
    """Where the parabola through three values has its top."""
    curvature = before - 2 * at + after
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
