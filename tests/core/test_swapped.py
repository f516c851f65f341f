"""Swapped pictures are told from right ones, from gray ones and from palettes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.images import read_vis, write_image
from edgefuse.pairs import PathPair, pair_folders
from edgefuse.stream.palettes import PALETTES, colour
from edgefuse.swapped import find_swapped, is_gray, is_scene_in_colour, looks_swapped
from edgefuse.synthetic import StreetScene


def exchanged(pairs: tuple[PathPair, ...]) -> tuple[PathPair, ...]:
    """The pairs the wrong way round."""
    return tuple(PathPair(pair.name, pair.vis, pair.ir) for pair in pairs)


def jpeg(picture: np.ndarray, quality: int = 80) -> np.ndarray:
    """What JPEG leaves of it."""
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def scene():
    """A simulated street."""
    return StreetScene(240, 320, seed=1).render(0.0)


def test_a_simulated_pair_is_judged_as_it_is(scene) -> None:
    """Only the wrong way round it looks swapped, also where compression left the gray picture three channels."""
    assert not looks_swapped(scene.ir, scene.vis)
    assert looks_swapped(scene.vis, scene.ir)
    assert looks_swapped(jpeg(scene.vis), jpeg(cv2.merge([scene.ir] * 3)))
    assert not looks_swapped(scene.ir, cv2.cvtColor(scene.vis, cv2.COLOR_BGR2GRAY))
    assert not looks_swapped(scene.vis, scene.vis)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_thermal_palette_is_no_scene_in_colour(scene, palette, compressed) -> None:
    """Beside a gray visible camera such infrared is right, whatever JPEG left of it."""
    coloured = colour(scene.ir.astype(np.float32) / 255, palette)
    assert not is_scene_in_colour(jpeg(coloured) if compressed else coloured)


def test_marks_and_tints_are_no_scene_in_colour(scene) -> None:
    """A coloured cross-hair and scale, or a wrong white balance, leave a thermal picture gray enough."""
    marked = cv2.merge([scene.ir] * 3)
    cv2.drawMarker(marked, (160, 120), (0, 0, 255), cv2.MARKER_CROSS, 60, 2)
    marked[20:220, 300:312] = colour(np.linspace(1, 0, 200, dtype=np.float32)[:, None].repeat(12, 1), "rainbow")
    tinted = np.clip(np.float32(scene.ir)[..., None] * (0.8, 1.0, 0.9), 0, 255).astype(np.uint8)
    assert not is_scene_in_colour(marked)
    assert not is_scene_in_colour(tinted)


def test_any_kind_and_size_is_judged() -> None:
    """Gray, 16 bits, the smallest side, and a long strip."""
    assert is_gray(np.zeros((8, 8), np.uint8))
    assert is_gray(np.zeros((8, 8, 3), np.uint8))
    assert not is_scene_in_colour(np.zeros((8, 8), np.uint16))
    assert not is_scene_in_colour(np.zeros((8, 8, 3), np.uint8))
    assert not is_scene_in_colour(np.zeros((300, 5000, 3), np.uint8))


def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path, scene) -> None:
    """Fusing them says why; of the others a quarter decides."""
    pairs = [PathPair(str(number), tmp_path / f"{number}.png", tmp_path / "vis.png") for number in range(4)]
    assert find_swapped(pairs) is None
    assert find_swapped([]) is None
    write_image(tmp_path / "vis.png", scene.ir)
    write_image(tmp_path / "3.png", scene.vis)
    assert find_swapped(pairs) == pairs[3]


@pytest.mark.parametrize("name", ["msrs/test", "roadscene/test", "llvip/test", "m3fd/test", "vifb/test", "tno/test"])
def test_public_pairs_are_judged_as_they_are(shared: Path, name: str) -> None:
    """No right pair looks swapped; the wrong way round those with colour do, all but the colourless ones."""
    folder = shared / "data" / name
    pairs = pair_folders(folder / "ir", folder / "vis").pairs[:12]
    assert not any(looks_swapped(read_vis(pair.ir), read_vis(pair.vis)) for pair in pairs)
    assert (find_swapped(exchanged(pairs)) is not None) == (name != "tno/test")
