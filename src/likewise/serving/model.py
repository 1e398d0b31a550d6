"""What a service knows: an encoder or the towers of one, a head if there is one, and a collection to search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from likewise.data.items import Items
from likewise.errors import UserError
from likewise.evaluation.embedding_file import StoredEmbeddings
from likewise.evaluation.features import Featurizer, encoder_features, stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.most_similar import most_similar
from likewise.modalities.encoding import known_modalities
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.runs.classifier import Classifier
from likewise.serving.readers import SampleReader, reader_for
from likewise.tasks.answers import AnswerRule
from likewise.tasks.linear_head import LinearHead

TAKEN = ("image", "text", "audio")


class Half(NamedTuple):
    """The encoder of one modality: a run's own, or of a run on pairs one of its towers."""

    reader: SampleReader
    featurize: Featurizer


class ServedHead(NamedTuple):
    """A head on the embeddings of one modality."""

    modality: str
    linear: LinearHead
    rule: AnswerRule

    def answers(self, vectors: Float32[np.ndarray, "n dim"]) -> list[dict[str, Any]]:
        """Of each sample label, probability and abstained; of numbers the value."""
        labels, probabilities, abstained = self.rule.answers(self.linear, vectors)
        if self.rule.task == "regression":
            return [{"value": value} for value in labels]
        rows = zip(labels, probabilities, abstained.tolist(), strict=True)
        return [{"label": label, "probability": p, "abstained": is_unsure} for label, p, is_unsure in rows]


class ServedCollection(NamedTuple):
    """Embeddings to search, in memory."""

    ids: Any
    parts: list[Float[Tensor, "n dim"]]

    def matches(self, vector: Float[np.ndarray, " dim"], top: int) -> list[dict[str, Any]]:
        """The most similar first."""
        found = most_similar(torch.from_numpy(vector), self.parts, top)
        return [
            {"rank": rank, "similarity": similarity, "id": str(self.ids[i])}
            for rank, (i, similarity) in enumerate(found, start=1)
        ]


class ServedModel(NamedTuple):
    """All that requests are answered with."""

    name: str
    dim: int
    halves: dict[str, Half]
    """By modality."""
    compute: ComputeSettings
    head: ServedHead | None
    collection: ServedCollection | None

    def embed(self, modality: str, rows: Sequence[Any]) -> Float32[np.ndarray, "n dim"]:
        """The embeddings of prepared samples."""
        reader, featurize = self.halves[modality]
        samples = Items(rows, lambda numbered: reader.join([row for _, row in numbered]), modality=modality)
        return torch.cat(list(stream(featurize, samples, batch_size=self.compute.batch_size))).numpy()


def served_model(
    run: Run,
    classifier: Classifier | None,
    collection: StoredEmbeddings | None,
    *,
    compute: ComputeSettings,
    fine_tuned: nn.Module | None = None,
) -> ServedModel:
    """A run, with a classifier on it and a collection where there are any, ready to answer.

    Args:
        fine_tuned: the classifier's own encoder, if it has one: it encodes the samples that the classifier takes.

    Raises:
        UserError: for a run or a classifier of other samples, or a collection of another encoder.
    """
    encoder, views, options = run.encoder, run.views, run.read_options
    known = known_modalities(run)
    if not set(known) <= set(TAKEN):
        raise UserError(f"run must be of images, texts, recordings or pairs of them to be served, got {run.path}")
    head = None if classifier is None else _head(classifier, known)
    halves: dict[str, Half] = {}
    dims: set[int] = set()
    for modality in known:
        tower, its_views = encoder_for(modality, encoder, views)
        if fine_tuned is not None and head is not None and head.modality == modality:
            tower = fine_tuned
        featurize = encoder_features(compute.place(tower).eval(), its_views, compute)
        halves[modality] = Half(reader_for(modality, options, its_views), featurize)
        dims.add(tower.dim)  # type: ignore[arg-type]
    [dim] = dims
    name = (run if classifier is None else classifier).path.resolve().name
    return ServedModel(name, dim, halves, compute, head, None if collection is None else _loaded(collection, dim))


def _head(classifier: Classifier, known: list[str]) -> ServedHead:
    info = classifier.info
    modality = info["encoder"]["modality"]
    if modality not in known:
        raise UserError(f"classifier must be of {' or '.join(known)} samples to be served, got one of {modality}")
    rule = AnswerRule.of(info)
    return ServedHead(modality, LinearHead(**classifier.arrays), rule)


def _loaded(collection: StoredEmbeddings, dim: int) -> ServedCollection:
    parts = list(collection.parts())
    wrong = next((part.shape[1] for part in parts if part.shape[1] != dim), None)
    if wrong is not None:
        raise UserError(f"collection must hold vectors of {dim} numbers, as the encoder gives, got {wrong}")
    return ServedCollection(collection.ids, parts)
