"""PyTorch modules as runners; torch is imported when one is activated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError
from edgefuse.runtime.runner import Runner

if TYPE_CHECKING:
    import torch

__all__ = ["TorchRunner"]


class TorchRunner(Runner):
    """An ``nn.Module`` that maps (ir, vis) to fused luminance, in evaluation mode and without gradients.

    Args:
        module: The network; its ``size_multiple`` and ``min_size`` attributes are read where it has them.
        device: Any torch device, as in ``"cuda:0"``.
        compile: Run it through ``torch.compile``.
    """

    def __init__(self, module: torch.nn.Module, *, device: str = "cpu", compile: bool = False) -> None:  # noqa: A002
        self.module = module
        self.size_multiple = int(getattr(module, "size_multiple", 1))
        self.min_size = int(getattr(module, "min_size", 1))
        self.name = f"torch{'-compile' if compile else ''}-{device.partition(':')[0]}"
        self._device = device
        self._compile = compile
        self._active: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    def activate(self) -> None:
        """Move the module to its device and set it to evaluation mode."""
        if self._active is not None:
            return
        import torch

        module = self.module.to(self._device).eval()
        self._active = torch.compile(module) if self._compile else module

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch; see :meth:`Runner.infer`."""
        if self._active is None:
            raise UsageError("the runner is not active; use it as a context manager or call activate()")
        import torch

        with torch.inference_mode():
            ir_tensor, vis_tensor = (
                torch.from_numpy(np.ascontiguousarray(image)).to(self._device) for image in (ir, vis)
            )
            fused = self._active(ir_tensor, vis_tensor)
            result: NDArray[np.float32] = fused.float().cpu().numpy()
        return result

    def deactivate(self) -> None:
        """Let go of the compiled module; the module itself belongs to the caller."""
        self._active = None
