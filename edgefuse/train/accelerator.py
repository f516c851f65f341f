"""Device, precision and processes, all of them left to `accelerate`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

import torch

from edgefuse.errors import MissingDependencyError, UsageError
from edgefuse.train.settings import TrainPrecision

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["TrainDevice", "precision_of", "start_accelerator"]

_log = logging.getLogger(__name__)

TrainDevice = Literal["auto", "cpu", "cuda"]

_MIXED_PRECISION: dict[TrainPrecision, str] = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def start_accelerator(device: TrainDevice, *, precision: TrainPrecision) -> Accelerator:
    """Set up one process of a run; ``torchrun`` or ``accelerate launch`` start several.

    On a CPU without instructions for it bf16 takes tens of times as long as fp32: such a run is one in fp32 and says
    so.

    Args:
        device: ``auto`` takes a GPU where there is one.
        precision: Arithmetic of the network.

    Returns:
        The accelerator; a batch is split over the processes, so a recipe means the same on any number of them.

    Raises:
        UsageError: The device is unknown, or fp16 is asked of a CPU.
        MissingDependencyError: accelerate is missing, or a GPU is asked for and there is none.
    """
    if device not in get_args(TrainDevice):
        raise UsageError(f"--device must be one of {', '.join(get_args(TrainDevice))}, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingDependencyError("this PyTorch sees no NVIDIA GPU: train with --device cpu, or see edgefuse doctor")
    use_cpu = device == "cpu" or not torch.cuda.is_available()
    if use_cpu and precision == "fp16":
        raise UsageError("fp16 training needs a GPU: --set train.precision=bf16, or fp32")
    if use_cpu and precision == "bf16" and not _cpu_multiplies_bf16():
        _log.warning("this CPU has no bf16 arithmetic: training in fp32, which is faster here")
        precision = "fp32"
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
        from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs
    except ImportError as error:
        raise MissingDependencyError.for_package("accelerate", extra="train", purpose="train a network") from error
    # accelerate keeps one state a process; a second run in this process may want another precision.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=use_cpu,
        mixed_precision=_MIXED_PRECISION[precision],
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # A variant may hold weights that its forward pass does not use, as RPFNet's released one does.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def precision_of(accelerator: Accelerator) -> TrainPrecision:
    """The arithmetic that a run really uses.

    Args:
        accelerator: As ``start_accelerator`` gives it.

    Returns:
        fp32 also where bf16 was asked of a CPU that lacks it.
    """
    return next(name for name, mixed in _MIXED_PRECISION.items() if mixed == accelerator.mixed_precision)


def _cpu_multiplies_bf16() -> bool:
    # What PyTorch itself asks before it hands bf16 to oneDNN; without it, plain loops over scalars do the work.
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
