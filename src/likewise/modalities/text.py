"""Texts: a tokenizer learned from them, and an encoder of its tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.data import shard_texts, text
from likewise.data.addresses import may_hold_shards
from likewise.data.blocks import in_blocks
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import ChosenIds, Source, Subset
from likewise.data.text import corpus
from likewise.data.tokens import KINDS, read_tokenizer, train_tokenizer
from likewise.encoders.folder import check_within_run
from likewise.encoders.text import MAX_TOKENS, is_static, text_encoder
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings, encode
from likewise.evaluation.distinct_pairs import distinct_pairs
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.language import Bigram, Unigram, causal_model, count, language_table
from likewise.evaluation.retrieval import retrieval_table
from likewise.evaluation.similarity import cosines, similarity_table
from likewise.evaluation.tfidf import TfIdf
from likewise.methods import method_class
from likewise.modalities.base import EvaluationInputs, Modality, TrainingSetup, default_batch_size
from likewise.modalities.weights import build_known
from likewise.runs.declared import check_arguments
from likewise.runs.files import COPY_ANEW, inside, naming, read_text
from likewise.runs.table import Table
from likewise.views.text import TextViews

if TYPE_CHECKING:
    from likewise.training.recipe import Recipe

VOCAB_SIZE = 8192
DELETED = {"none": 0.0, "mild": 0.2, "strong": 0.5}
TOKENIZER = "tokenizer.json"  # in the run folder
AT_ONCE = 256  # documents


class TextModality(Modality):
    """Text files and folders of them, tables with a column of text, and texts in memory."""

    name = "text"
    default_method = "simcse"
    nouns = ("text", "texts")
    accepts = (
        "a .txt file or a folder of them, a .csv, .tsv, .jsonl or .parquet file with a column of text, a list of texts"
    )
    suffixes = text.SUFFIXES
    read_fields = ("per_file",)
    recipe_fields = ("tokenizer", "vocab_size", "max_tokens", "pooling")
    pair_augment = "none"  # what a text says about an image does not survive many deletions

    def usual_method(self, source: Source, recipe: Recipe) -> tuple[str, str]:
        if (recipe.encoder == "auto" or is_static(recipe.encoder)) and recipe.pooling is None:
            return "bag-of-words", "texts without known weights"
        return super().usual_method(source, recipe)

    def open_source(self, request: Request) -> Source | None:
        source = text.open_source(request)
        return shard_texts.open_source(request) if source is None and may_hold_shards(request) else source

    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        tokenizer, vocab_size = recipe.tokenizer or "wordpiece", recipe.vocab_size or VOCAB_SIZE
        if run_folder is not None and (run_folder / TOKENIZER).is_file():
            with naming(run_folder / "config.json", COPY_ANEW):
                learned = read_text(inside(run_folder, TOKENIZER))
        elif tokenizer in KINDS:
            learned = train_tokenizer(corpus(source), kind=tokenizer, vocab_size=vocab_size)
        else:
            learned = read_tokenizer(tokenizer)
        views = TextViews(
            learned, max_tokens=recipe.max_tokens or MAX_TOKENS, delete=deletion_probability(recipe.augment)
        )
        source = source.fitted(ReadOptions(**self.read_options(views)))
        if method_class(recipe.method).whole_documents:
            source = in_blocks(source)
        name = "bert-tiny" if recipe.encoder == "auto" else recipe.encoder
        resolved = dataclasses.replace(
            recipe,
            tokenizer=tokenizer,
            vocab_size=vocab_size,
            max_tokens=views.max_tokens,
            encoder=name,
            batch_size=recipe.batch_size or default_batch_size(len(source), accelerated=accelerated),
        )
        shape: dict[str, Any] = {
            "vocab_size": views.vocab_size,
            "max_tokens": views.max_tokens,
            "pad": views.special.pad,
        }
        shape |= {"pooling": recipe.pooling, "marks": [views.special.cls, views.special.sep]}
        build = partial(build_known, text_encoder, name, recipe, kept=run_folder, **shape)
        return TrainingSetup(resolved, source, views, build)

    def pack(self, views: TextViews) -> tuple[dict[str, Any], dict[str, str]]:
        config = views.config()
        return config | {"tokenizer": TOKENIZER}, {TOKENIZER: config["tokenizer"]}

    def unpack(self, config: dict[str, Any], folder: Path) -> TextViews:
        check_arguments(TextViews, config | {"tokenizer": ""}, "views")
        tokenizer = read_text(inside(folder, config.get("tokenizer")))
        return TextViews.from_config(config | {"tokenizer": tokenizer})

    def encoder(self, **config: Any) -> nn.Module:
        check_arguments(text_encoder, config, "encoder")
        check_within_run(config["name"], config.get("architecture"))
        return text_encoder(**config)

    def read_options(self, views: TextViews) -> dict[str, Any]:
        return {"tokenizer": views.tokenizer, "max_tokens": views.max_tokens}

    def baseline(self, views: TextViews, compute: ComputeSettings, train: Source) -> RawFeatures:
        tfidf = TfIdf(corpus(train))

        def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n words"]:
            return tfidf(ChosenIds(corpus(source), indices))

        return RawFeatures("TF-IDF", featurize)

    def measure(self, inputs: EvaluationInputs) -> list[Table]:
        """Perplexity of a causal encoder beside counting models; similarity, or retrieval, of pairs of texts."""
        if inputs.test.modality == "pair":
            return [text_pair_table(inputs)]
        if not getattr(inputs.encoder, "causal", False) or inputs.train is None:
            return []
        pad, vocab_size = inputs.views.special.pad, inputs.views.vocab_size
        counts = count(batches_by_length(inputs.train), vocab_size, pad)
        models = {name: causal_model(encoder, pad) for name, encoder in inputs.encoders().items()}
        models |= {"bigrams": Bigram(counts, pad), "unigrams": Unigram(counts, pad)}
        return [language_table(models, batches_by_length(inputs.test), vocab_size=vocab_size)]


def deletion_probability(augment: str | list[Any]) -> float:
    """The share of tokens that a random view loses."""
    if not isinstance(augment, str) or augment not in DELETED:
        raise UserError(f"augment must be none, mild or strong for texts, got {augment!r}")
    return DELETED[augment]


def batches_by_length(source: Source) -> Iterator[Int[Tensor, "n t"]]:
    """All documents, whole, those of a length together; long ones in blocks, as a language model reads them."""
    source = in_blocks(source)
    assert source.lengths is not None, "texts have lengths once they are fitted to a tokenizer"
    for some in source.lengths.argsort().split(AT_ONCE):
        yield source.read(some)


def text_pair_table(inputs: EvaluationInputs) -> Table:
    """Correlation with the scores of pairs of texts, where they have some; retrieval of one by the other if not."""
    views, compute = inputs.views, inputs.compute
    one, other = inputs.test.parts[:2]
    scores, texts, other_texts = inputs.test.scores, corpus(one), corpus(other)
    tfidf = TfIdf([*texts, *other_texts])
    pairs = distinct_pairs(texts, other_texts)
    if scores is None:  # queries and gallery are the different texts
        one, other = Subset(one, pairs.first), Subset(other, pairs.second)
    embedded = {
        name: (encode(encoder, views, one, compute=compute), encode(encoder, views, other, compute=compute))
        for name, encoder in inputs.encoders().items()
    }
    embedded["TF-IDF"] = tfidf(corpus(one)), tfidf(corpus(other))
    if scores is not None:
        return similarity_table({name: cosines(*pair) for name, pair in embedded.items()}, scores)
    return retrieval_table(embedded, ("first", "second"), pairs, len(inputs.test))
