"""Masked spans of a sequence, and distractors (wav2vec 2.0, arXiv:2006.11477).

Random numbers come from a generator on the CPU, a few operations for the whole batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from likewise.seeding import draw_rows


def span_mask(
    n: int, frames: int, *, share: float, span: int, least: int = 1, generator: torch.Generator
) -> Bool[Tensor, "n t"]:
    """Which frames are masked, for each of `n` sequences: section 3.1 of the paper.

    A `share` of all frames is drawn without replacement as the first frames of spans. Spans may overlap and lie within
    the sequence. The number of spans is rounded up or down at random, with the right mean, and is at least `least` and
    at most the number of possible first frames.

    Args:
        n: number of sequences.
        frames: of a sequence.
        share: of the frames, in [0, 1].
        span: frames that are masked together, from 1 to `frames`.
        least: spans of a sequence, at least.
        generator: on the CPU.
    """
    return draw_rows(lambda rows, whole: _span_mask(rows, frames, share, span, least, whole), n, generator)


def _span_mask(
    n: int, frames: int, share: float, span: int, least: int, generator: torch.Generator
) -> Bool[Tensor, "n t"]:
    places = frames - span + 1
    spans = (share * frames + torch.rand(n, dtype=torch.float64, generator=generator)).long()
    spans = spans.clamp(min(least, places), places)
    ranks = torch.rand(n, places, dtype=torch.float64, generator=generator).argsort(1).argsort(1)
    starts = (ranks < spans[:, None]).float()
    return F.max_pool1d(F.pad(starts, (span - 1, span - 1)), span, stride=1).bool()


def sample_distractors(masked: Bool[Tensor, "n t"], count: int, generator: torch.Generator) -> Int[Tensor, "n t k"]:
    """For each masked frame `count` other masked frames of its sequence, drawn uniformly with replacement.

    Frames that are not masked get frame 0. Each sequence has at least two masked frames.
    """
    others = masked.sum(1)[:, None, None] - 1
    own = (masked.cumsum(1) - 1)[..., None]  # its place among the masked frames
    shape = masked.shape[1], count
    drawn = draw_rows(
        lambda n, whole: torch.rand(n, *shape, dtype=torch.float64, generator=whole), len(masked), generator
    )
    drawn = (drawn * others).long()
    drawn += drawn >= own
    frames = masked.long().argsort(dim=1, descending=True, stable=True)  # the masked frames come first, in order
    return frames[:, None].expand(-1, masked.shape[1], -1).gather(2, drawn).masked_fill(~masked[..., None], 0)


def grey_out(pictures: UInt8[Tensor, "n c h w"], masked: Bool[Tensor, "n t"]) -> UInt8[Tensor, "n c h w"]:
    """Pictures of sequences, from left to right, with the masked frames in grey."""
    columns = F.interpolate(masked[:, None].float(), pictures.shape[-1])[:, 0].bool()
    return pictures.masked_fill(columns[:, None, None], 128)
