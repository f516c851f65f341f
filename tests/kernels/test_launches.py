"""The host side of the Triton launches, on machines without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_every_launch_binds_its_arguments_and_compiles(repository: Path) -> None:
    """Each wrapper launches the kernels it should, with arguments that the compiler takes, and without a warning."""
    script = repository / "tests" / "kernels" / "dry_launches.py"
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "error", str(script)]
    run = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout) == [
        *["gradient_loss_kernel"] * 1,  # one scale: one launch, to which the sum of its partial results adds a second
        *["gradient_loss_kernel"] * 2,
        "ssim_kernel",
        *["statistics_kernel", "finish_statistics_kernel", "mix_kernel"],
        *["reduce_kernel", "finish_reduction_kernel", "input_gradient_kernel", "weight_gradient_kernel"],
    ]
