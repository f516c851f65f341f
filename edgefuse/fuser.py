"""Fusing a pair of images with one call."""

from __future__ import annotations

import os
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError, UsageError
from edgefuse.images import LARGEST_IMAGE_PIXELS, SMALLEST_SIDE
from edgefuse.kernels import luminance_bgr, replace_luminance_bgr
from edgefuse.kernels.warp import PairWarp
from edgefuse.manifest import PRECISIONS, Manifest, Precision
from edgefuse.padding import pad_to, padded_size
from edgefuse.runtime import Device, DevicePairs, Runner, RuntimeName, create_runner
from edgefuse.thermal import to_unit, unit_span
from edgefuse.zoo import DEFAULT_MODEL

__all__ = ["Fuser", "check_size", "load"]


class Fuser:
    """Infrared and visible image in, fused image out.

    Args:
        runner: An active runner; closed with the fuser.
        imgsz: Height and width to pad every pair to, or None to pad each as little as the network needs.

    Example:
        >>> import cv2, edgefuse
        >>> from edgefuse.synthetic import StreetScene
        >>> scene = StreetScene(seed=1).render(0.0)
        >>> with edgefuse.load("lite") as fuse:
        ...     fused = fuse(scene.ir, scene.vis)
        >>> fused.shape == scene.vis.shape
        True
    """

    def __init__(self, runner: Runner, *, imgsz: tuple[int, int] | None = None) -> None:
        if imgsz is not None and runner.imgsz not in (None, imgsz):
            raise UsageError(f"imgsz is {imgsz}, but the model was exported for {runner.imgsz}; export it again")
        if imgsz is not None and any(side % runner.size_multiple for side in imgsz):
            raise UsageError(f"imgsz must be multiples of {runner.size_multiple}, not {imgsz}")
        self.runner = runner
        self._fixed = runner.imgsz or imgsz
        self._warp: PairWarp | None = None

    def __call__(self, ir: Image, vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fuse one registered pair.

        Args:
            ir: ``(H, W)``: uint8 as displayed, uint16 raw counts (percentile stretch), or float.
            vis: ``(H, W)`` or ``(H, W, 3)`` BGR uint8.

        Returns:
            Fused image in the shape and dtype of ``vis``; of a colour image only the luminance (BT.601,
            full range) changes.

        Raises:
            InputError: Shapes or dtypes are not these, the sizes differ, or the pair is too large or too small.
        """
        if self.runner.pairs is not None:
            return self._fuse_on_device(self.runner.pairs, ir, vis)
        return self.finish(self.runner.infer(*self.prepare(ir, vis)), vis)

    def _fuse_on_device(self, pairs: DevicePairs, ir: Image, vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
        _check(ir, vis)
        height, width = vis.shape[:2]
        low, span = unit_span(ir)
        if self._warp is None or self._warp.vis_size != (height, width):
            self._warp = PairWarp.stretching(ir_size=(height, width), vis_size=(height, width))
        frame = ir if ir.dtype in (np.uint8, np.uint16) else ir.astype(np.float32)
        size = self.input_size(height, width)
        pairs.register(self._warp, frame, vis, low=low, high=low + span, size=size)
        pairs.infer()
        return pairs.finish()

    @property
    def model(self) -> str:
        """The model, its precision and what runs it, as in ``"lite, fp32, on onnxruntime-cpu"``.

        Without a manifest only the last.
        """
        manifest = self.runner.manifest
        return (
            self.runner.name if manifest is None else f"{manifest.model}, {manifest.precision}, on {self.runner.name}"
        )

    @property
    def advice(self) -> str | None:
        """How to get the same picture much faster, in one line; None where there is nothing to say."""
        manifest = self.runner.manifest
        if manifest is None or manifest.dft_lowering != "keep":
            return None
        return (
            f"{manifest.model} keeps ONNX's slow DFT operator (--lower-dft keep); without, it is several times faster: "
            f"edgefuse export {manifest.model}"
        )

    def prepare(self, ir: Image, vis: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Turn a pair into the two padded network inputs.

        Args:
            ir: As for a call.
            vis: As for a call.

        Returns:
            Infrared and visible luminance in [0, 1].  # [1, 1, H, W] each, H and W padded
        """
        _check(ir, vis)
        size = self.input_size(*vis.shape[:2])
        planes = to_unit(ir), luminance(vis)
        ir_input, vis_input = (pad_to(plane, size)[None, None] for plane in planes)  # [1, 1, H, W]
        return ir_input, vis_input

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the network inputs of a pair.

        Args:
            height: Of the pair in pixels.
            width: Of the pair in pixels.

        Returns:
            At least the pair's.

        Raises:
            InputError: The pair is larger than the one size that the model takes.
        """
        multiple, minimum = self.runner.size_multiple, self.runner.min_size
        return padded_size(height, width, multiple=multiple, minimum=minimum, fixed=self._fixed)

    def finish(self, fused: NDArray[np.float32], vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn the network's output into the fused image.

        Args:
            fused: Fused luminance, padded.  # [1, 1, H, W]
            vis: The visible image of the pair.

        Returns:
            Fused image in the shape and dtype of ``vis``.
        """
        height, width = vis.shape[:2]
        plane = fused[0, 0, :height, :width]  # [H, W]
        if vis.ndim == 3:
            return replace_luminance_bgr(np.ascontiguousarray(vis), plane)
        return (np.clip(plane, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)

    def close(self) -> None:
        """Free the model. Closing twice does nothing."""
        self.runner.deactivate()

    def __enter__(self) -> Fuser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def luminance(vis: NDArray[np.uint8]) -> NDArray[np.float32]:
    """BT.601 full-range luminance of a visible image.

    Args:
        vis: ``(H, W)`` or ``(H, W, 3)`` BGR uint8.

    Returns:
        ``(H, W)`` float32 in [0, 1].
    """
    if vis.ndim == 3:
        return luminance_bgr(np.ascontiguousarray(vis))
    return vis.astype(np.float32) * np.float32(1 / 255)


def _check(ir: Image, vis: NDArray[np.uint8]) -> None:
    if vis.dtype != np.uint8 or not (vis.ndim == 2 or (vis.ndim == 3 and vis.shape[2] == 3)):
        raise InputError(f"visible must be uint8 of shape (H, W) or (H, W, 3), not {vis.dtype} of shape {vis.shape}")
    if ir.ndim != 2:
        raise InputError(f"infrared must have shape (H, W), not {ir.shape}")
    if ir.shape != vis.shape[:2]:
        raise InputError(
            f"infrared is {ir.shape[1]}x{ir.shape[0]}, visible is {vis.shape[1]}x{vis.shape[0]}: "
            "the two must be registered and of one size"
        )
    check_size(*vis.shape[:2])


def check_size(height: int, width: int) -> None:
    """Refuse pictures that no network here is meant for.

    Args:
        height: Of the pair in pixels.
        width: Of the pair in pixels.

    Raises:
        InputError: A side is too short, or there are too many pixels.
    """
    if min(height, width) < SMALLEST_SIDE or height * width > LARGEST_IMAGE_PIXELS:
        raise InputError(
            f"{width}x{height} pixels: each side needs at least {SMALLEST_SIDE}, "
            f"and all together at most {LARGEST_IMAGE_PIXELS}"
        )


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: Device = "cpu",
    runtime: RuntimeName = "auto",
    precision: Precision | None = None,
    imgsz: tuple[int, int] | None = None,
    trust_engine: bool = False,
) -> Fuser:
    """Load a fusion model, ready to call.

    Args:
        model: A bundled model's name, or the path of a model file.
        device: Where it runs.
        runtime: What runs it; ``"auto"`` goes by the file.
        precision: What the model must have been exported in; None takes it as it is.
        imgsz: Height and width to pad every pair to; None pads each as little as the network needs.
        trust_engine: Run an engine without a matching manifest; an engine is code.

    Returns:
        The fuser, also a context manager.

    Raises:
        UsageError: A name is unknown, or the options do not fit the model.
        ArtifactError: The model file is missing or damaged.
        TrustError: The model file is not the one that its manifest describes, or an engine without one.
        MissingDependencyError: The runtime is not installed.
    """
    runner = create_runner(model, runtime=runtime, device=device, trust_engine=trust_engine)
    _check_precision(model, runner.manifest, precision)
    runner.activate()
    try:
        return Fuser(runner, imgsz=imgsz)
    except UsageError:
        runner.deactivate()
        raise


def _check_precision(model: str | os.PathLike[str], manifest: Manifest | None, precision: Precision | None) -> None:
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if manifest is not None and precision not in (None, manifest.precision):
        command = f"edgefuse export {manifest.model} --precision {precision}"
        raise UsageError(f"{model} is {manifest.precision}, not {precision}: {command}")
