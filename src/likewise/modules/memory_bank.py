"""A memory bank: one embedding for each sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.distributed import gather, local_rows
from likewise.seeding import generator_for


class MemoryBank(nn.Module):
    """One embedding for each sample, unit rows `(samples, dim)`, initially random (InstDisc, arXiv:1805.01978).

    Args:
        samples: number of rows.
        dim: length of a row.
        seed: of the initial rows.
    """

    vectors: Tensor

    def __init__(self, samples: int, dim: int, *, seed: int = 0) -> None:
        super().__init__()
        random = torch.randn(samples, dim, generator=generator_for(seed, samples, dim))
        self.register_buffer("vectors", F.normalize(random, dim=1))

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " n"], embeddings: Float[Tensor, "n dim"], *, momentum: float) -> Tensor:
        """Move the rows of these samples to `momentum` row + (1 - `momentum`) embedding, normalized.

        Args:
            indices: of the samples of this process.
            embeddings: of the samples.
            momentum: in [0, 1].

        Returns:
            The mean cosine between the rows, before the update, and the embeddings, a scalar.
        """
        indices, embeddings = gather(indices), F.normalize(gather(embeddings).to(self.vectors.dtype), dim=1)
        stored = self.vectors[indices]
        self.vectors[indices] = F.normalize(torch.lerp(embeddings, stored, momentum), dim=1)
        return (stored * embeddings).sum(1).mean()

    def others(self, indices: Int[Tensor, " n"], count: int, generator: torch.Generator) -> Float[Tensor, "m dim"]:
        """`count` rows of samples that are not at `indices`, drawn with replacement."""
        free = torch.ones(len(self.vectors), dtype=torch.bool, device=indices.device).index_fill(0, indices, False)
        candidates = free.nonzero().flatten()
        drawn = torch.randint(len(candidates), (count,), generator=generator)
        return self.vectors[candidates[drawn.to(candidates.device)]]


def fill_memory_bank(
    bank: MemoryBank, embed: Callable[[Int[Tensor, " n"]], Float[Tensor, "n dim"]], *, samples: int, batch_size: int
) -> None:
    """Fill a bank with the embeddings of all samples, in one pass over them.

    Args:
        bank: to fill.
        embed: indices of samples -> their embeddings.
        samples: number of samples.
        batch_size: samples that are embedded at once, over all processes.
    """
    for start in range(0, samples, batch_size):
        rows = local_rows(
            min(start, samples - batch_size) + torch.arange(batch_size)
        )  # the last batch is a whole one too
        embeddings = embed(rows)
        bank.update(rows.to(embeddings.device), embeddings, momentum=0.0)
