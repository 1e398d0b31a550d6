from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.evaluation.similarity import cosines, rank_correlation, similarity_table

small = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=12)


def mean_ranks(values: list[int]) -> list[float]:
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]


@given(small)
@settings(max_examples=60, deadline=None)
def test_rank_correlation_is_pearsons_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    a, b = (mean_ranks(list(side)) for side in zip(*pairs, strict=True))
    middle = (len(pairs) + 1) / 2
    spread = [sum((rank - middle) ** 2 for rank in side) for side in (a, b)]
    found = rank_correlation(*torch.tensor(pairs).double().T)
    if not all(spread):
        assert found is None
    else:
        together = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
        assert found == pytest.approx(together / math.sqrt(spread[0] * spread[1]), abs=1e-12)


def test_cosines_are_of_each_pair() -> None:
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    expected = [float(a @ b / a.norm() / b.norm()) for a, b in zip(first, second, strict=True)]
    assert cosines(first, second).tolist() == pytest.approx(expected, abs=1e-6)
    assert cosines(first.to_sparse(), second.to_sparse()).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_table_has_a_row_for_each_kind_of_embeddings() -> None:
    scores = torch.tensor([0.0, 1.0, 2.5, 5.0])
    similarities = {"embeddings": scores**3, "tf-idf": -scores, "collapsed": torch.ones(4)}
    table = similarity_table(similarities, scores)
    assert table.rows == [["embeddings", pytest.approx(1)], ["tf-idf", pytest.approx(-1)], ["collapsed", None]]
    assert "4 pairs" in table.caption
    assert len(table.head) == len(table.units) == 2
