from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_texts import SPECIAL, VOCABULARY, WIDTH, Views, built, text_encoder, texts, views_of
from torch import Tensor
from torch.nn import functional as F

from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods.tsdae import TSDAE
from likewise.seeding import generator_for


def as_in_the_paper(method: Any, damaged: Tensor, ids: Tensor) -> tuple[float, float]:
    """Loss and accuracy, token by token; every text is read and rebuilt on its own, from its tokens so far."""
    losses, hits = [], []
    for seen, text in zip(damaged, ids, strict=True):
        embedding = method.encoder(seen[None, : int((seen != SPECIAL.pad).sum())])
        for place in range(1, int((text != SPECIAL.pad).sum())):
            state = method.transform(method.decoder(text[None, :place], embedding)[:, -1])
            scores = (state @ method.encoder.embedding.weight.T + method.bias)[0]
            losses.append(F.cross_entropy(scores, text[place]).item())
            hits.append(int(scores.argmax()) == text[place])
    return sum(losses) / len(losses), sum(hits) / len(hits)


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_the_objective_is_the_papers(family: str) -> None:
    method = built("tsdae", text_encoder(family))
    views = views_of(method, texts())
    answer = method.objective(*views)
    loss, accuracy = as_in_the_paper(method, *views)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-9)
    assert answer["accuracy"].item() == pytest.approx(accuracy)


def test_six_tokens_of_ten_are_deleted_and_the_rest_keeps_its_order() -> None:
    method = built("tsdae")
    ids = texts(200)
    damaged, asked = views_of(method, ids)
    assert torch.equal(asked, Views().clean(ids))
    counts = []
    for seen, text in zip(damaged.tolist(), asked.tolist(), strict=True):
        left, whole = ([token for token in row if token not in (0, 2, 3)] for row in (seen, text))
        assert seen[: len(left) + 2] == [SPECIAL.cls, *left, SPECIAL.sep]
        assert set(seen[len(left) + 2 :]) <= {SPECIAL.pad}
        rest = iter(whole)
        assert all(token in rest for token in left)
        assert left or not whole
        counts.append((len(left), len(whole)))
    long = [(left, whole) for left, whole in counts if whole >= 8]
    assert sum(left for left, _ in long) / sum(whole for _, whole in long) == pytest.approx(0.4, abs=0.04)
    assert torch.equal(*views_of(built("tsdae", deletion=0.0), ids))


def test_the_decoder_knows_of_the_text_only_its_embedding() -> None:
    method = built("tsdae")
    damaged, ids = views_of(method, texts())
    embeddings = method.encode(damaged)
    states = method.states(embeddings, ids)
    assert embeddings.shape == (len(ids), WIDTH)
    swapped = method.states(embeddings.roll(1, 0), ids)
    assert ((swapped - states).abs().amax(2) > 1e-9).all()


def test_the_encoder_learns_through_its_embedding_alone() -> None:
    """With weights of its own: what is shared also gets the decoder's gradient."""
    method = built("tsdae")
    damaged, ids = views_of(method, texts())
    embeddings = method.encode(damaged).detach().requires_grad_()
    method.states(embeddings, ids).square().sum().backward()
    assert (embeddings.grad.norm(dim=1) > 1e-9).all()


def test_padding_changes_nothing() -> None:
    method = built("tsdae")
    views = views_of(method, texts(longest=10))
    wider = [F.pad(view, (0, 5)) for view in views]
    losses = [method.objective(*given)["loss"].item() for given in (views, wider)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)


def test_frequencies_alone_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built("tsdae")
    figures = {"loss": 3.0, "by_frequency": 3.0}
    assert method.degenerate_solution(figures) is None  # at the beginning it may
    monkeypatch.setattr(TSDAE, "progress", 0.5)
    assert "by their frequency alone" in (method.degenerate_solution(figures) or "")
    assert method.degenerate_solution({"loss": 2.0, "by_frequency": 3.0}) is None


def test_chance_is_what_equal_scores_give() -> None:
    method = built("tsdae")
    with torch.no_grad():
        method.transform[2].weight.zero_()
        method.transform[2].bias.zero_()
    assert method.chance(8) == {"loss": math.log(VOCABULARY), "accuracy": 1 / VOCABULARY}
    assert method.objective(*views_of(method, texts()))["loss"].item() == pytest.approx(math.log(VOCABULARY))


def test_the_figure_shows_text_damage_and_what_was_rebuilt() -> None:
    method = built("tsdae").eval()
    ids = texts(4)
    with torch.no_grad():
        (figure,) = method.figures(ids, generator_for(3))
        damaged = method.damaged(Views().clean(ids), generator_for(3))
        states = method.states(method.encode(damaged), Views().clean(ids))
        guesses = (states @ method.encoder.embedding.weight.T + method.bias).argmax(2)
    text, seen, rebuilt = (row.texts for row in figure.rows)
    assert text == Views().decode(ids)
    assert seen == Views().decode(damaged)
    lengths = (ids != SPECIAL.pad).sum(1).tolist()
    assert rebuilt == [Views().decode(row[None, : n - 1])[0] for row, n in zip(guesses, lengths, strict=True)]


def test_mistakes_are_named() -> None:
    for deletion in (-0.1, 1.0):
        with pytest.raises(UserError, match=f"deletion must be from 0 to below 1, got {deletion}"):
            built("tsdae", deletion=deletion)
    with pytest.raises(UserError, match=r"encoder must be a text encoder, got resnet8: try --encoder bert-tiny"):
        TSDAE(image_encoder("resnet8", channels=1, size=8))
