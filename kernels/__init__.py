"""The compiled part of EdgeFuse: C++ for the CPU, Triton and CUDA for NVIDIA GPUs.

Importing this package builds nothing, prints nothing and touches no GPU.
"""

# A checkout on sys.path would offer this folder as a top-level package of a name that anyone may use.
if __name__ == "kernels":
    raise ImportError("import edgefuse.kernels")

from edgefuse.kernels._native import cell_change, luminance_bgr, replace_luminance_bgr, temporal_step

__all__ = ["cell_change", "luminance_bgr", "replace_luminance_bgr", "temporal_step"]
