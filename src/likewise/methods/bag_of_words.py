"""Bag-of-words prediction: name the tokens of a text from the embedding of what is left of it."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from likewise.checks import check_interval
from likewise.data.loader import Batch
from likewise.distributed import share_of_mean
from likewise.losses.vocabulary import bag_cross_entropy
from likewise.methods.damaged_texts import DamagedTexts
from likewise.runs.figures import Figure, FigureRow
from likewise.views.token_tasks import ordinary

LIKELIEST = 8  # tokens, on the page


class BagOfWords(DamagedTexts):
    """Ma et al. 2024, Drop your Decoder: Pre-training with Bag-of-Word Prediction for Dense Passage Retrieval,
    arXiv:2401.11248.

    Tokens of a text are deleted, and a linear layer predicts all of its tokens, those that are left and those that are
    not, from the embedding of the rest, without their order. The loss is the cross-entropy of these tokens.
    `accuracy` is the share of texts that have the likeliest token, `by_frequency` the loss of a model that knows only
    the frequency of each token. The paper's encoder also fills in masked tokens, as BERT; here it does not.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder.
        deletion: probability with which a token is deleted, from 0 to below 1.
        dropout: of the embedding that tokens are predicted from, from 0 to below 1.

    Raises:
        UserError: for an encoder that is not for text, or a number out of its range.
    """

    paper = "2401.11248"
    when_to_use = "start here for texts without known weights: embeddings to classify and search, in minutes"

    def __init__(self, encoder: nn.Module, *, deletion: float = 0.4, dropout: float = 0.3) -> None:
        super().__init__(encoder, deletion=deletion)
        check_interval(0, 1, closed="left", dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Linear(self.dim, self.vocab_size)
        nn.init.normal_(self.words.weight, std=self.dim**-0.5)
        nn.init.zeros_(self.words.bias)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        ids = self.views.weak(batch.samples, generator)
        return self.damaged(ids, generator), ids, self.counted(ids)

    def counted(self, ids: Int[Tensor, "n t"]) -> Bool[Tensor, "n t"]:
        """Which tokens are predicted: all but padding, beginning and end."""
        pad, _, cls, sep, _ = self.views.special  # type: ignore[attr-defined]
        return ordinary(ids, (pad, cls, sep))

    def objective(self, damaged: Tensor, ids: Tensor, counted: Tensor) -> dict[str, Tensor]:
        embeddings, targets = self.dropout(self.encode(damaged)), ids[counted]
        prediction = bag_cross_entropy(embeddings, self.words.weight, ids, counted, self.words.bias)
        hits = (ids == prediction.likeliest[:, None]) & counted
        return {
            "loss": prediction.loss * share_of_mean(len(targets), targets.device),
            "accuracy": hits.any(1).float().mean(),
            "by_frequency": self.frequencies(targets),
        }

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(self.vocab_size)}

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        damaged = self.damaged(ids, generator)
        likeliest = self.words(self.encode(damaged)).topk(min(LIKELIEST, self.vocab_size), dim=1).indices
        named = [", ".join(views.decode(row[:, None])) for row in likeliest]
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("what the encoder saw", texts=views.decode(damaged)),
            FigureRow("likeliest tokens", texts=named),
        ]
        caption = (
            f"Each token was deleted with probability {self.deletion:.0%}. From the embedding of the rest the method "
            f"predicts the tokens of the whole text; the {LIKELIEST} likeliest are shown, the likeliest first."
        )
        return [Figure("Damaged texts and their words", caption, rows)]
