"""Networks that are not ours, exported by PyTorch, lowered, equal in ONNX Runtime, and built by TensorRT-RTX."""

from __future__ import annotations

import copy
import functools
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgefuse.export import lower_dft
from edgefuse.export.dft import count_dft


class FourierUnit(nn.Module):
    """The spectral half of a fast Fourier convolution as in LaMa: rfft2, 1x1 convolution over stacked parts, irfft2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)
        nn.init.uniform_(self.norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve in the frequency domain."""
        batch = x.shape[0]
        spectrum = torch.fft.rfftn(x, dim=(-2, -1), norm="ortho")
        parts = torch.stack((spectrum.real, spectrum.imag), dim=-1).permute(0, 1, 4, 2, 3).contiguous()
        parts = parts.view((batch, -1, *parts.size()[3:]))
        parts = torch.relu(self.norm(self.conv(parts)))
        parts = parts.view((batch, -1, 2, *parts.size()[2:])).permute(0, 1, 3, 4, 2).contiguous()
        return torch.fft.irfftn(torch.complex(parts[..., 0], parts[..., 1]), s=x.shape[-2:], dim=(-2, -1), norm="ortho")


class SpectralTransform(nn.Module):
    """LaMa's block around it: reduce, Fourier unit with a residual, expand."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1, bias=False), nn.BatchNorm2d(channels // 2), nn.ReLU()
        )
        self.unit = FourierUnit(channels // 2)
        self.expand = nn.Conv2d(channels // 2, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform a feature map globally."""
        x = self.reduce(x)
        return self.expand(x + self.unit(x))


class GlobalFilter(nn.Module):
    """A global filter layer as in GFNet: tokens to a map, rfft2, a learned complex filter, irfft2."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.filter = nn.Parameter(torch.randn(side, side // 2 + 1, channels, 2) * 0.2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Filter the tokens over the whole picture."""
        batch, count, channels = tokens.shape
        x = tokens.view(batch, self.side, self.side, channels)
        x = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * torch.view_as_complex(self.filter)
        x = torch.fft.irfft2(x, s=(self.side, self.side), dim=(1, 2), norm="ortho")
        return x.reshape(batch, count, channels)


class SpectralConvolution(nn.Module):
    """A Fourier neural operator's layer: the lowest modes mixed by complex weights, the others dropped.

    Its complex products are written over real parts, since PyTorch does not export a complex einsum.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        self.low = nn.Parameter(torch.randn(2, channels, channels, modes, modes) * 0.2)
        self.high = nn.Parameter(torch.randn(2, channels, channels, modes, modes) * 0.2)

    @staticmethod
    def mix(spectrum: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Multiply the channels of every mode by a complex matrix; parts come first."""
        real, imag = (
            torch.stack([torch.einsum("bixy,ioxy->boxy", part, weight) for weight in weights])
            for part in (spectrum.real, spectrum.imag)
        )
        return torch.stack([real[0] - imag[1], real[1] + imag[0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve with a kernel that is smooth by construction."""
        height, width, m = x.shape[-2], x.shape[-1], self.modes
        spectrum = torch.fft.rfft2(x)
        low, high = self.mix(spectrum[:, :, :m, :m], self.low), self.mix(spectrum[:, :, -m:, :m], self.high)
        gap = torch.zeros(*low.shape[:3], height - 2 * m, m, dtype=low.dtype)
        rows = torch.nn.functional.pad(torch.cat([low, gap, high], dim=3), (0, width // 2 + 1 - m))
        return torch.fft.irfft2(torch.complex(rows[0], rows[1]), s=(height, width))


class ShiftedLowPass(nn.Module):
    """A centred spectrum times a mask, as classical filters write it."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("mask", torch.exp(-4 * (x**2 + y**2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Blur in the frequency domain."""
        spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1)) * self.mask
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real


CASES = {
    "lama": (SpectralTransform(32), (1, 32, 24, 36)),
    "lama_odd": (SpectralTransform(4), (2, 4, 15, 9)),
    "gfnet": (GlobalFilter(12, 14), (2, 196, 12)),
    "fno": (SpectralConvolution(3, 5), (1, 3, 20, 24)),
    "shift": (ShiftedLowPass(16, 10), (1, 3, 16, 10)),
}


@functools.cache
def _export(name: str, opset: int) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """The exported model, an input and PyTorch's output in float64 arithmetic."""
    torch.manual_seed(0)
    module, shape = CASES[name]
    module = module.eval()
    x = torch.randn(shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (x,), dynamo=True, opset_version=opset, verbose=False)
        wanted = copy.deepcopy(module).double()(x.double()).numpy()
    assert program is not None
    return program.model_proto, x.numpy(), wanted


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


@pytest.mark.parametrize("method", ["dense", "radix"])
@pytest.mark.parametrize(("name", "opset"), [("lama", 18), *((name, 20) for name in CASES)])
def test_foreign_network_is_lowered_exactly(name: str, opset: int, method: str) -> None:
    """The lowered network agrees with PyTorch in float64 to 1e-6 of its largest value."""
    model, x, wanted = _export(name, opset)
    assert count_dft(model) > 0
    lowered = lower_dft(model, method=method)
    assert count_dft(lowered) == 0
    assert np.abs(_run(lowered, x) - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("method", ["dense", "radix"])
@pytest.mark.parametrize("name", list(CASES))
def test_foreign_network_builds_in_tensorrt_rtx(name: str, method: str) -> None:
    """TensorRT-RTX, which refuses the DFT operator, builds an engine of the lowered network without a GPU."""
    trt = pytest.importorskip("tensorrt_rtx")
    model, _, _ = _export(name, 20)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(lower_dft(model, method=method).SerializeToString())
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    assert engine.nbytes > 0
