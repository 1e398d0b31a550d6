"""Quantization of features by Gumbel softmax (wav2vec 2.0, arXiv:2006.11477, section 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.losses.precision import full_precision
from likewise.seeding import draw_rows


class Codes(NamedTuple):
    """The choices for m features, from g codebooks of v entries."""

    vectors: Float[Tensor, "m d"]
    """The chosen entries, concatenated; the gradient is that of the soft choice."""
    kinds: Int[Tensor, " m"]
    """Number of the combination of entries; equal kinds have equal vectors."""
    likely: Int[Tensor, "m g"]
    """The choices without noise."""
    probabilities: Float[Tensor, "m g v"]
    """Of the entries, without noise, at temperature 1."""


class Codebooks(nn.Module):
    """Chooses an entry of each codebook by a linear map of the feature, with Gumbel noise (arXiv:1611.01144).

    Args:
        dim: length of a feature.
        books: number of codebooks, g.
        entries: of each codebook, v.
        entry_dim: length of an entry.
    """

    def __init__(self, dim: int, *, books: int, entries: int, entry_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, books * entries)
        self.entries = nn.Parameter(torch.rand(books, entries, entry_dim))
        nn.init.normal_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def noise(self, n: int, *shape: int, generator: torch.Generator) -> Float[Tensor, "n *shape g v"]:
        """Gumbel noise for the choices of features of this shape, n samples of a batch, on the CPU."""
        shape = *shape, *self.entries.shape[:2]
        return draw_rows(
            lambda rows, whole: -torch.empty(rows, *shape).exponential_(generator=whole).log(), n, generator
        )

    @full_precision
    def forward(self, features: Float[Tensor, "m c"], noise: Float[Tensor, "m g v"], *, temperature: float) -> Codes:
        """The hard choices by the noisy scores; the gradient is that of their softmax over `temperature`."""
        scores = self.score(features).unflatten(1, self.entries.shape[:2])
        noisy = scores + noise.to(scores)
        soft = (noisy / temperature).softmax(2)
        chosen = noisy.argmax(2)
        choice = F.one_hot(chosen, scores.shape[2]) - soft.detach() + soft
        vectors = torch.einsum("mgv,gvd->mgd", choice, self.entries).flatten(1)
        digits = scores.shape[2] ** torch.arange(scores.shape[1], device=scores.device)
        return Codes(vectors, (chosen * digits).sum(1), scores.argmax(2), scores.softmax(2))


def perplexity(shares: Float[Tensor, "g v"]) -> Float[Tensor, ""]:
    """The effective number of entries in use, summed over codebooks, from the share of each: g to g v."""
    return torch.special.entr(shares).sum(1).exp().sum()
