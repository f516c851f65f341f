"""``edgefuse fuse`` as a user types it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.images import read_vis, write_image
from edgefuse.synthetic import StreetScene

RNG = np.random.default_rng(0)


def noise(height: int, width: int, channels: int = 0, dtype: type = np.uint8) -> np.ndarray:
    """A noise image; no channels makes it gray."""
    shape = (height, width, channels) if channels else (height, width)
    return RNG.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five pairs of mixed formats, depths, channels and sizes, odd ones among them."""
    ir, vis = tmp_path / "ir", tmp_path / "vis"
    write_image(ir / "a.png", noise(40, 60))
    write_image(vis / "a.jpg", noise(40, 60, 3))
    write_image(ir / "b.tif", noise(33, 47, dtype=np.uint16))
    write_image(vis / "b.png", noise(33, 47, 3))
    write_image(ir / "c.jpg", cv2.merge([noise(50, 50)] * 3))
    write_image(vis / "c.png", noise(50, 50))
    write_image(ir / "frame2.png", noise(20, 20))
    write_image(vis / "frame2.png", noise(20, 20, 3))
    write_image(ir / "frame10.png", noise(20, 20))
    write_image(vis / "frame10.png", noise(20, 20, 3))
    return ir, vis


def huge_png() -> bytes:
    """A PNG whose header claims 20000 x 20000 pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(b"\0"), b"IEND"]
    parts = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_folders_of_mixed_files_are_fused_by_stem(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """Each fused image has the visible image's size and channels, under its stem, as PNG."""
    result = run_cli("fuse", "--ir", folders[0], "--vis", folders[1], "-o", tmp_path / "out", "--model", average_model)
    assert result.code == 0, result.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
        "frame10.png",
        "frame2.png",
    ]
    assert read_vis(tmp_path / "out" / "b.png").shape == (33, 47, 3)
    assert read_vis(tmp_path / "out" / "c.png").shape == (50, 50)


def test_a_half_done_folder_is_finished(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """What is there is not touched; --overwrite fuses it again."""
    out = tmp_path / "out"
    write_image(out / "a.png", np.zeros((9, 9), np.uint8))
    arguments = ("fuse", "--ir", folders[0], "--vis", folders[1], "-o", out, "--model", average_model, "--json")
    first = json.loads(run_cli(*arguments).out)
    assert (first["fused"], first["skipped"]) == (4, 1)
    assert read_vis(out / "a.png").shape == (9, 9)
    second = json.loads(run_cli(*arguments, "--overwrite").out)
    assert (second["fused"], second["skipped"]) == (5, 0)
    assert read_vis(out / "a.png").shape == (40, 60, 3)


def test_bad_files_are_listed_and_the_others_fused(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """Six kinds of damage, six lines, exit code 1, and every good pair is there."""
    ir, vis = folders
    whole = (vis / "a.jpg").read_bytes()
    good = cv2.imencode(".png", noise(40, 60))[1].tobytes()
    for name, data in (
        ("truncated", good[: len(good) // 2]),
        ("text", b"not an image at all"),
        ("huge", huge_png()),
        ("dot", cv2.imencode(".png", noise(1, 1))[1].tobytes()),
        ("othersize", cv2.imencode(".png", noise(41, 60))[1].tobytes()),
    ):
        (ir / f"{name}.png").write_bytes(data)
        (vis / f"{name}.jpg").write_bytes(whole)
    write_image(ir / "lonely.png", noise(20, 20))
    result = run_cli("fuse", "--ir", ir, "--vis", vis, "-o", tmp_path / "out", "--model", average_model)
    assert result.code == 1
    lines = result.err.strip().splitlines()
    assert len(lines) == 6
    for part in (
        "truncated.png: the PNG is truncated",
        "text.png: not an image",
        "huge.png: 20000x20000 pixels is more than",
        "dot.png: 1x1 pixels is too small",
        "infrared is 60x41, visible is 60x40",
        "lonely.png: no visible image named 'lonely'",
    ):
        assert sum(part in line for line in lines) == 1, part
    assert "5 fused" in result.out
    assert "6 failed" in result.out
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_one_pair_goes_to_the_named_file_with_a_sheet(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """A sheet of three panels is written beside it, and nothing is overwritten without being told."""
    arguments = (
        "fuse",
        "--ir",
        folders[0] / "a.png",
        "--vis",
        folders[1] / "a.jpg",
        "-o",
        tmp_path / "x" / "fused.png",
    )
    arguments = (*arguments, "--model", average_model, "--sheet")
    assert run_cli(*arguments).code == 0
    assert read_vis(tmp_path / "x" / "fused.png").shape == (40, 60, 3)
    assert read_vis(tmp_path / "x" / "fused_sheet.png").shape[1] > 3 * 60
    again = run_cli(*arguments)
    assert again.code == 1
    assert "--overwrite" in again.err
    assert run_cli(*arguments, "--overwrite").code == 0


def test_the_output_defaults_to_a_folder(run_cli, folders, average_model, tmp_path: Path, monkeypatch) -> None:
    """Without --output pictures go to ./fused under the visible image's name."""
    monkeypatch.chdir(tmp_path)
    result = run_cli("fuse", "--ir", folders[0] / "b.tif", "--vis", folders[1] / "b.png", "--model", average_model)
    assert result.code == 0, result.err
    assert (tmp_path / "fused" / "b.png").is_file()


def test_json_has_a_stable_schema(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """One document on stdout, nothing else there, with schema version and one result a pair."""
    result = run_cli(
        "fuse", "--ir", folders[0], "--vis", folders[1], "-o", tmp_path / "o", "--model", average_model, "--json"
    )
    document = json.loads(result.out)
    assert document["schema_version"] == 1
    assert document["command"] == "fuse"
    assert [item["name"] for item in document["results"]] == ["a", "b", "c", "frame2", "frame10"]
    assert all(item["latency_ms"] > 0 for item in document["results"])


@pytest.mark.parametrize(
    ("ir", "vis", "code", "message"),
    [
        ("ir", "vis/a.jpg", 2, "give two folders or two files"),
        ("ir/none.png", "vis/a.jpg", 1, "no such file or folder"),
        ("ir/a.png", "clip.mp4", 2, "two images or two videos"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(
    run_cli, folders, average_model, tmp_path: Path, ir: str, vis: str, code: int, message: str
) -> None:
    """With the exit code of wrong usage or of a failure."""
    (tmp_path / "clip.mp4").touch()
    result = run_cli(
        "fuse", "--ir", tmp_path / ir, "--vis", tmp_path / vis, "-o", tmp_path / "o", "--model", average_model
    )
    assert result.code == code
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_source_is_never_overwritten(run_cli, folders, average_model: Path, tmp_path: Path) -> None:
    """Not by a folder run into the visible folder, not under another name of the same file."""
    before = (folders[1] / "b.png").read_bytes()
    (tmp_path / "link.png").symlink_to(folders[1] / "b.png")
    pair = ("--ir", folders[0] / "b.tif", "--vis", folders[1] / "b.png")
    both = ("--ir", folders[0], "--vis", folders[1])
    for arguments in ((*pair, "-o", tmp_path / "link.png"), (*pair, "-o", folders[1]), (*both, "-o", folders[1])):
        result = run_cli("fuse", *arguments, "--overwrite", "--model", average_model)
        assert (result.code, "is a picture to be fused: give another --output" in result.err) == (2, True)
        assert len(result.err.strip().splitlines()) == 1
    assert (folders[1] / "b.png").read_bytes() == before


def test_an_output_that_cannot_be_written_is_found_first(run_cli, folders, average_model, tmp_path: Path) -> None:
    """A file where the folder should be, or a folder that takes no files, is one line."""
    (tmp_path / "file").write_text("x")
    for output in (tmp_path / "file" / "out", Path("/proc/edgefuse")):
        result = run_cli("fuse", "--ir", folders[0], "--vis", folders[1], "-o", output, "--model", average_model)
        assert result.code == 1
        assert "cannot write there" in result.err
        assert len(result.err.strip().splitlines()) == 1


def test_a_corrupted_model_is_one_line(run_cli, folders, tmp_path: Path) -> None:
    """The reason comes from the runtime, the traceback does not."""
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    result = run_cli(
        "fuse", "--ir", folders[0], "--vis", folders[1], "-o", tmp_path / "out", "--model", tmp_path / "bad.onnx"
    )
    assert result.code == 1
    assert "bad.onnx: ONNX Runtime cannot load it" in result.err


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ir and vis of a simulated street, three pairs, and a clip of each."""
    folder = tmp_path_factory.mktemp("street")
    pairs = [StreetScene(120, 160, seed=seed).render(0.0) for seed in range(3)]
    for number, pair in enumerate(pairs):
        write_image(folder / "ir" / f"{number}.png", pair.ir)
        write_image(folder / "vis" / f"{number}.png", pair.vis)
    write_clip(folder / "ir.avi", [cv2.merge([pair.ir] * 3) for pair in pairs])
    write_clip(folder / "vis.avi", [pair.vis for pair in pairs])
    return folder


@pytest.mark.parametrize("names", [("ir", "vis"), ("ir/1.png", "vis/1.png"), ("ir.avi", "vis.avi")])
def test_swapped_sources_are_told_once_and_fused(run_cli, street: Path, average_model, tmp_path: Path, names) -> None:
    """Folders, files and videos: one line that says what to do, and none the right way round."""
    for ir, vis, told in ((*names, False), (*reversed(names), True)):
        output = tmp_path / f"fused-{told}{'.mkv' if ir.endswith('.avi') else ''}"
        result = run_cli("fuse", "--ir", street / ir, "--vis", street / vis, "-o", output, "--model", average_model)
        assert result.code == 0, result.err
        assert output.exists()
        assert result.err.count("the two look swapped; if so, exchange them") == told
        assert len(result.err.strip().splitlines()) == told


def write_clip(path: Path, frames: list[np.ndarray], rate_hz: float = 10.0) -> None:
    """A lossless clip of the given frames."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), rate_hz, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def level(value: int) -> np.ndarray:
    """A gray 64 x 48 frame."""
    return np.full((48, 64, 3), value, np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".mkv", 0.51), (".mp4", 4.0), (".avi", 4.0)])
def test_two_videos_are_fused_frame_by_frame(
    run_cli, average_model: Path, tmp_path: Path, suffix: str, tolerance: float
) -> None:
    """The n-th frame is fused with the n-th, at the rate of the visible video, and the shorter one ends it.

    Only .mkv is lossless; the other codecs darken a flat frame by up to 4 of 255.
    """
    write_clip(tmp_path / "ir.avi", [level(20 * step) for step in range(8)])
    write_clip(tmp_path / "vis.avi", [level(100) for _ in range(10)])
    out = tmp_path / f"fused{suffix}"
    result = run_cli(
        "fuse", "--ir", tmp_path / "ir.avi", "--vis", tmp_path / "vis.avi", "-o", out, "--model", average_model
    )
    assert result.code == 0, result.err
    assert "fused the first 8" in result.err
    capture = cv2.VideoCapture(str(out))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    means = []
    while (step := capture.read())[0]:
        means.append(step[1].mean())
    assert means == pytest.approx([50 + 10 * step for step in range(8)], abs=tolerance)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_still_scene_trembles_less_in_a_video(run_cli, average_model: Path, tmp_path: Path) -> None:
    """With the temporal filter noise is a part of what single frames show; without it, frames are those of pictures."""
    random = np.random.default_rng(4)
    sources = {
        name: [np.repeat(random.integers(99, 102, (48, 64, 1)), 3, axis=2).astype(np.uint8) for _ in range(12)]
        for name in ("ir", "vis")
    }
    for name, frames in sources.items():
        write_clip(tmp_path / f"{name}.avi", frames)
    shown = {}
    for option in ("--temporal-filter", "--no-temporal-filter"):
        out = tmp_path / f"{option}.mkv"
        paths = ("--ir", tmp_path / "ir.avi", "--vis", tmp_path / "vis.avi", "-o", out)
        result = run_cli("fuse", *paths, "--model", average_model, option)
        assert result.code == 0, result.err
        capture, shown[option] = cv2.VideoCapture(str(out)), []
        while (step := capture.read())[0]:
            shown[option].append(step[1].astype(int))
    change = {option: np.abs(np.diff(frames[4:], axis=0)).mean() for option, frames in shown.items()}
    assert change["--temporal-filter"] < 0.5 * change["--no-temporal-filter"]
    means = [(ir.astype(float) + vis) / 2 for ir, vis in zip(*sources.values(), strict=True)]
    assert np.abs(np.array(shown["--no-temporal-filter"]) - means).max() <= 0.51


def test_one_frame_is_no_plural(run_cli, average_model: Path, tmp_path: Path) -> None:
    """In what is told of the sources and of the result."""
    write_clip(tmp_path / "ir.avi", [level(1)])
    write_clip(tmp_path / "vis.avi", [level(1)] * 3)
    sources = ("--ir", tmp_path / "ir.avi", "--vis", tmp_path / "vis.avi")
    result = run_cli("fuse", *sources, "-o", tmp_path / "out.mkv", "--model", average_model)
    assert "1 frame fused into" in result.out
    assert "ir.avi has 1 frame," in result.err


def test_videos_that_do_not_fit_are_refused(run_cli, average_model: Path, tmp_path: Path) -> None:
    """Different sizes or rates, and a file that is no video, are each one line."""
    write_clip(tmp_path / "a.avi", [level(1)] * 3)
    write_clip(tmp_path / "small.avi", [level(1)[:32]] * 3)
    write_clip(tmp_path / "slow.avi", [level(1)] * 3, rate_hz=5.0)
    (tmp_path / "text.avi").write_text("not a video")
    for name, message in (("small", "64x32"), ("slow", "5 frames a second"), ("text", "not a video")):
        result = run_cli(
            *("fuse", "--ir", tmp_path / f"{name}.avi", "--vis", tmp_path / "a.avi"),
            *("-o", tmp_path / "out.mp4", "--model", average_model),
        )
        assert result.code == 1
        assert message in result.err
        assert not (tmp_path / "out.mp4").exists()


def test_a_broken_video_is_one_line(tmp_path: Path) -> None:
    """FFmpeg and OpenCV add none of their own; in a process of its own, since FFmpeg is told once."""
    (tmp_path / "cut.mp4").touch()
    program = "from edgefuse.cli import main; main()"
    command = [sys.executable, "-c", program, "fuse", "--ir", "cut.mp4", "--vis", "cut.mp4", "-o", "out.mp4"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "error: cut.mp4: not a video that OpenCV can read\n")
