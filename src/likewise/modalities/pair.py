"""Pairs: each half has the views and the encoder of its own modality; halves of one modality share them."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.data.pairs import halves_of
from likewise.data.read_options import ReadOptions
from likewise.data.source import Joined, Source, fitted, linked
from likewise.data.text import TextSource, documents_of
from likewise.encoders.pair import PairEncoder
from likewise.errors import UserError
from likewise.evaluation import encode
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.matches import retrieval_matches
from likewise.evaluation.retrieval import retrieval_table
from likewise.evaluation.zero_shot import class_embeddings, zero_shot_classify, zero_shot_table
from likewise.methods import method_class
from likewise.modalities import Examined, Prepared, modality_of, tower_of
from likewise.runs.table import Table
from likewise.views import ImageViews
from likewise.views.audio import AudioViews
from likewise.views.pair import PairViews
from likewise.views.text import TextViews

if TYPE_CHECKING:
    from likewise.evaluation import ComputeSettings
    from likewise.training.recipe import Recipe

JOINT_DIM = 128
AT_ONCE = 256  # samples
DECIDED = ("size", "channels", "tokenizer", "vocab_size", "max_tokens", "sample_rate", "seconds")
"""What of a recipe the samples of some modality decide."""
KINDS = {"image": ImageViews, "text": TextViews, "audio": AudioViews}


def prepare(source: Source, recipe: Recipe, *, accelerated: bool, kept: Path | None = None) -> Prepared:
    halves = halves_of(source)
    kinds = [half.modality for half in halves]
    distinct = list(dict.fromkeys(kinds))
    names = recipe.encoder.split("+") if recipe.encoder != "auto" else ["auto"] * len(distinct)
    if len(names) != len(distinct):
        wanted = f" for each of {' + '.join(distinct)}" if len(distinct) > 1 else f", for all parts are {kinds[0]}"
        raise UserError(f"encoder must name one{wanted}, got {recipe.encoder!r}")
    parts: dict[str, Prepared] = {}
    for kind, name in zip(distinct, names, strict=True):
        own = [half for half, its_kind in zip(halves, kinds, strict=True) if its_kind == kind]
        augment = recipe.augment if kind != "text" else "none"  # what a text says does not survive much
        part = dataclasses.replace(recipe, encoder=name, augment=augment)
        pool = own[0] if len(own) == 1 else Joined(own, name=source.name)
        parts[kind] = modality_of(kind).prepare(pool, part, accelerated=accelerated, kept=kept)
        decided = {field: getattr(parts[kind].recipe, field) for field in DECIDED}
        recipe = dataclasses.replace(recipe, **{k: v for k, v in decided.items() if v is not None})
    shared = len(distinct) == 1
    views = PairViews([parts[kind].views for kind in kinds])
    source = fitted(source, ReadOptions(**read_options(views)))
    resolved = dataclasses.replace(
        recipe,
        encoder="+".join(parts[kind].recipe.encoder for kind in distinct),
        batch_size=recipe.batch_size or min(256 if accelerated else 128, len(source)),
    )
    builds = [parts[kind].build for kind in (distinct if shared else kinds)]
    if method_class(recipe.method).accepts_groups:  # a method for samples of one kind, given several of each
        return Prepared(resolved, source, views, builds[0])
    return Prepared(resolved, source, views, lambda: PairEncoder([build() for build in builds], JOINT_DIM, kinds))


def encoder(*, encoders: list[dict[str, Any]], joint_dim: int, modalities: list[str]) -> PairEncoder:
    """The architecture whose `config` this is, with random weights; a single encoder serves all parts."""
    each = zip(modalities, encoders, strict=False)
    return PairEncoder([modality_of(kind).encoder(**config) for kind, config in each], joint_dim, modalities)


def pack(views: PairViews) -> tuple[dict[str, Any], dict[str, str]]:
    configs: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    for part in views.parts:
        kind = kind_of(part)
        config, its_files = modality_of(kind).pack(part)
        configs.append({"modality": kind, "config": config})
        files |= its_files
    return {"parts": configs}, files


def unpack(config: dict[str, Any], folder: Path) -> PairViews:
    return PairViews([modality_of(part["modality"]).unpack(part["config"], folder) for part in config["parts"]])


def kind_of(views: Any) -> str:
    """The modality that views are of."""
    return next(kind for kind, its in KINDS.items() if isinstance(views, its))


def read_options(views: PairViews) -> dict[str, Any]:
    return {
        name: value for part in views.parts for name, value in modality_of(kind_of(part)).read_options(part).items()
    }


def baseline(views: PairViews, compute: ComputeSettings, train: Source) -> RawFeatures:
    raise UserError("labels of pairs are judged by one half: name a folder or a table of one modality")


def examine(examined: Examined) -> list[Table]:
    """Retrieval both ways of pairs; of labelled samples, classification by the names of the classes."""
    encoder: Any = examined.encoder
    if not hasattr(encoder, "towers"):  # one encoder for all parts
        return modality_of(kind_of(examined.views.parts[0])).examine(examined._replace(views=examined.views.parts[0]))
    kinds = encoder.modalities
    if examined.test.modality == "pair":
        return [retrieval(examined, kinds)]
    if "text" in kinds and examined.test.modality != "text" and examined.test.classes:
        return [zero_shot(examined)]
    return []


def retrieval(examined: Examined, kinds: list[str]) -> Table:
    halves = halves_of(examined.test)[:2]

    def embed(encoder: Any, place: int) -> Tensor:
        views = examined.views.parts[place]
        return encode(encoder.towers[place], views, halves[place], compute=examined.compute)

    embedded = {name: (embed(encoder, 0), embed(encoder, 1)) for name, encoder in examined.encoders().items()}
    names = (kinds[0], kinds[1]) if kinds[0] != kinds[1] else (f"first {kinds[0]}", f"second {kinds[1]}")
    groups = linked(*(identities(half) for half in halves))
    matches = retrieval_matches(examined.test, examined.views, *embedded["encoder"], names=names, groups=groups)
    matches.save(examined.folder)
    return retrieval_table(embedded, names, groups)


def identities(half: Source) -> list[Any]:
    """Something for each sample that is the same for equal ones."""
    if half.modality == "text":
        return list(documents_of(half))
    found: list[Any] = []
    for some in torch.arange(len(half)).split(AT_ONCE):
        batch = half.read(some)
        rows = batch.values if isinstance(batch, Ragged) else batch
        found += [hashlib.sha256(row.numpy().tobytes()).digest() for row in rows]
    return found


def zero_shot(examined: Examined) -> Table:
    test, compute = examined.test, examined.compute
    predicted = {}
    for name, encoder in examined.encoders().items():
        tower, views = tower_of(encoder, examined.views, test.modality)
        reader, words = tower_of(encoder, examined.views, "text")

        def embed(texts: list[str], reader: Any = reader, words: Any = words) -> Tensor:
            prompts = TextSource(texts, name="prompts", progress=False)
            source = fitted(prompts, ReadOptions(**modality_of("text").read_options(words)))
            return encode(reader, words, source, compute=compute)

        samples = encode(tower, views, test, compute=compute)
        predicted[name] = zero_shot_classify(samples, class_embeddings(test.classes, embed))
    return zero_shot_table(predicted, test.labels(), test.classes)
