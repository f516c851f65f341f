"""Distillation: the distance to a teacher's picture."""

from __future__ import annotations

import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.losses import LossContext, create, distillation


def test_it_is_the_mean_distance_to_the_teachers_picture(pictures):
    """Sources take no part, and the teacher learns nothing."""
    fused, ir, vis = pictures()
    teacher = torch.rand_like(ir).requires_grad_()
    fused.requires_grad_()
    value = create("distillation")(fused, ir, vis, LossContext(teacher=teacher))
    torch.testing.assert_close(value, (fused - teacher).abs().mean())
    value.backward()
    torch.testing.assert_close(fused.grad, torch.sign(fused - teacher).detach() / fused.numel())
    assert teacher.grad is None


def test_without_a_teacher_it_says_what_is_missing(pictures):
    """As every loss does whose context lacks something."""
    with pytest.raises(UsageError, match="DistillationLoss needs teacher, which this training does not give"):
        create("distillation")(*pictures())


def test_a_teachers_picture_of_another_size_is_refused(pictures):
    """Both shapes are named."""
    fused, ir, vis = pictures(16, 16)
    with pytest.raises(InputError, match=r"teacher and fused must have one shape, got \(2, 1, 15, 16\)"):
        distillation(fused, ir, vis, teacher=fused[..., :-1, :])
