"""DenseCL: MoCo v2 with a second contrast, of the places of a view with those of the other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_interval, check_non_negative
from likewise.distributed import gather, in_shards, local_rows, shuffle_batchnorm
from likewise.encoders.vit import take
from likewise.losses import dense_info_nce, info_nce
from likewise.methods.base import Method, TrainingContext
from likewise.methods.moco import MoCoV2
from likewise.modules.ema import EMA
from likewise.modules.heads import mlp
from likewise.modules.places import encode_places, most_similar_places, places_dim
from likewise.modules.queue import Queue
from likewise.seeding import generator_for


class DenseCL(MoCoV2):
    """Wang et al. 2020, Dense Contrastive Learning for Self-Supervised Visual Pre-Training, arXiv:2011.09157.

    The loss is that of MoCo v2 and, with the weight `dense_weight`, InfoNCE of places: the positive of a place is the
    key of the place of the other view whose features, those of the encoders before the heads, are the most similar by
    cosine; the negatives are the means over the places of other images, in a queue of their own.

    Args:
        encoder: one with features of places: see `likewise.encoders.Encoder`.
        projection_dim: length of queries and keys, of views and of places.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`); None is
            the paper's, 0.2.
        key_momentum: momentum of the key encoder, in [0, 1].
        queue: length of either queue, a multiple of the batch; None is as in `MoCoV1`.
        in_batch: whether the keys of the batch's other samples, and the means over their places, are negatives too; see
            `MoCoV1`.
        dense_weight: weight of the loss of places (the paper's lambda), in [0, 1]; the rest is that of views.
        dense_from: epochs before this weight, which is 0 at first, while no features can be matched.

    Raises:
        UserError: as `MoCoV1`, or for an encoder without features of places.
    """

    modality = "image"
    paper = "2011.09157"
    when_to_use = "as MoCo v2, for segmentation and detection: places of an image get embeddings of their own"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float | str | None = None,
        key_momentum: float = 0.999,
        queue: int | None = None,
        in_batch: bool = False,
        dense_weight: float = 0.5,
        dense_from: float = 0.2,
    ) -> None:
        super().__init__(
            encoder,
            projection_dim=projection_dim,
            temperature=temperature,
            key_momentum=key_momentum,
            queue=queue,
            in_batch=in_batch,
        )
        check_interval(0, 1, dense_weight=dense_weight)
        check_non_negative(dense_from=dense_from)
        width = places_dim(encoder)
        self.place_projector = mlp(width, width, projection_dim, norm=False)
        self.keys = EMA(self.encoder, self.projector, self.place_projector)
        self.dense_weight, self.dense_from = dense_weight, dense_from
        self.place_queue: Queue | None = None

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        self.place_queue = self.new_queue()

    def objective(self, first: Any, second: Any) -> dict[str, Tensor]:
        assert self.queue is not None, "call prepare() before training"
        assert self.place_queue is not None
        self.keys.update(self.encoder, self.projector, self.place_projector, momentum=self.key_momentum)
        shards = self.shards(first)
        generator = generator_for(self.training_context.seed, self.global_step)
        k, key_features, key_places = self.parts(shuffle_batchnorm(self.key_rows, second, generator, shards=shards))
        q, features, queries = self.parts(in_shards(self.rows, first, shards))
        all_q, all_k = gather(q), gather(k)
        self.track(all_q, all_k)
        temperature = self.temperature(self.progress)
        of_views = info_nce(all_q, all_k, self.queue.keys, temperature=temperature, in_batch=self.in_batch)
        # Places are many: each process contrasts its own, and the mean over processes is that over the batch.
        mean_keys = key_places.mean(1)
        means = gather(mean_keys)
        of_places = dense_info_nce(
            queries,
            take(key_places, most_similar_places(features, key_features)),
            self.place_queue.keys,
            temperature=temperature,
            others=means if self.in_batch else None,
            own=local_rows(torch.arange(len(means), device=means.device)),
        )
        weight = self.dense_weight if self.dense_begun else 0.0
        scalars = {
            "loss": (1 - weight) * of_views + weight * of_places,
            "of_views": of_views,
            "of_places": of_places,
            "queue_filled": self.queue.filled,
            "queue_age": self.queue.age(self.training_context.batch_size),
        }
        self.queue.push(k)
        self.place_queue.push(mean_keys)
        return scalars

    @property
    def dense_begun(self) -> bool:
        return self.global_step >= self.dense_from * self.training_context.steps_per_epoch

    def rows(self, view: Any) -> Float[Tensor, "n _"]:
        """Of each sample the query, and of each of its places the features and their query, in one row."""
        return self._rows(view, self.encoder, self.projector, self.place_projector)

    @torch.no_grad()
    def key_rows(self, view: Any) -> Float[Tensor, "n _"]:
        return self._rows(view, *self.keys.copies)

    def _rows(
        self, view: Any, encoder: nn.Module, projector: nn.Module, place_projector: nn.Module
    ) -> Float[Tensor, "n _"]:
        embedding, places = encode_places(self.encode, encoder, view)
        return torch.cat([projector(embedding), torch.cat([places, place_projector(places)], 2).flatten(1)], 1)

    def parts(
        self, rows: Float[Tensor, "n _"]
    ) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n m d"], Float[Tensor, "n m p"]]:
        """What `rows` joined."""
        whole, places = rows.tensor_split([self.projection_dim], dim=1)
        width = places_dim(self.encoder)
        features, projected = places.unflatten(1, (-1, width + self.projection_dim)).tensor_split([width], dim=2)
        return whole, features, projected

    def chance(self, batch_size: int) -> dict[str, float]:
        same = super().chance(batch_size)
        return dict.fromkeys(("loss", "of_views", "of_places"), same["loss"]) if same else {}
