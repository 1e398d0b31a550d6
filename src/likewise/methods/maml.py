"""MAML: weights from which a few steps of gradient descent learn new classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.base import Method, TrainingContext
from likewise.methods.episodic import Episode, Episodic
from likewise.modules.batch_norm import has_batch_norm
from likewise.modules.classification import classification_metrics
from likewise.modules.inner_loop import (
    Weights,
    batch_statistics,
    check_inner_loop,
    class_scores,
    embed_with,
    initial_weights,
    inner_loop,
)

Scored = tuple[Float[Tensor, ""], Float[Tensor, "n way"]]
"""A loss, and the logits that it is of."""


class MAML(Episodic):
    """Finn, Abbeel & Levine 2017, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, arXiv:1703.03400.

    In each episode, encoder and head descend on the cross-entropy of the support; the loss is that of the query with
    the weights where they end, as a function of the weights where they began. The head begins with zeros
    (arXiv:2106.15367). BatchNorm normalizes by the support, or the query, of the episode.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more.
        shot: samples of each class to learn from.
        query: samples of each class to classify.
        inner_steps: steps of gradient descent on the support, from 1 to 1000.
        inner_lr: their learning rate, above 0.

    Raises:
        UserError: for a number out of its range.
    """

    paper = "1703.03400"
    when_to_use = "labels of other classes than those that count: new classes by a few steps of fine-tuning"
    sync_batch_norm = False
    second_order: ClassVar[bool] = True

    def __init__(
        self,
        encoder: nn.Module,
        *,
        way: int = 5,
        shot: int = 1,
        query: int = 5,
        inner_steps: int = 5,
        inner_lr: float = 0.1,
    ) -> None:
        super().__init__(encoder, way=way, shot=shot, query=query)
        check_inner_loop(inner_steps=inner_steps, inner_lr=inner_lr)
        self.inner_steps, self.inner_lr = inner_steps, inner_lr

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        if context.micro_batch_size is not None:
            raise UserError("micro_batch_size has no use where each episode has weights of its own: leave it out")
        super().prepare(context, optimizers)

    def objective(self, *views: Any) -> dict[str, Tensor]:
        with batch_statistics(self.encoder):
            # Accuracies by step cost as many passes as there are steps: one episode is measured.
            results = [self.learn(one, by_step=number == 0) for number, one in enumerate(self.episodes(*views))]
        self.look_back(*views)
        return results[0] | {name: torch.stack([one[name] for one in results]).mean(0) for name in results[-1]}

    def learn(self, episode: Episode, *, by_step: bool) -> dict[str, Tensor]:
        """The loss of an episode and its figures: accuracy, and with `by_step` after each of the inner steps."""
        path = list(
            inner_loop(self.inner_losses(episode), self.beginning(), lr=self.inner_lr, second_order=self.second_order)
        )
        figures = self.accuracies(path[:-1], episode) if by_step else {}
        loss, scores = self.loss(path[-1], episode.query, episode.query_classes)
        accuracy = classification_metrics(scores, episode.query_classes)["accuracy"]
        return {"loss": loss, "accuracy": accuracy} | figures

    def beginning(self) -> Weights:
        """The weights before the first inner step."""
        return initial_weights(self.encoder, self.way)

    def inner_losses(self, episode: Episode) -> Iterable[Callable[[Weights], Float[Tensor, ""]]]:
        """The loss of each inner step: that of the whole support."""
        loss = partial(self.support_loss, view=episode.support, classes=episode.support_classes)
        return repeat(loss, self.inner_steps)

    def support_loss(self, weights: Weights, *, view: Any, classes: Int[Tensor, " n"]) -> Float[Tensor, ""]:
        """What the inner loop descends on."""
        return self.loss(weights, view, classes)[0]

    def loss(self, weights: Weights, view: Any, classes: Int[Tensor, " n"]) -> Scored:
        """The loss of views with these weights, in the inner loop and after it."""
        scores = class_scores(weights, embed_with(self.encoder, weights, view))
        return F.cross_entropy(scores, classes), scores

    @torch.no_grad()
    def accuracies(self, path: list[Weights], episode: Episode) -> dict[str, Tensor]:
        """Accuracies of the queries with the weights of the path."""
        found = {}
        for step, weights in enumerate(path):
            scores = class_scores(weights, embed_with(self.encoder, weights, episode.query))
            found[f"accuracy_after_{step}"] = (scores.argmax(1) == episode.query_classes).float().mean()
        return found

    @torch.no_grad()
    def look_back(self, *views: Any) -> None:
        """Pass all episodes at once, so that BatchNorm has running statistics of the weights that are kept."""
        if has_batch_norm(self.encoder) and self.training:
            self.encoder(torch.cat(views))

    def name_classes(self, episode: Episode) -> Float[Tensor, "q way"]:
        with batch_statistics(self.encoder):
            *_, learned = inner_loop(self.inner_losses(episode), self.beginning(), lr=self.inner_lr, second_order=False)
            return class_scores(learned, embed_with(self.encoder, learned, episode.query))


class FOMAML(MAML):
    """First-order MAML (Finn et al. 2017, section 5.2; Nichol et al. 2018), arXiv:1703.03400.

    As `MAML`, with the gradients of the inner steps as constants: the gradient of the query's loss by the weights where
    the inner loop ends is applied to those where it began.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more.
        shot: samples of each class to learn from.
        query: samples of each class to classify.
        inner_steps: steps of gradient descent on the support, from 1 to 1000.
        inner_lr: their learning rate, above 0.

    Raises:
        UserError: for a number out of its range.
    """

    when_to_use = "as MAML without second derivatives: less than half of the time"
    second_order = False
