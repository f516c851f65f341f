"""What weights say of themselves, and what the manifest keeps of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgefuse import models
from edgefuse.errors import ArtifactError, EdgeFuseError, TrustError
from edgefuse.export.sources import resolve

CONFIG = {"channels": 8}
HEADER = {
    "model": "lite",
    "config": json.dumps(CONFIG),
    "recipe": "lite-short",
    "training": json.dumps({"command": "edgefuse train lite --data pictures", "seed": 3, "steps": 20}),
}


def weights(folder: Path, **changes: str) -> Path:
    """Weights of a small network with the header that training writes."""
    path = folder / "w.safetensors"
    models.save_weights(models.create("lite", **CONFIG), path, metadata={**HEADER, **changes})
    return path


def test_the_record_of_the_training_is_kept(tmp_path: Path) -> None:
    """With the recipe, and with the settings that the network was trained with."""
    source = resolve("lite", weights=weights(tmp_path))
    assert source.config == CONFIG
    assert source.recipe == "lite-short"
    assert source.training == {"command": "edgefuse train lite --data pictures", "seed": 3, "steps": 20}
    given = resolve(models.create("lite", **CONFIG), weights=weights(tmp_path))
    assert (given.recipe, given.training) == (source.recipe, source.training)


def test_settings_of_another_network_are_left_alone(tmp_path: Path) -> None:
    """The header of a checkpoint belongs to the model that it names."""
    path = weights(tmp_path, model="another", config='{"channels": 99}')
    assert resolve("lite", weights=path, config=CONFIG).config == CONFIG


@pytest.mark.parametrize("key", ["config", "training"])
@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, json.dumps({"x": "y" * (1 << 20)})])
def test_a_header_that_is_no_record_is_refused(tmp_path: Path, key: str, text: str) -> None:
    """Truncated, of another type, too deep or too long."""
    with pytest.raises(ArtifactError, match=f"w.safetensors: '{key}' in its header is no JSON object"):
        resolve("lite", weights=weights(tmp_path, **{key: text}))


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x10" + bytes(7) + b"{", (1 << 40).to_bytes(8, "little") + b"{}"]
)
def test_files_that_are_no_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, and with headers that lie about their length."""
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(EdgeFuseError, match=r"w\.safetensors"):
        resolve("lite", weights=tmp_path / "w.safetensors")


def test_pickled_code_is_refused_in_any_disguise(tmp_path: Path) -> None:
    """As a torch file, and under the name of safetensors."""
    import pickle

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path(tmp_path / "ran").touch, ()

    code = pickle.dumps({"weight": Hostile()}, protocol=2)
    for name, error in (("w.pt", TrustError), ("w.safetensors", EdgeFuseError)):
        (tmp_path / name).write_bytes(code)
        with pytest.raises(error):
            resolve("lite", weights=tmp_path / name)
    assert not (tmp_path / "ran").exists()
