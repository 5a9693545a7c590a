"""Vibration as a machine analyst reads it: the logarithm of its power in bands of frequency, over time.

Axes: B batch, C channel, T samples, K bands, F frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorkd.errors import ConfigError
from sensorkd.models.encoders import Encoder, SignalEncoder
from sensorkd.models.size import Norm

__all__ = ["LogSpectrum", "SpectrumEncoder", "frame_length"]

# In units of the training deviation: what lies 60 dB below it is as good as silence.
FLOOR = 1e-6


def frame_length(steps: int) -> int:
    """Samples of a frame, a power of two: about a tenth of the window, from 16 to 512.

    >>> frame_length(2560), frame_length(100), frame_length(100_000)
    (256, 16, 512)
    """
    return int(min(512, max(16, 2 ** round(math.log2(max(steps / 10, 1))))))


class LogSpectrum(nn.Module):
    """(B, C, T) -> (B, C * K, F): log power in K bands of Hann-windowed frames that overlap by half.

    Bands are evenly spaced in the logarithm of frequency, and at least one bin wide. The transform is a
    convolution with fixed kernels, so that it exports and runs like any other layer.
    """

    kernels: Tensor
    bands: Tensor

    def __init__(self, *, frame: int, bands: int) -> None:
        super().__init__()
        self.frame, self.hop = frame, frame // 2
        kernels, pooling = _fourier(frame), _band_means(frame // 2, bands)
        self.count = pooling.shape[1]
        # Constants of the graph, not weights: they are the same for every student of this shape.
        self.register_buffer("kernels", torch.tensor(kernels), persistent=False)
        self.register_buffer("bands", torch.tensor(pooling), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Log power, with frames as time."""
        batch, channels, steps = x.shape
        waves = F.conv1d(x.reshape(batch * channels, 1, steps), self.kernels, stride=self.hop)
        real, imaginary = waves.chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2) @ self.bands
        return torch.log(power + FLOOR).transpose(1, 2).reshape(batch, channels * self.count, -1)


class SpectrumEncoder(Encoder):
    """(B, C, T) -> S maps over frames: a signal encoder on the log spectrum.

    Raises:
        ConfigError: the window is shorter than a frame.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], *, steps: int, bands: int = 32, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        self.spectrum = LogSpectrum(frame=frame_length(steps), bands=bands)
        frames = (steps - self.spectrum.frame) // self.spectrum.hop + 1
        if frames < 1:
            raise ConfigError(
                "a window is too short for a spectrum",
                found=f"{steps} samples",
                expected=f"at least a frame of {self.spectrum.frame}",
                mend="lengthen the input's span, or take `features: waveform`",
            )
        inner = SignalEncoder(channels * self.spectrum.count, widths, steps=frames, norm=norm)
        self.rank, self.widths, self.stages = inner.rank, inner.widths, inner.stages

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, shallow to deep."""
        return super().forward(self.spectrum(x))


def _fourier(frame: int) -> NDArray[np.float32]:
    """(frame, 1, frame): cosines and sines of bins 1 .. frame / 2 under a Hann window of unit power."""
    time = np.arange(frame)
    window = np.hanning(frame + 1)[:frame]
    window /= np.sqrt((window**2).sum() * frame / 4)
    angle = 2 * np.pi * np.outer(np.arange(1, frame // 2 + 1), time) / frame
    kernels = np.concatenate([np.cos(angle), np.sin(angle)]) * window
    return kernels[:, None].astype(np.float32)


def _band_means(bins: int, bands: int) -> NDArray[np.float32]:
    """(bins, K) weights that average neighbouring bins into bands."""
    edges = np.unique(np.geomspace(1, bins + 1, min(bands, bins) + 1).round().astype(int)) - 1
    means = np.zeros((bins, len(edges) - 1), np.float32)
    for index, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
        means[low:high, index] = 1.0 / (high - low)
    return means
