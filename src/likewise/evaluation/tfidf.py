"""Raw features of text: which words it has, the rare ones counting most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from likewise.errors import UserError

WORDS = 8192


class TfIdf:
    """TF-IDF of the most frequent words: (1 + ln c) (1 + ln((1 + n) / (1 + d))), brought to unit length.

    c is how often the document has the word, d how many of the n documents it was fitted on have it. Words are runs of
    letters and digits, case does not count.

    Raises:
        UserError: when the documents have no word.
    """

    def __init__(self, documents: Sequence[str], *, words: int = WORDS) -> None:
        self.vectorizer = TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, max_features=words, dtype=np.float32
        )
        try:
            self.vectorizer.fit(documents)
        except ValueError as error:  # scikit-learn's "empty vocabulary"
            raise UserError(f"none of {len(documents):,} documents has a word: give texts with letters") from error

    def __call__(self, documents: Sequence[str]) -> Float[Tensor, "n words"]:
        """float32; zeros where no word is known."""
        return torch.from_numpy(self.vectorizer.transform(documents).toarray())
