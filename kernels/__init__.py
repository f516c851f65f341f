"""The compiled part of EdgeFuse: C++ for the CPU, Triton and CUDA for NVIDIA GPUs.

Importing this package builds nothing, prints nothing and touches no GPU.
"""

from edgefuse.kernels._native import luminance_bgr, replace_luminance_bgr

__all__ = ["luminance_bgr", "replace_luminance_bgr"]
