"""Two video files in, one fused video out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError
from edgefuse.fuser import Fuser
from edgefuse.temporal import FrameChange, TemporalFilter

__all__ = ["VideoInfo", "fuse_videos", "probe"]

_CODEC_OF_SUFFIX = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "FFV1", ".avi": "MJPG"}


@dataclass(frozen=True)
class VideoInfo:
    """What a video file states of itself; ``frames`` is 0 where it states no length."""

    width: int
    height: int
    rate_hz: float
    frames: int


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Read size, frame rate and length of a video.

    Args:
        path: Any file that OpenCV's FFmpeg reads.

    Returns:
        What the file states.

    Raises:
        InputError: The file is missing or no video.
    """
    capture = _open(Path(path))
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        return VideoInfo(width, height, capture.get(cv2.CAP_PROP_FPS) or 25.0, frames)
    finally:
        capture.release()


def fuse_videos(
    fuser: Fuser,
    ir: str | os.PathLike[str],
    vis: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    temporal_filter: bool = True,
    on_frame: Callable[[Image, NDArray[np.uint8], NDArray[np.uint8]], None] | None = None,
) -> int:
    """Fuse two videos frame by frame, the n-th with the n-th, until the shorter one ends.

    The output takes its frame rate from the visible video. It is written beside its final name and moved there
    when it is whole, so an interrupted run leaves no broken video under that name.

    Args:
        fuser: Fuses each pair.
        ir: Infrared video, registered to the visible one.
        vis: Visible video.
        output: File to write: .mkv (FFV1, lossless), .mp4, .m4v or .mov (MPEG-4) or .avi (Motion JPEG).
        temporal_filter: Let the picture stand still where neither video changes; see ``TemporalFilter``.
        on_frame: Called with (ir, vis, fused) after each frame.

    Returns:
        Number of frames written.

    Raises:
        InputError: A file is no video, the sizes or rates differ, or the output cannot be written.
    """
    output = Path(output)
    infos = probe(ir), probe(vis)
    _check(Path(ir), Path(vis), *infos)
    part = output.with_name(f".{output.stem}.{os.getpid()}.part{output.suffix}")
    output.parent.mkdir(parents=True, exist_ok=True)
    writer = _create(part, infos[1])
    temporal = TemporalFilter() if temporal_filter else None
    ir_change, vis_change = FrameChange(), FrameChange()
    count = 0
    try:
        for ir_frame, vis_frame in zip(_frames(Path(ir)), _frames(Path(vis)), strict=False):
            gray = (
                np.ascontiguousarray(ir_frame[..., 0])
                if _is_gray(ir_frame)
                else cv2.cvtColor(ir_frame, cv2.COLOR_BGR2GRAY)
            )
            fused = fuser(gray, vis_frame)
            if temporal is not None:
                fused = temporal(np.maximum(ir_change(np.asarray(gray, np.uint8)), vis_change(vis_frame)), fused)
            writer.write(fused)
            count += 1
            if on_frame is not None:
                on_frame(gray, vis_frame, fused)
        writer.release()
        if count == 0:
            raise InputError(f"{ir} and {vis}: no frame could be decoded")
        part.replace(output)
    finally:
        writer.release()
        part.unlink(missing_ok=True)
    return count


def _check(ir: Path, vis: Path, ir_info: VideoInfo, vis_info: VideoInfo) -> None:
    if (ir_info.width, ir_info.height) != (vis_info.width, vis_info.height):
        raise InputError(
            f"{ir} is {ir_info.width}x{ir_info.height}, {vis} is {vis_info.width}x{vis_info.height}: "
            "register the two to one size first"
        )
    if abs(ir_info.rate_hz - vis_info.rate_hz) > 0.01 * vis_info.rate_hz:
        raise InputError(
            f"{ir} has {ir_info.rate_hz:g} frames a second, {vis} has {vis_info.rate_hz:g}: bring both to one rate"
        )


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    capture = _quietly(path)
    if not capture.isOpened():
        raise InputError(f"{path}: not a video that OpenCV can read")
    return capture


def _quietly(path: Path) -> cv2.VideoCapture:
    """Open a video without the lines that FFmpeg and OpenCV print about one that cannot be read; the error says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log = cv2.utils.logging
    before = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        log.setLogLevel(before)


def _frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    capture = _open(path)
    try:
        while True:
            decoded, frame = capture.read()
            if not decoded:
                return
            yield np.asarray(frame, dtype=np.uint8)
    finally:
        capture.release()


def _is_gray(frame: NDArray[np.uint8]) -> bool:
    """Whether the three channels agree, up to the two counts that decoding 4:2:0 video adds."""
    return int(cv2.absdiff(frame[..., 0], frame[..., 2]).max()) <= 2


def _create(path: Path, info: VideoInfo) -> cv2.VideoWriter:
    codec = _CODEC_OF_SUFFIX.get(path.suffix.lower())
    if codec is None:
        raise InputError(f"{path.suffix or 'no suffix'}: write a video as {', '.join(_CODEC_OF_SUFFIX)}")
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, info.rate_hz, (info.width, info.height))
    if not writer.isOpened():
        raise InputError(f"{path.parent}: cannot write a video there")
    return writer
