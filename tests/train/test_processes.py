"""Several processes on one recipe."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from edgefuse.train import load_recipe
from edgefuse.train.checkpoint import read_position
from edgefuse.train.engine import train

OVERRIDES = [
    "model.channels=4",
    "augmentation.crop_px=32",
    "train.epochs=2",
    "train.batch=2",
    "train.crops_per_pair=1",
    "train.sheet_px=32",
]

SCRIPT = """
import sys
from pathlib import Path
from edgefuse.data import check_pairs, discover
from edgefuse.train import load_recipe
from edgefuse.train.engine import train

data = check_pairs(discover(sys.argv[1]).pairs, keep_bytes=1 << 20)
train(load_recipe("lite", overrides=sys.argv[3:]), data, output=Path(sys.argv[2]), device="cpu")
"""


def free_port():
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(data, pair_folder, tmp_path):
    """A batch split over two gloo processes has the losses and the weights of one process, to rounding."""
    one = train(load_recipe("lite", overrides=OVERRIDES), data, output=tmp_path / "one", device="cpu")
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    subprocess.run(
        [*launcher, str(script), str(pair_folder), str(tmp_path / "two"), *OVERRIDES],
        check=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    histories = [read_position(tmp_path / name / "checkpoint.safetensors").history for name in ("one", "two")]
    assert len(histories[0]) == len(histories[1]) == 6
    for ours, theirs in zip(*histories, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5)
        assert theirs["terms"] == pytest.approx(ours["terms"], rel=1e-5, abs=1e-8)
    together = load_file(tmp_path / "two" / "weights.safetensors")
    for name, alone in load_file(one.weights).items():
        # Adam turns a rounding error of a tiny gradient into a part of its step of 1e-3; six steps were made.
        assert (alone - together[name]).abs().max() < 1e-4
