"""Texts: a tokenizer learned from them, and a small Transformer unless told otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int
from torch import Tensor

from likewise.data.pairs import halves_of, scores_of
from likewise.data.read_options import ReadOptions
from likewise.data.source import ChosenIds, Source, fitted, linked
from likewise.data.text import documents_of
from likewise.data.tokens import KINDS, read_tokenizer, train_tokenizer
from likewise.encoders.text import text_encoder
from likewise.errors import UserError
from likewise.evaluation import encode
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.language import Bigram, Unigram, causal_model, count, language_table
from likewise.evaluation.retrieval import retrieval_table
from likewise.evaluation.similarity import cosines, similarity_table
from likewise.evaluation.tfidf import TfIdf
from likewise.modalities import Examined, Prepared
from likewise.runs.table import Table
from likewise.views.text import TextViews

if TYPE_CHECKING:
    from likewise.evaluation import ComputeSettings
    from likewise.training.recipe import Recipe

TOKENS, VOCABULARY = 128, 8192
DELETED = {"none": 0.0, "mild": 0.2, "strong": 0.5}
TOKENIZER = "tokenizer.json"  # in the run folder
AT_ONCE = 256  # documents

encoder = text_encoder


def prepare(source: Source, recipe: Recipe, *, accelerated: bool, kept: Path | None = None) -> Prepared:
    tokenizer, vocab_size = recipe.tokenizer or "wordpiece", recipe.vocab_size or VOCABULARY
    if kept is not None and (kept / TOKENIZER).is_file():
        text = (kept / TOKENIZER).read_text(encoding="utf-8")
    elif tokenizer in KINDS:
        text = train_tokenizer(documents_of(source), kind=tokenizer, vocab_size=vocab_size)
    else:
        text = read_tokenizer(tokenizer)
    views = TextViews(text, max_tokens=recipe.max_tokens or TOKENS, delete=deleted(recipe.augment))
    source = fitted(source, ReadOptions(**read_options(views)))
    name = "bert-tiny" if recipe.encoder == "auto" else recipe.encoder
    resolved = dataclasses.replace(
        recipe,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        max_tokens=views.max_tokens,
        encoder=name,
        batch_size=recipe.batch_size or min(256 if accelerated else 128, len(source)),
    )
    shape: dict[str, Any] = {"vocab_size": views.vocab_size, "max_tokens": views.max_tokens, "pad": views.special.pad}
    return Prepared(resolved, source, views, lambda: text_encoder(name, **shape, pooling=recipe.pooling))


def deleted(augment: str | list[Any]) -> float:
    """The share of tokens that a random view loses."""
    if not isinstance(augment, str) or augment not in DELETED:
        raise UserError(f"augment of texts must be {', '.join(DELETED)}, got {augment!r}")
    return DELETED[augment]


def pack(views: TextViews) -> tuple[dict[str, Any], dict[str, str]]:
    config = views.config()
    return config | {"tokenizer": TOKENIZER}, {TOKENIZER: config["tokenizer"]}


def unpack(config: dict[str, Any], folder: Path) -> TextViews:
    text = (folder / config["tokenizer"]).read_text(encoding="utf-8")
    return TextViews.from_config(config | {"tokenizer": text})


def read_options(views: TextViews) -> dict[str, Any]:
    return {"tokenizer": views.tokenizer, "max_tokens": views.max_tokens}


def baseline(views: TextViews, compute: ComputeSettings, train: Source) -> RawFeatures:
    weigh = TfIdf(documents_of(train))

    def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n words"]:
        return weigh(ChosenIds(documents_of(source), indices))

    return RawFeatures("TF-IDF", featurize)


def examine(examined: Examined) -> list[Table]:
    """Perplexity of a causal encoder beside counting models; similarity, or retrieval, of pairs of texts."""
    if examined.test.modality == "pair":
        return [of_pairs(examined)]
    encoder: Any = examined.encoder
    if not encoder.causal or examined.train is None:
        return []
    pad = examined.views.special.pad
    counts = count(batches(examined.train), examined.views.vocab_size, pad)
    models = {name: causal_model(encoder, pad) for name, encoder in examined.encoders().items()}
    models |= {"bigrams": Bigram(counts, pad), "unigrams": Unigram(counts, pad)}
    return [language_table(models, batches(examined.test), vocab_size=examined.views.vocab_size)]


def batches(source: Source) -> Iterator[Int[Tensor, "n t"]]:
    """All documents, those of a length together."""
    lengths: Tensor = source.lengths  # type: ignore[attr-defined]
    for some in lengths.argsort().split(AT_ONCE):
        yield source.read(some)


def of_pairs(examined: Examined) -> Table:
    """Correlation with the scores of pairs of texts, where they have some; retrieval of one by the other if not."""
    views, compute = examined.views, examined.compute
    one, other = halves_of(examined.test)[:2]
    embedded = {
        name: (encode(encoder, views, one, compute=compute), encode(encoder, views, other, compute=compute))
        for name, encoder in examined.encoders().items()
    }
    texts, other_texts = documents_of(one), documents_of(other)
    weigh = TfIdf([*texts, *other_texts])
    embedded["TF-IDF"] = weigh(texts), weigh(other_texts)
    scores = scores_of(examined.test)
    if scores is not None:
        return similarity_table({name: cosines(*pair) for name, pair in embedded.items()}, scores)
    return retrieval_table(embedded, ("first", "second"), linked(texts, other_texts))
