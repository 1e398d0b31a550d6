"""GPT: predict the next token."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.distributed import share_of_mean
from likewise.encoders.generation import generate_tokens
from likewise.encoders.text import causal_encoder
from likewise.losses.vocabulary import token_cross_entropy
from likewise.methods.base import EARLY, Method
from likewise.modules.token_frequencies import Frequencies, only_frequencies
from likewise.runs.figures import Figure, FigureRow


class GPT(Method):
    """Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2); scaled up in arXiv:2005.14165.

    The loss is the cross-entropy over the vocabulary of every token but the first, given those before it; the end of
    the text is one of them. `perplexity` is its exponential. `by_frequency` is the loss of a model that knows only the
    frequency of each token.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a causal text encoder.

    Raises:
        UserError: for an encoder that is not for text, or is not causal.
    """

    family = "generative"
    modality = "text"
    whole_documents = True
    paper = "2005.14165"
    compares_augmentations = False
    when_to_use = "to generate text, or for the likelihood of texts; its features are weaker"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.vocab_size = causal_encoder(encoder).embedding.num_embeddings
        self.frequencies = Frequencies(self.vocab_size)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (self.views.weak(batch.samples, generator),)  # deleted tokens would make other texts to learn from

    def objective(self, ids: Tensor) -> dict[str, Tensor]:
        language = causal_encoder(self.encoder)
        real = ids[:, 1:] != language.pad
        rows = torch.arange(len(ids), device=ids.device)
        states = self.encode(rows, lambda some: language.features(ids[some, :-1])[real[some]])
        targets = ids[:, 1:][real]
        prediction = token_cross_entropy(states, language.embedding.weight, targets)
        return {
            "loss": prediction.loss * share_of_mean(len(targets), targets.device),
            "accuracy": prediction.correct.float().mean(),
            "perplexity": prediction.loss.detach().exp(),
            "by_frequency": self.frequencies(targets),
        }

    def chance(self, batch_size: int) -> dict[str, float]:
        return {
            "loss": math.log(self.vocab_size),
            "accuracy": 1 / self.vocab_size,
            "perplexity": float(self.vocab_size),
        }

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
        written = generate_tokens(
            self.encoder, prompts, max_new_tokens=tokens, special=views.special, top_k=40, generator=generator
        )
        rows = [
            FigureRow("beginning", texts=views.decode(prompts)),
            FigureRow("original", texts=views.decode(ids)),
            FigureRow("generated", texts=views.decode(written)),
        ]
        caption = "The first half of each text, the original, and a sample from the 40 most likely tokens at each step."
        return [Figure("Continuation", caption, rows)]
