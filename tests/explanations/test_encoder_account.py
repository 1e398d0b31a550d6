"""What an encoder ignores, knows and keys on, of encoders that are known to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from likewise.data.arrays import ArraySource
from likewise.errors import UserError
from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.account import EncoderAccount, account_of
from likewise.explanations.invariance import first_half, in_any_order
from likewise.explanations.knowledge import explained
from likewise.explanations.shortcuts import matched
from likewise.views.image import ImageViews
from likewise.views.text import TextViews

CPU = ComputeSettings(torch.device("cpu"), batch_size=64)
SIZE = 16


class MeanColour(nn.Module):
    """Angles of the mean level of each channel: brightness and colour, nothing else."""

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        levels = view.mean((2, 3))
        return torch.cat([levels.cos(), levels.sin()], dim=1)


class Frame(nn.Module):
    """The outermost pixels alone."""

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return torch.cat([view[:, :, 0], view[:, :, -1], view[..., 0], view[..., -1]], dim=-1).flatten(1)


class Corner(nn.Module):
    """The colour of the last pixels alone."""

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        colour = view[:, :, -4:, -4:].mean((2, 3))
        return torch.cat([colour.cos(), colour.sin()], dim=1)


class Middle(nn.Module):
    """The pixels in the middle, without their mean level."""

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        inside = view[:, :, 4:-4, 4:-4]
        return (inside - inside.mean((2, 3), keepdim=True)).flatten(1)


def account(encoder: nn.Module, ops: list[Any], *, untrained: nn.Module | None = None) -> EncoderAccount:
    """Of pictures with a level and a frame of their own, and a bright square somewhere."""
    random = np.random.default_rng(0)
    pixels = random.normal(random.uniform(60, 180, (120, 3, 1, 1)), 12, (120, 3, SIZE, SIZE))
    for picture in pixels:
        side, (x, y) = random.integers(3, 7), random.integers(1, 9, 2)
        picture[:, y : y + side, x : x + side] += 60
    source = ArraySource(pixels.clip(0, 255).astype(np.uint8), name="squares")
    views = ImageViews(ops, size=SIZE, channels=3)
    return account_of(encoder, views, source, untrained, True, compute=CPU, seed=0)


NOISE: list[Any] = [{"noise": {"std": 0.05, "p": 1}}]
LIGHT: list[Any] = [{"brightness": {"strength": 0.9}}, {"contrast": {"strength": 0.9}}]


def test_what_is_ignored_is_known_and_followed_of_an_encoder_of_colours() -> None:
    found = account(MeanColour(), NOISE, untrained=Middle())
    ignored = {each.change: each for each in found.invariances}
    assert ignored["mirroring"].cosine == pytest.approx(1, abs=1e-4)
    assert ignored["mirroring"].ignored == pytest.approx(1, abs=1e-3)
    assert ignored["upside down"].ignored == pytest.approx(1, abs=1e-3)
    assert ignored["brightness ± 40 %"].ignored < 0.8
    assert (ignored["mirroring"].untrained or 0) < 0.3
    known = {each.property: each.r2 for each in found.probes}
    assert set(known) == {
        *("mean colour", "brightness", "contrast", "size of the content", "position of the content"),
    }
    assert known["mean colour"] > 0.9
    assert known["position of the content"] < 0.2
    assert found.verdict is not None
    assert found.verdict.kind == "shortcut"
    by = {each.nuisance: each for each in found.verdict.shortcuts}
    assert (by["brightness"].matched or 0) > 0.9
    assert by["brightness"].followed is not None
    assert by["brightness"].followed > 0.9
    assert any("brightness alone finds" in reason for reason in found.verdict.reasons)
    assert any("the embedding follows it" in reason for reason in found.verdict.reasons)


@pytest.mark.parametrize(("encoder", "nuisance"), [(Frame(), "the border"), (Corner(), "the corners")])
def test_an_encoder_of_the_edge_follows_it(encoder: nn.Module, nuisance: str) -> None:
    found = account(encoder, NOISE)
    assert found.verdict is not None
    by = {each.nuisance: each for each in found.verdict.shortcuts}
    assert (by[nuisance].followed or 0) > 0.9
    assert found.verdict.kind == "shortcut"
    assert any(f"with {nuisance} of another sample" in reason for reason in found.verdict.reasons)


def test_no_shortcut_is_named_where_views_and_embedding_do_without() -> None:
    found = account(Middle(), [*LIGHT, {"erasing": {"p": 1}}])
    assert found.verdict is not None
    assert (found.verdict.encoder or 0) > 0.5
    assert (found.verdict.kind, found.verdict.reasons) == ("none", [])
    assert all((each.followed or 0) < 0.2 for each in found.verdict.shortcuts)


def test_too_few_samples_are_refused() -> None:
    source = ArraySource(np.zeros((9, 3, SIZE, SIZE), dtype=np.uint8), name="nine")
    with pytest.raises(UserError, match="at least 10 samples to explain an encoder, nine has 9"):
        account_of(Middle(), ImageViews([], size=SIZE, channels=3), source, None, True, compute=CPU, seed=0)


def test_matches_count_shared_places() -> None:
    first = torch.tensor([[0.0], [1.0], [2.0]])
    assert matched(first, first) == 1
    assert matched(first, first.flip(0)) == pytest.approx(1 / 3)
    assert matched(torch.zeros(4, 2), torch.zeros(4, 2)) == pytest.approx(1 / 4)


def test_a_probe_explains_what_is_there_and_nothing_of_noise() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(300, 20, generator=random, dtype=torch.float64)
    told = features @ torch.randn(20, 2, generator=random, dtype=torch.float64)
    assert explained(features, told, seed=0) > 0.99
    assert explained(features, torch.randn(300, 1, generator=random, dtype=torch.float64), seed=0) < 0.05


def test_texts_lose_their_order_or_their_end() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    views = TextViews(tokenizer.to_str(), max_tokens=12)
    ids = views.encode(["a b c d e f g h", "a b c"])
    mixed = in_any_order(ids, views, torch.Generator().manual_seed(0))
    assert torch.equal(mixed.sort(dim=1).values, ids.sort(dim=1).values)
    assert torch.equal(mixed == views.special.pad, ids == views.special.pad)
    assert torch.equal(mixed[:, 0], ids[:, 0])
    assert not torch.equal(mixed, ids)
    assert views.decode(first_half(ids, views)) == ["a b c d", "a b"]
