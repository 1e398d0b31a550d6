"""Labelled samples for `likewise fit` and `likewise suggest`: what `--labels` means, and features of these samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from likewise.commands.classified import encoder_of_classifier
from likewise.commands.options import (
    check_read_options,
    name_own_data,
    read_options_for,
    read_options_of,
    reopenable,
    split_of,
)
from likewise.console import count_of, tell_notes
from likewise.data.blocks import cut_notes
from likewise.data.copies import copies_between
from likewise.data.given_labels import has_ids, words_by_id, words_by_mapping, words_of
from likewise.data.open import open_source
from likewise.data.resolve import is_name
from likewise.data.source import Subset
from likewise.data.tables import SUFFIXES
from likewise.errors import UserError
from likewise.evaluation.features import encoder_features, gather
from likewise.evaluation.inputs import ComputeSettings
from likewise.modalities.build import adopt_for
from likewise.modalities.embed import embeddings_of
from likewise.training.machine import device_name

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.modalities.run import Run
    from likewise.runs.classifier import Classifier

Reading = dict[str, Any]
"""Options of how data is read: modality, text_column, label_column, per_file, columns."""


class LabelledSamples(NamedTuple):
    """Samples, of which some have labels."""

    source: Source
    words: list[str | None]
    """The label of each sample as it is written; None for a sample without one."""
    file: str | None
    """Where the labels come from; None for those from memory."""
    data: str | None
    """What the samples are of; None for those in memory."""
    with_samples: bool
    """Whether the labels lie with samples of their own, and are not given to other data."""
    notes: list[str]

    @property
    def places(self) -> np.ndarray:
        """Of the samples that have a label."""
        return np.array([i for i, word in enumerate(self.words) if word is not None], dtype=np.int64)

    @property
    def known(self) -> list[str]:
        """The labels that there are."""
        return [word for word in self.words if word is not None]


def open_labelled(run: Run, data: Any, labels: Any, reading: Reading, *, root: Any, progress: bool) -> LabelledSamples:
    """What `--labels` says.

    A table gives labels to the files of a folder, which is `data` or what the run has learned from; to samples of other
    data by their ids, if it has a column `id`; otherwise its rows are samples. Anything else is data with labels.

    Raises:
        UserError: for what cannot be read, has no labels, or names no sample.
    """
    named = run.config["data"] if data is None else data
    if isinstance(labels, Mapping):
        source = open_samples(run, data, reading, root=root, progress=progress)
        words, notes = words_by_mapping(labels, source)
        return LabelledSamples(source, words, None, reopenable(named), False, notes)
    file = reopenable(labels)
    if not _is_table(labels):
        source = open_samples(run, labels, reading, root=root, progress=progress)
        return LabelledSamples(source, words_of(source), file, file, True, [])
    table = Path(labels).expanduser()
    if not table.is_file():
        raise UserError(f"labels must be a table of files and labels, or a folder, got {labels}, which is absent")
    if _is_folder(named):
        # A part of a folder may have been held out by other labels, which would be another part by these.
        whole = split_of(named)[0] if data is None else data
        if data is None:
            name_own_data(run, None)
        source = open_samples(run, whole, reading, labels=table, root=root, progress=progress)
        return LabelledSamples(source, words_of(source), file, reopenable(whole), False, [])
    if named is not None and reopenable(named) != file and has_ids(table):
        label_column = reading.get("label_column")
        source = open_samples(run, data, reading | {"label_column": None}, root=root, progress=progress)
        words, notes = words_by_id(table, source, read_options_of(label_column=label_column))
        return LabelledSamples(source, words, file, reopenable(named), False, notes)
    source = open_samples(run, table, reading, root=root, progress=progress)
    return LabelledSamples(source, words_of(source), file, file, True, [])


class LabelPool(NamedTuple):
    """Samples to choose from."""

    samples: LabelledSamples
    others: LabelledSamples | None
    """Samples with labels that are not among them."""
    copies: np.ndarray
    """Places of samples that are equal, or nearly, to others with a label."""


def labelled_pool(run: Run, data: Any, labels: Any, reading: Reading, *, root: Any, progress: bool) -> LabelPool:
    """The samples to choose from, with the labels that they have; and samples with labels that are others.

    Labels that samples have by themselves, such as subfolders, do not count: only `labels` do.
    """
    none = np.zeros(0, dtype=np.int64)
    if labels is None:
        source = open_samples(run, data, reading, root=root, progress=progress)
        return LabelPool(LabelledSamples(source, [None] * len(source), None, None, False, []), None, none)
    found = open_labelled(run, data, labels, reading, root=root, progress=progress)
    named = reopenable(run.config["data"] if data is None else data)
    if not found.with_samples or (named is not None and named == found.data):
        return LabelPool(found, None, none)
    # The labels lie with samples of their own.
    source = open_samples(run, data, reading | {"label_column": None}, root=root, progress=progress)
    known = Subset(found.source, torch.from_numpy(found.places))
    same = {copy.test for copy in copies_between(known, source)}
    copies = np.array([i for i, id in enumerate(source.ids) if str(id) in same], dtype=np.int64)
    return LabelPool(LabelledSamples(source, [None] * len(source), None, None, False, []), found, copies)


def open_samples(
    run: Run, data: Any, reading: Reading, *, labels: Path | None = None, root: Any, progress: bool
) -> Source:
    """Data, or what the run has learned from if there is none, read as the run's own was."""
    given = {**reading, "labels": labels}
    if data is None:
        data = run.config["data"]
        if data is None:
            raise UserError(f"{run.path} learned from data in memory: name the files that it is to be used on")
        if not is_name(data) and not Path(split_of(data)[0]).exists():
            raise UserError(f"the data of {run.path} is no longer at {split_of(data)[0]}: name where it is")
        name_own_data(run, None)
        root = root or run.config["source"]["root"]
    check_read_options({name: value for name, value in given.items() if name != "modality"}, data)
    asked = read_options_of(**{**reading, "labels": labels})
    source = open_source(data, root=root, read_options=read_options_for(run, asked, data), progress=progress)
    tell_notes(source.notes, show=progress)
    return source


def own_samples(run: Run, ids: Sequence[Any], *, progress: bool) -> Source | None:
    """What a run has learned from, if it can be read again and its samples have these ids."""
    source = open_own_samples(run, progress=progress)
    same = source is not None and len(source) == len(ids) and all(map(str.__eq__, map(str, source.ids), map(str, ids)))
    return source if same else None


def open_own_samples(run: Run, *, progress: bool) -> Source | None:
    """What a run has learned from; None where it cannot be read again."""
    if run.config["data"] is None:
        return None
    try:
        return open_samples(run, None, {}, root=None, progress=progress)
    except UserError:  # moved, or changed since
        return None


def use_own(run: Run, encoder: Any, views: Any, source: Source) -> Any:
    """The views of a run, and its encoder loaded; both the user's own if they are given from Python."""
    views = views or run.views
    if encoder is not None:
        run.load_encoder(adopt_for(encoder, views, source))
    return views


def features_of(
    run: Run,
    views: Any,
    source: Source,
    places: np.ndarray,
    *,
    batch_size: int,
    report: Callable[[int, int, str], None],
    progress: bool,
    classifier: Classifier | None = None,
) -> Float[np.ndarray, "n dim"]:
    """Features of the samples at some places, float32.

    Args:
        classifier: one that was fine-tuned on the run, whose own encoder is taken.
    """
    chosen = Subset(source, torch.from_numpy(places))
    tell_notes(cut_notes(chosen), show=progress)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    if classifier is None:
        featurize = embeddings_of(run.encoder, views, chosen, compute=compute)
    else:
        network, its_views = encoder_of_classifier(classifier, run, views)
        featurize = encoder_features(compute.place(network).eval(), its_views, compute)
    done = 0

    def counted(samples: Source, indices: torch.Tensor) -> torch.Tensor:
        nonlocal done
        done += len(indices)
        report(done, len(chosen), "embedding")
        return featurize(samples, indices)

    return gather(counted, chosen, batch_size=batch_size).numpy()


def left_out_note(samples: LabelledSamples) -> list[str]:
    """How many samples have no label."""
    without = len(samples.words) - len(samples.known)
    return [f"{count_of(without, 'sample')} of {samples.source.name} without a label"] if without else []


def _is_table(data: Any) -> bool:
    return isinstance(data, str | Path) and not is_name(data) and Path(data).suffix.lower() in SUFFIXES


def _is_folder(data: Any) -> bool:
    return isinstance(data, str | Path) and not is_name(data) and Path(split_of(str(data))[0]).expanduser().is_dir()
