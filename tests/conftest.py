"""Fixtures shared by all tests: reference data outside the repository, and the GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _skip_or_fail(reason: str, *, required: str) -> None:
    """Skip with the reason, or fail where the environment says that the thing must be there."""
    if os.environ.get(required) == "1":
        pytest.fail(f"{reason} ({required}=1)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data (real image pairs, golden values), or a skip with the reason."""
    folder = Path(os.environ.get("EDGEFUSE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (folder / "golden").is_dir():
        _skip_or_fail(
            f"no reference data in {folder}; set EDGEFUSE_SHARED to a folder that holds it",
            required="EDGEFUSE_REQUIRE_SHARED",
        )
    return folder


@pytest.fixture(scope="session")
def cuda_device() -> str:
    """The name of the CUDA device for kernel tests, or a skip with the reason."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        _skip_or_fail("no CUDA device on this machine", required="EDGEFUSE_REQUIRE_GPU")
    return "cuda"
