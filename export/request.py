"""What is to be exported how, checked before any work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from edgefuse.errors import UsageError
from edgefuse.export.engine import EngineOptions
from edgefuse.manifest import Precision

__all__ = ["DEFAULT_SIZE", "FORMATS", "SUFFIXES", "ExportFormat", "ExportRequest", "LowerMethod", "sizes_of"]

ExportFormat = Literal["onnx", "ort", "tensorrt", "tensorrt-rtx", "triton-repo"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
SUFFIXES: dict[ExportFormat, str] = {
    "onnx": ".onnx",
    "ort": ".ort",
    "tensorrt": ".plan",
    "tensorrt-rtx": ".rtx",
    "triton-repo": "",
}
LowerMethod = Literal["auto", "dense", "radix", "keep"]

DEFAULT_SIZE = (480, 640)
_LARGEST_SIDE = 8192
_LARGEST_BATCH = 1024


@dataclass(frozen=True)
class ExportRequest:
    """The options of an export.

    Attributes:
        output: File to write, or folder for a model repository.
        format: What to write.
        sizes: Heights and widths in pixels: one, or several of an engine, which gets a profile for each.
        span: Smallest and largest height and width of an engine whose one profile spans them.
        batch: Image pairs an inference.
        dynamic: Leave height and width free.
        precision: Precision of the graph.
        opset: ONNX opset.
        lower: How ``DFT`` nodes are rewritten.
        names: Names of the network's inputs.
        output_name: Name of its output.
        channels: Channels of each input.
        engine: How an engine is built, for the engine formats.
        allow_drift: Write the artifact although it strays too far.
        overwrite: Replace what is there.
    """

    output: Path
    format: ExportFormat
    sizes: tuple[tuple[int, int], ...]
    span: tuple[tuple[int, int], tuple[int, int]] | None = None
    batch: int = 1
    dynamic: bool = False
    precision: Precision = "fp32"
    opset: int = 18
    lower: LowerMethod = "auto"
    names: tuple[str, ...] = ("ir", "vis")
    output_name: str = "fused"
    channels: tuple[int, ...] = (1, 1)
    engine: EngineOptions | None = field(default=None)
    allow_drift: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for option, value, allowed in (
            ("--format", self.format, FORMATS),
            ("--precision", self.precision, get_args(Precision)),
            ("--lower-dft", self.lower, get_args(LowerMethod)),
        ):
            if value not in allowed:
                raise UsageError(f"{option} must be one of {', '.join(allowed)}, not {value!r}")
        wanted = SUFFIXES[self.format]
        if wanted and self.output.suffix != wanted:
            raise UsageError(f"--output {self.output}: --format {self.format} writes a {wanted} file")
        if not 1 <= self.batch <= _LARGEST_BATCH:
            raise UsageError(f"--batch must lie in 1 to {_LARGEST_BATCH}, not {self.batch}")
        if len(self.sizes) > 1 and not self.dynamic:
            raise UsageError("several --imgsz are for a graph of free size: add --dynamic, or give one")
        self._check_span()
        if self.lower == "keep" and self.engine is not None:
            raise UsageError("--lower-dft keep leaves DFT operators, which TensorRT does not have; leave it out")
        self._check_inputs()

    def _check_span(self) -> None:
        if self.span is None:
            return
        if not self.dynamic or self.engine is None or len(self.sizes) > 1:
            raise UsageError(
                "--min-imgsz and --max-imgsz span the sizes of an engine: give them with --dynamic, an engine's "
                "--format and the one --imgsz that is used most"
            )
        smallest, usual, largest = self.span[0], self.sizes[0], self.span[1]
        if any(not low <= side <= high for low, side, high in zip(smallest, usual, largest, strict=True)):
            raise UsageError(f"--imgsz {usual} must lie between --min-imgsz {smallest} and --max-imgsz {largest}")

    def profile_sizes(self) -> list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
        """Smallest, usual and largest size of each profile of an engine."""
        if self.span is not None:
            return [(self.span[0], self.sizes[0], self.span[1])]
        return [(size, size, size) for size in self.sizes]

    def size_words(self) -> list[str]:
        """The sizes as words of a command line."""
        words = ["--dynamic"] if self.dynamic else []
        words += ["--imgsz", *(str(side) for size in self.sizes for side in size)]
        if self.span is not None:
            words += ["--min-imgsz", *map(str, self.span[0]), "--max-imgsz", *map(str, self.span[1])]
        return words

    def _check_inputs(self) -> None:
        names, given = (*self.names, self.output_name), ", ".join(self.names)
        plain = len(set(names)) == len(names) and all(name.isidentifier() for name in names)
        if not 1 <= len(self.names) <= 2 or not plain:
            raise UsageError(f"--input-names must be one or two plain names, none {self.output_name!r}, not {given}")
        if len(self.channels) != len(self.names) or any(count not in (1, 3) for count in self.channels):
            counts = ",".join(map(str, self.channels))
            raise UsageError(f"--channels must be 1 or 3 for each of {given}, not {counts}")


def sizes_of(
    imgsz: tuple[int, int] | Sequence[tuple[int, int]] | None,
    *,
    default: tuple[int, int] = DEFAULT_SIZE,
    multiple: int,
    smallest: int,
) -> tuple[tuple[int, int], ...]:
    """Check the sizes that were asked for.

    Args:
        imgsz: One size, several, or None for the default.
        default: Size to take where none is given; it is rounded up to what the network takes.
        multiple: What heights and widths must be multiples of.
        smallest: Smallest height and width.

    Returns:
        The sizes as (height, width).

    Raises:
        UsageError: A size that the network cannot take; the message names the next that it can.
    """
    if imgsz is None:
        return (_fitting(default, multiple, smallest),)
    given = cast("Sequence[Sequence[int]]", [imgsz] if isinstance(imgsz[0], int) else imgsz)
    sizes = []
    for size in given:
        if len(size) != 2 or any(not isinstance(side, int) or not 0 < side <= _LARGEST_SIDE for side in size):
            raise UsageError(f"--imgsz must be a height and a width from 1 to {_LARGEST_SIDE}, not {tuple(size)}")
        asked = (size[0], size[1])
        fitting = _fitting(asked, multiple, smallest)
        if fitting != asked:
            raise UsageError(
                f"--imgsz {asked[0]} {asked[1]}: this network takes multiples of {multiple}, at least {smallest}; "
                f"take --imgsz {fitting[0]} {fitting[1]}, the runtime pads images to it"
            )
        sizes.append(asked)
    return tuple(sizes)


def _fitting(size: tuple[int, int], multiple: int, smallest: int) -> tuple[int, int]:
    height, width = (-(-max(side, smallest) // multiple) * multiple for side in size)
    return height, width
