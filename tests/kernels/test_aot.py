"""Ahead-of-time compilation: no kernel spills or outgrows a target."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from edgefuse.errors import UsageError
from edgefuse.kernels import aot
from edgefuse.kernels.aot import SHARED_LIMIT_BYTES, TARGETS, Report, main

interpreted = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="nothing is compiled to interpret")


def test_fast_cases_fit_every_target() -> None:
    """No kernel of the fast subset spills or wants more shared memory than its target has."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "error", "-m", "edgefuse.kernels.aot", "--fast", "--json"]
    run = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    kernels = json.loads(run.stdout)["kernels"]
    assert {kernel["capability"] for kernel in kernels} == set(TARGETS)
    assert all(kernel["registers"] > 0 and not kernel["problems"] for kernel in kernels)


def test_every_operation_has_fast_cases() -> None:
    """Each Triton kernel that exists is compiled by the fast subset."""
    fast = {case.kernel.__name__ for case in aot.cases() if case.fast}
    assert {case.kernel.__name__ for case in aot.cases()} == fast


def test_spills_and_oversized_kernels_are_problems() -> None:
    """A report names what is wrong, with the numbers."""
    limit = SHARED_LIMIT_BYTES[86]
    assert Report("k", 86, 255, 0, limit, limit).problems == ()
    assert "spills 16 bytes" in Report("k", 86, 255, 16, 0, limit).problems[0]
    assert f"wants {limit + 1} bytes" in Report("k", 86, 64, 0, limit + 1, limit).problems[0]


def test_unknown_target_lists_what_is_known() -> None:
    """A target that is not compiled for is refused with the list of those that are."""
    with pytest.raises(UsageError, match=r"sm_75, .* got 'sm_61'"):
        main(["--target", "sm_61"])
