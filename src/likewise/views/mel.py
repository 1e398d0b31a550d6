"""Sound as a picture of which pitch is loud when: the log-mel spectrogram."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

WINDOW, HOP = 0.025, 0.010  # s
FLOOR = 1e-6  # power below which all is silence


def log_mel(waves: Float[Tensor, "n samples"], sample_rate: int, bands: int = 64) -> Float[Tensor, "n bands frames"]:
    """The logarithm of 1e-6 + the power in each of `bands` mel bands, the lowest first.

    Hann windows of 25 ms every 10 ms, the first one around the first sample (what is outside is silence): there are
    1 + samples // hop frames. Bands are triangles of equal width on HTK's mel scale, from 0 Hz to half the
    `sample_rate`; the power of a band is the mean over its frequencies, weighted by the triangle.
    """
    window = round(WINDOW * sample_rate)
    length, weights = filterbank(sample_rate, bands)
    # Half-precision products, which autocast would choose, have no digits left for the logarithm.
    with torch.autocast(waves.device.type, enabled=False):
        waves = waves if waves.dtype == torch.float64 else waves.float()
        spectrum = torch.stft(
            waves,
            length,
            hop_length=round(HOP * sample_rate),
            win_length=window,
            window=torch.hann_window(window, dtype=waves.dtype, device=waves.device),
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(FLOOR + weights.to(power) @ power)


@cache
def filterbank(sample_rate: int, bands: int) -> tuple[int, Float[Tensor, "bands frequencies"]]:
    """Length of the Fourier transform, and how much each of its frequencies counts in each band; rows sum to one.

    The length is the smallest power of two that holds a window and leaves no band without a frequency. The tensor is
    shared: do not write into it.
    """
    highest = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700, dtype=torch.float64, device="cpu"))
    steps = torch.arange(bands + 2, dtype=torch.float64, device="cpu")
    low, centre, high = (700 * (10 ** (steps * highest / (bands + 1) / 2595) - 1)).unfold(0, bands, 1)[:, :, None]
    length = 1 << (round(WINDOW * sample_rate) - 1).bit_length()
    while True:
        hertz = torch.arange(length // 2 + 1, dtype=torch.float64, device="cpu") * sample_rate / length
        weights = torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp_(min=0)
        total = weights.sum(1, keepdim=True)
        if total.all():
            return length, weights / total
        length *= 2
