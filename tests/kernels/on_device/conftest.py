"""Where Triton kernels run in a test: on a GPU, or in Triton's interpreter under ``TRITON_INTERPRET=1``."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def interpreting() -> bool:
    """Whether kernels run in the interpreter, where a program takes tens of milliseconds."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest, interpreting: bool) -> str:
    """The device of the tensors."""
    return "cpu" if interpreting else request.getfixturevalue("cuda_device")
