"""Inference runtimes behind one protocol: activate, infer, deactivate. Importing this needs none of them."""

from edgefuse.runtime.create import DEVICES, RUNTIMES, Device, RuntimeName, create_runner
from edgefuse.runtime.device_pairs import DevicePairs
from edgefuse.runtime.onnx_runtime import OnnxRuntimeRunner
from edgefuse.runtime.runner import Runner
from edgefuse.runtime.tensorrt_runner import TensorRtRunner
from edgefuse.runtime.torch_eager import TorchRunner

__all__ = [
    "DEVICES",
    "RUNTIMES",
    "Device",
    "DevicePairs",
    "OnnxRuntimeRunner",
    "Runner",
    "RuntimeName",
    "TensorRtRunner",
    "TorchRunner",
    "create_runner",
]
