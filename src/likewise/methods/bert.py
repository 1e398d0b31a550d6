"""BERT: hide some of the words and ask for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.text import language_encoder
from likewise.errors import UserError
from likewise.losses.vocabulary import token_cross_entropy
from likewise.methods.base import EARLY, Method
from likewise.modules.token_frequencies import Frequencies, only_frequencies
from likewise.runs.figures import Figure, FigureRow
from likewise.views.word_tasks import choose_words, hide_words


class BERT(Method):
    """Devlin et al. 2018, BERT: Pre-training of Deep Bidirectional Transformers, arXiv:1810.04805: the masked words.

    Of the chosen tokens 80 % are masked, 10 % become others and 10 % stay; the loss is the cross-entropy of all of
    them among the vocabulary. `accuracy` is the share named right, `by_frequency` the loss of a model that knows how
    frequent each token is and does not read. The sentence pairs of the paper are `sentence-order`.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder.
        mask_ratio: share of each text's tokens that are chosen, in (0, 1).
        whole_words: choose words with all their tokens, not tokens.

    Raises:
        UserError: for an encoder that is not for text or is causal, or a number out of its range.
    """

    family = "generative"
    modality = "text"
    paper = "1810.04805"
    when_to_use = "text of any kind, to be fine-tuned: learns from every document on its own, whatever the batch"

    def __init__(self, encoder: nn.Module, *, mask_ratio: float = 0.15, whole_words: bool = False) -> None:
        super().__init__(encoder)
        language = language_encoder(encoder)
        if language.causal:
            raise UserError(
                f"encoder {language.config['name']} sees only what comes before a hidden word: "
                "bert needs one that sees both sides, such as bert-tiny"
            )
        if not 0 < mask_ratio < 1:
            raise UserError(f"mask_ratio must be between 0 and 1, got {mask_ratio}")
        self.mask_ratio, self.whole_words = mask_ratio, whole_words
        self.vocab_size = language.embedding.num_embeddings
        width = language.width
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(self.vocab_size))  # the words' own vectors are the encoder's embedding
        self.frequencies = Frequencies(self.vocab_size)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        ids = self.views(batch.samples, generator)
        chosen = self.chosen(ids, generator)
        special, vocab_size = self.views.special, self.views.vocab_size  # type: ignore[attr-defined]
        hidden = hide_words(ids, chosen, generator, mask=special.mask, special=special, vocab_size=vocab_size)
        return hidden, ids, chosen

    def chosen(self, ids: Int[Tensor, "n t"], generator: torch.Generator) -> Bool[Tensor, "n t"]:
        views: Any = self.views
        continues = views.continues if self.whole_words else None
        return choose_words(ids, self.mask_ratio, generator, special=views.special, continues=continues)

    def objective(self, hidden: Tensor, ids: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        targets = ids[chosen]
        states = self.states(hidden, chosen)
        named = token_cross_entropy(
            self.transform(states), language_encoder(self.encoder).embedding.weight, targets, self.bias
        )
        return {
            "loss": named.loss,
            "accuracy": named.right.float().mean(),
            "by_frequency": self.frequencies(targets),
        }

    def states(self, hidden: Int[Tensor, "n t"], chosen: Bool[Tensor, "n t"]) -> Float[Tensor, "m d"]:
        """Those of the chosen tokens only: the vocabulary's scores of all others would be thrown away."""
        language = language_encoder(self.encoder)
        rows = torch.arange(len(hidden), device=hidden.device)
        return self.encode(rows, lambda some: language.states(hidden[some])[chosen[some]])

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(self.vocab_size), "accuracy": 1 / self.vocab_size}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return None if self.progress < EARLY else only_frequencies(figures)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        chosen = self.chosen(ids, generator)
        hidden = torch.where(chosen, views.special.mask, ids)
        scores = self.transform(self.states(hidden, chosen)) @ language_encoder(self.encoder).embedding.weight.T
        filled = hidden.masked_scatter(chosen, (scores + self.bias).argmax(1))
        right, asked = ((filled == ids) & chosen).sum(1).tolist(), chosen.sum(1).tolist()
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("seen", texts=views.decode(hidden)),
            FigureRow("filled in", texts=views.decode(filled)),
            FigureRow("right", texts=[f"{good} of {all_}" for good, all_ in zip(right, asked, strict=True)]),
        ]
        caption = f"Of each text {self.mask_ratio:.0%} of the {'words' if self.whole_words else 'tokens'} were hidden."
        return [Figure("Hidden and filled in", caption, rows)]
