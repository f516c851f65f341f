"""The frequency contrastive loss against RPFNet Eq. 9-12."""

from __future__ import annotations

import importlib
import math

import cv2
import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import FrequencyContrastiveLoss, adaptive_weight, frequency_contrastive


def slow_weight(ir: np.ndarray, vis: np.ndarray, *, saliency: str) -> np.ndarray:
    """w of Eq. 9 for one pair of (H, W) planes, as printed or with both signs turned."""

    def standardised(plane: np.ndarray) -> np.ndarray:
        mean = plane.mean()
        deviation = math.sqrt(((plane - mean) ** 2).mean())
        return np.array([[1 / (1 + math.exp(-(value - mean) / deviation)) for value in row] for row in plane])

    a, b = standardised(ir), standardised(ir - vis)
    combined = (a * (1 - b) + b * (1 - a)) / 2 if saliency == "printed" else (a * (1 + b) + b * (1 + a)) / 2
    return (combined > combined.mean() + math.sqrt(((combined - combined.mean()) ** 2).mean())).astype(float)


def slow_spectrum(plane: np.ndarray) -> np.ndarray:
    """Two-sided orthonormal DFT, one matrix product an axis."""

    def matrix(n: int) -> np.ndarray:
        index = np.arange(n)
        return np.exp(-2j * np.pi * np.outer(index, index) / n) / math.sqrt(n)

    return matrix(plane.shape[0]) @ plane @ matrix(plane.shape[1])


def restated(images, *, saliency: str, negatives: str) -> float:
    """The mean quotient of a batch, pair by pair."""

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.abs(slow_spectrum(first) - slow_spectrum(second)).mean())

    quotients = []
    for fused, ir, vis in zip(*(image.numpy()[:, 0] for image in images), strict=True):
        w = slow_weight(ir, vis, saliency=saliency)
        positive = distance(fused * w, ir * w) + distance(fused * (1 - w), vis * (1 - w))
        pairs = [(fused * w, ir * (1 - w)), (fused * w, vis * w)]
        if negatives == "printed":
            pairs += [(fused * (1 - w), ir * w), (fused * (1 - w), vis * (1 - w))]
        else:
            pairs += [(fused * (1 - w), ir * (1 - w)), (fused * (1 - w), vis * w)]
        quotients.append(positive / (sum(distance(*pair) for pair in pairs) + 1e-9))
    return float(np.mean(quotients))


@pytest.mark.parametrize("size", [(12, 16), (13, 15), (2, 3), (7, 1)])
@pytest.mark.parametrize("saliency", ["joint", "printed"])
@pytest.mark.parametrize("negatives", ["consistent", "printed"])
def test_equals_its_definition(pictures, size, saliency, negatives):
    """Even and odd sizes, both weights and sets of negatives, against two-sided spectra by matrix products."""
    images, options = pictures(*size), {"saliency": saliency, "negatives": negatives}
    loss = frequency_contrastive(*images, **options)
    assert float(loss) == pytest.approx(restated(images, **options), rel=1e-10)
    assert torch.equal(FrequencyContrastiveLoss(**options)(*images), loss)


@pytest.mark.parametrize("saliency", ["joint", "printed"])
def test_the_adaptive_weight_equals_its_definition(pictures, saliency):
    """w of Eq. 9 and its mended form, picture by picture."""
    _, ir, vis = pictures(16, 16, batch=3)
    planes = zip(ir[:, 0].numpy(), vis[:, 0].numpy(), strict=True)
    expected = [slow_weight(i, v, saliency=saliency) for i, v in planes]
    weight = adaptive_weight(ir, vis, saliency=saliency)
    np.testing.assert_array_equal(weight[:, 0].numpy(), np.stack(expected))
    assert 0 < float(weight.mean()) < 0.5


def test_flat_pictures_have_no_salient_place():
    """Without contrast w is 0 everywhere, rounding notwithstanding."""
    for value in (0.0, 0.1, 0.3, 0.7, 1.0):
        flat = torch.full((1, 1, 37, 41), value)
        assert float(adaptive_weight(flat, flat).sum()) == 0.0
        assert float(adaptive_weight(flat, 0.3 * flat).sum()) == 0.0


def test_the_composite_of_the_positives_costs_nothing(pictures):
    """Infrared where w is 1 and visible elsewhere is the minimum."""
    _, ir, vis = pictures(16, 16)
    weight = adaptive_weight(ir, vis)
    assert float(frequency_contrastive(weight * ir + (1 - weight) * vis, ir, vis)) == pytest.approx(0.0, abs=1e-12)
    assert float(frequency_contrastive(weight * vis + (1 - weight) * ir, ir, vis)) > 0.3


def test_defaults(pictures):
    """Without options the negatives are consistent and ε is the paper's."""
    images = pictures()
    assert torch.equal(
        frequency_contrastive(*images), frequency_contrastive(*images, negatives="consistent", epsilon=1e-9)
    )
    assert torch.equal(FrequencyContrastiveLoss()(*images), frequency_contrastive(*images))


@pytest.mark.parametrize("negatives", ["consistent", "printed"])
def test_gradient_is_right_in_double_precision(pictures, negatives):
    """Numerical and analytical gradients agree, for the sources too, w standing still."""
    images = [image.requires_grad_() for image in pictures(5, 6, batch=1)]
    assert torch.autograd.gradcheck(lambda *triple: frequency_contrastive(*triple, negatives=negatives), images)


def test_a_black_infrared_frame_gives_a_bounded_step():
    """Where every negative vanishes with the fused picture, value and gradient keep within a thousand positives."""
    generator = torch.Generator().manual_seed(0)
    vis = torch.rand(1, 1, 16, 16, generator=generator)
    for brightness in (0.0, 1e-8, 1e-4):
        fused = torch.full_like(vis, brightness, requires_grad=True)
        loss = frequency_contrastive(fused, torch.zeros_like(vis), vis)
        loss.backward()
        assert float(loss.detach()) <= 1000.0
        assert float(fused.grad.abs().max()) < 1000.0


def test_the_weight_marks_hot_targets_as_printed_it_does_not(shared):
    """On the masked people and vehicles of TNO the mended weight covers 86 % of the target, the printed one 4 %."""
    covered = {"joint": [], "printed": []}
    folder = shared / "data" / "tno" / "test"
    for mask_file in sorted((folder / "mask").iterdir()):
        files = (mask_file, folder / "ir" / mask_file.name, folder / "vis" / mask_file.name)
        mask, ir, vis = (
            torch.from_numpy(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))[None, None] / 255 for file in files
        )
        for saliency, values in covered.items():
            values.append(float(adaptive_weight(ir, vis, saliency=saliency)[mask > 0.5].mean()))
    assert np.mean(covered["joint"]) > 0.8
    assert np.mean(covered["printed"]) < 0.1


@pytest.mark.parametrize("pair", ["msrs/test/{}/00103D.png", "tno/test/{}/05.png", "mri_ct/test/{}/18.png"])
def test_the_least_negative_leaves_natural_pairs_alone(shared, monkeypatch, pair):
    """Even five hundred times the limit would change nothing on real images and on any of their simple fusions."""
    planes = [cv2.imread(str(shared / "data" / pair.format(kind)), cv2.IMREAD_GRAYSCALE) for kind in ("ir", "vis")]
    ir, vis = (torch.from_numpy(plane)[None, None] / 255 for plane in planes)
    simple = (torch.maximum(ir, vis), (ir + vis) / 2, ir, vis)
    values = [frequency_contrastive(fused, ir, vis) for fused in simple]
    monkeypatch.setattr(importlib.import_module("edgefuse.losses.frequency_contrastive"), "_LEAST_NEGATIVE", 0.5)
    assert values == [frequency_contrastive(fused, ir, vis) for fused in simple]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"saliency": "all"}, "joint, printed"),
        ({"negatives": "all"}, "consistent, printed"),
        ({"epsilon": 0.0}, "epsilon"),
    ],
)
def test_bad_options_are_refused(pictures, options, message):
    """Unknown weights or negatives and an ε without effect are answered with what is allowed."""
    with pytest.raises(UsageError, match=message):
        FrequencyContrastiveLoss(**options)
    with pytest.raises(UsageError, match=message):
        frequency_contrastive(*pictures(), **options)
