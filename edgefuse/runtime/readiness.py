"""What each runtime can do on this machine, found without running any of it; for ``edgefuse doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgefuse.errors import MissingDependencyError
from edgefuse.kernels.warp.warp_cuda import cuda_library_problem
from edgefuse.runtime.device_pairs import describe_path
from edgefuse.runtime.engine_library import ENGINE_KINDS, EngineKind, import_library, library_targets
from edgefuse.runtime.onnx_runtime import INSTALL_GPU

if TYPE_CHECKING:
    from edgefuse.machine import Component, Gpu

__all__ = ["RuntimeReport", "engine_frames", "runtime_reports"]

_NO_GPU = "an NVIDIA GPU with its driver"


@dataclass(frozen=True)
class RuntimeReport:
    """One runtime on this machine.

    Attributes:
        name: As ``--runtime`` and ``--device`` name it.
        version: Installed version, or None.
        runs_on: What it can run a model on here: the CPU, or GPUs by name.
        targets: GPU targets that it can build engines for here, as in ``("sm_86",)``.
        missing: What running it takes besides, as commands or things to get.
    """

    name: str
    version: str | None
    runs_on: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def runtime_reports(components: Sequence[Component], gpus: Sequence[Gpu]) -> list[RuntimeReport]:
    """Look at every runtime.

    Args:
        components: What is installed.
        gpus: The GPUs of this machine.

    Returns:
        One report a runtime, those for the CPU first.
    """
    known = {component.name: component for component in components}
    return [
        *_onnx_runtime(known["ONNX Runtime"], gpus),
        *(_engine(kind, known, gpus) for kind in ENGINE_KINDS),
        _torch(known["PyTorch"], gpus),
    ]


def engine_frames(gpus: Sequence[Gpu]) -> str:
    """Say in one line where frames become the inputs of engines and the fused picture, and why.

    Args:
        gpus: The GPUs of this machine.
    """
    problem = cuda_library_problem()
    return describe_path(problem) + ("" if gpus or problem else ", once there is a GPU")


def _onnx_runtime(component: Component, gpus: Sequence[Gpu]) -> list[RuntimeReport]:
    missing = () if component.fix is None else (component.fix,)
    on_cpu = RuntimeReport("onnxruntime, cpu", component.version, () if component.version is None else ("CPU",))
    try:
        import onnxruntime
    except ImportError:
        return [RuntimeReport("onnxruntime, cpu", None, missing=missing), RuntimeReport("onnxruntime, cuda", None)]
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    needs = (() if has_cuda else (INSTALL_GPU,)) if gpus else (_NO_GPU,)
    names = tuple(gpu.name for gpu in gpus) if has_cuda else ()
    return [on_cpu, RuntimeReport("onnxruntime, cuda", component.version if has_cuda else None, names, missing=needs)]


def _engine(kind: EngineKind, known: dict[str, Component], gpus: Sequence[Gpu]) -> RuntimeReport:
    component, pycuda = known["TensorRT" if kind == "tensorrt" else "TensorRT-RTX"], known["PyCUDA"]
    here = tuple(dict.fromkeys(gpu.target for gpu in gpus))
    missing = [] if gpus else [_NO_GPU]
    if pycuda.version is None and gpus:
        missing.append("pip install pycuda")
    try:
        library = import_library(kind)
    except MissingDependencyError:
        needed = component.fix or f"{component.name} is installed and does not load; {_reinstall(kind)}"
        return RuntimeReport(kind, None, missing=(needed, *missing))
    # TensorRT builds for the GPU it finds; TensorRT-RTX for all that it knows.
    targets = here if kind == "tensorrt" else library_targets(library)
    fitting = tuple(gpu.name for gpu in gpus if gpu.target in targets) if pycuda.version is not None else ()
    if gpus and not any(gpu.target in targets for gpu in gpus):
        missing.append(f"a GPU of {', '.join(targets)}; take tensorrt for {', '.join(here)}")
    return RuntimeReport(kind, str(library.__version__), fitting, targets, tuple(missing))


def _reinstall(kind: EngineKind) -> str:
    extra = "tensorrt" if kind == "tensorrt" else "rtx"
    return f"pip install --force-reinstall 'edgefuse[{extra}]'"


def _torch(component: Component, gpus: Sequence[Gpu]) -> RuntimeReport:
    """By its version alone: importing it takes seconds."""
    if component.version is None:
        return RuntimeReport("torch", None, missing=(component.fix or "",))
    without_cuda = component.version.endswith("+cpu")
    names = () if without_cuda else tuple(gpu.name for gpu in gpus)
    needs = ("a PyTorch with CUDA: see pytorch.org",) if gpus and without_cuda else ()
    return RuntimeReport("torch", component.version, ("CPU", *names), missing=needs)
