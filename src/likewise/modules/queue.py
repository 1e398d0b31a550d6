"""A queue of the last embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import require
from likewise.distributed import gather
from likewise.seeding import generator_for


class Queue(nn.Module):
    """The last `size` embeddings, unit rows `(size, dim)`, initially random (MoCo, arXiv:1911.05722).

    Args:
        size: number of rows, a multiple of what is pushed at once.
        dim: length of a row.
        seed: of the initial rows.
    """

    keys: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int, *, seed: int = 0) -> None:
        super().__init__()
        random = torch.randn(size, dim, generator=generator_for(seed, size, dim))
        self.register_buffer("keys", F.normalize(random, dim=1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Float[Tensor, "n dim"]) -> None:
        """Replace the oldest rows by the keys of all processes."""
        keys = F.normalize(gather(keys).to(self.keys.dtype), dim=1)
        size = len(self.keys)
        require(size % len(keys) == 0, "queue", f"a multiple of the {len(keys)} keys of a step", size)
        rows = (self.pushed + torch.arange(len(keys), device=keys.device)) % size
        self.keys[rows] = keys
        self.pushed += len(keys)

    @property
    def filled(self) -> Float[Tensor, ""]:
        """The share of the rows that are embeddings instead of initial random rows."""
        return (self.pushed / len(self.keys)).clamp(max=1.0)

    def age(self, each: int) -> Float[Tensor, ""]:
        """Mean number of steps since the embeddings were pushed, `each` at a time; 0 while there are none."""
        oldest = self.pushed.clamp(max=len(self.keys)) / each
        return torch.where(oldest > 0, (oldest + 1) / 2, 0.0)

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """The row with the largest cosine for each embedding."""
        with torch.autocast(z.device.type, enabled=False):
            parts = z.to(self.keys.dtype).split(256)
            return self.keys[torch.cat([(part @ self.keys.T).argmax(1) for part in parts])]


def queue_size(asked: int | None, *, samples: int, batch_size: int, most: int, share: float) -> int:
    """Rows of a queue: `asked`, or else `most`, but at most about a `share` of the samples, in whole batches.

    Raises:
        UserError: when `asked` is not a multiple of the batch.
    """
    if asked is None:
        return max(1, min(most, round(samples * share)) // batch_size) * batch_size
    divides = asked >= batch_size and asked % batch_size == 0
    require(divides, "queue", f"a multiple of the batch, {batch_size}", asked)
    return asked
