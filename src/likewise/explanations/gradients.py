"""Integrated gradients: a similarity divided over what an encoder is given (arXiv:1703.01365).

On the straight way from the sample with all parts hidden to the sample itself, each input adds its own change times the
slope of the similarity. Together they add what the similarity gains on this way, up to the error of a sum over `STEPS`
places of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.explanations.parts import PictureCells, TextTokens
from likewise.explanations.sample import ExplainedSample

STEPS = 32
Similarity = Callable[[Float[Tensor, "n dim"]], Float[Tensor, ""]]
"""Embeddings -> the sum of their similarities to the other one."""


def integrated_gradients(sample: ExplainedSample, target: Float64[Tensor, " dim"]) -> Float64[Tensor, " parts"] | None:
    """How much each part adds to the similarity to `target`.

    None where an embedding has no gradient, and of a recording, of which fading in changes the loudness alone.

    Args:
        sample: of which the parts are.
        target: an embedding of length 1.
    """
    towards = target.float().to(sample.compute.device)

    def similarity(embeddings: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
        return (F.normalize(embeddings, dim=1) @ towards).sum()

    parts, total = sample.parts, []
    for shares in ((torch.arange(STEPS) + 0.5) / STEPS).to(sample.compute.device).split(sample.compute.batch_size):
        added = None
        if isinstance(parts, PictureCells):
            added = _added_by_cells(sample, parts, shares, similarity)
        elif isinstance(parts, TextTokens):
            added = _added_by_tokens(sample, parts, shares, similarity)
        if added is None:
            return None
        total.append(added)
    return torch.stack(total).sum(0).double().cpu() / STEPS


def _added_by_cells(
    sample: ExplainedSample, parts: PictureCells, shares: Float[Tensor, " n"], similarity: Similarity
) -> Tensor | None:
    """Of the numbers of a picture, which begin as the background."""
    hidden = parts.hide(torch.ones(1, len(parts), dtype=torch.bool))
    change = sample.view - hidden
    way = (hidden + shares.view(-1, 1, 1, 1) * change).requires_grad_()
    with torch.enable_grad():
        height = similarity(sample.compute.forward(sample.encoder, way))
    return parts.sums((_slope(height, way) * change).sum(0).cpu()) if height.requires_grad else None


def _added_by_tokens(
    sample: ExplainedSample, parts: TextTokens, shares: Float[Tensor, " n"], similarity: Similarity
) -> Tensor | None:
    """Of the vectors of the tokens that can be hidden, which begin as zeros."""
    table = next((module for module in sample.encoder.modules() if isinstance(module, nn.Embedding)), None)
    if table is None:
        return None
    seen: list[Tensor] = []

    def shrink(module: nn.Module, given: Any, vectors: Float[Tensor, "n t width"]) -> Float[Tensor, "n t width"]:
        whole, factor = vectors.detach(), torch.ones(len(shares), vectors.shape[1], 1, device=vectors.device)
        factor[:, parts.places] = shares.view(-1, 1, 1)
        seen.extend([whole, (whole * factor).requires_grad_()])
        return seen[1]

    handle = table.register_forward_hook(shrink)
    try:
        with torch.enable_grad():
            height = similarity(sample.compute.forward(sample.encoder, sample.view.expand(len(shares), -1)))
    finally:
        handle.remove()
    if not height.requires_grad or not seen:
        return None
    return (_slope(height, seen[1]) * seen[0]).sum((0, 2))[parts.places]


def _slope(height: Float[Tensor, ""], inputs: Tensor) -> Tensor:
    """The gradient by the inputs; zeros where they have no part in it."""
    (slope,) = torch.autograd.grad(height, inputs, allow_unused=True)
    return torch.zeros_like(inputs) if slope is None else slope
