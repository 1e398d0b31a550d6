"""Features of samples: those of an encoder, and the raw ones that they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from math import isqrt
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import require
from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews

RAW_DIM = 1024
"""Clean views with more values than this are average-pooled to about it (96×96×3 becomes 18×18×3)."""

MIN_SCALE = 0.1
"""Dimensions whose deviation is below this part of the average are divided by this part, not by their own deviation."""

REFERENCE_SAMPLES = 4096
"""Features are standardised over at most this many training samples. Their labels are not used."""

Featurizer = Callable[[Source, Int[Tensor, " n"]], Float[Tensor, "n dim"]]
"""(source, indices) -> features of the samples there."""


class RawFeatures(NamedTuple):
    """Features without a trained encoder: what an encoder must be better than."""

    name: str
    """What people call them: pixels, TF-IDF, log-mel."""
    featurize: Featurizer


def encoder_features(encoder: nn.Module, views: EvaluationViews, compute: ComputeSettings) -> Featurizer:
    """Embeddings of clean views. The encoder is used unchanged: put it into evaluation mode.

    What is returned raises `UserError` where they are not finite.
    """

    def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        embeddings = compute.forward(encoder, views.clean(source.read(indices).to(compute.device)))
        finite = bool(embeddings.isfinite().all())
        require(finite, "embeddings", "finite", "others: the weights are damaged, or their training diverged")
        return embeddings

    return featurize


def raw_features(views: EvaluationViews, compute: ComputeSettings) -> Featurizer:
    """Clean views, flattened; those of images are average-pooled when they have more than `RAW_DIM` values."""

    def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        view = views.clean(source.read(indices).to(compute.device)).float()
        if view[0].numel() > RAW_DIM:
            view = F.adaptive_avg_pool2d(view, isqrt(RAW_DIM // view.shape[1]) or 1)
        return view.flatten(1)

    return featurize


def stream(
    featurize: Featurizer, source: Source, indices: Int[Tensor, " n"] | None = None, *, batch_size: int = 128
) -> Iterator[Float[Tensor, "b dim"]]:
    """Features of `source` (of its `indices`, in their order), batch by batch, on the CPU."""
    order = torch.arange(len(source)) if indices is None else indices
    for batch in order.split(batch_size):
        with torch.inference_mode():
            features = featurize(source, batch).cpu()
        yield features


def encode(
    encoder: nn.Module,
    views: EvaluationViews,
    source: Source,
    indices: Int[Tensor, " n"] | None = None,
    *,
    compute: ComputeSettings,
) -> Float[Tensor, "n dim"]:
    """Embeddings of the clean views of `source` (of its `indices`), float32 on the CPU.

    Only one batch of samples is in memory at a time. The encoder must be on `compute.device`.
    """
    was_training = encoder.training
    encoder.eval()
    try:
        return gather(encoder_features(encoder, views, compute), source, indices, batch_size=compute.batch_size)
    finally:
        encoder.train(was_training)


def gather(
    featurize: Featurizer, source: Source, indices: Int[Tensor, " n"] | None = None, *, batch_size: int = 128
) -> Float[Tensor, "n dim"]:
    """The whole `stream` in one tensor; sparse where the features are.

    Raises:
        ValueError: for no samples.
    """
    length = len(source) if indices is None else len(indices)
    parts = stream(featurize, source, indices, batch_size=batch_size)
    first = next(parts, None)
    if first is None:
        raise ValueError("source must have at least one sample, got none")
    if first.is_sparse:
        return torch.cat([first, *parts]).coalesce()
    features, filled = first.new_empty(length, first.shape[1]), 0
    for part in chain([first], parts):
        features[filled : filled + len(part)] = part
        filled += len(part)
    return features


def rows(features: Float[Tensor, "m dim"], chosen: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
    """Some rows, in the order of `chosen`, of features that may be sparse."""
    selected = features.index_select(0, chosen)
    return selected.coalesce() if selected.is_sparse else selected


def columns(features: Float[Tensor, "n dim"], chosen: Int[Tensor, " some"]) -> Float[Tensor, "n some"]:
    """Some columns of sparse features."""
    return features.index_select(1, chosen).coalesce()


def evenly_spaced(length: int, count: int) -> Int[Tensor, " n"]:
    """At most `count` of `length` indices, evenly spaced, so that a source sorted by class gives some of each class."""
    return torch.arange(min(length, count)) * length // min(length, count)


def standardization(
    features: Float[Tensor, "n dim"], *, one_scale: bool = False
) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
    """The mean of each dimension, and its deviation, which is not far below the average one.

    `one_scale`: the average deviation for all of them.
    """
    deviation = features.std(0, correction=0)
    average = deviation.square().mean().sqrt().clamp_min(1e-12)
    scale = average.expand_as(deviation) if one_scale else deviation.maximum(MIN_SCALE * average)
    return features.mean(0), scale


class FeatureTable:
    """Features of all samples that an evaluation needs, with the scaling that the linear heads use.

    The `needed` training samples and the whole test split are featurized, once. Features are centred and divided by
    their standard deviation over the `reference` training samples, without their labels: each dimension by its own, or
    with `one_scale` all by their average, which keeps the proportions of raw features. Sparse features always keep
    their proportions. They are not centred, which would make them dense: the bias of the head is free and does that.
    """

    def __init__(
        self,
        featurize: Featurizer,
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
        self._train = gather(featurize, train, indices, batch_size=batch_size)
        self.test = gather(featurize, test, batch_size=batch_size)
        known = self.train(reference)
        if known.is_sparse:
            self.mean = torch.zeros(())
            self.scale = (known.values().square().sum() / known.numel()).sqrt().clamp_min(1e-12)
            return
        self.mean, self.scale = standardization(known, one_scale=one_scale)

    def train(self, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        """Features of training samples, which must be among `needed` or `reference`."""
        return rows(self._train, self._row[indices])

    def standardize(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Zero mean and (all but the flattest dimensions) unit variance over the reference samples."""
        return (features - self.mean) / self.scale

    def drawn(self, indices: Int[Tensor, " n"]) -> tuple[Float[Tensor, "n used"], Float[Tensor, "test used"]]:
        """Standardised features of these training samples and of the test split.

        Of sparse features, only the dimensions (at least one) that are not 0 in all of these training samples: the
        optimal linear head has zero weights for the others.
        """
        train, test = self.train(indices), self.test
        if train.is_sparse:
            used = torch.cat([train.indices()[1], torch.tensor([0])]).unique()
            scale = self.scale * (train.shape[1] / len(used)) ** 0.5  # rows keep their length relative to √dim
            return columns(train, used) / scale, columns(test, used) / scale
        return self.standardize(train), self.standardize(test)

    def unfold(self, head: nn.Linear) -> nn.Linear:
        """The head on unscaled features that equals `head` on standardised ones."""
        folded = nn.utils.skip_init(nn.Linear, head.in_features, head.out_features)
        with torch.no_grad():
            folded.weight.copy_(head.weight / self.scale)
            folded.bias.copy_(head.bias - folded.weight @ self.mean)
        return folded
