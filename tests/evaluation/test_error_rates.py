"""Error rates against the definition of the edit distance."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.evaluation.error_rates import character_error_rate, edit_distance, word_error_rate

words = st.text("abc", max_size=6)


@cache
def naive(one: str, other: str) -> int:
    """The recursion of the definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(naive(one[1:], other) + 1, naive(one, other[1:]) + 1, naive(one[1:], other[1:]) + (one[0] != other[0]))


@given(words, words)
def test_the_edit_distance_is_that_of_the_recursion(one: str, other: str) -> None:
    assert edit_distance(one, other) == naive(one, other)


def test_rates_are_edits_over_the_length_of_all_references() -> None:
    references, hypotheses = ["kitten sat", "a"], ["sitting sat", "a b"]
    assert character_error_rate(references, hypotheses) == pytest.approx((3 + 2) / (10 + 1))
    assert word_error_rate(references, hypotheses) == pytest.approx((1 + 1) / (2 + 1))
    assert character_error_rate(["ab"], ["abcdef"]) == 2
    assert word_error_rate(["a b"], [""]) == 1
