"""Numbers with their nouns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgefuse.images import write_image
from edgefuse.wording import counted


def test_one_is_singular() -> None:
    """Only one is."""
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert counted(2, "box", "boxes") == "2 boxes"


def test_commands_count_one_as_one(run_cli, tmp_path: Path) -> None:
    """Of pairs, problems and frames."""
    for role in ("ir", "vis"):
        write_image(tmp_path / "set" / role / "a.png", np.eye(16, dtype=np.uint8))
    write_image(tmp_path / "set" / "ir" / "lonely.png", np.eye(16, dtype=np.uint8))
    assert "1 usable pair, 1 problem, sha256" in run_cli("data", "check", tmp_path / "set").out
    cameras = ("--ir", "synthetic:?size=64x48", "--vis", "synthetic:?size=64x48")
    assert "1 frame in " in run_cli("stream", *cameras, "--frames", "1").err
