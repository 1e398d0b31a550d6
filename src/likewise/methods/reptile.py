"""Reptile: move the weights towards those that fine-tuning on an episode ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.methods.episodic import Episode
from likewise.methods.maml import MAML
from likewise.modules.inner_loop import Weights, initial_weights, inner_loop


class Reptile(MAML):
    """Nichol, Achiam & Schulman 2018, On First-Order Meta-Learning Algorithms, arXiv:1803.02999.

    In each episode, encoder and head descend on the cross-entropy of the support, with one sample of each class a step.
    The gradient of the encoder's weights is what they were less what they become, so that a rate `lr` of 1 with plain
    SGD moves them all the way. The queries are only measured: `loss` is theirs after the inner steps.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more.
        shot: samples of each class to learn from, one after the other; several are needed for the steps to differ.
        query: samples of each class to measure the accuracy on.
        inner_steps: steps of gradient descent on the support, from 1 to 1000; more than shots begin anew.
        inner_lr: their learning rate, above 0.

    Raises:
        UserError: for a number out of its range.
    """

    paper = "1803.02999"
    when_to_use = "as MAML without gradients of a query: the cheapest step, needs several samples of each class"
    second_order = False

    def __init__(
        self,
        encoder: nn.Module,
        *,
        way: int = 5,
        shot: int = 5,
        query: int = 5,
        inner_steps: int = 5,
        inner_lr: float = 0.1,
    ) -> None:
        super().__init__(encoder, way=way, shot=shot, query=query, inner_steps=inner_steps, inner_lr=inner_lr)

    def inner_losses(self, episode: Episode) -> Iterable[Callable[[Weights], Float[Tensor, ""]]]:
        """The loss of each inner step: that of the next sample of each class."""
        firsts = torch.arange(self.way, device=self.device) * self.shot
        for step in range(self.inner_steps):
            rows = firsts + step % self.shot
            view, classes = episode.support[rows], episode.support_classes[rows]
            yield partial(self.support_loss, view=view, classes=classes)

    def learn(self, episode: Episode, *, by_step: bool) -> dict[str, Tensor]:
        begun = initial_weights(self.encoder, self.way)
        with torch.no_grad():
            path = list(inner_loop(self.inner_losses(episode), begun, lr=self.inner_lr, second_order=False))
            loss, scores = self.loss(path[-1], episode.query, episode.query_classes)
        changes = [begun["encoder"][name] - end for name, end in path[-1]["encoder"].items()]
        moved = torch.stack([change.square().sum() / 2 for change in changes]).sum()  # its gradient: the changes
        figures = self.accuracies(path[:-1], episode) if by_step else {}
        accuracy = (scores.argmax(1) == episode.query_classes).float().mean()
        return {"loss": loss + (moved - moved.detach()), "accuracy": accuracy} | figures
