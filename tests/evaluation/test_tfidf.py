from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.errors import UserError
from likewise.evaluation.tfidf import TfIdf

texts = st.lists(st.text("ab7 -_É", max_size=12), min_size=1, max_size=6)


def naive(fitted: list[str], document: str) -> dict[str, float]:
    """Weight of each word of a document that the fitted ones know."""

    def words(text: str) -> Counter:
        single = re.findall(r"\w+", text.lower())
        return Counter([*single, *(" ".join(pair) for pair in pairwise(single))])

    known = [words(text) for text in fitted]
    weights = {}
    for word, count in words(document).items():
        having = sum(word in text for text in known)
        if having:
            weights[word] = (1 + math.log(count)) * (1 + math.log((1 + len(fitted)) / (1 + having)))
    length = math.sqrt(sum(weight**2 for weight in weights.values()))
    return {word: weight / length for word, weight in weights.items()}


@given(texts.filter(lambda fitted: any(re.search(r"\w", text) for text in fitted)), texts)
@settings(max_examples=60, deadline=None)
def test_weights_are_the_formula(fitted: list[str], asked: list[str]) -> None:
    weigh = TfIdf(fitted)
    features = weigh(asked)
    assert features.is_sparse
    assert features.dtype == torch.float32
    names = weigh.vectorizer.get_feature_names_out()
    for document, row in zip(asked, features.to_dense(), strict=True):
        found = {name: weight for name, weight in zip(names, row.tolist(), strict=True) if weight}
        assert found == pytest.approx(naive(fitted, document), abs=1e-6)


def test_documents_without_words_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^texts must have words, got none in 2: give some with letters$"):
        TfIdf(["", "!?"])
