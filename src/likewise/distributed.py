"""The batch of all processes, for losses that compare its rows.

    loss = nt_xent(gather(first), gather(second))

Convention: every process computes the loss of the joined batch. The gradient that reaches a process's own
rows is the sum over the processes of their gradients, so gradients averaged over processes (as
DistributedDataParallel does) are those of the mean of the processes' losses, which is the loss of the joined
batch in one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable


def gather(x: Shaped[Tensor, " n *rest"]) -> Shaped[Tensor, " m *rest"]:
    """The rows of all processes, in the order of their ranks, with gradients; `x` itself in a single process.

    Of embeddings, scores or labels. Every process must bring the same shape; row i of process r becomes row
    `r · n + i`.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def local_rows(x: Shaped[Tensor, " m *rest"]) -> Shaped[Tensor, " n *rest"]:
    """This process's part of the rows that `gather` joined, or that all processes hold alike."""
    if not (dist.is_available() and dist.is_initialized()):
        return x
    return x.chunk(dist.get_world_size())[dist.get_rank()]


def shuffle_batchnorm(encode: Callable[[Any], Tensor], view: Tensor, generator: torch.Generator) -> Tensor:
    """`encode(view)`, every process encoding samples of all: no BatchNorm tells which keys are its own queries'.

    Shuffling BN of MoCo (arXiv:1911.05722, section 3.3), without gradients; a single process has nothing to shuffle.

    Args:
        generator: in the same state in every process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return encode(view)
    mixed = torch.randperm(len(view) * dist.get_world_size(), generator=generator).to(view.device)
    return gather(encode(gather(view)[local_rows(mixed)]))[local_rows(mixed.argsort())]


def is_first_process() -> bool:
    """Whether this is the process that writes files and reports: rank 0 of a training, or one that has no others.

    Known before the processes have met, from what torchrun, SLURM or Lightning tell each of them.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    environment = os.environ
    if "RANK" in environment:
        return environment["RANK"] == "0"
    if "LOCAL_RANK" in environment or "NODE_RANK" in environment:
        return environment.get("LOCAL_RANK", "0") == environment.get("NODE_RANK", "0") == "0"
    return environment.get("SLURM_PROCID", "0") == "0"
