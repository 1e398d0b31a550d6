"""Sound as a picture of which pitch is loud when: the log-mel spectrogram."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from scipy.fft import dct
from torch import Tensor
from torch.nn import functional as F

WINDOW, HOP = 0.025, 0.010  # s
FLOOR = 1e-6  # power below which all is silence
MFCC_BANDS = 40


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


def mfcc(
    waves: Float[Tensor, "n samples"], sample_rate: int, coefficients: int = 13
) -> Float[Tensor, "n features frames"]:
    """Mel-frequency cepstral coefficients of each frame of `log_mel` with 40 bands, then their first and second slopes.

    The coefficients are those of an orthonormal DCT-II over the bands; there are three times as many features. A slope
    is the least-squares one over five frames, the outer ones repeated at the ends.
    """
    bands = log_mel(waves, sample_rate, MFCC_BANDS)
    cosines = torch.from_numpy(dct(torch.eye(MFCC_BANDS, dtype=torch.float64).numpy(), axis=0, norm="ortho"))
    with torch.autocast(waves.device.type, enabled=False):
        cepstrum = cosines[:coefficients].to(bands) @ bands
        first = slopes(cepstrum)
        return torch.cat([cepstrum, first, slopes(first)], dim=1)


def slopes(x: Float[Tensor, "n d frames"]) -> Float[Tensor, "n d frames"]:
    """By how much x rises from frame to frame: the least-squares line through five of them."""
    steps = torch.arange(-2, 3, dtype=x.dtype, device=x.device)
    padded = F.pad(x, (2, 2), mode="replicate").flatten(0, 1)[:, None]
    return F.conv1d(padded, (steps / steps.square().sum())[None, None])[:, 0].view_as(x)


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
