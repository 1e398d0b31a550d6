"""Episodes: a pure function of seed and number, without a sample or a class twice."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.data.episodes import check_episodes, draw_episodes, members_of
from likewise.errors import UserError


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[torch.Tensor], int, int, int, int]:
    shot, query = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(shot + query, 12), min_size=2, max_size=6))
    way = draw(st.integers(2, len(sizes)))
    places = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return list(places.split(sizes)), way, shot, query, draw(st.integers(0, 2**40))


@given(drawings())
def test_no_sample_and_no_class_is_twice(drawing: tuple[list[torch.Tensor], int, int, int, int]) -> None:
    members, way, shot, query, seed = drawing
    found = draw_episodes(members, range(5), way=way, shot=shot, query=query, seed=seed)
    assert found.support.shape == (5, way, shot)
    assert found.query.shape == (5, way, query)
    for classes, support, queries in zip(*found, strict=True):
        assert len(set(classes.tolist())) == way
        samples = torch.cat([support, queries], dim=1)
        assert samples.unique().numel() == samples.numel()
        for each, row in zip(classes.tolist(), samples, strict=True):
            assert set(row.tolist()) <= set(members[each].tolist())


@given(drawings())
def test_an_episode_is_a_function_of_seed_and_number(drawing: tuple[list[torch.Tensor], int, int, int, int]) -> None:
    members, way, shot, query, seed = drawing
    how = {"way": way, "shot": shot, "query": query, "seed": seed}
    together, alone = draw_episodes(members, range(4), **how), draw_episodes(members, [2], **how)
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one[2:3], other)


def test_other_seeds_and_numbers_draw_others_and_each_as_often() -> None:
    members = list(torch.arange(60).split(12))
    found = draw_episodes(members, range(600), way=2, shot=1, query=2, seed=0)
    other = draw_episodes(members, range(600), way=2, shot=1, query=2, seed=1)
    assert not torch.equal(found.query, other.query)
    assert len({tuple(row) for row in found.support.flatten(1).tolist()}) > 500
    classes = Counter(found.classes.flatten().tolist())
    assert set(classes) == set(range(5))
    assert all(200 < count < 280 for count in classes.values())  # 240 on average, deviation 12
    support = Counter(found.support.flatten().tolist())
    assert len(support) == 60
    assert max(support.values()) < 45  # 20 on average, deviation 4.4


def test_pieces_and_copies_count_once_and_small_classes_do_not() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2, 2])
    groups = torch.tensor([7, 7, 8, 9, 9, 7, 1, 2, 3])
    classes, members = members_of(labels, groups, least=2)
    assert classes == [0, 2]
    assert [places.tolist() for places in members] == [[0, 2], [6, 7, 8]]
    assert members_of(labels, None, least=3)[0] == [0, 2]


def test_what_cannot_be_drawn_is_told() -> None:
    labels = torch.tensor([0] * 9 + [1] * 4 + [2] * 3)
    how = {"groups": None, "name": "photos:novel"}
    check_episodes(labels, way=2, shot=2, query=2, **how)
    with pytest.raises(UserError, match=r"^way must be at most 3, the number of classes of photos:novel, got 5$"):
        check_episodes(labels, way=5, shot=1, query=1, **how)
    with pytest.raises(UserError, match=r"^shot \+ query must be at most 4 for 2 classes of photos:novel, got 3 \+ 2"):
        check_episodes(labels, way=2, shot=3, query=2, **how)
