"""Processes: their ranks, and the batch of all of them. No other file knows of processes.

    loss = nt_xent(gather(first), gather(second))

Every process computes the loss of the joined batch. The gradient of a process's own rows is the sum of the gradients
of all processes. Averaging gradients over processes, as DistributedDataParallel does, then gives the gradient of the
joined batch's loss in one process.
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

from likewise.errors import UserError


def rank() -> int:
    """The number of this process in the process group, from 0; 0 without a group."""
    return dist.get_rank() if _in_group() else 0


def world_size() -> int:
    """The number of processes in the group; 1 without a group."""
    return dist.get_world_size() if _in_group() else 1


def is_first_process() -> bool:
    """Whether this process is the one that writes files and prints: global rank 0, over all nodes.

    Before the group exists the rank is read from the environment, as Lightning derives it: `RANK` (torchrun),
    `NODE_RANK` (or `GROUP_RANK`) and `LOCAL_RANK` (Lightning's own launcher), where `WORLD_SIZE` says that there are
    several processes; `SLURM_PROCID` under srun, where `SLURM_NTASKS` says so. A rank alone may be left over from
    another program, and does not count.
    """
    if _in_group():
        return dist.get_rank() == 0
    if _number("WORLD_SIZE", 1) > 1:
        if "RANK" in os.environ:
            return _number("RANK") == 0
        return _number("NODE_RANK", _number("GROUP_RANK")) == _number("LOCAL_RANK") == 0
    return _srun_tasks() <= 1 or _number("SLURM_PROCID") == 0


def launched_processes() -> int:
    """How many processes of this program a launcher says that it has started; 1 without a launcher."""
    return max(_number("WORLD_SIZE", 1), _srun_tasks())


def launched_rank() -> int:
    """The number of this process among those that a launcher has started, from 0."""
    if _number("WORLD_SIZE", 1) > 1:
        return _number("RANK", _number("LOCAL_RANK"))
    return _number("SLURM_PROCID") if _srun_tasks() > 1 else 0


def _srun_tasks() -> int:
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # the shell of an allocation, not srun
    return 1 if interactive else _number("SLURM_NTASKS", 1)


def processes_here() -> int:
    """How many processes of this program share this machine, as launchers say it, or else as the group has."""
    return max(1, _number("LOCAL_WORLD_SIZE", _number("SLURM_NTASKS_PER_NODE", world_size())))


def join_nodes(nodes: int, devices: int) -> None:
    """Say how many processes there are, as launchers do, where a command was started by hand on several machines.

    Raises:
        UserError: where nothing says which of the machines this is.
    """
    if nodes == 1 or launched_processes() > 1:
        return
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if not os.environ.get(name)]
    if missing:
        raise UserError(
            f"num_nodes must be 1, got {nodes}, as nothing says which of them this is: start the command on each with "
            f"torchrun or srun, or set {', '.join(missing)} in its environment"
        )
    os.environ["WORLD_SIZE"] = str(nodes * devices)


LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "timed out", "remote process exited")
"""What gloo and NCCL say where another process is no longer there."""


def is_of_lost_process(error: BaseException) -> bool:
    """Whether an error means that another process of the group has ended."""
    return type(error).__name__.startswith("Dist") or any(words in str(error).lower() for words in LOST)


def forget_stale_rank() -> None:
    """Remove a `LOCAL_RANK` that another program left: with it Lightning would wait for processes that never come."""
    if "WORLD_SIZE" not in os.environ and "RANK" not in os.environ:
        os.environ.pop("LOCAL_RANK", None)


def _number(name: str, default: int = 0) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else default


def any_process(decision: bool, device: torch.device | str = "cpu") -> bool:
    """Whether `decision` is true in any process; every process must call it.

    Args:
        device: where the group communicates, for example this process's GPU.
    """
    if world_size() == 1:
        return decision
    flag = torch.tensor(int(decision), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag)


def largest(number: int, device: torch.device | str = "cpu") -> int:
    """The largest of the processes' numbers; every process must call it.

    Args:
        number: of this process.
        device: where the group communicates.
    """
    if world_size() == 1:
        return number
    most = torch.tensor(number, device=device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most)


def gather(x: Shaped[Tensor, " n *rest"]) -> Shaped[Tensor, " m *rest"]:
    """The rows of all processes in the order of their ranks, with gradients; `x` itself in a single process.

    Every process must bring the same shape. Row i of process r becomes row `r · n + i`.
    """
    return x if world_size() == 1 else _Gather.apply(x)


@torch.no_grad()
def gather_uneven(x: Shaped[Tensor, " n *rest"]) -> tuple[Shaped[Tensor, " m *rest"], slice]:
    """The rows of all processes, which may bring different numbers of them, and where this one's are; no gradients."""
    if world_size() == 1:
        return x, slice(0, len(x))
    counts = gather(torch.tensor([len(x)], device=x.device)).tolist()
    padding = x.new_zeros(max(counts) - len(x), *x.shape[1:])
    parts = gather(torch.cat([x, padding])).chunk(world_size()) if max(counts) else [x] * world_size()
    start = sum(counts[: rank()])
    return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)]), slice(start, start + len(x))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return local_rows(total)


def total(x: Shaped[Tensor, " *shape"]) -> Shaped[Tensor, " *shape"]:
    """The sum over processes, with gradients; `x` itself in a single process."""
    return x if world_size() == 1 else _Total.apply(x)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        summed = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


def share_of_mean(count: int, device: torch.device | str = "cpu") -> float:
    """The factor of a mean over this process's rows with which the average over processes is the mean over all rows.

    1 where all processes have equally many rows. Every process must call it.

    Args:
        count: rows of this process.
        device: where the group communicates.
    """
    if world_size() == 1:
        return 1.0
    counts = gather(torch.tensor([count], device=device))
    return count * world_size() / max(1, int(counts.sum()))


def local_rows(x: Shaped[Tensor, " m *rest"]) -> Shaped[Tensor, " n *rest"]:
    """The rows of this process, of rows that `gather` joined or that all processes have alike."""
    return x.chunk(world_size())[rank()]


def shuffle_batchnorm(
    encode: Callable[[Any], Tensor], view: Tensor, generator: torch.Generator, *, shards: int = 1
) -> Tensor:
    """`encode(view)`, with the samples of all processes shuffled over them: shuffling BN of MoCo.

    arXiv:1911.05722, section 3.3. Without it, BatchNorm statistics reveal which keys belong to a process's own
    queries. No gradients. A single process shuffles over its shards; with one shard it is `encode(view)`.

    Args:
        generator: in the same state in every process.
        shards: of a process; see `in_shards`.
    """
    if world_size() == shards == 1:
        return encode(view)
    shuffled = torch.randperm(len(view) * world_size(), generator=generator).to(view.device)
    encoded = in_shards(encode, gather(view)[local_rows(shuffled)], shards)
    return gather(encoded)[local_rows(shuffled.argsort())]


def in_shards(encode: Callable[[Any], Tensor], view: Tensor, shards: int) -> Tensor:
    """`encode(view)` in so many parts, one after the other: BatchNorm normalizes each apart, as devices do."""
    return encode(view) if shards == 1 else torch.cat([encode(part) for part in view.tensor_split(shards)])


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized()
