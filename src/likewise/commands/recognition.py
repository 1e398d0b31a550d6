"""Recordings with transcripts for `likewise evaluate`: what to learn from, what to test on, and what to leave out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from likewise.commands.option_names import flag
from likewise.commands.options import read_options_for, read_options_of, reopenable, split_of
from likewise.data.audio import LONGEST
from likewise.data.open import open_source
from likewise.data.resolve import is_name
from likewise.data.source import Subset
from likewise.data.split_folders import TESTS, split_folders
from likewise.data.splits import hold_out
from likewise.data.transcripts import pieces, read_transcripts, root_of
from likewise.errors import UserError
from likewise.evaluation.recognizer import Transcribed
from likewise.modalities.encoding import known_modalities

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.modalities.run import Run

NO_TRANSCRIPT, EMPTY = "no transcript", "its transcript is empty"
LONG = f"longer than {LONGEST} s: its transcript is of the whole"


class SpokenData(NamedTuple):
    """Recordings with transcripts, and what people should know of them."""

    train: Transcribed
    test: Transcribed
    tested: Any
    """The data argument that the test recordings are of."""
    left_out: list[list[str]]
    """(recording, reason) of those that cannot be used."""
    notes: list[str]


def check_transcripts(data: Any, test: Any, transcripts: str | Path, text_column: str | None, progress: bool) -> None:
    """Raise `UserError` before a training where there are no recordings, or no transcripts of them, to evaluate with.

    Args:
        data: to learn from transcripts of.
        test: to test on; a part of `data` if None.
        transcripts: the table.
        text_column: of the transcripts.
        progress: report on stderr.
    """
    train, test = _parts(data) if test is None else (data, test)
    sources = []
    for part in filter(lambda part: part is not None, (train, test)):
        source = open_source(part, read_options=read_options_of("audio"), progress=progress)
        if source.modality != "audio":
            raise UserError(f"--transcripts applies to recordings, but {source.name} is {source.modality}")
        sources.append(source)
    found = [(root_of(part), source) for part, source in zip((train, test), sources, strict=False)]
    said = read_transcripts(Path(transcripts).expanduser(), found, text_column)
    for source, texts in zip(sources, said.texts, strict=True):
        _usable(source, texts)


def check_needless(modality: str | None, needless: dict[str, Any]) -> None:
    """Raise `UserError` for an option that transcripts have no use for.

    Args:
        modality: that was asked for.
        needless: values of such options by name; those that are None or False are not given.
    """
    if modality not in (None, "audio"):
        raise UserError(f"modality must be audio with --transcripts, got {modality!r}")
    for name, value in needless.items():
        if value is not None and value is not False:
            instead = "give --labelled" if name == "labels_per_class" else "leave it out"
            raise UserError(f"{flag(name)} has no effect with --transcripts: {instead}")


def check_spoken(run: Run, modality: str | None, needless: dict[str, Any]) -> None:
    """Raise `UserError` for a run that has not learned from recordings, or an option that transcripts have no use for.

    Args:
        modality: that was asked for.
        needless: values of such options by name; those that are None or False are not given.
    """
    if (kinds := known_modalities(run)) and "audio" not in kinds:
        raise UserError(f"--transcripts applies to recordings, but {run.path} has learned from {' and '.join(kinds)}")
    check_needless(modality, needless)


def open_spoken(
    run: Run,
    transcripts: str | Path,
    train: Any,
    test: Any,
    *,
    text_column: str | None,
    progress: bool,
) -> SpokenData:
    """The recordings of an evaluation and their transcripts.

    Without a test part, data with subfolders `train` and `test` gives these; of other data a fifth is held out.

    Args:
        run: its own data is taken where no other is named.
        transcripts: the table.
        train, test: data to learn from and to test on.
        text_column: of the transcripts.
        progress: report on stderr.

    Raises:
        UserError: for data that cannot be read or used.
    """
    learned = run.config["data"]
    if train is None and learned is None:
        raise UserError(f"{run.path} learned from data in memory: name recordings with transcripts with --train")
    if train is None and not Path(split_of(learned)[0]).exists():
        raise UserError(f"the data of {run.path} is no longer at {split_of(learned)[0]}: name recordings with --train")
    train = learned if train is None else train
    if test is None:
        train, test = _parts(train)
    elif reopenable(train) is not None and reopenable(train) == reopenable(test):
        raise UserError(f"train and test are both {test}: test on recordings that no transcript was learned from")
    sources = [_open(run, data, progress) for data in (train, test) if data is not None]
    said = read_transcripts(
        Path(transcripts).expanduser(),
        [(root_of(data), source) for data, source in zip((train, test), sources, strict=False)],
        text_column,
    )
    usable, left_out = [], []
    for source, texts in zip(sources, said.texts, strict=True):
        kept, others = _usable(source, texts)
        usable.append(kept)
        left_out += others
    notes = [*said.notes, *_left_out_note(left_out, sum(map(len, sources)))]
    if test is None:
        usable = list(_held_out(usable[0]))
        total = sum(len(each.texts) for each in usable)
        notes.append(f"a fifth of the {total:,} recordings with transcripts is held out for the test")
    return SpokenData(usable[0], usable[1], train if test is None else test, left_out, notes)


def _parts(data: Any) -> tuple[Any, Any]:
    """The parts to learn from and to test on, where data has them; (data, None) where a test part must be held out."""
    if not isinstance(data, str | Path) or is_name(data):
        return data, None
    base, split = split_of(str(data))
    below = split_folders(Path(base)) if Path(base).is_dir() else {}
    tests = [role for role in TESTS if role in below]
    if below and tests and split in ("", "train", below.get("train")):
        return f"{base}:train", f"{base}:{tests[0]}"
    if split == "train" and not below:  # held out by labels, before the training
        return data, f"{base}:test"
    return data, None


def _open(run: Run, data: Any, progress: bool) -> Source:
    options = dataclasses.replace(read_options_for(run, read_options_of("audio"), data), labels=None, text_column=None)
    source = open_source(
        data, read_options=dataclasses.replace(options, columns=None, label_column=None), progress=progress
    )
    if source.modality != "audio":
        raise UserError(f"--transcripts applies to recordings, but {source.name} is {source.modality}")
    return source


def _usable(source: Source, texts: Sequence[str | None]) -> tuple[Transcribed, list[list[str]]]:
    """The recordings that are whole and have a transcript, and the others, each with the reason.

    Raises:
        UserError: where there are none.
    """
    cut = pieces(source)
    left_out = []
    kept = []
    for place, (name, text, piece) in enumerate(zip(source.ids, texts, cut, strict=True)):
        if text and not piece:
            kept.append(place)
        else:
            left_out.append([name, NO_TRANSCRIPT if text is None else LONG if piece else EMPTY])
    if not kept:
        reason = left_out[0][1] if left_out else "it has none"
        raise UserError(
            f"transcripts must be of recordings of {source.name}, got none that can be used (of {len(source):,}; "
            f"{left_out[0][0] if left_out else source.name}: {reason})"
        )
    return Transcribed(Subset(source, torch.tensor(kept)), [texts[i] or "" for i in kept]), left_out


def _left_out_note(left_out: Sequence[Sequence[str]], total: int) -> list[str]:
    """How many recordings are left out, for each reason, with the first of them."""
    notes = []
    for reason in dict.fromkeys(reason for _, reason in left_out):
        names = [name for name, why in left_out if why == reason]
        notes.append(f"{len(names):,} of {total:,} recordings left out, the first {names[0]}: {reason}")
    return notes


def _held_out(data: Transcribed) -> tuple[Transcribed, Transcribed]:
    """Four fifths to learn from and a fifth to test on, as `hold_out` makes them: copies are on one side."""
    places = Subset(data.source, torch.arange(len(data.texts)))
    places.classes, places.has_own_targets = [], True  # transcripts are no classes
    if len(data.texts) < 2:
        raise UserError(f"{data.source.name} has one recording with a transcript: name others to test on with --test")
    train, test = hold_out(places)
    return (
        Transcribed(train, [data.texts[i] for i in train.indices.tolist()]),
        Transcribed(test, [data.texts[i] for i in test.indices.tolist()]),
    )
