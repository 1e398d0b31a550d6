"""What methods are made of besides encoder and projector: slow copies, memories, prototypes, temperatures, crops.

Memories are buffers: a checkpoint holds them to the bit, and a resumed training goes on with the same ones.
With several processes every memory holds what all of them brought.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int, Shaped
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.losses import gather
from likewise.methods.base import Course, Method, generator_for


class MomentumCopy(nn.Module):
    """A copy of modules, applied one after the other, that follows them slowly: a key encoder, target or teacher.

    Its weights get no gradient; its BatchNorms see the batches that pass through it. Call `follow` at the beginning of
    a step: what the last step changed is then followed, and a checkpoint between the two loses nothing.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(modules)).requires_grad_(False)

    @torch.no_grad()
    def follow(self, *modules: nn.Module, momentum: float) -> None:
        """Each weight becomes `momentum` times itself plus the rest of the module's that it is a copy of."""
        mine: list[Tensor] = list(self.copies.parameters())
        theirs: list[Tensor] = [p for module in modules for p in module.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - momentum)

    @torch.no_grad()
    def forward(self, view: Any) -> Tensor:
        for module in self.copies:
            view = module(view)
        return view


def rising(start: float, progress: float) -> float:
    """A momentum that rises from `start` to 1 by half a cosine while `progress` goes from 0 to 1 (arXiv:2006.07733)."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


class Queue(nn.Module):
    """The last `size` embeddings, unit rows `(size, dim)`; at first random directions (MoCo, arXiv:1911.05722).

    Args:
        size: rows; a multiple of what is pushed at once.
        dim: their length.
        seed: of the random directions.
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
        """Put the keys of all processes where the oldest rows are."""
        keys = F.normalize(gather(keys).to(self.keys.dtype), dim=1)
        size = len(self.keys)
        if size % len(keys):
            raise UserError(f"queue must be a multiple of the {len(keys)} keys of a step, got {size}")
        rows = (self.pushed + torch.arange(len(keys), device=keys.device)) % size
        self.keys[rows] = keys
        self.pushed += len(keys)

    @property
    def filled(self) -> Float[Tensor, ""]:
        """The share of the rows that are embeddings, not random directions any more."""
        return (self.pushed / len(self.keys)).clamp(max=1.0)

    def age(self, each: int) -> Float[Tensor, ""]:
        """Mean number of steps since the embeddings in it were pushed, `each` at a time; 0 while there are none."""
        oldest = self.pushed.clamp(max=len(self.keys)) / each
        return torch.where(oldest > 0, (oldest + 1) / 2, 0.0)

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """The row with the largest cosine for each embedding."""
        with torch.autocast(z.device.type, enabled=False):
            parts = z.to(self.keys.dtype).split(256)
            return self.keys[torch.cat([(part @ self.keys.T).argmax(1) for part in parts])]


def queue_size(asked: int | None, course: Course, *, most: int, share: float) -> int:
    """Rows of a queue: what is asked for, or `most`, but about a `share` of the samples at most and in whole batches.

    Raises:
        UserError: when what is asked for is not a multiple of the batch.
    """
    batch = course.batch
    if asked is None:
        return max(1, min(most, round(course.samples * share)) // batch) * batch
    if asked < batch or asked % batch:
        raise UserError(f"queue must be a multiple of the batch, {batch}, got {asked}")
    return asked


class Bank(nn.Module):
    """One embedding for every sample, unit rows `(samples, dim)`, at first random (InstDisc, arXiv:1805.01978).

    Args:
        samples: rows.
        dim: their length.
        seed: of the random directions.
    """

    vectors: Tensor

    def __init__(self, samples: int, dim: int, *, seed: int = 0) -> None:
        super().__init__()
        random = torch.randn(samples, dim, generator=generator_for(seed, samples, dim))
        self.register_buffer("vectors", F.normalize(random, dim=1))

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " n"], embeddings: Float[Tensor, "n dim"], *, momentum: float) -> Tensor:
        """Move the rows of these samples to `momentum` times themselves plus the rest of the embeddings.

        Returns:
            How fresh they were: the mean cosine between the rows and the embeddings that came now, a scalar.
        """
        indices, embeddings = gather(indices), F.normalize(gather(embeddings).to(self.vectors.dtype), dim=1)
        stored = self.vectors[indices]
        self.vectors[indices] = F.normalize(torch.lerp(embeddings, stored, momentum), dim=1)
        return (stored * embeddings).sum(1).mean()

    def others(self, indices: Int[Tensor, " n"], count: int, generator: torch.Generator) -> Float[Tensor, "m dim"]:
        """`count` rows of samples that are not at `indices`, drawn with repetition."""
        free = torch.ones(len(self.vectors), dtype=torch.bool, device=indices.device).index_fill(0, indices, False)
        candidates = free.nonzero().flatten()
        drawn = torch.randint(len(candidates), (count,), generator=generator)
        return self.vectors[candidates[drawn.to(candidates.device)]]


def remember_all(method: Method, bank: Bank) -> None:
    """Fill a bank with the embeddings of all samples as they are, from one pass over them."""
    samples, batch, read = method.course.samples, method.course.batch, method.course.read
    assert read is not None
    for start in range(0, samples, batch):
        rows = own_rows(min(start, samples - batch) + torch.arange(batch))  # the last batch is a whole one too
        view = method.views.plain(move_data_to_device(read(rows), method.device))
        bank.update(rows.to(method.device), method.embed(view), momentum=0.0)


class Prototypes(nn.Module):
    """Directions that stand for clusters; scores `(n, count)` are cosines with them (SwAV, arXiv:2006.09882)."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        check_prototypes(count)
        self.weight = nn.Parameter(F.normalize(torch.randn(count, dim), dim=1))

    @torch.no_grad()
    def normalise(self) -> None:
        """Bring every prototype back to length 1; at the beginning of a step."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        return F.normalize(z, dim=1) @ self.weight.T


class WeightNormPrototypes(Prototypes):
    """Prototypes that are normalised where they are used, in the gradient too (DINO's last layer, arXiv:2104.14294)."""

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        return F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T


class Temperature(nn.Module):
    """What similarities are divided by: fixed, learned, or following a schedule.

    Args:
        value: a number above 0; `"learned"` or `"learned:START"`, a parameter that begins at 0.07 or START and never
            falls below 0.01 (as in CLIP, arXiv:2103.00020); or `"FIRST:LAST"`, from the one to the other by half a
            cosine over the training.

    Raises:
        UserError: for anything else.
    """

    def __init__(self, value: float | str) -> None:
        super().__init__()
        words = str(value).split(":")
        learned = words[0] == "learned"
        try:
            ends = [float(word) for word in words[learned:]] or [0.07]
        except ValueError:
            ends = []
        if len(ends) not in (1, 2 - learned) or not all(0 < end < math.inf for end in ends):
            raise UserError(
                f"temperature must be a number above 0, FIRST:LAST, learned or learned:START, got {value!r}"
            )
        self.ends = ends
        self.log: nn.Parameter | None = nn.Parameter(torch.tensor(math.log(ends[0]))) if learned else None

    def forward(self, progress: float) -> float | Tensor:
        """The temperature when `progress` of the training is done: a number, or a scalar that is learned."""
        if self.log is not None:
            with torch.no_grad():  # not its exponential: beyond the bound that has no gradient, and would never return
                self.log.clamp_(min=math.log(0.01))
            return self.log.exp()
        first, last = self.ends[0], self.ends[-1]
        return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def in_shuffled_parts(encode: Callable[[Any], Tensor], view: Tensor, generator: torch.Generator) -> Tensor:
    """`encode(view)`, every process encoding samples of all: no BatchNorm tells which keys are its own queries'.

    Shuffling BN of MoCo (arXiv:1911.05722, section 3.3), without gradients; a single process has nothing to shuffle.

    Args:
        generator: in the same state in every process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return encode(view)
    mixed = torch.randperm(len(view) * dist.get_world_size(), generator=generator).to(view.device)
    return gather(encode(gather(view)[own_rows(mixed)]))[own_rows(mixed.argsort())]


def multi_crop(views: Any, samples: Any, generator: torch.Generator, *, local: int) -> tuple[Any, ...]:
    """Two views of everything and `local` views of small parts (SwAV, arXiv:2006.09882).

    Raises:
        UserError: where the modality has no views of parts.
    """
    if local < 0:
        raise UserError(f"local must be 0 or more, got {local}")
    if local and not hasattr(views, "local"):
        raise UserError(f"local is {local}, but {type(views).__name__} makes no views of parts: use local 0")
    whole = [views(samples, generator) for _ in range(2)]
    return *whole, *(views.local(samples, generator) for _ in range(local))


def encode_crops(encode: Callable[[Any], Tensor], crops: Sequence[Tensor]) -> list[Tensor]:
    """The embeddings of each crop; neighbours of one size are encoded together."""
    embeddings: list[Tensor] = []
    for _, group in groupby(crops, key=lambda crop: crop.shape):
        alike = list(group)
        embeddings += encode(torch.cat(alike)).chunk(len(alike))
    return embeddings


def own_rows(x: Shaped[Tensor, " m *rest"]) -> Shaped[Tensor, " n *rest"]:
    """This process's part of the rows that `gather` joined, or that all processes hold alike."""
    if not (dist.is_available() and dist.is_initialized()):
        return x
    return x.chunk(dist.get_world_size())[dist.get_rank()]


def usage_entropy(usage: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    """How evenly k prototypes are used, from the share of each: 1 all alike, 0 one for everything (a collapse)."""
    return torch.special.entr(usage.float()).sum() / math.log(len(usage))


def named(scores: Float[Tensor, "n k"], truth: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """What an objective answers that asks which of k changes was made: cross-entropy, and the share named right."""
    return {"loss": F.cross_entropy(scores, truth), "accuracy": (scores.detach().argmax(1) == truth).float().mean()}


def named_by_chance(candidates: int) -> dict[str, float]:
    """What `named` is where nothing is known and all changes are as frequent."""
    return {"loss": math.log(candidates), "accuracy": 1 / candidates}


def check_momentum(**momentum: float) -> None:
    """Raises `UserError` unless each lies in [0, 1]."""
    for name, value in momentum.items():
        if not 0 <= value <= 1:
            raise UserError(f"{name} must be from 0 to 1, got {value}")


def check_whole(least: int = 1, **numbers: int) -> None:
    """Raises `UserError` unless each is at least `least`."""
    for name, value in numbers.items():
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")


def check_not_negative(**numbers: float) -> None:
    """Raises `UserError` unless each is a finite number of at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{name} must be 0 or more, got {value}")


def check_positive(**numbers: float) -> None:
    """Raises `UserError` unless each is a finite number above 0."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise UserError(f"{name} must be above 0, got {value}")


def check_prototypes(count: int) -> None:
    """Raises `UserError` for fewer than 2 prototypes."""
    check_whole(2, prototypes=count)
