"""``edgefuse demo`` and ``edgefuse models``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgefuse.images import read_ir, read_vis, write_image


def test_the_demo_writes_what_it_names(run_cli, tmp_path: Path) -> None:
    """Four pictures of one size, whose places and latency are printed, and what to try next."""
    result = run_cli("demo", "-o", tmp_path / "demo")
    assert result.code == 0, result.err
    fused = read_vis(tmp_path / "demo" / "fused.png")
    assert fused.shape == read_vis(tmp_path / "demo" / "vis.png").shape
    assert fused.shape[:2] == read_ir(tmp_path / "demo" / "ir.png").shape
    assert str(tmp_path / "demo" / "sheet.png") in result.out
    assert "edgefuse bench" in result.out


def test_the_fused_night_street_shows_people_and_signs(run_cli, tmp_path: Path) -> None:
    """People are brighter against their surroundings than in the visible image, and the colours kept."""
    from edgefuse.fuser import load
    from edgefuse.synthetic import StreetScene

    scene = StreetScene(seed=0).render(0.0)
    with load() as fuser:
        fused = fuser(scene.ir, scene.vis)
    people = scene.people
    contrast = [image[people].mean() - image[~people].mean() for image in (fused.mean(axis=2), scene.vis.mean(axis=2))]
    assert contrast[0] > contrast[1] + 20
    unclipped = (np.minimum(fused, scene.vis).min(axis=2) > 0) & (np.maximum(fused, scene.vis).max(axis=2) < 255)
    chroma = [image[..., 0].astype(int) - image[..., 2] for image in (fused, scene.vis)]
    np.testing.assert_array_equal(chroma[0][unclipped], chroma[1][unclipped])


def test_the_demo_takes_files_of_ones_own(run_cli, tmp_path: Path) -> None:
    """Both or neither; nothing is overwritten without being told."""
    write_image(tmp_path / "ir.png", np.full((40, 60), 9000, np.uint16))
    write_image(tmp_path / "vis.png", np.full((40, 60, 3), 80, np.uint8))
    arguments = ("demo", "-o", tmp_path / "demo", "--ir", tmp_path / "ir.png")
    assert run_cli(*arguments).code == 2
    arguments = (*arguments, "--vis", tmp_path / "vis.png", "--json")
    result = run_cli(*arguments)
    assert json.loads(result.out)["latency_ms_median"] > 0
    again = run_cli(*arguments)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_models_lists_the_default_with_its_licence(run_cli) -> None:
    """The bundled default states size, precision and licence; the others say that no weights ship."""
    rows = {row["name"]: row for row in json.loads(run_cli("models", "--json").out)["models"]}
    assert {"lite", "rpfnet", "angularfuse", "sspfusion", "dfecf"} <= rows.keys()
    assert rows["lite"]["default"]
    assert rows["lite"]["bundled"]
    assert rows["lite"]["size_bytes"] < 1_000_000
    assert rows["lite"]["licence"]
    assert "lite (default)" in run_cli("models").out


def test_a_known_model_without_weights_says_how_to_get_it(
    run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the export command, exit code of wrong usage."""
    monkeypatch.setattr("edgefuse.zoo.ASSETS", tmp_path)
    result = run_cli("demo", "-o", tmp_path, "--model", "sspfusion")
    assert result.code == 2
    assert "edgefuse export sspfusion --weights" in result.err


def test_version_and_unknown_commands(run_cli) -> None:
    """--version prints one line; a typo is wrong usage."""
    assert run_cli("--version").out.startswith("edgefuse ")
    assert run_cli("fuze").code == 2
