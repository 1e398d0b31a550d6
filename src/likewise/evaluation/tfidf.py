"""Raw features of text: TF-IDF of its words and pairs of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from likewise.errors import UserError


class TfIdf:
    """TF-IDF of words and pairs of words: (1 + ln c) (1 + ln((1 + n) / (1 + d))), scaled to unit length.

    c is how often the document has the word or pair, d how many of the n documents it was fitted on have it. Words are
    runs of letters and digits, case does not count.

    Raises:
        UserError: when the documents have no word.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        self.vectorizer = TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32
        )
        try:
            self.vectorizer.fit(documents)
        except ValueError as error:  # scikit-learn's "empty vocabulary"
            raise UserError(f"texts must have words, got none in {len(documents):,}: give some with letters") from error

    def __call__(self, documents: Sequence[str]) -> Float[Tensor, "n words"]:
        """float32, sparse; a row of zeros for a document without a known word."""
        weights = self.vectorizer.transform(documents).tocoo()
        where = torch.from_numpy(np.stack([weights.row, weights.col]).astype(np.int64))
        known = torch.from_numpy(weights.data)
        return torch.sparse_coo_tensor(where, known, weights.shape, check_invariants=True).coalesce()
