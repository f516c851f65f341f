"""Manifests and the trust in what they describe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgefuse.errors import ArtifactError, TrustError
from edgefuse.manifest import Manifest, manifest_path, verify, write_atomically


@pytest.fixture
def artifact(average_model: Path, tmp_path: Path) -> Path:
    """A model with manifest that a test may damage."""
    for path in (average_model, manifest_path(average_model)):
        shutil.copy(path, tmp_path)
    return tmp_path / average_model.name


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every field survives JSON, tuples included."""
    manifest = Manifest(
        file="a.onnx",
        sha256="0" * 64,
        size_bytes=3,
        format="onnx",
        model="rpfnet",
        config={"variant": "paper"},
        imgsz=(480, 640),
        targets=("sm_86",),
        parity={"max_abs": 1e-6},
    )
    manifest.save(tmp_path / "a.json")
    assert Manifest.load(tmp_path / "a.json") == manifest


def test_an_untouched_artifact_is_verified(artifact: Path) -> None:
    """The manifest that belongs to it comes back."""
    assert verify(artifact).model == "average"


def test_a_changed_artifact_is_refused(artifact: Path) -> None:
    """One byte more is enough."""
    artifact.write_bytes(artifact.read_bytes() + b"\0")
    with pytest.raises(TrustError, match="differs from its manifest"):
        verify(artifact)


def test_the_manifest_of_another_file_is_refused(artifact: Path) -> None:
    """A renamed artifact does not take a stranger's manifest along."""
    other = artifact.rename(artifact.with_name("other.onnx"))
    manifest_path(artifact).rename(manifest_path(other))
    with pytest.raises(TrustError, match=r"describes average\.onnx"):
        verify(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"schema_version": 99}', "schema 99"),
        ('{"schema_version": 1}', "not a complete manifest"),
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    """Each kind of damage says what it is."""
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ArtifactError, match=message):
        Manifest.load(tmp_path / "a.json")


def test_a_path_in_the_file_name_is_refused(artifact: Path) -> None:
    """A manifest cannot point outside its folder."""
    raw = json.loads(manifest_path(artifact).read_text())
    manifest_path(artifact).write_text(json.dumps(raw | {"file": "../../etc/passwd"}))
    with pytest.raises(ArtifactError, match="not a plain file name"):
        verify(artifact)


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    """No part file is left where the folder is missing, and an old file is whole."""
    target = tmp_path / "a.txt"
    write_atomically(target, b"old")
    with pytest.raises(OSError, match="No such file"):
        write_atomically(tmp_path / "none" / "a.txt", b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
