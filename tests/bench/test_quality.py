"""The records of quality: what they hold, the tables made of them, and the document that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.bench.__main__ import main
from edgefuse.bench.peer_networks import MMDRFuse, SeAFusion
from edgefuse.bench.quality import METRICS, SETS
from edgefuse.bench.quality_cost import PEERS, measure_cost
from edgefuse.bench.quality_sheet import choose_scenes
from edgefuse.bench.quality_video import flat_change, mean_change
from edgefuse.bench.quality_views import mean_ranks, quality_markdown
from edgefuse.bench.readme import stale_tables
from edgefuse.bench.record import load_document
from edgefuse.errors import ArtifactError
from edgefuse.manifest import sha256_file
from edgefuse.zoo import ASSETS, MODELS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three sets and one clip of small made pairs; TNO's have masks."""
    random = np.random.default_rng(0)
    folders = [(tmp_path / "data" / name / "test", 4) for name in SETS]
    for folder, count in [*folders, (tmp_path / "data" / "m3svd_video" / "walk", 5)]:
        for kind in ("ir", "vis", "mask"):
            (folder / kind).mkdir(parents=True)
            for index in range(count):
                image = cv2.resize(random.random((6, 8)), (64, 48), interpolation=cv2.INTER_CUBIC)
                if kind == "mask":
                    image = np.zeros((48, 64))
                    image[20:28, 30:36] = 1
                cv2.imwrite(str(folder / kind / f"{index:02}.png"), np.clip(image * 255, 0, 255).astype(np.uint8))
    return tmp_path / "data"


def peers_file(folder: Path) -> Path:
    """Values of a method that is worse than any in everything."""
    quality = {name: dict.fromkeys(METRICS, -1.0) | {"images": 4} for name in SETS}
    method = {"name": "theirs", "params": 7, "quality": quality, "target_retention_tno": {"mean": 0.1, "worst": -1}}
    path = folder / "peers.json"
    path.write_text(json.dumps({"theirs": method}))
    return path


def run(part: str, data: Path, output: Path, *arguments: object) -> int:
    """Run the command on lite."""
    return main(
        ["quality", part, "--model", "lite", "--data", str(data), "--output", str(output), *map(str, arguments)]
    )


def test_models_are_ranked_beside_their_peers(data: Path, tmp_path: Path) -> None:
    """The record has every set and the peers' values, and the table begins with the better method."""
    assert run("peers", data, tmp_path, "--peers", peers_file(tmp_path)) == 0
    document = load_document(tmp_path / "quality-peers.json", command="bench quality peers")
    ours = next(row for row in document["rows"] if row["ours"])
    assert ours["quality"]["msrs"]["images"] == 4
    assert ours["retention"]["scenes"] == 4
    assert ours["sha256"] == sha256_file(ASSETS / "lite.onnx")
    assert mean_ranks(document["rows"]) == {"theirs": 2.0, "lite": 1.0}
    lines = quality_markdown(document).splitlines()
    assert lines[2].split("|")[1].strip() == "**lite**"
    assert lines[3].split("|")[1].strip() == "theirs"


def test_every_disturbance_has_a_row(data: Path, tmp_path: Path) -> None:
    """A black infrared camera is one of them, and the scores are those of the clean sources."""
    assert run("robustness", data, tmp_path, "--every", 2) == 0
    document = load_document(tmp_path / "quality-robustness.json", command="bench quality robustness")
    rows = {row["disturbance"]: row for row in document["rows"]}
    assert {"", "dark:0@ir", "shift:2,0", "glare:0.15"} <= rows.keys()
    assert rows[""]["images"] == 6
    assert rows["dark:0@ir"]["scores"]["SCD"] != rows[""]["scores"]["SCD"]
    assert "black ir" in quality_markdown(document)


def test_video_is_measured_against_its_sources(data: Path, tmp_path: Path) -> None:
    """A row a clip, with changes of all three pictures, and scores with live and with frozen infrared."""
    assert run("video", data, tmp_path, "--every", 2) == 0
    (row,) = load_document(tmp_path / "quality-video.json", command="bench quality video")["rows"]
    assert row["frames"] == 5
    assert row["mean"]["fused"] > 0
    assert row["live"].keys() == row["frozen"].keys() == set(METRICS)
    assert row["live"] != row["frozen"]


def test_cost_is_measured_beside_the_peers_networks() -> None:
    """Every network has a row with its times; the peers have the parameters that their authors' code has."""
    document = measure_cost(["lite"], imgsz=(48, 64), turns=2, turn_seconds=0.0)
    rows = {row["name"]: row for row in document["rows"]}
    assert rows.keys() == {"lite", *PEERS}
    assert all(row["cpu"]["runs"] == 2 and row["wall"]["p50_ms"] > 0 for row in rows.values())
    assert rows["SeAFusion"]["wall"]["p50_ms"] > rows["MMDRFuse"]["wall"]["p50_ms"]
    assert "| **lite** " in quality_markdown(document)
    assert sum(parameter.numel() for parameter in MMDRFuse().parameters()) == PEERS["MMDRFuse"]
    unused = 2 * (64 + 32 + 16 + 1)  # batch normalisations of the decoder, which are never applied
    assert sum(parameter.numel() for parameter in SeAFusion().parameters()) == PEERS["SeAFusion"] - unused


def test_changes_are_what_they_say() -> None:
    """The mean's change is that of the picture, the flat one's that of the flat half alone."""
    dark, bright = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32)
    bright[:, 20:] = 8.0
    assert mean_change([dark, bright, dark]) == pytest.approx(4.0)
    left, right = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    left[:, :10], right[:, 30:] = True, True
    assert flat_change([dark, bright], [left, left]) == 0.0
    assert flat_change([dark, bright], [right, right]) == pytest.approx(8.0)
    assert flat_change([dark, bright], [left, right]) == 0.0


def test_a_sheet_shows_twelve_scenes(data: Path, tmp_path: Path) -> None:
    """Four of each set, no scene twice, one picture a model."""
    assert len({(item.ir.parts[-4], item.name) for item in choose_scenes(data)}) == 12
    assert run("sheet", data, tmp_path / "sheets") == 0
    sheet = cv2.imread(str(tmp_path / "sheets" / "lite.png"))
    assert sheet is not None
    assert sheet.shape[0] > 6 * 240


def test_refuses_what_it_cannot_read(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Peers that are none, a set without pairs and a folder that is not there are one line each."""
    broken = tmp_path / "broken.json"
    broken.write_text("[1]")
    assert run("peers", data, tmp_path, "--peers", broken) == 1
    assert "broken.json: not a table" in capsys.readouterr().err
    assert run("peers", tmp_path / "nowhere", tmp_path) == 1
    assert "nowhere" in capsys.readouterr().err
    assert run("video", tmp_path / "nowhere", tmp_path) == 1
    assert "m3svd_video: no clips" in capsys.readouterr().err
    assert run("video", data, tmp_path / "missing") == 2
    assert "no such folder" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="no table"):
        quality_markdown({"command": "bench quality colour"})


def test_the_document_agrees_with_its_records(repository: Path) -> None:
    """docs/quality.md shows what bench/results holds, to the digit."""
    text = (repository / "docs" / "quality.md").read_text(encoding="utf-8")
    assert stale_tables(text, repository / "bench" / "results") == []


def test_the_records_are_of_the_models_that_ship(repository: Path) -> None:
    """New weights need new records: lite, lite-plus and the best of the five systems are measured as they ship."""
    results = repository / "bench" / "results"
    document = load_document(results / "quality-peers.json", command="bench quality peers")
    shipped = {model.name for model in MODELS}
    ours = {row["name"]: row["sha256"] for row in document["rows"] if row["ours"] and row["name"] in shipped}
    assert {"lite", "lite-plus", "direction-aware"} <= ours.keys()
    assert all(sha256_file(ASSETS / f"{name}.onnx") == digest for name, digest in ours.items())


def test_the_default_models_keep_their_place(repository: Path) -> None:
    """Beside all methods measured by others lite-plus and the best of the five rank first, lite no worse than third.

    The targets of TNO stay visible; lite and lite-plus keep them in the densest smoke, too.
    """
    document = load_document(repository / "bench" / "results" / "quality-peers.json", command="bench quality peers")
    theirs = [row for row in document["rows"] if not row["ours"]]
    for name, worst_place in (("lite-plus", 1), ("direction-aware", 1), ("lite", 3)):
        own = next(row for row in document["rows"] if row["name"] == name)
        ranks = mean_ranks([*theirs, own])
        assert sum(rank < ranks[name] for rank in ranks.values()) < worst_place
        assert own["retention"]["mean"] >= 0.9
        assert own["retention"]["worst"] >= (0.6 if name == "direction-aware" else 0.7)
