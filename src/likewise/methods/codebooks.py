"""Codes of frames, and how to name those of hidden ones (wav2vec 2.0, arXiv:2006.11477, sections 2 and 3.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.losses import gather
from likewise.losses.checks import full_precision


class Codes(NamedTuple):
    """What was chosen for each of m features, from g codebooks of v entries."""

    vectors: Float[Tensor, "m d"]
    """The chosen entries, one after the other; the gradient is that of the soft choice."""
    kinds: Int[Tensor, " m"]
    """Number of the combination of entries: where it is the same, so are the vectors."""
    likely: Int[Tensor, "m g"]
    """The entries that would have been chosen without noise."""
    probabilities: Float[Tensor, "m g v"]
    """Of the entries, without noise, at temperature 1."""


class Codebooks(nn.Module):
    """Chooses an entry of each codebook by a linear map of the feature, with Gumbel noise (arXiv:1611.01144).

    Args:
        dim: length of a feature.
        books: how many codebooks there are.
        entries: of each.
        entry_dim: length of an entry.
    """

    def __init__(self, dim: int, *, books: int, entries: int, entry_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, books * entries)
        self.entries = nn.Parameter(torch.rand(books, entries, entry_dim))
        nn.init.normal_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def noise(self, *shape: int, generator: torch.Generator) -> Float[Tensor, "*shape g v"]:
        """Gumbel noise for the choices of so many features, on the CPU."""
        return -torch.empty(*shape, *self.entries.shape[:2]).exponential_(generator=generator).log()

    @full_precision
    def forward(self, features: Float[Tensor, "m c"], noise: Float[Tensor, "m g v"], *, temperature: float) -> Codes:
        """The hard choice of the noisy scores; its gradient is that of their softmax over the `temperature`."""
        scores = self.score(features).unflatten(1, self.entries.shape[:2])
        noisy = scores + noise.to(scores)
        soft = (noisy / temperature).softmax(2)
        chosen = noisy.argmax(2)
        choice = F.one_hot(chosen, scores.shape[2]) - soft.detach() + soft
        vectors = torch.einsum("mgv,gvd->mgd", choice, self.entries).flatten(1)
        digits = scores.shape[2] ** torch.arange(scores.shape[1], device=scores.device)
        return Codes(vectors, (chosen * digits).sum(1), scores.argmax(2), scores.softmax(2))


def perplexity(shares: Float[Tensor, "g v"]) -> Float[Tensor, ""]:
    """How many entries are used in effect, summed over the codebooks, from the share of each: from g to g v."""
    return torch.special.entr(shares).sum(1).exp().sum()


@full_precision
def among_distractors(
    said: Float[Tensor, "n t d"],
    targets: Float[Tensor, "n t d"],
    kinds: Int[Tensor, "n t"],
    distractors: Int[Tensor, "n t k"],
    hidden: Bool[Tensor, "n t"],
    *,
    temperature: float | Float[Tensor, ""],
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """How well what is said of each of the m hidden frames names its target among its distractors.

    The loss is `-log( exp(s(c, q)/T) / Σ exp(s(c, q')/T) )`, s the cosine, over the target and those distractors whose
    target is of another kind (as the authors' code has it).

    Args:
        said, targets: for each frame.
        kinds: targets of one kind are alike.
        distractors: frames, for each frame, of its own sequence.
        hidden: the frames that count.
        temperature: T > 0.

    Returns:
        The losses, and how often the target is the nearest, in [0, 1]: 1/(1 + i) where it is that with i distractors,
        those of its kind among them.
    """
    similarity = F.normalize(said, dim=2) @ F.normalize(targets, dim=2).transpose(1, 2) / temperature
    others = distractors[hidden]
    target = similarity.diagonal(dim1=1, dim2=2)[hidden][:, None]
    alike = kinds[:, None].expand(similarity.shape)[hidden].gather(1, others) == kinds[hidden][:, None]
    wrong = similarity[hidden].gather(1, others).masked_fill(alike, -math.inf)
    losses = torch.cat([target, wrong], dim=1).logsumexp(1) - target[:, 0]
    equal = alike | (wrong == target)
    nearest = (wrong <= target).all(1) / (1 + equal.sum(1))
    return losses, nearest.to(losses.dtype)


class CodeNaming(nn.Module):
    """Compares what is said of hidden frames with the codes of their features.

    Args:
        context_dim: length of what is said of a frame.
        dim: length of a frame's features.
        projection_dim: length of the embeddings that are compared.
        dropout: of the features.
        books, entries, entry_dim: see `Codebooks`.
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
        hidden: Bool[Tensor, "n t"],
        distractors: Int[Tensor, "n t k"],
        noise: Float[Tensor, "n t g v"],
        *,
        temperature: float | Float[Tensor, ""],
        softness: float,
    ) -> tuple[dict[str, Tensor], tuple[Float[Tensor, "m p"], Float[Tensor, "m p"]]]:
        """Means over the hidden frames of all processes; `softness` is the temperature of the choice of codes.

        Returns:
            `contrastive`, the loss, and `accuracy`: see `among_distractors`. `diversity`: the share of the codebooks'
            entries that is not in use, by their probabilities, the other loss. `code_perplexity`: how many are in use,
            by the most probable ones, from g to g v.
            What was said and what is right of one hidden frame of each sequence of all processes, each less its mean.
        """
        codes = self.codebooks(self.dropout(features[hidden]), noise[hidden], temperature=softness)
        said = self.of_context(context)
        targets, kinds = torch.zeros_like(said), torch.zeros_like(hidden, dtype=torch.long)
        targets[hidden], kinds[hidden] = self.of_codes(codes.vectors).to(said.dtype), codes.kinds
        losses, nearest = among_distractors(said, targets, kinds, distractors, hidden, temperature=temperature)

        count = gather(hidden.sum()[None]).sum()

        def mean(x: Tensor) -> Tensor:
            return gather(x.sum(0)[None]).sum(0) / count

        used = F.one_hot(codes.likely, codes.probabilities.shape[2]).float()
        figures = {
            "contrastive": mean(losses),
            "diversity": 1 - perplexity(mean(codes.probabilities)) / codes.probabilities[0].numel(),
            "accuracy": mean(nearest),
            "code_perplexity": perplexity(mean(used)),
        }
        first = torch.arange(len(hidden), device=hidden.device), hidden.int().argmax(1)
        pairs = gather(said[first]), gather(targets[first])
        return figures, (pairs[0] - pairs[0].mean(0), pairs[1] - pairs[1].mean(0))
