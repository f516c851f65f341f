"""Weights on disk: safetensors, or plain tensors in a torch file, and nothing that can run code."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgefuse.errors import ArtifactError, InputError, TrustError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

__all__ = ["load_weights", "save_weights"]

_TORCH_SUFFIXES = (".pt", ".pth")
_NAMES_IN_MESSAGE = 5


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Copy the tensors of a file into a network, every one of them or none.

    Tensors under a prefix that the network declares in ``training_only`` may be absent from the file or left over in
    it: a training checkpoint loads into an inference network and the other way round.

    Args:
        module: The network; its parameters and buffers are overwritten.
        path: A ``.safetensors`` file, or a ``.pt``/``.pth`` file that holds a state dict and nothing but tensors.

    Raises:
        ArtifactError: The file is missing, damaged, holds NaN or infinity, or does not fit; the message names the
            tensors.
        TrustError: The torch file holds pickled code.
        UsageError: The file has another suffix.
    """
    path = Path(path)
    tensors = _read_tensors(path)
    training_only: tuple[str, ...] = tuple(getattr(module, "training_only", ()))
    expected = module.state_dict()
    missing = [name for name in expected if name not in tensors and not name.startswith(training_only)]
    unexpected = [name for name in tensors if name not in expected and not name.startswith(training_only)]
    misshaped = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    kinds = ("missing", missing), ("unexpected", unexpected), ("wrong shape", misshaped), ("not finite", broken)
    complaints = [f"{kind}: {_shorten(found)}" for kind, found in kinds if found]
    if complaints:
        raise ArtifactError(f"weights {path} do not fit {type(module).__name__}: {'; '.join(complaints)}")
    module.load_state_dict({name: tensors.get(name, own) for name, own in expected.items()})


def save_weights(module: nn.Module, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's tensors to a safetensors file that is complete whenever it exists.

    Args:
        module: The network.
        path: The file to write; one that exists is replaced in one step.
        metadata: Strings to keep in the file's header, such as the recipe and the command that trained it.

    Raises:
        UsageError: The file's suffix is not ``.safetensors``.
        InputError: The folder cannot be written.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise UsageError(f"weights are written as .safetensors, not {path.name!r}")
    # Cloned, since safetensors refuses tensors that share memory, as tied weights do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    payload = save(tensors, metadata=dict(metadata or {}))
    try:
        _replace_file(path, payload)
    except OSError as error:
        raise InputError(f"cannot write weights to {path}: {error.strerror or error}") from error


def _replace_file(path: Path, payload: bytes) -> None:
    """Write beside the target and rename over it, so that no reader and no crash sees half a file."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes the file private; weights are as readable as any file the user writes.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file's named tensors onto the CPU."""
    if path.suffix not in (".safetensors", *_TORCH_SUFFIXES):
        raise UsageError(f"weights are .safetensors, .pt or .pth files, not {path.name!r}")
    if not path.is_file():
        raise ArtifactError(f"no weights file {path}")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"weights {path} cannot be read as safetensors ({error}); get the file again") from error
    return tensors


def _read_torch(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a torch file, refusing anything that unpickling would have to execute."""
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TrustError(
            f"weights {path} are not plain tensors, so they are not loaded; save the state dict as .safetensors"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise ArtifactError(f"weights {path} cannot be read as a torch file; get the file again") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ArtifactError(f"weights {path} hold no state dict of tensors")
    return {str(name): tensor for name, tensor in content.items()}


def _shorten(found: Iterable[str]) -> str:
    """Join names for a message, counting those past the first few."""
    listed = list(found)
    rest = len(listed) - _NAMES_IN_MESSAGE
    return ", ".join(listed[:_NAMES_IN_MESSAGE]) + (f" and {rest} more" if rest > 0 else "")
