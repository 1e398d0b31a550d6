from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likewise.data.source import connected_groups
from likewise.evaluation import retrieval
from likewise.evaluation.distinct_pairs import distinct_pairs
from likewise.evaluation.retrieval import (
    CUTOFFS,
    chance_figures,
    mean_reciprocal_rank,
    median_rank,
    ranks,
    recall_at,
    retrieval_table,
)


def naive_rank(query: Tensor, gallery: Tensor, group: int, groups: list[int]) -> int:
    """Sort by cosine similarity, wrong before right where they tie; the place of the first right one."""

    def cosine(item: Tensor) -> float:
        return float((query @ item) / (query.norm() * item.norm()))

    order = sorted(range(len(gallery)), key=lambda j: (-round(cosine(gallery[j]), 9), groups[j] == group))
    return 1 + next(place for place, j in enumerate(order) if groups[j] == group)


@st.composite
def searches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Small whole coordinates, so that there are many ties, none of them near."""
    n, m, kinds = draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    gallery_groups = torch.tensor(draw(st.lists(st.integers(0, kinds), min_size=m, max_size=m)))
    groups = torch.tensor(draw(st.lists(st.sampled_from(gallery_groups.tolist()), min_size=n, max_size=n)))
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(1, 4, (n + m, 2), generator=generator).double()
    return points[:n], points[n:], groups, gallery_groups


@given(searches())
@settings(max_examples=200, deadline=None)
def test_ranks_are_those_of_sorting(search: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    queries, gallery, groups, gallery_groups = search
    expected = [
        naive_rank(query, gallery, group, gallery_groups.tolist())
        for query, group in zip(queries, groups.tolist(), strict=True)
    ]
    assert ranks(*search).tolist() == expected


def random_search(n: int = 23, m: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    gallery_groups = torch.arange(m) % 13
    groups = torch.randint(13, (n,), generator=generator)
    return torch.randn(n, 5, generator=generator), torch.randn(m, 5, generator=generator), groups, gallery_groups


def test_sparse_embeddings_have_the_ranks_of_dense_ones() -> None:
    queries, gallery, *groups = random_search()
    expected = ranks(queries.relu(), gallery.relu(), *groups)
    assert torch.equal(ranks(queries.relu().to_sparse(), gallery.relu().to_sparse(), *groups), expected)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranks(*random_search())
    monkeypatch.setattr(retrieval, "MAX_SIMILARITIES", 130)
    assert torch.equal(ranks(*random_search()), whole)


def test_no_more_similarities_than_allowed_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "MAX_SIMILARITIES", 130)
    heights, parts = [], retrieval.cosine_similarities
    monkeypatch.setattr(
        retrieval, "cosine_similarities", lambda *a: (heights.append(len(p[1])) or p for p in parts(*a))
    )
    ranks(*random_search())
    assert heights == [*[3] * 7, 2]


@pytest.mark.parametrize("value", [1.0, 0.0, float("nan")])
def test_an_encoder_to_which_all_is_alike_finds_nothing(value: float) -> None:
    alike = torch.full((6, 4), value)
    assert ranks(alike, alike, torch.arange(6), torch.arange(6)).tolist() == [6] * 6


def test_differences_that_float32_does_not_have_are_none() -> None:
    gallery = torch.ones(100, 64) + 1e-7 * torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    assert ranks(gallery, gallery, torch.arange(100), torch.arange(100)).tolist() == [100] * 100


def test_a_query_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^gallery_groups must have the group of every query, got none for query 1$"):
        ranks(torch.ones(2, 2), torch.ones(3, 2), torch.tensor([0, 7]), torch.tensor([0, 1, 2]))


def test_figures_of_ranks() -> None:
    some = torch.tensor([1, 2, 4, 11])
    assert [recall_at(some, k) for k in (1, 2, 10, 11)] == [0.25, 0.5, 0.75, 1.0]
    assert mean_reciprocal_rank(some) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 11) / 4)
    assert median_rank(some) == 2
    assert median_rank(torch.tensor([5, 1, 9])) == 5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
@settings(max_examples=40, deadline=None)
def test_chance_is_the_mean_over_all_orders(gallery: list[int], data: st.DataObject) -> None:
    queries = data.draw(st.lists(st.sampled_from(gallery), min_size=1, max_size=3))
    places = [
        1 + next(i for i, item in enumerate(order) if item == query)
        for query in queries
        for order in itertools.permutations(gallery)
    ]
    groups = torch.tensor(queries), torch.tensor(gallery)

    def share(k: int) -> Fraction:
        return Fraction(sum(place <= k for place in places), len(places))

    *recalls, reciprocal, median = chance_figures(*groups)
    assert recalls == pytest.approx([float(share(k)) for k in CUTOFFS])
    assert reciprocal == pytest.approx(float(sum(Fraction(1, place) for place in places) / len(places)))
    assert median == next(k for k in range(1, 7) if share(k) >= Fraction(1, 2))


def test_random_embeddings_are_worth_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(2000) // 2
    found = ranks(*torch.randn(2, 2000, 8, generator=generator), groups, groups)
    *recalls, _, median = chance_figures(groups, groups)
    assert [recall_at(found, k) for k in CUTOFFS] == pytest.approx(recalls, abs=0.006)
    assert median_rank(found) == pytest.approx(median, rel=0.1)


def test_pairs_that_share_a_half_are_one_group() -> None:
    # a-x, a-z and c-z are linked; "x" as a first half is another thing than as a second.
    groups = connected_groups(["a", "b", "a", "c", "x"], ["x", "y", "z", "z", "w"])
    assert groups.tolist() == [0, 1, 0, 0, 2]
    assert connected_groups([b"1", b"2"], ["left", "right"]).tolist() == [0, 1]


def test_the_table_asks_both_ways() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.eye(4)
    second = first[[0, 1, 3, 2]] + 0.01 * torch.randn(4, 4, generator=generator)
    lopsided = torch.eye(5)[[0, 1, 2, 0]], torch.eye(5)[:4]
    table = retrieval_table(
        {"trained": (first, second), "lopsided": lopsided}, ("image", "text"), distinct_pairs(range(4), range(4)), 4
    )
    assert [len(row) for row in table.rows] == [len(table.head)] * 6
    assert len(table.units) == len(table.head)
    rows = {(row[0], row[1]): row[2:] for row in table.rows}
    forward, backward = "image → text", "text → image"
    assert list(rows) == [
        (protocol, by) for protocol in (forward, backward) for by in ("trained", "lopsided", "chance")
    ]
    assert rows[forward, "trained"][:2] == [0.5, 1.0]
    # The last picture is the first once more: it finds the first text, and the first text finds it as soon as its own.
    assert rows[forward, "lopsided"][0] == 0.75
    assert rows[backward, "lopsided"][0] == 0.5
    assert rows[forward, "chance"] == rows[backward, "chance"] == [0.25, 1.0, 1.0, pytest.approx(25 / 48), 2.0]
    assert table.caption == "4 pairs; the gallery is the other part of all of them"
    assert json.loads(json.dumps(table.as_dict()))["rows"] == table.rows


def test_the_table_takes_either_of_equal_answers_and_says_so() -> None:
    pairs = distinct_pairs(["p", "q", "r"], ["star", "star", "moon"])
    stars, moon = torch.eye(3)[:2]
    table = retrieval_table(
        {"trained": (torch.eye(3)[[0, 0, 1]], torch.stack([stars, moon]))}, ("image", "text"), pairs, 3
    )
    assert [row[2] for row in table.rows] == [1.0, 1 / 2, 1.0, pytest.approx((2 / 3 + 1 / 3) / 2)]
    assert table.caption == (
        "3 pairs; different parts: 3 for image and 2 for text; all that stands in a pair with a query is correct for it"
    )


def naive_figures(images: list[int], texts: list[int], image_of: Tensor, text_of: Tensor) -> list[list[float]]:
    """Recall at 1, 5, 10 over different targets, both ways, by sorting; and what a random order gives, by counting."""
    found = []
    for queries, targets, by, gallery in ((images, texts, image_of, text_of), (texts, images, text_of, image_of)):
        ranks, chance = [], []
        for query in sorted(set(queries)):
            right = {target for other, target in zip(queries, targets, strict=True) if other == query}
            cosines = torch.cosine_similarity(by[query][None].double(), gallery.double())
            order = cosines.argsort(descending=True).tolist()
            ranks.append(min(order.index(target) for target in right))
            items, wrong = len(gallery), len(gallery) - len(right)
            chance.append([1 - math.comb(wrong, k) / math.comb(items, k) for k in (1, 5, 10)])
        found.append([sum(rank < k for rank in ranks) / len(ranks) for k in (1, 5, 10)])
        found.append([sum(column) / len(column) for column in zip(*chance, strict=True)])
    return found


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize("noise", [0.6, 100.0])
def test_several_captions_an_image(captions: int, noise: float) -> None:
    """A good model is above chance in every column, and a random one at chance."""
    generator = torch.Generator().manual_seed(0)
    images = [i for i in range(60) for _ in range(captions)]
    texts = list(range(60 * captions))
    texts[-1] = 0  # the last caption says what the first one does
    image_of = torch.randn(60, 16, generator=generator)
    text_of = image_of[images] + noise * torch.randn(len(images), 16, generator=generator)
    text_of = text_of[:-1]
    table = retrieval_table(
        {"trained": (image_of, text_of)}, ("image", "text"), distinct_pairs(images, texts), len(images)
    )
    assert [row[2:5] for row in table.rows] == [
        pytest.approx(each) for each in naive_figures(images, texts, image_of, text_of)
    ]
    for trained, chance in zip(table.rows[::2], table.rows[1::2], strict=True):
        for value, expected in zip(trained[2:5], chance[2:5], strict=True):
            assert value > expected + 0.05 if noise < 1 else value == pytest.approx(expected, abs=0.12)


def test_a_caption_of_two_images_makes_their_other_captions_no_answers_for_both() -> None:
    pairs = distinct_pairs(["a", "a", "b", "b"], ["x", "y", "x", "z"])
    assert pairs.links.tolist() == [[0, 0], [0, 1], [1, 0], [1, 2]]
    assert pairs.are_pairs(0, 2).tolist() == [[True, True, False], [True, False, True]]
    assert pairs.reversed.are_pairs(1, 3).tolist() == [[True, False], [False, True]]
    assert (pairs.correct.tolist(), pairs.reversed.correct.tolist()) == ([2, 2], [2, 1, 1])
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 2], [0, 1, 3])
