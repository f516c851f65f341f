"""Runs the host code of every Triton launch without a GPU: arguments bound, kernels compiled, nothing executed.

Run as a script; prints one JSON line with the kernels in the order of their launches.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction


class TargetOnly:
    """As much of a driver as compiling for a target asks for."""

    def get_current_target(self) -> GPUTarget:
        """H100 and H200."""
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        """The only one."""
        return 0

    def get_current_stream(self, device: int = 0) -> int:
        """The default one."""
        del device
        return 0


def main() -> None:
    """Launch every operation once in each of its forms."""
    launched: list[str] = []
    run = JITFunction.run

    def bind_and_compile(self: Any, *arguments: Any, warmup: bool, **keywords: Any) -> Any:
        del warmup
        launched.append(self.__name__)
        return run(self, *arguments, warmup=True, **keywords)

    JITFunction.run = bind_and_compile
    driver.set_active(TargetOnly())

    from edgefuse.kernels.gradient_loss.gradient_loss_triton import triton_loss
    from edgefuse.kernels.gradient_loss.weights import TermWeights
    from edgefuse.kernels.spectral_conv.launch import mix_backward, mix_forward
    from edgefuse.kernels.ssim.ssim_triton import triton_ssim

    fused, ir, vis = torch.rand(3, 1, 1, 18, 20)
    for scales in (1, 2):
        weights = TermWeights.build(
            magnitude=5, magnitude_norm="l2", angle=1, direction=1, scales=scales, max_magnitude=0
        )
        triton_loss(fused, ir, vis.half(), weights=weights, with_gradient=True)
    triton_ssim(fused, vis, data_range=1.0, with_gradient=True)
    spectrum = torch.fft.rfft2(torch.rand(1, 8, 6, 7))
    parameters = (torch.rand(16, 16), torch.rand(16), torch.rand(16))
    out = mix_forward(spectrum, *parameters, statistics=None, eps=1e-5, precision="tf32")
    mix_backward(spectrum, spectrum, parameters[0], out.normalisation, by_batch=True, width=7, precision="tf32")
    sys.stdout.write(json.dumps(launched) + "\n")


if __name__ == "__main__":
    main()
