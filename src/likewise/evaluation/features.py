"""Features, computed once: the encoder's, or the raw ones they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from math import isqrt
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.inputs import EvaluationViews, Machine

RAW_DIM = 1024
"""Raw views with more numbers than this are average-pooled to about it (96×96×3 becomes 18×18×3)."""

SMALLEST_SCALE = 0.1
"""Dimensions that vary less than this part of the average are not blown up to unit variance."""

Featuriser = Callable[[Source, Int[Tensor, " n"]], Float[Tensor, "n dim"]]
"""(source, indices) -> features of the samples there."""


class Baseline(NamedTuple):
    """Features that nothing was trained for, and what people call them."""

    name: str
    featurise: Featuriser


def encoder_features(encoder: nn.Module, views: EvaluationViews, machine: Machine) -> Featuriser:
    """Embeddings of clean views. The encoder is used as it is: put it into evaluation mode."""

    def featurise(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        return machine.forward(encoder, views.clean(source.read(indices).to(machine.device)))

    return featurise


def raw_features(views: EvaluationViews, machine: Machine) -> Featuriser:
    """Plain views, flattened; an image's average-pooled when it has more than `RAW_DIM` numbers."""

    def featurise(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        view = views.clean(source.read(indices).to(machine.device)).float()
        if view[0].numel() > RAW_DIM:
            view = F.adaptive_avg_pool2d(view, isqrt(RAW_DIM // view.shape[1]) or 1)
        return view.flatten(1)

    return featurise


def stream(
    featurise: Featuriser, source: Source, indices: Int[Tensor, " n"] | None = None, *, batch_size: int = 128
) -> Iterator[Float[Tensor, "b dim"]]:
    """Features of `source` (of its `indices`, in their order), batch by batch, on the CPU."""
    order = torch.arange(len(source)) if indices is None else indices
    for some in order.split(batch_size):
        with torch.inference_mode():
            features = featurise(source, some).cpu()
        yield features


def encode(
    encoder: nn.Module,
    views: EvaluationViews,
    source: Source,
    indices: Int[Tensor, " n"] | None = None,
    *,
    machine: Machine,
) -> Float[Tensor, "n dim"]:
    """Embeddings of the clean views of `source` (of its `indices`), float32 on the CPU.

    Only one batch of samples is in memory at a time. The encoder must be on the machine's device.
    """
    was_training = encoder.training
    encoder.eval()
    try:
        return gather(encoder_features(encoder, views, machine), source, indices, batch_size=machine.batch_size)
    finally:
        encoder.train(was_training)


def gather(
    featurise: Featuriser, source: Source, indices: Int[Tensor, " n"] | None = None, *, batch_size: int = 128
) -> Float[Tensor, "n dim"]:
    """The whole `stream` in one tensor."""
    length = len(source) if indices is None else len(indices)
    parts = stream(featurise, source, indices, batch_size=batch_size)
    first = next(parts, None)
    if first is None:
        raise ValueError("no features of no samples")
    if first.is_sparse:
        return torch.cat([first, *parts]).coalesce()
    features, filled = first.new_empty(length, first.shape[1]), 0
    for part in chain([first], parts):
        features[filled : filled + len(part)] = part
        filled += len(part)
    return features


def rows(features: Float[Tensor, "m dim"], chosen: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
    """Some rows, in the order of `chosen`, of features that may be sparse."""
    some = features.index_select(0, chosen)
    return some.coalesce() if some.is_sparse else some


def columns(features: Float[Tensor, "n dim"], chosen: Int[Tensor, " some"]) -> Float[Tensor, "n some"]:
    """Some columns of sparse features."""
    return features.index_select(1, chosen).coalesce()


class FeatureTable:
    """Features of all samples an evaluation needs, with the scaling that the linear heads use.

    `needed` training samples and the whole test split are featurised. Features are centred and divided by
    their standard deviation over `reference` training samples (labels play no part in it): each dimension
    by its own, or with `one_scale` all by their average, which keeps the proportions of raw features. Sparse features
    always keep theirs, and are not centred, which would fill them up: the bias of the head, which is free, does that.
    """

    def __init__(
        self,
        featurise: Featuriser,
        train: Source,
        test: Source,
        *,
        needed: Int[Tensor, " needed"],
        reference: Int[Tensor, " reference"],
        batch_size: int,
        one_scale: bool = False,
    ) -> None:
        indices = torch.cat([needed, reference]).unique()
        self._row = torch.full((len(train),), -1)
        self._row[indices] = torch.arange(len(indices))
        self._train = gather(featurise, train, indices, batch_size=batch_size)
        self.test = gather(featurise, test, batch_size=batch_size)
        known = self.train(reference)
        if known.is_sparse:
            self.mean = torch.zeros(())
            self.scale = (known.values().square().sum() / known.numel()).sqrt().clamp_min(1e-12)
            return
        self.mean = known.mean(0)
        deviation = known.std(0, correction=0)
        average = deviation.square().mean().sqrt().clamp_min(1e-12)
        self.scale = average.expand_as(deviation) if one_scale else deviation.maximum(SMALLEST_SCALE * average)

    def train(self, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        """Features of training samples, which must be among the needed ones."""
        return rows(self._train, self._row[indices])

    def standardise(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Zero mean and (all but the flattest dimensions) unit variance over the reference samples."""
        return (features - self.mean) / self.scale

    def drawn(self, indices: Int[Tensor, " n"]) -> tuple[Float[Tensor, "n used"], Float[Tensor, "test used"]]:
        """Standardised features of these training samples and of the test split.

        Of sparse features, only the dimensions (at least one) that are not 0 in all of these training samples: the
        best linear head has no weights for the others.
        """
        train, test = self.train(indices), self.test
        if train.is_sparse:
            used = torch.cat([train.indices()[1], torch.tensor([0])]).unique()
            scale = self.scale * (train.shape[1] / len(used)) ** 0.5  # of the length of rows, as if all were there
            return columns(train, used) / scale, columns(test, used) / scale
        return self.standardise(train), self.standardise(test)

    def unfold(self, head: nn.Linear) -> nn.Linear:
        """The head on plain features that equals `head` on standardised ones."""
        folded = nn.utils.skip_init(nn.Linear, head.in_features, head.out_features)
        with torch.no_grad():
            folded.weight.copy_(head.weight / self.scale)
            folded.bias.copy_(head.bias - folded.weight @ self.mean)
        return folded
