from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_texts import SPECIAL, VOCABULARY, Views, built, text_encoder, texts, views_of
from torch import Tensor

from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods.bert import BERT
from likewise.seeding import generator_for


def as_in_the_paper(method: Any, hidden: Tensor, ids: Tensor, chosen: Tensor) -> tuple[float, float]:
    """Loss and accuracy, token by token; every text is read on its own, without padding."""
    dense, _, norm = method.transform
    words = method.encoder.embedding.weight
    losses, hits = [], []
    for seen, text, picked in zip(hidden, ids, chosen, strict=True):
        length = int((text != SPECIAL.pad).sum())
        states = method.encoder.states(seen[None, :length])[0]
        for place in picked.nonzero().flatten().tolist():
            x = dense.weight @ states[place] + dense.bias
            x = x * 0.5 * (1 + torch.erf(x / 2**0.5))
            x = (x - x.mean()) / (x.var(correction=0) + norm.eps).sqrt() * norm.weight + norm.bias
            scores = [(word @ x + bias).item() for word, bias in zip(words, method.bias, strict=True)]
            top = max(scores)
            losses.append(top + math.log(sum(math.exp(s - top) for s in scores)) - scores[text[place]])
            hits.append(scores.index(top) == text[place])
    return sum(losses) / len(losses), sum(hits) / len(hits)


@pytest.mark.parametrize("whole_words", [False, True])
def test_the_objective_is_the_papers(whole_words: bool) -> None:
    method = built("bert", mask_ratio=0.3, whole_words=whole_words)
    views = views_of(method, texts())
    answer = method.objective(*views)
    loss, accuracy = as_in_the_paper(method, *views)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-9)
    assert answer["accuracy"].item() == pytest.approx(accuracy)


def test_of_each_text_a_share_is_hidden_and_asked_for() -> None:
    method = built("bert", mask_ratio=0.4)
    ids = texts(50)
    hidden, asked, chosen = views_of(method, ids)
    assert torch.equal(asked, Views().clean(ids))
    ordinary = (ids >= len(SPECIAL)).sum(1)
    assert chosen.sum(1).tolist() == [max(1, round(0.4 * count)) if count else 0 for count in ordinary.tolist()]
    assert not (chosen & (asked < len(SPECIAL))).any()
    assert torch.equal(hidden[~chosen], asked[~chosen])
    assert 0.6 < (hidden[chosen] == SPECIAL.mask).double().mean() < 0.95


def test_whole_words_are_hidden_with_all_their_pieces() -> None:
    method = built("bert", mask_ratio=0.4, whole_words=True)
    _, ids, chosen = views_of(method, texts(50))
    goes_on = Views.continues[ids] & (ids >= len(SPECIAL))
    goes_on[:, 1:] &= ids[:, :-1] >= len(SPECIAL)
    assert goes_on.any()
    assert torch.equal(chosen[:, 1:][goes_on[:, 1:]], chosen[:, :-1][goes_on[:, 1:]])


def test_only_chosen_tokens_are_asked_for() -> None:
    method = built("bert")
    hidden, ids, chosen = views_of(method, texts())
    before = method.objective(hidden, ids, chosen)["loss"].item()
    other = torch.where(chosen | (ids < len(SPECIAL)), ids, len(SPECIAL) + ids % 7)
    assert method.objective(hidden, other, chosen)["loss"].item() == before
    assert method.objective(hidden, torch.where(chosen, other % 7, other), chosen)["loss"].item() != before


def test_padding_changes_nothing() -> None:
    method = built("bert")
    views = views_of(method, texts(longest=10))
    wider = [torch.nn.functional.pad(view, (0, 5)) for view in views]
    losses = [method.objective(*given)["loss"] for given in (views, wider)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=0)


def test_words_are_named_by_the_encoders_own_embedding() -> None:
    method = built("bert")
    names = [name for name, p in method.named_parameters() if VOCABULARY in p.shape]
    assert names == ["bias", "encoder.body.embeddings.word_embeddings.weight"]


def test_texts_without_words_have_no_loss() -> None:
    method = built("bert")
    ids = torch.tensor([[SPECIAL.cls, SPECIAL.sep]]).expand(4, -1)
    answer = method.objective(*views_of(method, ids))
    answer["loss"].backward()
    assert answer["loss"].item() == 0


def test_what_frequencies_know_is_counted_beside() -> None:
    method = built("bert")
    counts = [1] * VOCABULARY
    for step in range(3):
        hidden, ids, chosen = views_of(method, texts(seed=step), step)
        targets = ids[chosen].tolist()
        expected = -sum(math.log(counts[target] / sum(counts)) for target in targets) / len(targets)
        assert method.objective(hidden, ids, chosen)["by_frequency"].item() == pytest.approx(expected, rel=1e-6)
        for target in targets:
            counts[target] += 1


def test_no_better_than_frequencies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built("bert")
    stuck = {"loss": 5.9, "by_frequency": 6.0}
    assert method.degenerate_solution(stuck) is None  # at the beginning it may
    monkeypatch.setattr(BERT, "progress", 0.5)
    assert "named by how frequent they are" in (method.degenerate_solution(stuck) or "")
    assert method.degenerate_solution({"loss": 5.0, "by_frequency": 6.0}) is None
    assert method.degenerate_solution({}) is None


def test_knowing_nothing_is_chance() -> None:
    method = built("bert")
    method.transform[2].weight.data.zero_()
    answer = method.objective(*views_of(method, texts()))
    assert answer["loss"].item() == pytest.approx(method.chance(12)["loss"]) == pytest.approx(math.log(VOCABULARY))


def test_pictures_show_what_was_hidden_and_what_was_put_there() -> None:
    method = built("bert", mask_ratio=0.3).eval()
    ids = texts(3)
    with torch.no_grad():
        (figure,) = method.figures(ids, generator_for(4))
    text, seen, filled, right = (row.texts for row in figure.rows)
    assert [row.name for row in figure.rows] == ["text", "seen", "filled in", "right"]
    assert text == Views().decode(ids)
    for words, shown, put, verdict in zip(text, seen, filled, right, strict=True):
        pairs = list(zip(words.split(), shown.split(), put.split(), strict=True))
        hidden = [(word, answer) for word, mask, answer in pairs if mask != word]
        assert hidden
        assert all(mask == "w4" for word, mask, _ in pairs if mask != word)
        assert all(word == answer for word, mask, answer in pairs if mask == word)
        assert verdict == f"{sum(word == answer for word, answer in hidden)} of {len(hidden)}"


def test_bad_options_are_named() -> None:
    for mask_ratio in (0.0, 1.0, -0.5, 15.0):
        with pytest.raises(UserError, match=f"mask_ratio must be between 0 and 1, got {mask_ratio}"):
            built("bert", mask_ratio=mask_ratio)
    with pytest.raises(UserError, match="gpt-test sees only what comes before a hidden word: bert needs one"):
        built("bert", text_encoder("gpt"))
    with pytest.raises(UserError, match=r"encoder must be one of texts, .* got resnet8"):
        built("bert", image_encoder("resnet8", channels=1, size=8))
