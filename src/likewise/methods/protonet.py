"""Prototypical networks: a query has the class whose mean support embedding is nearest."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.losses.precision import full_precision
from likewise.methods.episodic import Episode, Episodic
from likewise.modules.classification import classification_metrics


class ProtoNet(Episodic):
    """Snell, Swersky & Zemel 2017, Prototypical Networks for Few-shot Learning, arXiv:1703.05175.

    The loss is the cross-entropy of the queries' classes, with the negative squared distances of a query to the
    prototypes, the mean embeddings of each class's support, as logits.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more; the paper found more than in evaluation to be better.
        shot: samples of each class that make its prototype; the paper found as many as in evaluation to be best.
        query: samples of each class to classify.

    Raises:
        UserError: for a number out of its range.
    """

    paper = "1703.05175"
    when_to_use = "labels of other classes than those that count: new classes from a few samples, by the nearest mean"

    def __init__(self, encoder: nn.Module, *, way: int = 5, shot: int = 1, query: int = 5) -> None:
        super().__init__(encoder, way=way, shot=shot, query=query)

    def objective(self, view: Any) -> dict[str, Tensor]:
        z = self.encode(view).unflatten(0, (-1, self.way, self.shot + self.query))
        support, query = z.split([self.shot, self.query], dim=2)
        scores = prototype_scores(support, query.flatten(1, 2)).flatten(0, 1)
        classes = torch.arange(self.way, device=z.device).repeat_interleave(self.query)
        return classification_metrics(scores, classes.repeat(len(z)))

    def name_classes(self, episode: Episode) -> Float[Tensor, "q way"]:
        support = self.encode(episode.support).view(1, self.way, self.shot, -1)
        return prototype_scores(support, self.encode(episode.query)[None])[0]


@full_precision
def prototype_scores(
    support: Float[Tensor, "e way shot dim"], query: Float[Tensor, "e q dim"]
) -> Float[Tensor, "e q way"]:
    """The negative squared distances of queries to prototypes, in each of e episodes."""
    prototypes = support.mean(2)
    return -(query[:, :, None] - prototypes[:, None]).square().sum(3)
