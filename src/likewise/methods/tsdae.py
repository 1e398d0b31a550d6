"""TSDAE: rebuild a text from the embedding of what is left of it."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.distributed import share_of_mean
from likewise.encoders.text import language_encoder
from likewise.losses.vocabulary import token_cross_entropy
from likewise.methods.damaged_texts import DamagedTexts
from likewise.modules.text_decoder import TextDecoder
from likewise.runs.figures import Figure, FigureRow


class TSDAE(DamagedTexts):
    """Wang et al. 2021, TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised Sentence
    Embedding Learning, arXiv:2104.06979.

    Tokens of a text are deleted, and a decoder rebuilds the text from the embedding of the rest. All that the decoder
    learns of the text is this one vector, and the tokens before the one that it predicts. The loss is the cross-entropy
    over the vocabulary of every token but the first. `accuracy` is the share predicted correctly, `by_frequency` the
    loss of a model that knows only the frequency of each token.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder. The decoder shares its weights: see
            `likewise.modules.text_decoder.TextDecoder`.
        deletion: probability with which a token is deleted, from 0 to below 1.

    Raises:
        UserError: for an encoder that is not for text, or a number out of its range.
    """

    paper = "2104.06979"
    when_to_use = "sentence embeddings from texts of a domain, best on from known weights; any batch size"

    def __init__(self, encoder: nn.Module, *, deletion: float = 0.6) -> None:
        super().__init__(encoder, deletion=deletion)
        self.decoder = TextDecoder(language_encoder(encoder))
        self.transform = nn.Sequential(nn.Linear(self.dim, self.dim), nn.GELU(), nn.LayerNorm(self.dim))
        self.bias = nn.Parameter(torch.zeros(self.vocab_size))  # the output weights are the encoder's embedding

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        ids = self.views.weak(batch.samples, generator)
        return self.damaged(ids, generator), ids

    def objective(self, damaged: Tensor, ids: Tensor) -> dict[str, Tensor]:
        language = language_encoder(self.encoder)
        real = ids[:, 1:] != language.pad
        targets = ids[:, 1:][real]
        states = self.states(self.encode(damaged), ids)[real]
        prediction = token_cross_entropy(states, language.embedding.weight, targets, self.bias)
        return {
            "loss": prediction.loss * share_of_mean(len(targets), targets.device),
            "accuracy": prediction.correct.float().mean(),
            "by_frequency": self.frequencies(targets),
        }

    def states(self, embeddings: Float[Tensor, "n d"], ids: Int[Tensor, "n t"]) -> Float[Tensor, "n u d"]:
        """What predicts each token but the first, given those before it."""
        return self.transform(self.decoder(ids[:, :-1], embeddings))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(self.vocab_size), "accuracy": 1 / self.vocab_size}

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        damaged = self.damaged(ids, generator)
        words = language_encoder(self.encoder).embedding.weight
        scores = self.states(self.encode(damaged), ids) @ words.T + self.bias
        rebuilt = ids.clone()
        rebuilt[:, 1:] = torch.where(ids[:, 1:] != views.special.pad, scores.argmax(2), views.special.pad)
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("what the encoder saw", texts=views.decode(damaged)),
            FigureRow("rebuilt", texts=views.decode(rebuilt)),
        ]
        caption = (
            f"Each token was deleted with probability {self.deletion:.0%}. Rebuilt: the most likely token at each "
            "place, given the embedding and the true tokens before it."
        )
        return [Figure("Damaged and rebuilt", caption, rows)]
