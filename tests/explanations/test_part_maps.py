"""Maps of samples: sums that are exact, occlusion against its definition, and a planted cue that must be found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from explained import RATE, image, recording, text, views_of_texts
from likewise.encoders.audio import audio_encoder
from likewise.encoders.image import image_encoder
from likewise.encoders.pair import Tower
from likewise.encoders.text import text_encoder
from likewise.errors import UserError
from likewise.explanations.compare import compare_samples
from likewise.explanations.faithfulness import hiding_curves
from likewise.explanations.maps import part_maps, part_matches, rank_correlation, raw_map
from likewise.explanations.parts import PictureCells, RecordingSpans, TextTokens
from likewise.explanations.sample import ExplainedSample, hidden_alone
from likewise.views.text import TextViews


@pytest.fixture(scope="module")
def text_views() -> TextViews:
    return views_of_texts()


def samples_of(kind: str, views: Any) -> list[ExplainedSample]:
    torch.manual_seed(0)
    if kind == "bert":
        pytest.importorskip("transformers")
        encoder = text_encoder("bert-tiny", vocab_size=10, max_tokens=12, pad=0)
        return [text(encoder, views, "a red apple"), text(encoder, views, "a green square")]
    if kind == "static":
        marks = [views.special.cls, views.special.sep]
        table = text_encoder("static-256", vocab_size=10, max_tokens=12, pad=0, marks=marks)
        return [text(table, views, "a red apple"), text(table, views, "a green zebra")]  # the last word is unknown
    if kind == "mel":
        sound = audio_encoder("mel-resnet8", sample_rate=RATE, seconds=0.5)
        return [recording(sound, place) for place in range(2)]
    encoder: Any = image_encoder("vit_micro" if kind == "vit_micro" else "resnet8", channels=3, size=16)
    return [image(Tower(encoder, 8) if kind == "tower" else encoder, place) for place in range(2)]


@pytest.mark.parametrize("kind", ["resnet8", "vit_micro", "tower", "bert", "static", "mel"])
def test_places_sum_to_the_cosine_where_the_embedding_is_their_mean(kind: str, text_views: TextViews) -> None:
    first, second = samples_of(kind, text_views)
    with torch.no_grad():
        embeddings = [each.encoder(each.view)[0].double() for each in (first, second)]
    cosine = float(F.cosine_similarity(*embeddings, dim=0))
    found = part_matches(first, second, "places")
    assert found is not None
    assert float(found.values.sum()) == pytest.approx(cosine, abs=1e-5)
    assert len(found.values.unique()) > 4
    towards = raw_map(first, second.embedding(), "places")
    assert towards is not None
    torch.testing.assert_close(towards, found.values.sum(1), atol=1e-6, rtol=0)
    itself = raw_map(first, first.embedding(), "places")
    assert itself is not None
    assert float(itself.sum()) == pytest.approx(1, abs=1e-5)


def test_a_static_encoder_counts_its_words_and_neither_beginning_nor_end(text_views: TextViews) -> None:
    first, second = samples_of("static", text_views)
    for sample, words in ((first, ["a", "red", "apple"]), (second, ["a", "green", "[UNK]"])):
        exact, occluded = part_maps(sample, first.embedding(), ["places", "occlusion"], seed=0)
        assert (exact.shape, exact.names) == ((3,), words)
        table = sample.encoder.embedding.weight.detach().double()[sample.view[0, 1:-1]]
        shares = table @ first.embedding() / table.sum(0).norm()
        torch.testing.assert_close(exact.values, shares, atol=1e-6, rtol=0)
        places = sample.places()
        assert places is not None
        torch.testing.assert_close(places.over_the_view(exact.values)[1:-1], exact.values)
        assert places.over_the_view(exact.values)[[0, -1]].tolist() == [0, 0]
        assert len(occluded.values) == len(sample.parts)


def test_the_class_token_is_no_mean_of_places_and_is_refused_where_places_are_asked_for(text_views: TextViews) -> None:
    torch.manual_seed(0)
    encoder = image_encoder("vit_tiny", channels=3, size=28)
    sample = image(encoder, size=28)
    assert sample.places() is None
    assert part_matches(sample, sample, "places") is None
    with pytest.raises(
        UserError, match=r"^by must be gradients or occlusion with the encoder vit_tiny, .* got 'places'$"
    ):
        compare_samples(sample, None, by="places", untrained=[], seed=0)


@pytest.mark.parametrize("kind", ["resnet8", "vit_tiny", "bert", "cls"])
def test_gradients_sum_to_what_the_sample_gains(kind: str, text_views: TextViews) -> None:
    torch.manual_seed(0)
    if kind == "vit_tiny":
        encoder = image_encoder("vit_tiny", channels=3, size=28)
        first, second = (image(encoder, place, size=28) for place in range(2))
    elif kind == "cls":
        pytest.importorskip("transformers")
        body = text_encoder("bert-tiny", vocab_size=10, max_tokens=12, pad=0, pooling="cls")
        first, second = (text(body, text_views, words) for words in ("a red apple", "a green square"))
    else:
        first, second = samples_of(kind, text_views)
    target = second.embedding()
    found = raw_map(first, target, "gradients")
    assert found is not None
    assert len(found) == len(first.parts)
    assert len(found.unique()) == len(found)
    if "bert" in kind or kind == "cls":  # hidden tokens are vectors of zeros
        with first.encoder.embedding.register_forward_hook(without(first.parts.places)):
            empty = first.embedding()
    else:
        empty = first.without(torch.ones(1, len(first.parts), dtype=torch.bool))[0]
    gained = float(first.embedding() @ target - empty @ target)
    assert float(found.sum()) == pytest.approx(gained, abs=0.02)
    assert part_matches(first, second, "gradients") is None


def without(places: torch.Tensor) -> Any:
    def hook(module: nn.Module, given: Any, vectors: torch.Tensor) -> torch.Tensor:
        return vectors.index_fill(1, places, 0.0)

    return hook


def test_gradients_are_where_the_encoder_looks() -> None:
    class Corner(nn.Module):
        dim = 3

        def forward(self, view: torch.Tensor) -> torch.Tensor:
            return view[:, :, 12:, 12:].square().mean((2, 3)) + 1

    class Steps(Corner):
        def forward(self, view: torch.Tensor) -> torch.Tensor:
            return view.mean((2, 3)).round().detach()

    sample = image(Corner())
    target = F.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), dim=0)
    found = raw_map(sample, target, "gradients")
    assert found is not None
    assert found[:-1].abs().max() == 0
    assert abs(float(found[-1])) > 0.01
    with pytest.raises(UserError, match=r"^by must be occlusion with the encoder Steps, .* got 'gradients'$"):
        compare_samples(image(Steps()), None, by="gradients", untrained=[], seed=0)
    mel = samples_of("mel", None)[0]
    with pytest.raises(UserError, match=r"^by must be places or occlusion with the encoder mel-resnet8, which hears"):
        compare_samples(mel, None, by="gradients", untrained=[], seed=0)


def test_occlusion_is_what_hiding_parts_does() -> None:
    torch.manual_seed(0)
    encoder = image_encoder("resnet8", channels=3, size=16)
    first, second = image(encoder, 0), image(encoder, 1)
    assert first.parts.shape == (4, 4)
    found = part_matches(first, second, "occlusion")
    assert found is not None

    def embedded(sample: ExplainedSample, hidden: int | None) -> torch.Tensor:
        view = sample.view.clone()
        if hidden is not None:
            row, column = divmod(hidden, 4)
            edge = torch.cat([view[0, :, 0], view[0, :, -1], view[0, :, :, 0], view[0, :, :, -1]], dim=-1)
            middle = edge.sort(dim=-1).values[:, edge.shape[-1] // 2, None, None]
            view[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = middle
        with torch.no_grad():
            return F.normalize(encoder.eval()(view)[0].double(), dim=0)

    for i, j in ((0, 0), (5, 9), (15, 2)):
        together = embedded(first, None) @ embedded(second, None) + embedded(first, i) @ embedded(second, j)
        apart = embedded(first, i) @ embedded(second, None) + embedded(first, None) @ embedded(second, j)
        assert float(found.values[i, j]) == pytest.approx(float(together - apart), abs=1e-6)
        towards = raw_map(first, second.embedding(), "occlusion")
        assert towards is not None
        falls = (embedded(first, None) - embedded(first, i)) @ embedded(second, None)
        assert float(towards[i]) == pytest.approx(float(falls), abs=1e-6)


def test_hidden_tokens_are_gone_and_hidden_time_is_silent(text_views: TextViews) -> None:
    view = text_views.encode(["a red apple"])
    tokens = TextTokens(view, text_views)
    assert tokens.names == ["a", "red", "apple"]
    assert text_views.decode(tokens.hide(hidden_alone(3))) == ["red apple", "a apple", "a red"]
    assert text_views.decode(tokens.hide(torch.ones(1, 3, dtype=torch.bool))) == [""]
    wave = torch.ones(1, 100)
    silent = RecordingSpans(wave).hide(hidden_alone(20))
    torch.testing.assert_close(silent.sum(1), torch.full((20,), 95.0))
    assert silent[3, 15:20].eq(0).all()
    cells = PictureCells(torch.rand(1, 3, 28, 28))
    assert cells.shape == (7, 7)
    assert (cells.hide(hidden_alone(49)) != cells.view).any(1).float().sum((1, 2)).max() == 16


class CornerEncoder(nn.Module):
    """Sees the colour of the last 4 x 4 pixels, and little of the rest."""

    dim = 3

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        corner, rest = view[:, :, 12:, 12:].mean((2, 3)), view.mean((2, 3))
        return corner + 0.05 * rest


def test_a_planted_corner_is_found_and_hiding_it_first_is_worse_than_at_random() -> None:
    found = 0
    for place in range(20):
        sample = image(CornerEncoder(), place)
        [by_occlusion] = part_maps(sample, sample.embedding(), ["places", "occlusion"], seed=place)
        assert by_occlusion.by == "occlusion"
        found += int(by_occlusion.values.argmax()) == 15
        curves = by_occlusion.curves
        assert float(curves.deletion[0]) == pytest.approx(1)
        assert float(curves.insertion[-1]) == pytest.approx(1)
        assert float(curves.deletion[-1]) == pytest.approx(float(curves.insertion[0]))
    assert found >= 18  # by chance one in sixteen


def test_curves_follow_the_order_that_they_are_given() -> None:
    sample = image(CornerEncoder(), 3)
    right = torch.zeros(16, dtype=torch.float64)
    right[15] = 1
    target = sample.embedding()
    true, wrong = (hiding_curves(sample, target, values, seed=0) for values in (right, -right))
    assert true.areas["deletion"] < true.areas["random_deletion"] < wrong.areas["deletion"]
    assert true.areas["insertion"] > true.areas["random_insertion"] > wrong.areas["insertion"]
    assert true.gain > 0 > wrong.gain
    assert true.areas["random_deletion"] == wrong.areas["random_deletion"]


def test_rank_correlation_is_spearmans() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 40, generator=random, dtype=torch.float64).mul(3).round()
    wanted = spearmanr(first, second).statistic
    assert rank_correlation(first, second) == pytest.approx(wanted)
    assert rank_correlation(first, torch.ones_like(first)) == 0


def test_two_samples_are_explained_towards_each_other_and_beside_untrained_encoders() -> None:
    encoders = []
    for seed in range(3):
        torch.manual_seed(seed)
        encoders.append(image_encoder("resnet8", channels=3, size=16))
    first, second = image(encoders[0], 0), image(encoders[0], 1)
    found = compare_samples(first, second, by=None, untrained=[(each, each) for each in encoders[1:]], seed=0)
    assert found.similarity == pytest.approx(float(first.embedding() @ second.embedding()))
    assert [each.by for each in found.matches] == ["places", "occlusion"]
    for each in found.samples:
        assert [one.by for one in each.maps] == ["places", "occlusion"]
        assert all(one.untrained is not None and abs(one.untrained) < 1 for one in each.maps)
        assert float(each.maps[0].values.sum()) == pytest.approx(found.similarity or 0, abs=1e-5)
    same = compare_samples(first, second, by="occlusion", untrained=[(encoders[0], encoders[0])], seed=0)
    assert [each.maps[0].untrained for each in same.samples] == pytest.approx([1, 1])
