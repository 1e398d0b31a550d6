from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_texts import SPECIAL, TOKENS, VOCABULARY, Views, built, text_encoder, texts, views_of
from torch import Tensor

from likewise.encoders.generation import draw, generate_tokens
from likewise.errors import UserError
from likewise.methods.gpt import GPT
from likewise.seeding import generator_for

NEVER = {SPECIAL.pad, SPECIAL.unk, SPECIAL.cls, SPECIAL.mask}


def naive(encoder: Any, text: list[int]) -> list[float]:
    """Negative log-likelihood of each token but the first; the text is read again for every one."""
    losses = []
    for place in range(1, len(text)):
        state = encoder.features(torch.tensor([text[:place]]))[0, -1]
        scores = (encoder.embedding.weight @ state).tolist()
        top = max(scores)
        losses.append(top + math.log(sum(math.exp(score - top) for score in scores)) - scores[text[place]])
    return losses


def unpadded(ids: Tensor) -> list[list[int]]:
    return [[token for token in row if token != SPECIAL.pad] for row in ids.tolist()]


def test_every_token_is_predicted_from_those_before_it() -> None:
    method, ids = built("gpt"), texts(5)
    answer = method.objective(*views_of(method, ids))
    losses = [loss for text in unpadded(ids) for loss in naive(method.encoder, text)]
    assert answer["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    assert answer["perplexity"].item() == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-9)
    assert len(losses) == (ids != SPECIAL.pad).sum().item() - 5


def test_padding_changes_nothing() -> None:
    method, ids = built("gpt"), texts(longest=9)
    wider = torch.nn.functional.pad(ids, (0, 5))
    losses = [method.objective(given)["loss"] for given in (ids, wider)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=0)


def test_knowing_nothing_is_chance() -> None:
    method = built("gpt")
    method.encoder.body.ln_f.weight.data.zero_()
    answer = method.objective(*views_of(method, texts()))
    chance = method.chance(12)
    assert answer["loss"].item() == pytest.approx(chance["loss"]) == pytest.approx(math.log(VOCABULARY))
    assert answer["perplexity"].item() == pytest.approx(chance["perplexity"]) == pytest.approx(VOCABULARY)


def test_no_better_than_frequencies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built("gpt")
    monkeypatch.setattr(GPT, "progress", 0.5)
    stuck = {"loss": 5.9, "by_frequency": 6.0}
    assert "predicted by their frequency alone" in (method.degenerate_solution(stuck) or "")
    assert method.degenerate_solution({"loss": 5.0, "by_frequency": 6.0}) is None


def likeliest(encoder: Any, text: list[int], max_new_tokens: int) -> list[int]:
    """Written token by token, everything read again for each."""
    text = list(text)
    for _ in range(max_new_tokens):
        scores = encoder.embedding.weight @ encoder.features(torch.tensor([text]))[0, -1]
        scores[list(NEVER)] = -math.inf
        text.append(int(scores.argmax()))
        if text[-1] == SPECIAL.sep:
            break
    return text


def test_beginnings_of_any_length_are_continued_as_if_each_was_alone() -> None:
    encoder = text_encoder("gpt").eval()
    beginnings = [[SPECIAL.cls], [SPECIAL.cls, 9, 11, 30, 6], [SPECIAL.cls, 21]]
    ids = torch.zeros(3, 7, dtype=torch.long)
    for row, beginning in zip(ids, beginnings, strict=True):
        row[: len(beginning)] = torch.tensor(beginning)
    written = generate_tokens(
        encoder, ids, max_new_tokens=8, special=SPECIAL, temperature=0.0, generator=generator_for(0)
    )
    expected = [likeliest(encoder, beginning, 8) for beginning in beginnings]
    assert unpadded(written) == expected
    assert len({tuple(text[len(start) :]) for text, start in zip(expected, beginnings, strict=True)}) > 1


def test_a_text_ends_where_it_ends_itself() -> None:
    encoder = text_encoder("gpt")
    encoder.embedding.weight.data[SPECIAL.sep] = 50 * encoder.body.ln_f.weight.data
    encoder.body.ln_f.bias.data.fill_(1.0)
    ids = torch.tensor([[SPECIAL.cls, 9, 8]])
    written = generate_tokens(
        encoder, ids, max_new_tokens=9, special=SPECIAL, temperature=0.0, generator=generator_for(0)
    )
    assert written.tolist() == [[SPECIAL.cls, 9, 8, SPECIAL.sep]]


def test_more_is_written_than_there_are_positions() -> None:
    encoder = text_encoder("gpt").eval()
    encoder.embedding.weight.data[SPECIAL.sep] = 0.0
    encoder.body.ln_f.bias.data = encoder.embedding.weight.data[9].clone()  # so that the text has no end
    ids = torch.tensor([[SPECIAL.cls, 9, 11]])
    written = generate_tokens(
        encoder, ids, max_new_tokens=30, special=SPECIAL, temperature=0.0, generator=generator_for(0)
    )[0].tolist()
    assert len(written) == 33
    assert written[:TOKENS] == likeliest(encoder, [SPECIAL.cls, 9, 11], TOKENS - 3)
    for place in range(TOKENS + 1, TOKENS + 1 + TOKENS // 2):  # read again: the newer half of the positions
        seen = written[TOKENS + 1 - TOKENS // 2 : place]
        assert likeliest(encoder, seen, 1)[-1] == written[place]


def test_what_is_drawn_follows_the_scores() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, -1.0]).expand(8000, -1)
    for temperature, top_k in ((1.0, None), (0.5, None), (2.0, 3), (1.0, 1)):
        drawn = draw(scores, temperature, top_k, generator_for(1)).bincount(minlength=4)
        weights = [math.exp(score / temperature) for score in scores[0].tolist()]
        least = sorted(weights)[-top_k] if top_k else 0.0
        weights = [weight if weight >= least else 0.0 for weight in weights]
        for count, weight in zip(drawn.tolist(), weights, strict=True):
            share = weight / sum(weights)
            assert abs(count - 8000 * share) <= 5 * (8000 * share * (1 - share)) ** 0.5
    assert draw(scores, 0.0, None, generator_for(1)).unique().tolist() == [2]


def test_writing_is_a_function_of_the_generator_and_names_no_special_token() -> None:
    encoder = text_encoder("gpt", dropout=0.5)
    ids = torch.full((40, 1), SPECIAL.cls)

    def written(seed: int) -> Tensor:
        return generate_tokens(
            encoder, ids, max_new_tokens=10, special=SPECIAL, temperature=3.0, generator=generator_for(seed)
        )

    one, again, other = written(1), written(1), written(2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert encoder.training
    for text in unpadded(one):
        assert not NEVER & set(text[1:])
        assert SPECIAL.sep not in text[:-1]
        assert len(text) == 11 or text[-1] == SPECIAL.sep
    assert any(text[-1] == SPECIAL.sep for text in unpadded(one))


def test_pictures_show_how_texts_are_continued() -> None:
    method, ids = built("gpt").eval(), texts(3)
    (figure,) = method.figures(ids, generator_for(0))
    assert [row.name for row in figure.rows] == ["beginning", "original", "generated"]
    beginnings, original, written = (row.texts for row in figure.rows)
    assert original == Views().decode(ids)
    for beginning, text, goes_on in zip(beginnings, original, written, strict=True):
        assert len(beginning.split()) + 1 == (len(text.split()) + 2) // 2  # the marks of beginning and end count
        assert text.startswith(beginning)
        assert goes_on.startswith(beginning)
        assert len(goes_on.split()) > len(beginning.split())


def test_bad_options_are_named() -> None:
    with pytest.raises(UserError, match=r"encoder must be causal, got bert-test: try --encoder gpt-tiny"):
        built("gpt", text_encoder("bert"))
    encoder, ids = text_encoder("gpt"), torch.tensor([[SPECIAL.cls]])
    usual: dict[str, Any] = {"max_new_tokens": 3, "special": SPECIAL, "generator": generator_for(0)}
    for changes, message in (
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must be 0 or more, got -1.0"),
    ):
        with pytest.raises(UserError, match=message):
            generate_tokens(encoder, ids, **usual | changes)
    with pytest.raises(UserError, match="prompt must be a text of at least one token, got an empty one"):
        generate_tokens(encoder, ids * 0, **usual)
    with pytest.raises(UserError, match="encoder must be causal"):
        generate_tokens(text_encoder("bert"), ids, **usual)
