"""Gradients of a large batch in the memory of a small one: gradient caching (arXiv:2101.06983).

    z = encode_cached(lambda x: projector(encoder(x)), torch.cat([first, second]), micro_batch_size=256)
    nt_xent(*z.chunk(2)).backward()

A contrastive loss needs the embeddings of the whole batch, not the activations before them. These are dropped; the
backward pass encodes each micro-batch a second time, with the same random numbers, once the gradient of its embeddings
is known. Time grows by one forward pass.

BatchNorm normalizes each micro-batch by its own statistics, as with gradient accumulation, so the gradients are those
of the whole batch only for encoders without it; its running statistics are updated twice a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from likewise.checks import require


def encode_cached(encode: Callable[[Tensor], Tensor], batch: Tensor, *, micro_batch_size: int) -> Float[Tensor, "n d"]:
    """`encode(batch)`, in micro-batches, with the activations of one micro-batch in memory at a time.

    Args:
        encode: views `(b, ...)` to embeddings `(b, d)`; called twice on each micro-batch, in the same random state (of
            the CPU and of the batch's device) and under the same autocast.
        batch: `(n, ...)`.
        micro_batch_size: rows that are encoded at once; must divide n.
    """
    divides = micro_batch_size >= 1 and len(batch) % micro_batch_size == 0
    require(divides, "micro_batch_size", f"a divisor of the {len(batch)} rows of the batch", micro_batch_size)
    parts = batch.split(micro_batch_size)
    return torch.cat([checkpoint(encode, part, use_reentrant=False) for part in parts])
