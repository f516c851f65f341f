"""The synthesised reference against AngularFuse Eq. 6-8, and against OpenCV's histogram equalisation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import SynthesisedReferenceLoss, synthesise_reference, synthesised_reference


def restated(ir: np.ndarray, vis: np.ndarray, *, alpha: float) -> np.ndarray:
    """The reference of one pair of (H, W) planes: Laplacian by hand, equalisation by counting pixels."""
    height, width = ir.shape
    total = ir + vis
    sharpened = np.zeros_like(ir)
    for row, column in np.ndindex(ir.shape):
        neighbours = [
            total[min(max(row + dy, 0), height - 1), min(max(column + dx, 0), width - 1)]
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
        ]
        edge = 4 * total[row, column] - sum(neighbours)
        sharpened[row, column] = min(max(edge + max(ir[row, column], vis[row, column]), 0.0), 1.0)
    levels = np.array([[round(float(value) * 255) for value in line] for line in sharpened])
    counts = [int((levels <= level).sum()) for level in range(256)]
    darkest, pixels = counts[levels.min()], levels.size
    equalised = levels / 255
    if pixels > darkest:
        equalised = np.vectorize(lambda level: round(255 * (counts[level] - darkest) / (pixels - darkest)) / 255)(
            levels
        )
    return alpha * sharpened + (1 - alpha) * equalised


@pytest.mark.parametrize("size", [(13, 17), (1, 5), (1, 1)])
@pytest.mark.parametrize("alpha", [0.75, 0.0, 1.0])
def test_equals_its_definition(pictures, size, alpha):
    """Reference and loss are what the pixel loop gives."""
    fused, ir, vis = pictures(*size)
    ir, vis = 0.4 * ir + 0.2, 0.4 * vis + 0.2  # dark enough that truncation is not all there is
    pairs = zip(ir[:, 0].numpy(), vis[:, 0].numpy(), strict=True)
    expected = np.stack([restated(*pair, alpha=alpha) for pair in pairs])[:, None]
    np.testing.assert_allclose(synthesise_reference(ir, vis, alpha=alpha).numpy(), expected, rtol=0, atol=1e-12)
    loss = synthesised_reference(fused, ir, vis, alpha=alpha)
    assert float(loss) == pytest.approx(np.abs(fused.numpy() - expected).mean(), rel=1e-12)
    assert torch.equal(SynthesisedReferenceLoss(alpha=alpha)(fused, ir, vis), loss)


def test_alpha_defaults_to_the_papers(pictures):
    """Without options three quarters of the reference are sharpened, one is equalised."""
    images = pictures()
    assert torch.equal(synthesised_reference(*images), synthesised_reference(*images, alpha=0.75))
    assert torch.equal(SynthesisedReferenceLoss()(*images), synthesised_reference(*images))


@pytest.mark.parametrize("seed", range(4))
def test_equalisation_is_opencvs(seed):
    """On pictures without edges to add, the equalised part is ``cv2.equalizeHist`` to the bit."""
    levels = np.random.default_rng(seed).integers(0, 256, 8, dtype=np.uint8)
    plane = np.repeat(np.repeat(levels[None], 9, axis=0), 5, axis=1)
    picture = torch.from_numpy(plane / 255.0)[None, None]
    equalised = synthesise_reference(picture, picture, alpha=0.0)
    sharpened = synthesise_reference(picture, picture, alpha=1.0)
    eight_bit = np.round(sharpened[0, 0].numpy() * 255).astype(np.uint8)
    np.testing.assert_array_equal(np.round(equalised[0, 0].numpy() * 255), cv2.equalizeHist(eight_bit))


def test_pictures_of_a_batch_do_not_mix(pictures):
    """Each picture is equalised by its own histogram."""
    _, ir, vis = pictures(batch=3)
    together = synthesise_reference(ir, vis)
    alone = torch.cat([synthesise_reference(i[None], v[None]) for i, v in zip(ir, vis, strict=True)])
    assert torch.equal(together, alone)


def test_the_laplacian_sharpens():
    """The bright side of an edge becomes brighter and the dark side darker, not the reverse."""
    edge = torch.full((1, 1, 8, 8), 0.3)
    edge[..., 4:] = 0.5
    sharpened = synthesise_reference(edge, torch.zeros_like(edge), alpha=1.0)
    assert float(sharpened[0, 0, 4, 4]) > 0.5
    assert float(sharpened[0, 0, 4, 3]) < 0.3


def test_the_reference_needs_no_gradient(pictures):
    """The reference stands outside the graph, and the gradient for the fused picture is right."""
    fused, ir, vis = (image.requires_grad_() for image in pictures(5, 6))
    assert not synthesise_reference(ir, vis).requires_grad
    assert torch.autograd.gradcheck(lambda picture: synthesised_reference(picture, ir.detach(), vis.detach()), [fused])


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_a_bad_share_is_refused(pictures, alpha):
    """A share outside [0, 1] is named."""
    with pytest.raises(UsageError, match="alpha"):
        SynthesisedReferenceLoss(alpha=alpha)
    with pytest.raises(UsageError, match="alpha"):
        synthesised_reference(*pictures(), alpha=alpha)
