"""The target contrast loss against its definition, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import TargetContrastLoss, target_contrast


def slow_contrast(image, cell_px):
    """Contrast of each cell, by loops."""
    height, width = image.shape
    rows, columns = -(-height // cell_px), -(-width // cell_px)
    cells = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            block = image[row * cell_px : (row + 1) * cell_px, column * cell_px : (column + 1) * cell_px]
            cells[row, column] = block.mean()
    contrast = np.empty_like(cells)
    for row in range(rows):
        for column in range(columns):
            around = cells[max(0, row - 7) : row + 8, max(0, column - 7) : column + 8]
            contrast[row, column] = cells[row, column] - around.mean()
    return contrast


@pytest.mark.parametrize("size", [(37, 21), (16, 16), (3, 5), (1, 1)])
def test_equals_its_definition(pictures, size):
    """The value is the one that loops over cells give, incomplete cells at the border included."""
    images = pictures(*size)
    expected = []
    for cell_px in (2, 5):
        missing = []
        for fused, ir, _ in zip(*(image.numpy() for image in images), strict=True):
            wanted, given = slow_contrast(ir[0], cell_px), slow_contrast(fused[0], cell_px)
            missing += list((np.maximum(wanted - given, 0) * (wanted > 0.05)).flat)
        expected.append(np.mean(missing))
    value = target_contrast(*images, cells_px=(2, 5), threshold=0.05)
    assert float(value) == pytest.approx(np.mean(expected), rel=1e-12, abs=1e-15)
    assert torch.equal(TargetContrastLoss(cells_px=(2, 5), threshold=0.05)(*images), value)


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree in the fused picture."""
    fused, ir, vis = pictures(9, 8, batch=1)
    assert torch.autograd.gradcheck(lambda image: target_contrast(image, ir, vis), [fused.requires_grad_()])


def test_a_person_swallowed_by_smoke_costs_and_a_lamp_does_not():
    """Bright surroundings of a target cost; bright things that the infrared image does not show are free."""
    ir = torch.full((1, 1, 64, 64), 0.1)
    ir[..., 28:36, 30:34] = 0.9
    smoke = torch.full_like(ir, 0.9)
    lamp = ir.clone()
    lamp[..., 4:8, 4:8] = 1.0
    assert float(target_contrast(torch.maximum(ir, smoke), ir, smoke)) > 0.005
    assert float(target_contrast(lamp, ir, lamp)) < 0.0005
    assert float(target_contrast(ir, ir, smoke)) == 0.0


def test_contrast_above_white_is_none():
    """A target brighter than white in front of white smoke is as lost as one that is white; a darker cloud shows it."""
    ir = torch.full((1, 1, 64, 64), 0.1)
    ir[..., 28:36, 30:34] = 0.9
    smoke = torch.ones_like(ir)
    beyond = smoke + (ir > 0.5) * 0.8
    fused = beyond.clone().requires_grad_()
    lost = target_contrast(fused, ir, smoke)
    assert torch.equal(lost, target_contrast(smoke, ir, smoke))
    lost.backward()
    assert fused.grad[..., 17:23, 28:36].min() > 0
    assert float(target_contrast(torch.where(ir > 0.5, beyond, 0.1), ir, smoke)) == 0.0


@pytest.mark.parametrize("options", [{"cells_px": ()}, {"cells_px": (0,)}, {"threshold": float("nan")}])
def test_refuses_options_that_make_no_loss(options):
    """A cell without size and a threshold that is no number are refused when the loss is built."""
    with pytest.raises(UsageError, match=next(iter(options))):
        TargetContrastLoss(**options)
