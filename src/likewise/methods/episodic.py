"""What methods share that learn from few-shot episodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from likewise.checks import check_int
from likewise.data.episode_sampling import EpisodeSampling, ViewEpisodeSampling
from likewise.data.loader import Batch
from likewise.data.sampling import Sampling
from likewise.data.source import Source
from likewise.methods.base import Method
from likewise.modules.classification import classification_chance
from likewise.runs.figures import Figure, FigureRow

MOST_SHOWN = 6  # of the support and of the queries of each class, on the page
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Episode(NamedTuple):
    """A task: learn some classes from the support, and name those of the query."""

    support: Any
    """Views, class by class."""
    query: Any
    support_classes: Int[Tensor, " s"]
    """From 0 to below way."""
    query_classes: Int[Tensor, " q"]


class Episodic(Method):
    """A method whose steps are episodes of labelled classes, one after the other as `EpisodeSampling` lays them out.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more.
        shot, query: samples of each class to learn from, and to classify.

    Raises:
        UserError: for a number out of its range.
    """

    family = "meta-learning"
    supervised = True
    episodic = True
    compares_augmentations = False
    min_batch_size = 4  # two classes with one sample to learn from and one to classify

    def __init__(self, encoder: nn.Module, *, way: int, shot: int, query: int) -> None:
        super().__init__(encoder)
        check_int(2, way=way)
        check_int(shot=shot, query=query)
        self.way, self.shot, self.query = way, shot, query
        self.drawn: EpisodeSampling | ViewEpisodeSampling | None = None

    @property
    def inseparable(self) -> int:
        return self.way * (self.shot + self.query)

    def sampling(self, source: Source, *, batch_size: int, seed: int) -> Sampling:
        how = {"way": self.way, "shot": self.shot, "query": self.query}
        self.drawn = EpisodeSampling(source, **how, batch_size=batch_size, seed=seed)
        return self.drawn

    @property
    def notes(self) -> list[str]:
        return [] if self.drawn is None else self.drawn.notes

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (self.views(batch.samples, generator),)

    def episodes(self, *views: Any) -> Iterator[Episode]:
        """The episodes of a step.

        Args:
            views: one or more of each sample; all of them are in the episode.
        """
        device = self.device
        places = torch.arange(len(views[0]), device=device).view(-1, self.way, self.shot + self.query)
        classes = torch.arange(self.way, device=device)
        for episode in places:
            support, query = (part.flatten() for part in episode.split([self.shot, self.query], dim=1))
            yield Episode(
                torch.cat([view[support] for view in views]),
                torch.cat([view[query] for view in views]),
                classes.repeat_interleave(self.shot).repeat(len(views)),
                classes.repeat_interleave(self.query).repeat(len(views)),
            )

    def name_classes(self, episode: Episode) -> Float[Tensor, "q way"]:
        """Scores of the classes for each query, after learning from the support."""
        raise NotImplementedError

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(self.way)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        """An episode that no step had."""
        read = self.training_context.read
        if not hasattr(self.views, "picture") or self.drawn is None or read is None:
            return []
        indices = self.drawn.indices(self.training_context.steps)[: self.inseparable]
        batch = Batch(move_data_to_device(read(indices), self.device), indices)
        views = self.make_views(batch, generator)
        episode = next(self.episodes(*views))
        # With two views of each sample, the first ones come first.
        support = self.views.picture(episode.support[: self.way * self.shot]).unflatten(0, (self.way, self.shot))
        query = self.views.picture(episode.query[: self.way * self.query]).unflatten(0, (self.way, self.query))
        named = self.name_classes(episode).argmax(1)[: self.way * self.query].view(self.way, self.query)
        rows = [FigureRow(f"support {n + 1}", support[:, n]) for n in range(min(self.shot, MOST_SHOWN))]
        rows += [
            FigureRow(f"query {n + 1}", query[:, n], [verdict(place, one) for place, one in enumerate(answers)])
            for n, answers in enumerate(named.T[:MOST_SHOWN].tolist())
        ]
        right = float((named == torch.arange(self.way, device=named.device)[:, None]).float().mean())
        caption = (
            f"An episode that no step had, of {self.way} classes in columns named from A on. The support is what is "
            f"learned from; below each query stands the class that it is given. Of {named.numel()} queries "
            f"{right:.0%} are right, of which up to {MOST_SHOWN} a class are shown."
        )
        return [Figure("An episode", caption, rows)]


def verdict(column: int, named: int) -> str:
    """The class that a query of a column is given, and whether it is the right one."""
    return f"{LETTERS[named % len(LETTERS)]} {'✓' if named == column else '✗'}"
