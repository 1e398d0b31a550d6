"""The contrastive task of wav2vec 2.0 (arXiv:2006.11477, section 3.2)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.distributed import gather
from likewise.losses.precision import full_precision
from likewise.modules.quantizer import Codebooks, perplexity


@full_precision
def contrast_with_distractors(
    predictions: Float[Tensor, "n t d"],
    targets: Float[Tensor, "n t d"],
    kinds: Int[Tensor, "n t"],
    distractors: Int[Tensor, "n t k"],
    masked: Bool[Tensor, "n t"],
    *,
    temperature: float | Float[Tensor, ""],
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """InfoNCE of the prediction at each of the m masked frames: its target against its distractors.

    The loss is `-log( exp(s(c, q)/T) / Σ exp(s(c, q')/T) )`, s the cosine, over the target and the distractors of
    another kind (as in the authors' code).

    Args:
        predictions: c, for each frame.
        targets: q, for each frame.
        kinds: targets of the same kind are equal.
        distractors: for each frame, indices of frames of its own sequence.
        masked: the frames that count.
        temperature: T > 0.

    Returns:
        The losses, and the accuracies in [0, 1]: 1/(1 + i) where the target is the most similar, tied with i
            distractors,
        those of its kind included; else 0.
    """
    similarity = F.normalize(predictions, dim=2) @ F.normalize(targets, dim=2).transpose(1, 2) / temperature
    others = distractors[masked]
    target = similarity.diagonal(dim1=1, dim2=2)[masked][:, None]
    alike = kinds[:, None].expand(similarity.shape)[masked].gather(1, others) == kinds[masked][:, None]
    wrong = similarity[masked].gather(1, others).masked_fill(alike, -math.inf)
    losses = torch.cat([target, wrong], dim=1).logsumexp(1) - target[:, 0]
    equal = alike | (wrong == target)
    nearest = (wrong <= target).all(1) / (1 + equal.sum(1))
    return losses, nearest.to(losses.dtype)


class MaskedContrast(nn.Module):
    """Compares the predictions for masked frames with the quantized features of these frames.

    Args:
        context_dim: length of the predictions.
        dim: length of a frame's features.
        projection_dim: length of the embeddings that are compared.
        dropout: of the features.
        books: number of codebooks.
        entries: of each codebook.
        entry_dim: length of an entry.
    """

    def __init__(
        self,
        context_dim: int,
        dim: int,
        *,
        projection_dim: int,
        dropout: float,
        books: int,
        entries: int,
        entry_dim: int,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.codebooks = Codebooks(dim, books=books, entries=entries, entry_dim=entry_dim)
        self.of_context = nn.Linear(context_dim, projection_dim)
        self.of_codes = nn.Linear(books * entry_dim, projection_dim)

    def forward(
        self,
        context: Float[Tensor, "n t c"],
        features: Float[Tensor, "n t d"],
        masked: Bool[Tensor, "n t"],
        distractors: Int[Tensor, "n t k"],
        noise: Float[Tensor, "n t g v"],
        *,
        temperature: float | Float[Tensor, ""],
        gumbel_temperature: float,
    ) -> tuple[dict[str, Tensor], tuple[Float[Tensor, "m p"], Float[Tensor, "m p"]]]:
        """Means over the masked frames of all processes.

        Args:
            context: predictions for each frame.
            features: of each frame.
            masked: the frames that count.
            distractors: see `contrast_with_distractors`.
            noise: Gumbel noise for the choice of codes.
            temperature: T of the similarities.
            gumbel_temperature: of the choice of codes.

        Returns:
            The figures: `contrastive`, the loss, and `accuracy`: see `contrast_with_distractors`; `diversity`, a loss:
                the
            share of the codebooks' entries that is not in use, by their probabilities; `code_perplexity`, how many are
                in use,
            by the most probable ones, from g to g v. And prediction and target of one masked frame of each sequence of
                all
            processes, each less its mean.
        """
        codes = self.codebooks(self.dropout(features[masked]), noise[masked], temperature=gumbel_temperature)
        predictions = self.of_context(context)
        targets, kinds = torch.zeros_like(predictions), torch.zeros_like(masked, dtype=torch.long)
        targets[masked], kinds[masked] = self.of_codes(codes.vectors).to(predictions.dtype), codes.kinds
        losses, nearest = contrast_with_distractors(
            predictions, targets, kinds, distractors, masked, temperature=temperature
        )

        count = gather(masked.sum()[None]).sum()

        def mean(x: Tensor) -> Tensor:
            return gather(x.sum(0)[None]).sum(0) / count

        used = F.one_hot(codes.likely, codes.probabilities.shape[2]).float()
        figures = {
            "contrastive": mean(losses),
            "diversity": 1 - perplexity(mean(codes.probabilities)) / codes.probabilities[0].numel(),
            "accuracy": mean(nearest),
            "code_perplexity": perplexity(mean(used)),
        }
        first = torch.arange(len(masked), device=masked.device), masked.int().argmax(1)
        pairs = gather(predictions[first]), gather(targets[first])
        return figures, (pairs[0] - pairs[0].mean(0), pairs[1] - pairs[1].mean(0))
