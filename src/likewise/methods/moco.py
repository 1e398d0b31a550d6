"""MoCo v1 and v2: contrast with a queue of keys from a momentum encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int, check_interval, require
from likewise.distributed import gather, in_shards, shuffle_batchnorm, world_size
from likewise.losses import info_nce
from likewise.methods.base import Method, TrainingContext
from likewise.modules.batch_norm import has_batch_norm
from likewise.modules.ema import EMA
from likewise.modules.heads import mlp
from likewise.modules.queue import Queue, queue_size
from likewise.modules.temperature import Temperature
from likewise.seeding import generator_for

SHARD = 32  # samples: the paper's batch of a GPU


class MoCoV1(Method):
    """He et al. 2019, Momentum Contrast for Unsupervised Visual Representation Learning, arXiv:1911.05722.

    The loss is InfoNCE of a view's query with the key of the other view against the keys in the queue.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of queries and keys.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`); None is
            the paper's, 0.07.
        key_momentum: momentum of the key encoder, in [0, 1].
        queue: length of the queue, a multiple of the batch; None is the paper's 65,536, but at most one in twenty
            samples, as of ImageNet.
        in_batch: whether the keys of the batch's other samples are negatives too. If not, an encoder with BatchNorm in
            a single process normalizes shards of the batch apart, of about 32 samples as in the paper, and keys in
            other shards than their queries: otherwise the batch's statistics reveal the positive key. Several processes
            are such shards in any case.

    Raises:
        UserError: for a number out of its range, or a batch of fewer than 4 samples that is to be sharded.
    """

    family = "contrastive"
    paper = "1911.05722"
    when_to_use = "many negatives with small batches; MoCo v2 is the same with a better head"
    own_temperature = 0.07
    deployed_role = "online"
    sync_batch_norm = False  # processes normalize apart, and are shuffled

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float | str | None = None,
        key_momentum: float = 0.999,
        queue: int | None = None,
        in_batch: bool = False,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim)
        check_interval(0, 1, key_momentum=key_momentum)
        self.projector = self.head(projection_dim)
        self.keys = EMA(self.encoder, self.projector)
        self.temperature = Temperature(self.own_temperature if temperature is None else temperature)
        self.key_momentum, self.in_batch = key_momentum, in_batch
        self.projection_dim, self.queue_size = projection_dim, queue
        self.sharded = not in_batch and has_batch_norm(self.encoder)
        self.queue: Queue | None = None

    def head(self, out: int) -> nn.Module:
        return nn.Linear(self.dim, out)

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        if self.sharded and world_size() == 1:
            remedy = "BatchNorm needs at least two shards of two; or try --in-batch"
            require(context.batch_size >= 4, "batch_size", "at least 4", context.batch_size, remedy)
        self.queue = self.new_queue()

    def new_queue(self) -> Queue:
        """A queue of keys as long as the options and the training have it."""
        context = self.training_context
        size = queue_size(
            self.queue_size, samples=context.samples, batch_size=context.batch_size, most=65536, share=0.05
        )
        return Queue(size, self.projection_dim, seed=context.seed)

    def shards(self, view: Any) -> int:
        """How many parts of the view BatchNorm normalizes apart."""
        size = self.training_context.micro_batch_size or SHARD
        return max(2, len(view) // size) if self.sharded and world_size() == 1 else 1

    def objective(self, first: Any, second: Any) -> dict[str, Tensor]:
        assert self.queue is not None, "call prepare() before training"
        self.keys.update(self.encoder, self.projector, momentum=self.key_momentum)
        shards = self.shards(first)
        generator = generator_for(self.training_context.seed, self.global_step)
        k = shuffle_batchnorm(self.keys, second, generator, shards=shards)
        q, keys = gather(in_shards(self.embed, first, shards)), gather(k)
        self.track(q, keys)
        temperature = self.temperature(self.progress)
        scalars = {
            "loss": info_nce(q, keys, self.queue.keys, temperature=temperature, in_batch=self.in_batch),
            "queue_filled": self.queue.filled,
            "queue_age": self.queue.age(self.training_context.batch_size),
        }
        self.queue.push(k)
        return scalars

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        keys = batch_size if self.in_batch else 1
        return {} if self.queue is None else {"loss": math.log(keys + len(self.queue.keys))}


class MoCoV2(MoCoV1):
    """Chen et al. 2020, Improved Baselines with Momentum Contrastive Learning, arXiv:2003.04297.

    MoCo v1 with a hidden layer in the head, a higher temperature and, in the recipe, stronger augmentations.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of queries and keys.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`); None is
            the paper's, 0.2.
        key_momentum: momentum of the key encoder, in [0, 1].
        queue: length of the queue, a multiple of the batch; None is as in `MoCoV1`.
        in_batch: whether the keys of the batch's other samples are negatives too; see `MoCoV1`.

    Raises:
        UserError: as `MoCoV1`.
    """

    paper = "2003.04297"
    when_to_use = "many negatives with small batches"
    own_temperature = 0.2

    def head(self, out: int) -> nn.Module:
        return mlp(self.dim, self.dim, out, norm=False)
