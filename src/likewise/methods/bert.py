"""BERT: predict masked tokens from both sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from likewise.checks import check_interval, require
from likewise.data.loader import Batch
from likewise.distributed import share_of_mean
from likewise.encoders.text import language_encoder
from likewise.losses.vocabulary import token_cross_entropy
from likewise.methods.base import EARLY, Method
from likewise.modules.token_frequencies import Frequencies, only_frequencies
from likewise.runs.figures import Figure, FigureRow
from likewise.views.token_tasks import choose_tokens, mask_tokens


class BERT(Method):
    """Devlin et al. 2018, BERT: Pre-training of Deep Bidirectional Transformers, arXiv:1810.04805: masked language
    modeling.

    Of the chosen tokens 80 % are masked, 10 % are replaced and 10 % stay. The loss is the cross-entropy of all chosen
    tokens over the vocabulary. `accuracy` is the share predicted correctly, `by_frequency` the loss of a model that
    knows only the frequency of each token. The paper's next-sentence task is replaced by the method `sentence-order`.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder that sees both sides.
        mask_ratio: share of each text's tokens that are chosen, in (0, 1).
        whole_words: choose words with all their tokens instead of single tokens.

    Raises:
        UserError: for an encoder that is not for text or is causal, or a number out of its range.
    """

    family = "generative"
    modality = "text"
    whole_documents = True
    paper = "1810.04805"
    compares_augmentations = False
    when_to_use = "text of any kind, for fine-tuning: each document is learned from on its own, whatever the batch"

    def __init__(self, encoder: nn.Module, *, mask_ratio: float = 0.15, whole_words: bool = False) -> None:
        super().__init__(encoder)
        language = language_encoder(encoder)
        name = language.config["name"]
        require(not language.causal, "encoder", "bidirectional", f"{name}, which is causal", "try --encoder bert-tiny")
        check_interval(0, 1, closed="neither", mask_ratio=mask_ratio)
        self.mask_ratio, self.whole_words = mask_ratio, whole_words
        self.vocab_size = language.embedding.num_embeddings
        width = language.features_dim
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(self.vocab_size))  # the output weights are the encoder's embedding
        self.frequencies = Frequencies(self.vocab_size)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        ids = self.views(batch.samples, generator)
        chosen = self.select(ids, generator)
        special, vocab_size = self.views.special, self.views.vocab_size  # type: ignore[attr-defined]
        masked = mask_tokens(ids, chosen, generator, mask=special.mask, special=special, vocab_size=vocab_size)
        return masked, ids, chosen

    def select(self, ids: Int[Tensor, "n t"], generator: torch.Generator) -> Bool[Tensor, "n t"]:
        views: Any = self.views
        continues = views.continues if self.whole_words else None
        return choose_tokens(ids, self.mask_ratio, generator, special=views.special, continues=continues)

    def objective(self, masked: Tensor, ids: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        targets = ids[chosen]
        states = self.states(masked, chosen)
        prediction = token_cross_entropy(
            self.transform(states), language_encoder(self.encoder).embedding.weight, targets, self.bias
        )
        return {
            "loss": prediction.loss * share_of_mean(len(targets), targets.device),
            "accuracy": prediction.correct.float().mean(),
            "by_frequency": self.frequencies(targets),
        }

    def states(self, masked: Int[Tensor, "n t"], chosen: Bool[Tensor, "n t"]) -> Float[Tensor, "m d"]:
        """The features of the chosen tokens only: logits of the others over the vocabulary would be wasted."""
        language = language_encoder(self.encoder)
        rows = torch.arange(len(masked), device=masked.device)
        return self.encode(rows, lambda some: language.features(masked[some])[chosen[some]])

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(self.vocab_size), "accuracy": 1 / self.vocab_size}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return None if self.progress < EARLY else only_frequencies(figures)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        chosen = self.select(ids, generator)
        masked = torch.where(chosen, views.special.mask, ids)
        scores = self.transform(self.states(masked, chosen)) @ language_encoder(self.encoder).embedding.weight.T
        filled = masked.masked_scatter(chosen, (scores + self.bias).argmax(1))
        correct, total = ((filled == ids) & chosen).sum(1).tolist(), chosen.sum(1).tolist()
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("masked", texts=views.decode(masked)),
            FigureRow("filled in", texts=views.decode(filled)),
            FigureRow("right", texts=[f"{right} of {all_}" for right, all_ in zip(correct, total, strict=True)]),
        ]
        caption = f"Of each text {self.mask_ratio:.0%} of the {'words' if self.whole_words else 'tokens'} were masked."
        return [Figure("Masked and filled in", caption, rows)]
