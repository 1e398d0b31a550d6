from __future__ import annotations

import math

import pytest
import torch
from small_texts import SPECIAL, TOKENS, built, texts, views_of

from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.seeding import generator_for


def test_half_of_the_texts_have_their_halves_swapped() -> None:
    method, ids = built("sentence-order"), texts(2000)
    shown, swapped = views_of(method, ids)
    assert abs(int(swapped.sum()) - 1000) < 5 * 500**0.5
    for text, seen, swap in zip(ids[:200].tolist(), shown.tolist(), swapped.tolist(), strict=False):
        words = [token for token in text[1:] if token not in (SPECIAL.pad, SPECIAL.sep)][: TOKENS - 3]
        seen = [token for token in seen if token != SPECIAL.pad]
        middle = seen.index(SPECIAL.sep)
        first, second = seen[1:middle], seen[middle + 1 : -1]
        assert (seen[0], seen[-1]) == (SPECIAL.cls, SPECIAL.sep)
        assert abs(len(first) - len(second)) <= 1
        assert (second + first if swap else first + second) == words


def test_the_loss_is_the_binary_cross_entropy() -> None:
    method = built("sentence-order")
    shown, swapped = views_of(method, texts())
    answer = method.objective(shown, swapped)
    losses, hits = [], []
    for seen, swap in zip(shown, swapped.tolist(), strict=True):
        no, yes = method.classifier(method.encoder(seen[None, : int((seen != SPECIAL.pad).sum())]))[0].tolist()
        probability = 1 / (1 + math.exp(no - yes))
        losses.append(-math.log(probability if swap else 1 - probability))
        hits.append((probability > 0.5) == swap)
    assert answer["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    assert answer["accuracy"].item() == pytest.approx(sum(hits) / len(hits))
    assert method.chance(12) == {"loss": math.log(2), "accuracy": 0.5}


def test_pictures_show_what_was_read_and_said() -> None:
    method, ids = built("sentence-order").eval(), texts(6)
    with torch.no_grad():
        (figure,) = method.figures(ids, generator_for(0))
    assert [row.name for row in figure.rows] == ["text", "seen", "said"]
    for text, seen, said in zip(*(row.texts for row in figure.rows), strict=True):
        first, second = seen.split(" ‖ ")
        words = text.split()[: TOKENS - 3]
        in_order = f"{first} {second}".split() == words
        assert in_order or f"{second} {first}".split() == words
        assert (said[-1] == "✓") == (said.startswith("swapped") != in_order)


def test_an_encoder_of_something_else_is_refused() -> None:
    with pytest.raises(UserError, match=r"encoder must be one of texts, .* got resnet8: try --encoder bert-tiny"):
        built("sentence-order", image_encoder("resnet8", channels=1, size=8))
