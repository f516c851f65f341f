"""Small versions of every network, quick enough to run many times."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgefuse.models import create, names

_SMALL: dict[str, dict[str, Any]] = {
    "angularfuse": {"blocks": 1},
    "rpfnet": {"channels": 8, "iterations": 2},
    "sspfusion": {"widths": (4, 8, 12), "refining_blocks": 1, "decoder_blocks": (1, 1, 1)},
}


@pytest.fixture(params=names())
def network(request: pytest.FixtureRequest) -> nn.Module:
    """Each network that ships, small and with the same weights every time."""
    torch.manual_seed(0)
    return create(request.param, **_SMALL.get(request.param, {}))
