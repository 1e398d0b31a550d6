"""Frames of one rate for each frame of another: what a spectrogram says at the frames of an encoder."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def frame_starts(of: int, frames: int, *, stack: int = 1) -> Int[Tensor, " t"]:
    """Where each of `frames` equal parts of a recording begins among its `of` frames, with room for `stack` of them."""
    return (torch.arange(frames) * of // frames).clamp(max=of - stack)


def stack_frames(x: Float[Tensor, "n d m"], frames: int, stack: int) -> Float[Tensor, "n t s"]:
    """The `stack` frames from the beginning of each of `frames` equal parts of the m frames, joined: s = d stack."""
    starts = frame_starts(x.shape[2], frames, stack=stack)
    at = (starts[:, None] + torch.arange(stack)).to(x.device)
    return x[:, :, at].permute(0, 2, 3, 1).flatten(2)
