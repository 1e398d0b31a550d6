"""What `likewise explain` is asked about: a file, a text, a row of the data or an object, as a sample of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from likewise.console import tell_notes
from likewise.data.blocks import cut_notes
from likewise.data.items import SUFFIXES, longer_note
from likewise.data.open import open_source
from likewise.data.source import Source, Subset
from likewise.errors import UserError
from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.account import seeded
from likewise.explanations.sample import ExplainedSample
from likewise.methods import METHODS, method_class
from likewise.modalities.encoding import given, known_modalities
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for, halves_for

UNTRAINED = 3
"""Encoders with random weights that maps are compared with."""
SHOWN = 60  # letters of a text that name it


class NamedSample(NamedTuple):
    """A sample, and what it is called."""

    name: str
    source: Source
    """With this sample alone."""


def named_sample(run: Run, sample: Any, rows: Callable[[], Source], *, own: bool) -> NamedSample:
    """What a word of the command line, or an object from Python, means.

    A path of a file is that file; the id of a row of the data, as `likewise search` prints it, that row; anything else
    is a text.

    Args:
        rows: opens the data.
        own: whether it is what the run has learned from, which a text does without.

    Raises:
        UserError: for a sample of another modality, a file that is not there or can't be read.
    """
    if not isinstance(sample, str | os.PathLike):
        return NamedSample("the sample", given(run, [sample], None, None))
    word = os.fspath(sample)
    if kind := _kind_of_file(run, word):
        return NamedSample(Path(word).name, given(run, [Path(word)], kind, None))
    takes_texts = "text" in known_modalities(run) and not isinstance(sample, os.PathLike)
    try:
        source = rows()
    except UserError:
        if not takes_texts or not own:
            raise
    else:
        ids = [str(id) for id in source.ids]
        if word in ids:
            return NamedSample(word, Subset(source, torch.tensor([ids.index(word)])))
        if not takes_texts or word.lower().endswith(sum(SUFFIXES.values(), ())):
            kinds = " and ".join(known_modalities(run))
            raise UserError(f"{word!r} is neither a file nor a row of {source.name}; {run.path} takes {kinds} samples")
        if word.isdecimal() and ids[:1] == ["0"]:
            raise UserError(f"{word} is no row of {source.name}, which has {len(ids):,} rows, from 0 on")
    if not word.strip():
        raise UserError("a text to explain must have a word, got none")
    name = word if len(word) <= SHOWN else f"{word[: SHOWN - 1]}…"
    text = open_source(
        [word.encode("utf-8", "replace").decode()],
        read_options=run.read_options.with_(modality="text"),
        progress=False,
    )
    text.name = "the text"
    return NamedSample(name, text)


def explained_samples(run: Run, views: Any, a: NamedSample, b: NamedSample | None) -> list[tuple[str, Source, Any]]:
    """(name, source, views) of one sample or of two: of a row of pairs alone, its two halves.

    Raises:
        UserError: for a row of pairs beside another sample, or samples that the encoder does not take.
    """
    both = [a] if b is None else [a, b]
    for each in both:
        if each.source.parts and b is not None:
            raise UserError(
                f"{each.name} is a pair, which is explained alone, half by half: leave the other sample out"
            )
    if a.source.parts:
        halves = zip(a.source.parts[:2], halves_for(run.encoder, views), strict=False)
        return [(f"{a.name}, {part.modality}", part, its) for part, (_, its) in halves]
    return [(each.name, each.source, encoder_for(each.source.modality, run.encoder, views)[1]) for each in both]


def before(
    encoder: nn.Module, views: Any, named: list[tuple[str, Source, Any]], compute: ComputeSettings
) -> list[ExplainedSample]:
    """The samples, each before the part of the encoder that takes it."""
    towers = _towers(encoder, views, [source for _, source, _ in named])
    zero = torch.tensor([0])
    found = [
        ExplainedSample.of(name, tower, its_views, source.read(zero), compute)
        for (name, source, its_views), tower in zip(named, towers, strict=True)
    ]
    tell_notes(note for _, source, _ in named for note in [*cut_notes(source), *longer_note(source)])
    return found


def untrained_towers(run: Run, views: Any, named: list[tuple[str, Source, Any]]) -> list[tuple[nn.Module, nn.Module]]:
    """For some encoders with random weights, the parts that take the first sample and the last one."""
    built = [seeded(run.build_encoder, seed) for seed in range(UNTRAINED)]
    towers = [_towers(encoder, views, [source for _, source, _ in named]) for encoder in built if encoder is not None]
    return [(each[0], each[-1]) for each in towers]


def _towers(encoder: nn.Module, views: Any, sources: list[Source]) -> list[nn.Module]:
    kinds = [source.modality for source in sources]
    if getattr(encoder, "modalities", None) == kinds and len(kinds) == 2:  # two halves, perhaps of one modality
        return [tower for tower, _ in halves_for(encoder, views)]
    return [encoder_for(kind, encoder, views)[0] for kind in kinds]


def _kind_of_file(run: Run, word: str) -> str | None:
    """The modality of a file that a word names; None where it names none.

    Raises:
        UserError: for a file that the encoder does not take.
    """
    path, known = Path(word).expanduser(), known_modalities(run)
    try:
        there = path.is_file()
    except (OSError, ValueError):
        return None  # too long for a name, or with a character that none has
    if not there:
        return None
    media = [kind for kind in SUFFIXES if kind in known]
    kind = next((kind for kind in SUFFIXES if path.name.lower().endswith(SUFFIXES[kind])), None)
    if kind in media or (kind is None and len(media) == 1):
        return kind or media[0]
    what = f"of {kind}" if kind else "no picture and no recording"
    remedy = ": give the text itself" if "text" in known else ""
    raise UserError(f"{word} is a file {what}, {run.path} takes {' and '.join(known)} samples{remedy}")


class EncoderHalf(NamedTuple):
    """The part of an encoder that takes samples of one kind, and these samples."""

    encoder: nn.Module
    views: Any
    source: Source
    untrained: nn.Module | None
    compares_views: bool
    """Whether the training compared two random views of a sample."""


def halves_of(run: Run, views: Any, source: Source) -> list[EncoderHalf]:
    """What is explained of a whole encoder: all of it or, of pairs, each half by itself.

    Raises:
        UserError: for samples that the encoder does not take.
    """
    known = {*known_modalities(run), run.modality}
    if source.modality not in known:
        wanted = " or ".join(sorted(known))
        raise UserError(f"{source.name} is {source.modality}, it must be {wanted}: name other data, or another run")
    plain = seeded(run.build_encoder, 0)
    if source.parts:
        both = [halves_for(encoder, views) for encoder in (run.encoder, plain) if encoder is not None]
        return [
            EncoderHalf(both[0][i][0], both[0][i][1], part, both[1][i][0] if plain is not None else None, False)
            for i, part in enumerate(source.parts[:2])
        ]
    tower, its_views = encoder_for(source.modality, run.encoder, views)
    untrained = None if plain is None else encoder_for(source.modality, plain, views)[0]
    return [EncoderHalf(tower, its_views, source, untrained, run.modality != "pair" and _compares_views(run))]


def _compares_views(run: Run) -> bool:
    name = (run.config["method"] or {}).get("name")
    return name in METHODS and method_class(name).compares_augmentations
