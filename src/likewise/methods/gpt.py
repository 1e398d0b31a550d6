"""GPT: read a text from its beginning and ask, at every token, for the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.generation import write
from likewise.encoders.text import causal_encoder
from likewise.losses.vocabulary import token_cross_entropy
from likewise.methods.base import EARLY, Method
from likewise.modules.token_frequencies import Frequencies, only_frequencies
from likewise.runs.figures import Figure, FigureRow


class GPT(Method):
    """Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2); scaled up in arXiv:2005.14165.

    The loss is the cross-entropy of every token but the first, among the vocabulary, from those before it; the end of
    the text is one to be named. `perplexity` is its exponential: as many words would be equally likely.
    `by_frequency` is the loss of a model that knows how frequent each token is and does not read.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a causal text encoder.

    Raises:
        UserError: for an encoder that is not for text, or sees what it is to name.
    """

    family = "generative"
    modality = "text"
    paper = "2005.14165"
    when_to_use = "text that is to be written, or a likelihood of texts; features come second"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.vocab_size = causal_encoder(encoder).embedding.num_embeddings
        self.frequencies = Frequencies(self.vocab_size)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (self.views.clean(batch.samples),)  # a text with words left out is no text to learn to write

    def objective(self, ids: Tensor) -> dict[str, Tensor]:
        language = causal_encoder(self.encoder)
        real = ids[:, 1:] != language.pad
        rows = torch.arange(len(ids), device=ids.device)
        states = self.encode(rows, lambda some: language.states(ids[some, :-1])[real[some]])
        targets = ids[:, 1:][real]
        named = token_cross_entropy(states, language.embedding.weight, targets)
        return {
            "loss": named.loss,
            "accuracy": named.right.float().mean(),
            "perplexity": named.loss.detach().exp(),
            "by_frequency": self.frequencies(targets),
        }

    def chance(self, batch_size: int) -> dict[str, float]:
        words = self.vocab_size
        return {"loss": math.log(words), "accuracy": 1 / words, "perplexity": float(words)}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return None if self.progress < EARLY else only_frequencies(figures)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        lengths = (ids != views.special.pad).sum(1, keepdim=True)
        prompt_lengths = (lengths // 2).clamp(min=1)
        place = torch.arange(ids.shape[1], device=ids.device)
        prompts = torch.where(place < prompt_lengths, ids, views.special.pad)
        tokens = max(1, ids.shape[1] // 2)
        written = write(
            self.encoder, prompts, max_new_tokens=tokens, special=views.special, top_k=40, generator=generator
        )
        rows = [
            FigureRow("beginning", texts=views.decode(prompts)),
            FigureRow("as it was", texts=views.decode(ids)),
            FigureRow("as it was written", texts=views.decode(written)),
        ]
        caption = (
            "The first half of each text, how it goes on, and how the model went on, drawing among its 40 likeliest."
        )
        return [Figure("Continued", caption, rows)]
