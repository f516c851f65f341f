"""Contact sheets, loss curves and scalars."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from edgefuse.images import read_vis
from edgefuse.train.reporting import ScalarLog, contact_sheet, draw_loss_curve, fuse_planes


class Brighter(nn.Module):
    """Fuses by the maximum, on sizes that are multiples of 32."""

    size_multiple = 32

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, ir, vis):
        """The brighter source."""
        assert not self.training
        assert ir.shape[2] % 32 == ir.shape[3] % 32 == 0
        return self.scale * torch.maximum(ir, vis)


def test_a_pair_of_any_size_is_padded_fused_and_cropped():
    """The fused picture has the pair's size and the network's values."""
    random = np.random.default_rng(0)
    ir, vis = (random.integers(0, 256, (37, 41)).astype(np.uint8) for _ in range(2))
    assert np.array_equal(fuse_planes(Brighter().eval(), ir, vis), np.maximum(ir, vis))


def test_a_contact_sheet_shows_infrared_visible_and_fused(data, tmp_path):
    """Four rows of three squares, the fused one computed in evaluation mode; training goes on after."""
    network = Brighter()
    contact_sheet(network, data, tmp_path / "sheet.png", side_px=40)
    assert network.training
    sheet = read_vis(tmp_path / "sheet.png")
    assert sheet.shape == (4 * 40 + 3 * 4, 3 * 40)
    assert np.array_equal(sheet[:40, 80:], np.maximum(sheet[:40, :40], sheet[:40, 40:80]))
    ir, _ = data.images[data.pairs[0].name]
    assert np.array_equal(sheet[:40, :40], ir[4:44, 12:52])


def rows(stage, losses):
    """Rows of a history as a run records them."""
    return [
        {"stage": stage, "epoch": 1, "step": step, "lr": {"all": 0.1 * step}, "loss": loss, "terms": {"ssim": loss / 2}}
        for step, loss in enumerate(losses, start=1)
    ]


@pytest.mark.parametrize("losses", [[3.0, 2.0, 1.0], [1.0, -1.0, -2.0], [5.0]])
def test_a_loss_curve_is_drawn_for_each_stage(tmp_path, losses):
    """A second stage makes the picture taller; negative and single values are drawn too."""
    draw_loss_curve(rows("first", losses), tmp_path / "one.png")
    draw_loss_curve([*rows("first", losses), *rows("second", losses)], tmp_path / "two.png")
    one, two = read_vis(tmp_path / "one.png"), read_vis(tmp_path / "two.png")
    assert two.shape[0] == 2 * one.shape[0]
    assert len(np.unique(one)) > 10


def test_no_curve_is_drawn_of_nothing(tmp_path):
    """A run that never made a step has no curve."""
    draw_loss_curve([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_scalars_can_be_read_by_tensorboard(tmp_path):
    """Loss, terms and rates are under the stage's name."""
    log = ScalarLog(tmp_path)
    for step, row in enumerate(rows("main", [3.0, 2.0]), start=1):
        log.add(row, step)
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("main/loss")] == [(1, 3.0), (2, 2.0)]
    assert [event.value for event in events.Scalars("main/loss/ssim")] == [1.5, 1.0]
    assert [event.value for event in events.Scalars("main/lr/all")] == pytest.approx([0.1, 0.2])
