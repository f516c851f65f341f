"""RPFNet: the published weights, the paper's variant, and what an exporter sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgefuse.bench.ops.timing import stored_bytes
from edgefuse.errors import InputError, UsageError
from edgefuse.models import create, load_weights
from edgefuse.models.blocks import SpectralBlock


def _unit(path: Path) -> torch.Tensor:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return torch.from_numpy(image).float()[None, None] / 255  # [1, 1, H, W]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("statistics", "file"), [("running", "running"), ("image", "batch")])
def test_released_variant_reproduces_the_published_outputs(
    shared: Path, index: int, statistics: str, file: str
) -> None:
    """The published weights give the published network's output on even and odd sizes, in both normalisation modes."""
    folder = shared / "golden" / "rpfnet"
    network = create("rpfnet", variant="released", norm_statistics=statistics).eval()
    load_weights(network, folder / "state_dict.safetensors")
    with torch.inference_mode():
        fused = network(_unit(folder / f"{index}_ir.png"), _unit(folder / f"{index}_vis.png"))
    expected = np.load(folder / f"{index}_fused_{file}.npy").squeeze()
    # Worst difference seen: 3e-7.
    np.testing.assert_allclose(fused.squeeze().numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("statistics", ["running", "image"])
def test_fused_spectral_convolution_changes_nothing(variant: str, statistics: str) -> None:
    """The same weights give the same image by the kernel and in plain PyTorch."""
    torch.manual_seed(0)
    settings = {"variant": variant, "norm_statistics": statistics, "channels": 8}
    eager, fused = create("rpfnet", **settings).eval(), create("rpfnet", spectral="fused", **settings).eval()
    fused.load_state_dict(eager.state_dict())
    ir, vis = torch.rand(2, 2, 1, 15, 22)
    with torch.inference_mode():
        torch.testing.assert_close(fused(ir, vis), eager(ir, vis), rtol=0, atol=1e-5)


def test_image_statistics_do_not_depend_on_the_rest_of_the_batch() -> None:
    """A pair is fused the same alone and beside another."""
    torch.manual_seed(0)
    network = create("rpfnet", norm_statistics="image").eval()
    ir, vis = torch.rand(2, 2, 1, 17, 22)
    with torch.inference_mode():
        together, alone = network(ir, vis), network(ir[:1], vis[:1])
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)


def test_image_statistics_are_those_of_training_mode_on_one_image() -> None:
    """On one image, evaluation by image statistics equals batch normalisation in training mode."""
    torch.manual_seed(0)
    network = create("rpfnet", norm_statistics="image")
    ir, vis = torch.rand(2, 1, 1, 19, 16)
    with torch.inference_mode():
        trained, evaluated = network.train()(ir, vis), network.eval()(ir, vis)
    torch.testing.assert_close(trained, evaluated, rtol=0, atol=1e-5)


def test_held_statistics_train_the_network_that_fuses() -> None:
    """Training mode computes what evaluation mode does, learns, and moves no statistics."""
    torch.manual_seed(0)
    network = create("rpfnet", norm_statistics="held").train()
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            torch.nn.init.uniform_(buffer, 0.5, 2.0)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    ir, vis = torch.rand(2, 2, 1, 19, 16)
    trained = network(ir, vis)
    trained.mean().backward()
    assert network.init_freq[1].weight.grad.abs().sum() > 0
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    torch.testing.assert_close(network.eval()(ir, vis), trained)


def test_released_variant_has_the_published_parameter_count() -> None:
    """The published checkpoint holds 72,074 parameters."""
    assert sum(p.numel() for p in create("rpfnet", variant="released").parameters()) == 72_074


def test_more_iterations_share_the_weights_and_change_the_output() -> None:
    """N passes use one block's weights, and each pass matters."""
    outputs, counts = [], set()
    ir, vis = torch.rand(2, 1, 1, 16, 16)
    for iterations in (1, 3):
        torch.manual_seed(0)
        network = create("rpfnet", iterations=iterations).eval()
        counts.add(sum(p.numel() for p in network.parameters()))
        with torch.inference_mode():
            outputs.append(network(ir, vis))
    assert len(counts) == 1
    assert not torch.allclose(*outputs, atol=1e-4)


@pytest.mark.parametrize("spectral", ["eager", "fused"])
def test_recomputed_activations_change_nothing(spectral: str) -> None:
    """Outputs, gradients and running statistics are the same to the bit, with less kept for the backward pass."""
    networks, kept = [], []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = create("rpfnet", channels=8, auxiliary=True, spectral=spectral, recompute=recompute).train()
        outputs: dict[str, torch.Tensor] = {}
        pair = torch.rand(2, 2, 1, 32, 30)
        kept.append(stored_bytes(lambda: outputs.update(network.forward_train(*pair))))  # noqa: B023  called at once
        for _ in range(2):
            outputs = network.forward_train(*pair)
            sum(output.square().mean() for output in outputs.values()).backward()
        networks.append(network)
    plain, recomputed = networks
    assert kept[1] < 0.6 * kept[0]
    torch.testing.assert_close(recomputed.state_dict(), plain.state_dict(), rtol=0, atol=0)
    for (name, parameter), other in zip(recomputed.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad), name


def test_auxiliary_decoder_is_for_training_only() -> None:
    """The residual map comes with auxiliary=True, through tensors that inference weights do not need."""
    network = create("rpfnet", auxiliary=True)
    ir, vis = torch.rand(2, 2, 1, 16, 16)
    outputs = network.forward_train(ir, vis)
    assert set(outputs) == {"fused", "residual_map"}
    assert outputs["residual_map"].shape == ir.shape
    extra = set(network.state_dict()) - set(create("rpfnet").state_dict())
    assert extra
    assert all(name.startswith(network.training_only) for name in extra)


def test_paper_variant_follows_its_equations() -> None:
    """One stage is Eq. (1) to (4), restated from its layers."""
    torch.manual_seed(0)
    block = create("rpfnet", channels=8).eval().iteration_block
    residual, fusion = torch.randn(2, 1, 8, 9, 7)
    with torch.inference_mode():
        enriched = block.cross_promotion.freq_to_spatial(fusion) + residual  # Eq. (1)
        gated = block.cross_promotion.spatial_to_freq(residual) * fusion + fusion  # Eq. (2)
        prior = block.residual_branch
        attended = prior.spatial_attention(prior.channel_attention(enriched))
        expected_residual = sum(conv(attended) for conv in prior.dilated_convs)  # Eq. (3)
        module = block.fourier_branch
        local = module.conv_spatial(gated)
        expected_fusion = local + SpectralBlock.forward(module, local)  # Eq. (4)
        refined_residual, refined_fusion = block(residual, fusion)
    torch.testing.assert_close(refined_residual, expected_residual)
    torch.testing.assert_close(refined_fusion, expected_fusion)
    assert [conv[0].dilation for conv in prior.dilated_convs] == [(1, 1), (3, 3), (5, 5)]
    assert block.cross_promotion.spatial_to_freq[0].kernel_size == (3, 3)


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize(
    ("settings", "gone"),
    [
        ({"fusion_block": "transformer"}, {"iteration_block.fourier_branch.conv_layer.weight"}),
        ({"cross_promotion": False}, {"iteration_block.cross_promotion.freq_to_spatial.0.weight"}),
        (
            {"residual_prior": False},
            {"init_spatial.0.weight", "iteration_block.residual_branch.dilated_convs.0.0.weight"},
        ),
    ],
)
def test_each_module_of_the_ablation_can_be_removed(variant: str, settings: dict[str, object], gone: set[str]) -> None:
    """Table 3: the removed module holds no tensors and the network still fuses and trains."""
    reduced = create("rpfnet", variant=variant, channels=8, **settings)
    assert gone <= set(create("rpfnet", variant=variant, channels=8).state_dict())
    assert not gone & set(reduced.state_dict())
    fused = reduced(*torch.rand(2, 2, 1, 9, 10))
    assert fused.shape == (2, 1, 9, 10)
    fused.mean().backward()
    assert reduced.init_freq[0].weight.grad.abs().sum() > 0


def test_auxiliary_decoder_without_residual_branch_is_a_conflict() -> None:
    """The error says which setting to change."""
    with pytest.raises(UsageError, match="auxiliary=True needs residual_prior=True"):
        create("rpfnet", auxiliary=True, residual_prior=False)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("variant", "new"),
        ("norm_statistics", "batch"),
        ("iterations", 0),
        ("iterations", 1.5),
        ("channels", 30),
        ("fusion_block", "conv"),
        ("spectral", "triton"),
    ],
)
def test_wrong_settings_say_what_is_allowed(setting: str, value: object) -> None:
    """A value that is not offered is refused with the setting's name and the value."""
    with pytest.raises(UsageError, match=rf"{setting} must be .*{value}"):
        create("rpfnet", **{setting: value})


def test_a_pair_of_two_sizes_is_refused_with_both_shapes() -> None:
    """The error names the shapes."""
    with pytest.raises(InputError, match=r"\(1, 1, 8, 8\) and \(1, 1, 8, 9\)"):
        create("rpfnet")(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 9))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("statistics", ["running", "image"])
def test_spectral_branch_exports_to_dft_operators(statistics: str, tmp_path: Path, inverse_dft: None) -> None:
    """The ONNX graph of a static odd size holds DFT operators and computes what PyTorch does."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = create("rpfnet", iterations=1, norm_statistics=statistics).eval()
    ir, vis = torch.rand(2, 1, 1, 33, 46)
    program = torch.onnx.export(
        network, (ir, vis), dynamo=True, input_names=["ir", "vis"], output_names=["fused"], verbose=False
    )
    path = tmp_path / "rpfnet.onnx"
    program.save(path)
    graph = onnx.load(path).graph
    assert sum(node.op_type == "DFT" for node in graph.node) == 4  # two axes, forward and inverse
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (fused,) = session.run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
    with torch.inference_mode():
        expected = network(ir, vis).numpy()
    # Worst difference seen over both statistics: 2e-6.
    np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-5)
