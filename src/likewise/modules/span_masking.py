"""Spans of a sequence that are hidden, and what is hidden elsewhere (wav2vec 2.0, arXiv:2006.11477).

Draws come from a generator on the CPU, a few operations for the whole batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from torch.nn import functional as F


def span_mask(n: int, frames: int, *, share: float, span: int, generator: torch.Generator) -> Bool[Tensor, "n t"]:
    """Which frames are hidden, for each of `n` sequences: section 3.1 of the paper.

    Of all frames a `share` are drawn without replacement to be first frames of a span. Spans may overlap and lie within
    the sequence. The share of a sequence is rounded up or down at random, with the right mean; there is at least one
    span, and there are at most as many as there are places for one.

    Args:
        share: of the frames, in [0, 1].
        span: how many frames are hidden together, from 1 to `frames`.
    """
    places = frames - span + 1
    spans = (share * frames + torch.rand(n, dtype=torch.float64, generator=generator)).long().clamp(1, places)
    ranks = torch.rand(n, places, dtype=torch.float64, generator=generator).argsort(1).argsort(1)
    starts = (ranks < spans[:, None]).float()
    return F.max_pool1d(F.pad(starts, (span - 1, span - 1)), span, stride=1).bool()


def sample_distractors(masked: Bool[Tensor, "n t"], count: int, generator: torch.Generator) -> Int[Tensor, "n t k"]:
    """For each hidden frame `count` others that are hidden in its sequence, drawn evenly and with replacement.

    Frames that are not hidden get frame 0. Each sequence has at least two hidden frames.
    """
    others = masked.sum(1)[:, None, None] - 1
    own = (masked.cumsum(1) - 1)[..., None]  # its place among the hidden ones
    drawn = (torch.rand(*masked.shape, count, dtype=torch.float64, generator=generator) * others).long()
    drawn += drawn >= own
    frames = masked.long().argsort(dim=1, descending=True, stable=True)  # the hidden ones come first, in order
    return frames[:, None].expand(-1, masked.shape[1], -1).gather(2, drawn).masked_fill(~masked[..., None], 0)


def grey_out(pictures: UInt8[Tensor, "n c h w"], masked: Bool[Tensor, "n t"]) -> UInt8[Tensor, "n c h w"]:
    """Pictures of sequences that run from left to right, what is hidden in grey."""
    columns = F.interpolate(masked[:, None].float(), pictures.shape[-1])[:, 0].bool()
    return pictures.masked_fill(columns[:, None, None], 128)
