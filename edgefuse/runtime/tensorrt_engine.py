"""An engine on the GPU, behind the calls that TensorRT 10, TensorRT 11 and TensorRT-RTX have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.errors import ArtifactError, InputError
from edgefuse.runtime.device_memory import Gpu
from edgefuse.runtime.engine_file import EngineFile, rebuild_command
from edgefuse.runtime.engine_library import EngineKind, LibraryLog
from edgefuse.runtime.runtime_cache import RuntimeCache, cache_path

__all__ = ["EngineTensor", "LoadedEngine", "refuse_other_gpu"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine.

    Attributes:
        name: Its name.
        shape: Its shape, -1 where it is free.
        dtype: Type of its elements.
        ranges: Smallest and largest shape by optimisation profile; empty where nothing is free.
    """

    name: str
    shape: Shape
    dtype: type[np.float32] | type[np.float16]
    ranges: tuple[tuple[Shape, Shape], ...] = ()

    @property
    def most_elements(self) -> int:
        """How many elements it holds at its largest."""
        return max(int(np.prod(shape)) for shape in (*(largest for _, largest in self.ranges), self.shape))

    def profile_of(self, shape: Shape) -> int | None:
        """The first profile that takes a shape; 0 of an engine of one shape, None where nothing does."""
        if not self.ranges:
            return 0 if shape == self.shape else None
        for index, (smallest, largest) in enumerate(self.ranges):
            if len(shape) == len(smallest) and all(
                low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True)
            ):
                return index
        return None


class LoadedEngine:
    """A deserialised engine with one execution context; a GPU's context must be current.

    Args:
        library: ``tensorrt`` or ``tensorrt_rtx``.
        kind: Which of the two.
        file: The engine, already checked.
        gpu: The GPU.

    Raises:
        ArtifactError: The library cannot load it, or it is no fusion network; one line with the command that helps.
    """

    def __init__(self, library: Any, kind: EngineKind, file: EngineFile, gpu: Gpu) -> None:
        self._library, self._kind, self._path = library, kind, file.path
        self._log = LibraryLog(library)
        self._context: Any = None
        self._cache: RuntimeCache | None = None
        self._engine: Any = None
        self._addresses: dict[str, int] = {}
        self._runtime = self._log.create(library.Runtime)
        try:
            self._load(file, gpu)
            self.inputs = self._describe_all(library.TensorIOMode.INPUT)
            self.outputs = self._describe_all(library.TensorIOMode.OUTPUT)
            self._check_signature()
        except Exception:
            self._free()
            raise

    def _load(self, file: EngineFile, gpu: Gpu) -> None:
        library, kind = self._library, self._kind
        if self._runtime is None:
            here = f"{kind} {library.__version__} does not start on {gpu.name}, driver for CUDA {gpu.cuda}"
            raise ArtifactError(f"{here} ({self._log.reason('no reason given')}): a newer driver may help")
        if file.manifest is not None and file.manifest.builder.get("version_compatible") == "yes":
            # Such an engine brings its own runtime as code. The manifest says that it was exported so, and matches.
            self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(file.content)
        if self._engine is None:
            raise ArtifactError(_complaint(library, kind, file, gpu, self._log.reason("no reason given")))
        self._context = self._create_context(cache_path(file, gpu, library.__version__))
        if self._context is None:
            raise ArtifactError(f"{file.path}: no memory to run it ({self._log.reason('no reason given')})")

    def _create_context(self, kernels: Path) -> Any:
        """The context; TensorRT-RTX captures CUDA graphs itself where it is told to, and compiles its kernels here."""
        if self._kind != "tensorrt-rtx":
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        self._cache = RuntimeCache(config, kernels)
        config.cuda_graph_strategy = self._library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._engine.create_execution_context(config)

    def _describe_all(self, mode: Any) -> list[EngineTensor]:
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return [self._describe(name) for name in names if self._engine.get_tensor_mode(name) == mode]

    def _describe(self, name: str) -> EngineTensor:
        known = self._library.DataType
        types: dict[Any, type[np.float32] | type[np.float16]] = {known.FLOAT: np.float32, known.HALF: np.float16}
        found = self._engine.get_tensor_dtype(name)
        if found not in types:
            raise ArtifactError(f"{self._path}: {name} is {found}; float and half inputs and outputs are supported")
        if self._engine.get_tensor_vectorized_dim(name) != -1:  # padded channels: it would not fit its memory
            raise ArtifactError(f"{self._path}: {name} is stored in vectors of channels; export it with plain tensors")
        shape = tuple(self._engine.get_tensor_shape(name))
        is_input = self._engine.get_tensor_mode(name) == self._library.TensorIOMode.INPUT
        ranges = []
        if is_input and -1 in shape:
            for index in range(self._engine.num_optimization_profiles):
                smallest, _, largest = self._engine.get_tensor_profile_shape(name, index)
                ranges.append((tuple(smallest), tuple(largest)))
        return EngineTensor(name, shape, types[found], tuple(ranges))

    def _check_signature(self) -> None:
        shown = ", ".join(f"{one.name}{list(one.shape)}" for one in (*self.inputs, *self.outputs))
        shapes = [one.shape for one in (*self.inputs, *self.outputs)]
        if len(self.inputs) != 2 or len(self.outputs) != 1 or any(len(one) != 4 or one[1] != 1 for one in shapes):
            raise ArtifactError(f"{self._path}: needs inputs ir, vis and one output of shape [B, 1, H, W], has {shown}")
        if {one.name for one in self.inputs} == {"ir", "vis"}:
            self.inputs.sort(key=lambda one: one.name)

    def set_shape(self, shape: Shape, stream: Any) -> None:
        """Set the shape of both inputs, which the output shares.

        Args:
            shape: Batch, 1, height, width.
            stream: Stream on which a change of profile is enqueued.

        Raises:
            InputError: The engine does not take it.
        """
        profile = self.inputs[0].profile_of(shape)
        if profile is None or profile != self.inputs[1].profile_of(shape):
            raise InputError(f"{self._path}: takes {self._accepted()}, not {'x'.join(map(str, shape))}; export it anew")
        free = [tensor.name for tensor in self.inputs if tensor.ranges]
        if free and profile != self._context.active_optimization_profile:
            self._call("profile", self._context.set_optimization_profile_async, profile, stream.handle)
            stream.synchronize()
            for name, address in self._addresses.items():  # nothing says that a profile leaves them as they are
                self.bind(name, address)
        for name in free:
            self._call("shape", self._context.set_input_shape, name, shape)
        if tuple(self._context.get_tensor_shape(self.outputs[0].name)) != shape:
            raise ArtifactError(f"{self._path}: its output is not of the inputs' shape, as a fused image is")

    def _accepted(self) -> str:
        spans = self.inputs[0].ranges or ((self.inputs[0].shape, self.inputs[0].shape),)
        texts = [" to ".join(dict.fromkeys("x".join(map(str, shape)) for shape in span)) for span in spans]
        return " or ".join(texts) + " (batch, channels, height, width)"

    def bind(self, name: str, address: int) -> None:
        """Say where on the GPU a tensor lies."""
        self._addresses[name] = address
        self._call("address", self._context.set_tensor_address, name, address)

    def enqueue(self, stream: Any) -> None:
        """Enqueue one inference.

        Raises:
            ArtifactError: The library refuses; the message is its own.
        """
        self._call("inference", self._context.execute_async_v3, stream.handle)
        if self._cache is not None and not self._cache.is_saved:
            self._cache.save()  # now that all kernels of a first frame are compiled, and while the GPU works on it

    def close(self) -> None:
        """Free it, and keep what was compiled for it."""
        if self._cache is not None:
            self._cache.save()  # with what was compiled beside the frames
        self._free()

    def _free(self) -> None:
        """Let go of each thing before what it uses.

        Left to the garbage collector, the context and the weights would stay on the GPU until that runs, and go in
        whichever thread it runs in.
        """
        self._context = self._cache = self._engine = self._runtime = None

    def _call(self, what: str, function: Callable[..., bool], *arguments: Any) -> None:
        self._log.forget()
        try:
            done = function(*arguments)
        except RuntimeError:  # what some of the bindings make of a False
            done = False
        if not done:
            raise ArtifactError(
                f"{self._path}: {self._kind} refuses the {what} ({self._log.reason('no reason given')})"
            )


def refuse_other_gpu(file: EngineFile, kind: EngineKind, gpu: Gpu) -> None:
    """Refuse an engine that was built for other GPUs, as far as its manifest tells.

    Args:
        file: The engine.
        kind: What it is.
        gpu: The GPU that is to run it.

    Raises:
        ArtifactError: It cannot run here; one line with the command that builds it again.
    """
    targets = () if file.manifest is None else file.manifest.targets
    known = [target for target in targets if target.startswith("sm_")]
    if known and not any(_covers(target, gpu.target) for target in known):
        raise ArtifactError(
            f"{file.path}: built for {', '.join(known)}, and this is {gpu.name} ({gpu.target}); "
            f"build it again here: {rebuild_command(file, kind)}"
        )


def _covers(target: str, found: str) -> bool:
    """Whether a target such as ``sm_86``, or ``sm_80+`` for all from there on, holds a GPU."""
    if target.endswith("+"):
        return int(found[3:]) >= int(target[3:-1])
    return target == found


def _complaint(library: Any, kind: EngineKind, file: EngineFile, gpu: Gpu, reason: str) -> str:
    """Why an engine does not load, with what usually causes it and the way out."""
    built = file.header.version or (file.manifest.builder.get(kind) if file.manifest is not None else None)
    here = f"{kind} {library.__version__} on {gpu.name} ({gpu.target}), driver for CUDA {gpu.cuda}"
    other = "" if built is None else f"; it was built by {kind} {built}"
    return f"{file.path}: does not load in {here} ({reason}){other}; build it again here: {rebuild_command(file, kind)}"
