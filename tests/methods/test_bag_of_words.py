from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_texts import SPECIAL, VOCABULARY, Views, built, text_encoder, texts, views_of
from torch import Tensor
from torch.nn import functional as F

from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods.bag_of_words import BagOfWords
from likewise.seeding import generator_for


def as_in_the_paper(method: Any, damaged: Tensor, ids: Tensor) -> tuple[float, float]:
    """Loss and accuracy, text by text, each on its own."""
    losses, hits = [], []
    for seen, text in zip(damaged, ids, strict=True):
        embedding = method.encoder(seen[None, : int((seen != SPECIAL.pad).sum())])
        scores = (embedding @ method.words.weight.T + method.words.bias)[0]
        tokens = [token for token in text.tolist() if token not in (SPECIAL.pad, SPECIAL.cls, SPECIAL.sep)]
        losses += [F.cross_entropy(scores, torch.tensor(token)).item() for token in tokens]
        hits.append(int(scores.argmax()) in tokens)
    return sum(losses) / len(losses), sum(hits) / len(hits)


@pytest.mark.parametrize("family", ["static", "bert", "gpt"])
def test_the_objective_is_the_papers(family: str) -> None:
    method = built("bag-of-words", text_encoder(family), dropout=0.0)
    damaged, ids, counted = views_of(method, texts())
    answer = method.objective(damaged, ids, counted)
    loss, accuracy = as_in_the_paper(method, damaged, ids)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-9)
    assert answer["accuracy"].item() == pytest.approx(accuracy)


def test_four_tokens_of_ten_are_deleted_and_all_are_predicted() -> None:
    method = built("bag-of-words")
    ids = texts(200)
    damaged, asked, counted = views_of(method, ids)
    assert torch.equal(asked, Views().clean(ids))
    ordinary = [(part != SPECIAL.pad) & (part != SPECIAL.cls) & (part != SPECIAL.sep) for part in (damaged, asked)]
    assert torch.equal(counted, ordinary[1])
    left, whole = (part.sum(1) for part in ordinary)
    long = whole >= 8
    assert (left[long].sum() / whole[long].sum()).item() == pytest.approx(0.6, abs=0.04)
    assert torch.equal(*views_of(built("bag-of-words", deletion=0.0), ids)[:2])


def test_dropout_is_for_the_training_only() -> None:
    method = built("bag-of-words", text_encoder("static"), dropout=0.5)
    views = views_of(method, texts())
    first, second = (method.objective(*views)["loss"].item() for _ in range(2))
    assert first != second
    method.eval()
    first, second = (method.objective(*views)["loss"].item() for _ in range(2))
    assert first == second


def test_chance_is_what_equal_scores_give() -> None:
    method = built("bag-of-words")
    torch.nn.init.zeros_(method.words.weight)
    assert method.chance(8) == {"loss": math.log(VOCABULARY)}
    assert method.objective(*views_of(method, texts()))["loss"].item() == pytest.approx(math.log(VOCABULARY))


def test_frequencies_alone_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built("bag-of-words")
    figures = {"loss": 3.0, "by_frequency": 3.0}
    assert method.degenerate_solution(figures) is None  # at the beginning it may
    monkeypatch.setattr(BagOfWords, "progress", 0.5)
    assert "by their frequency alone" in (method.degenerate_solution(figures) or "")
    assert method.degenerate_solution({"loss": 2.0, "by_frequency": 3.0}) is None


def test_the_figure_shows_text_damage_and_the_likeliest_words() -> None:
    method = built("bag-of-words").eval()
    ids = texts(4)
    with torch.no_grad():
        (figure,) = method.figures(ids, generator_for(3))
        damaged = method.damaged(Views().clean(ids), generator_for(3))
        best = method.words(method.encode(damaged)).argmax(1).tolist()
    text, seen, named = (row.texts for row in figure.rows)
    assert text == Views().decode(ids)
    assert seen == Views().decode(damaged)
    assert [each.split(", ")[0] for each in named] == [f"w{token}" for token in best]
    assert all(len(each.split(", ")) == 8 for each in named)


def test_mistakes_are_named() -> None:
    for option in ("deletion", "dropout"):
        for value in (-0.1, 1.0):
            with pytest.raises(UserError, match=f"{option} must be from 0 to below 1, got {value}"):
                built("bag-of-words", **{option: value})
    with pytest.raises(UserError, match=r"encoder must be a text encoder, got resnet8: try --encoder bert-tiny"):
        BagOfWords(image_encoder("resnet8", channels=1, size=8))
