"""What methods share that delete tokens of a text and ask for the text."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from likewise.checks import check_interval
from likewise.encoders.text import language_encoder
from likewise.methods.base import EARLY, Method
from likewise.modules.token_frequencies import Frequencies, only_frequencies
from likewise.views.token_tasks import delete_tokens


class DamagedTexts(Method):
    """Deletes tokens of texts.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder.
        deletion: probability with which a token is deleted, from 0 to below 1.

    Raises:
        UserError: for an encoder that is not for text, or a number out of its range.
    """

    family = "generative"
    modality = "text"
    compares_augmentations = False

    def __init__(self, encoder: nn.Module, *, deletion: float) -> None:
        super().__init__(encoder)
        language = language_encoder(encoder)
        check_interval(0, 1, closed="left", deletion=deletion)
        self.deletion = deletion
        self.vocab_size = language.embedding.num_embeddings
        self.frequencies = Frequencies(self.vocab_size)

    def damaged(self, ids: Int[Tensor, "n t"], generator: torch.Generator) -> Int[Tensor, "n t"]:
        """The texts without some of their tokens."""
        pad, _, cls, sep, _ = self.views.special  # type: ignore[attr-defined]
        return delete_tokens(ids, self.deletion, generator, pad=pad, cls=cls, sep=sep)

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return None if self.progress < EARLY else only_frequencies(figures)
