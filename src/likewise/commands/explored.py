"""What `likewise explore` shows of samples: their embeddings, a map, clusters, faults, and a classifier's answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Float32

from likewise.cleaning.find import find_faults
from likewise.commands.classified import open_classifier
from likewise.commands.labelled import Reading, features_of, open_samples, own_samples
from likewise.commands.option_names import flag
from likewise.console import count_of
from likewise.data.cache import digest
from likewise.data.fingerprint import fingerprint
from likewise.data.given_labels import words_of
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.embedding_file import StoredEmbeddings
from likewise.evaluation.inputs import Progress
from likewise.explorer.appearance import documents
from likewise.explorer.clusters import cluster, cluster_names, words_in, words_of_path
from likewise.explorer.exploration import Coded, Predicted
from likewise.explorer.plane import plane
from likewise.explorer.scene import LOOKED_FOR, Scene, kept_features, kept_scene
from likewise.modalities.encoder_digest import encoder_digest
from likewise.modalities.encoding import known_modalities
from likewise.modalities.run import Run
from likewise.tasks.answers import AnswerRule
from likewise.tasks.linear_head import LinearHead
from likewise.tasks.targets import SEPARATOR

AT_ONCE = 8192
VERSION = 1
"""Part of what is kept: another one is worked out anew."""


class ExploredData(NamedTuple):
    """Samples to look at."""

    source: Source | None
    """None where only their embeddings are at hand."""
    ids: Sequence[str]
    name: str
    modality: str
    words: list[str | None]
    """The labels that the data has."""
    stored: StoredEmbeddings | None
    """Their embeddings, where a file has them."""
    notes: list[str]


def open_explored(run: Run, data: Any, reading: Reading, *, root: Any, progress: bool) -> ExploredData:
    """Data, or a file of embeddings, or what the run has learned from.

    Raises:
        UserError: for data that the encoder does not take.
    """
    stored = StoredEmbeddings.open(Path(data)) if str(data).endswith(".parquet") else None
    if stored is not None:
        given = [name for name, value in {**reading, "root": root}.items() if value]
        if given:
            raise UserError(f"{flag(given[0])} says how to read data, {data} holds embeddings: leave it out")
        return _stored(run, Path(data), stored, progress=progress)
    source = open_samples(run, data, reading, root=root, progress=progress)
    known = {*known_modalities(run), run.modality}
    if source.modality not in known:
        wanted = " or ".join(sorted(known))
        raise UserError(f"{source.name} is {source.modality}, it must be {wanted}: name other data, or another run")
    return ExploredData(source, source.ids, source.name, source.modality, _labels_of(source), None, [])


def explored_features(
    run: Run, views: Any, data: ExploredData, *, keep: bool, batch_size: int, progress: bool, report: Progress
) -> Float32[np.ndarray, "n dim"]:
    """The embeddings of all samples.

    Args:
        keep: whether they may be read from the run folder, and are kept there.

    Raises:
        UserError: for those of another encoder.
    """
    source = data.source
    if data.stored is not None:
        return _all_parts(data, int(run.encoder.dim))  # type: ignore[arg-type]
    assert source is not None
    key = digest([VERSION, encoder_digest(run), batch_size, fingerprint(source)]) if keep else None

    def make() -> Float32[np.ndarray, "n dim"]:
        everything = np.arange(len(source))
        return features_of(run, views, source, everything, batch_size=batch_size, report=report, progress=progress)

    return kept_features(run.path, key, len(source), make)


def explored_scene(run: Run, data: ExploredData, features: Float32[np.ndarray, "n dim"], report: Progress) -> Scene:
    """The map, the clusters and the faults of samples, read from the run folder if they were kept there."""
    content = hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()
    key = digest([VERSION, content, data.source is None, digest(map(str, data.ids)), data.words])
    return kept_scene(run.path, key, len(features), lambda: _scene(data, features, report))


def answers_of(
    classifier: Any,
    run: Run,
    views: Any,
    data: ExploredData,
    features: Float32[np.ndarray, "n dim"],
    *,
    batch_size: int,
    progress: bool,
    report: Progress,
) -> Predicted:
    """What a classifier says of each sample: from the run's embeddings, or by its own encoder if it was fine-tuned.

    Raises:
        UserError: for one of another encoder or of other samples, or one that answers numbers; for one with an encoder
            of its own where only embeddings are at hand.
    """
    found, _ = open_classifier(classifier, run)
    info = found.info
    if found.is_fine_tuned and data.source is None:
        raise UserError(
            f"data must be samples for a classifier with an encoder of its own, as {found.path} is, got {data.name}, "
            "which holds embeddings: name the data instead"
        )
    if info["task"] == "regression":
        raise UserError(
            f"classifier must answer classes, {found.path} answers numbers: `likewise predict` writes them to a file"
        )
    if info["encoder"]["modality"] != data.modality:
        raise UserError(
            f"data must be {info['encoder']['modality']} samples, as those that {found.path} has learned from, got "
            f"{data.name}, which is {data.modality}"
        )
    if found.is_fine_tuned:
        source = data.source
        assert source is not None
        features = features_of(
            run,
            views,
            source,
            np.arange(len(source)),
            batch_size=batch_size,
            report=report,
            progress=progress,
            classifier=found,
        )
    head = LinearHead(**found.arrays)
    rule = AnswerRule.of(info)
    labels: list[str | None] = []
    probabilities: list[float] = []
    for start in range(0, len(features), AT_ONCE):
        answers = rule.answers(head, features[start : start + AT_ONCE])
        if rule.task == "classification":
            labels += answers.labels
            probabilities += answers.probabilities
        else:
            labels += [SEPARATOR.join(each) or None for each in answers.labels]
    probability = np.array(probabilities, dtype=np.float32) if rule.task == "classification" else None
    return Predicted(Coded.of(labels), probability)


def _stored(run: Run, path: Path, stored: StoredEmbeddings, *, progress: bool) -> ExploredData:
    """Embeddings in a file; with the samples where they are those that the run has learned from."""
    ids = [str(id) for id in stored.ids.to_pylist()]
    if not ids:
        raise UserError(f"{path} holds no embeddings: `likewise embed {run.path} DATA --out {path}` writes some")
    source = own_samples(run, ids, progress=progress)
    if source is not None:
        return ExploredData(source, ids, path.name, source.modality, _labels_of(source), stored, [])
    note = f"{path} is not of the run's own data: its samples can't be shown, only their ids; name the data instead"
    words: list[str | None] = [None] * len(ids)
    file = pq.ParquetFile(path)
    if "label" in file.schema_arrow.names:
        words = [None if word is None else str(word) for word in file.read(columns=["label"])["label"].to_pylist()]
    return ExploredData(None, ids, path.name, run.modality, words, stored, [note])


def _all_parts(data: ExploredData, dim: int) -> Float32[np.ndarray, "n dim"]:
    assert data.stored is not None
    features = np.zeros((len(data.ids), dim), dtype=np.float32)
    filled = 0
    for part in data.stored.parts():
        if part.shape[1] != dim:
            raise UserError(
                f"{data.name} has vectors of {part.shape[1]} numbers, the encoder gives {dim}: embed the data again"
            )
        features[filled : filled + len(part)] = part.numpy()
        filled += len(part)
    if not np.isfinite(features).all():
        raise UserError(f"{data.name} must hold finite numbers, some of its vectors do not: embed the data again")
    return features


def _scene(data: ExploredData, features: Float32[np.ndarray, "n dim"], report: Progress) -> Scene:
    count = len(features)
    coordinates = plane(features, report)
    report(0, 1, "finding clusters")
    clusters = cluster(features)
    names = cluster_names(clusters, _words(data))
    if data.source is None:
        note = f"copies, outliers and label errors: not looked for among {count_of(count, 'embedding')} without samples"
        return Scene(coordinates, clusters, names, notes=[note])

    @contextmanager
    def stage(doing: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: report(done, max(1, total), doing)

    found = find_faults(
        data.source,
        kinds=LOOKED_FOR,
        embed=lambda source: torch.from_numpy(features),
        embed_halves=_no_halves,
        stage=stage,
    )
    scores = found.outlier_scores
    unusual = None if scores is None else scores.astype(np.float32)
    return Scene(coordinates, clusters, names, unusual, found.faults, found.notes)


def _no_halves(source: Source) -> Any:
    raise AssertionError("mismatched pairs are not looked for")


def _words(data: ExploredData) -> Callable[[int], set[str]]:
    """The words of each sample: of its texts, or of its path and its label."""
    texts = [] if data.source is None else documents(data.source)
    if texts:
        return lambda place: words_in(str(each[place]) for each in texts)

    def words(place: int) -> set[str]:
        label = data.words[place]
        id = str(data.ids[place])
        return words_of_path(id) | ({label} if label is not None else set())

    return words


def _labels_of(source: Source) -> list[str | None]:
    """The labels that samples have; none where they would have to be read for them."""
    return [None] * len(source) if source.slow_labels or not source.classes else words_of(source)
