"""Pairs: each part has the views and the encoder of its own modality; parts of one modality share them."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import torch
from torch import Tensor

from likewise.data import pairs
from likewise.data.copies import sample_bytes
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Joined, Source, Subset, labelled_part
from likewise.data.text import TextSource, corpus
from likewise.encoders.pair import PairEncoder
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings, encode
from likewise.evaluation.distinct_pairs import distinct_pairs
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.matches import retrieval_matches
from likewise.evaluation.retrieval import retrieval_table
from likewise.evaluation.zero_shot import class_embeddings, zero_shot_classify, zero_shot_table
from likewise.methods import method_class
from likewise.modalities.base import EvaluationInputs, Modality, TrainingSetup, default_batch_size
from likewise.modalities.lookup import modality_of
from likewise.modalities.towers import encoder_for
from likewise.modalities.weights import specs
from likewise.runs.config import PartConfig
from likewise.runs.declared import Range, check_declared
from likewise.runs.table import Table
from likewise.views.pair import PairViews

if TYPE_CHECKING:
    from likewise.training.recipe import Recipe

JOINT_DIM = 128
AT_ONCE = 256  # samples


class PairViewsConfig(TypedDict):
    """What config.json says of the views of pairs."""

    parts: list[PartConfig]


class PairEncoderConfig(TypedDict):
    """What config.json says of an encoder of pairs."""

    encoders: list[dict[str, Any]]
    joint_dim: Annotated[int, Range(1, 2**16)]
    modalities: list[str]


class PairModality(Modality):
    """Samples of two or three parts, each of a modality of its own."""

    name = "pair"
    default_method = "clip"
    nouns = ("pair", "pairs")
    accepts = (
        "a table with two columns of paths or texts, a folder of images or recordings with same-named .txt captions, "
        "WebDataset .tar files, a pair of lists"
    )

    def open_source(self, request: Request) -> Source | None:
        return pairs.open_source(request)

    def adapt_read_options(self, read_options: ReadOptions, data: Any) -> ReadOptions:
        return pairs.adapt_read_options(read_options, data)

    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        if not source.parts:
            raise UserError(f"{source.name} must have parts, a source for each part of its pairs, got none")
        modalities = [part.modality for part in source.parts]
        distinct = list(dict.fromkeys(modalities))
        names = recipe.encoder.split("+") if recipe.encoder != "auto" else ["auto"] * len(distinct)
        if len(names) != len(distinct):
            which = f"each of {' + '.join(distinct)}" if len(distinct) > 1 else f"parts that are all {distinct[0]}"
            raise UserError(f"encoder must be one name for {which}, got {recipe.encoder!r}")
        weights = [None] * len(distinct) if recipe.weights is None else specs(recipe, distinct)
        setups: dict[str, TrainingSetup] = {}
        for modality, name, its_weights in zip(distinct, names, weights, strict=True):
            own = [part for part in source.parts if part.modality == modality]
            pool = own[0] if len(own) == 1 else Joined(own, name=source.name)
            part = dataclasses.replace(recipe, encoder=name, weights=its_weights)
            setups[modality], decided = _setup_part(
                modality_of(modality), pool, part, accelerated=accelerated, run_folder=run_folder
            )
            recipe = dataclasses.replace(recipe, **decided)
        views = PairViews([setups[modality].views for modality in modalities])
        source = source.fitted(ReadOptions(**self.read_options(views)))
        resolved = dataclasses.replace(
            recipe,
            encoder="+".join(setups[modality].recipe.encoder for modality in distinct),
            batch_size=recipe.batch_size or default_batch_size(len(source), accelerated=accelerated),
        )
        shared = len(distinct) == 1
        builds = [setups[modality].build_encoder for modality in (distinct if shared else modalities)]
        if method_class(recipe.method).accepts_groups:  # a method for samples of one modality, given several of each
            return TrainingSetup(resolved, source, views, builds[0])
        return TrainingSetup(
            resolved, source, views, lambda: PairEncoder([build() for build in builds], JOINT_DIM, modalities)
        )

    def pack(self, views: PairViews) -> tuple[dict[str, Any], dict[str, str]]:
        configs: list[dict[str, Any]] = []
        files: dict[str, str] = {}
        for part in views.parts:
            config, its_files = modality_of(part.modality).pack(part)
            configs.append({"modality": part.modality, "config": config})
            files |= its_files
        return {"parts": configs}, files

    def unpack(self, config: dict[str, Any], folder: Path) -> PairViews:
        check_declared(config, PairViewsConfig, "views")
        return PairViews([modality_of(part["modality"]).unpack(part["config"], folder) for part in config["parts"]])

    def encoder(self, **config: Any) -> PairEncoder:
        """See `Modality.encoder` and `PairEncoder.config`; a single encoder serves all parts."""
        check_declared(config, PairEncoderConfig, "encoder")
        each = zip(config["modalities"], config["encoders"], strict=False)
        encoders = [modality_of(modality).encoder(**its_config) for modality, its_config in each]
        return PairEncoder(encoders, config["joint_dim"], config["modalities"])

    def read_options(self, views: PairViews) -> dict[str, Any]:
        return {
            name: value for part in views.parts for name, value in modality_of(part.modality).read_options(part).items()
        }

    def baseline(self, views: PairViews, compute: ComputeSettings, train: Source) -> RawFeatures:
        raise UserError("labels of pairs are evaluated on one part: name a folder or a table of one modality")

    def measure(self, inputs: EvaluationInputs) -> list[Table]:
        """Retrieval of pairs in both directions; of labelled samples, classification by the names of the classes."""
        encoder = inputs.encoder
        if not isinstance(encoder, PairEncoder):  # one encoder for all parts
            views = inputs.views.parts[0]
            return modality_of(views.modality).measure(inputs._replace(views=views))
        if inputs.test.modality == "pair":
            return [pair_retrieval_table(inputs, encoder.modalities)]
        if "text" in encoder.modalities and inputs.test.modality != "text" and inputs.test.classes:
            return [class_name_table(inputs)]
        return []


def _setup_part(
    modality: Modality, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None
) -> tuple[TrainingSetup, dict[str, Any]]:
    """The setup of the parts of one modality, and the values of the recipe that these samples decide."""
    own = dataclasses.replace(recipe, augment=modality.pair_augment or recipe.augment)
    part = modality.setup(source, own, accelerated=accelerated, run_folder=run_folder)
    return part, {field: getattr(part.recipe, field) for field in modality.recipe_fields}


def pair_retrieval_table(inputs: EvaluationInputs, modalities: list[str]) -> Table:
    """How often one part of a pair finds the other, in both directions; the first matches are kept for the page."""
    parts = inputs.test.parts[:2]
    pairs = distinct_pairs(*(identities(part) for part in parts))
    different = [Subset(part, chosen) for part, chosen in zip(parts, (pairs.first, pairs.second), strict=True)]

    def embed(encoder: Any, place: int) -> Tensor:
        return encode(encoder.towers[place], inputs.views.parts[place], different[place], compute=inputs.compute)

    embedded = {name: (embed(encoder, 0), embed(encoder, 1)) for name, encoder in inputs.encoders().items()}
    one, other = modalities[:2]
    names = (one, other) if one != other else (f"first {one}", f"second {other}")
    matches = retrieval_matches(inputs.test, inputs.views, *embedded["encoder"], names=names, pairs=pairs)
    matches.save(inputs.folder)
    return retrieval_table(embedded, names, pairs, len(inputs.test))


def identities(part: Source) -> list[Any]:
    """Something for each sample that is the same for equal ones."""
    if part.modality == "text":
        return list(corpus(part))
    found: list[Any] = []
    for some in torch.arange(len(part)).split(AT_ONCE):
        rows = sample_bytes(part.read(some))
        assert rows is not None
        found += [hashlib.sha256(row).digest() for row in rows]
    return found


def class_name_table(inputs: EvaluationInputs) -> Table:
    """Zero-shot classification: labelled samples compared with texts that name their classes."""
    test, compute = labelled_part(inputs.test), inputs.compute
    predicted = {}
    for name, encoder in inputs.encoders().items():
        tower, views = encoder_for(test.modality, encoder, inputs.views)
        text_tower, text_views = encoder_for("text", encoder, inputs.views)

        def embed(texts: list[str], tower: Any = text_tower, views: Any = text_views) -> Tensor:
            read_options = ReadOptions(**modality_of("text").read_options(views))
            prompts = TextSource(texts, name="prompts", progress=False).fitted(read_options)
            return encode(tower, views, prompts, compute=compute)

        samples = encode(tower, views, test, compute=compute)
        predicted[name] = zero_shot_classify(samples, class_embeddings(test.classes, embed))
    return zero_shot_table(predicted, test.labels(), test.classes)
