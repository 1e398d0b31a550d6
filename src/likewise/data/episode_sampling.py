"""Steps of few-shot episodes: of labelled classes, or of single samples that are classes of their own."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from likewise.checks import require
from likewise.console import count_of
from likewise.data.episodes import check_episodes, draw_episodes, members_of
from likewise.data.sampling import epoch_sampling
from likewise.data.source import Source

MOST_NAMED = 5  # classes, in a note


class EpisodeSampling:
    """Each step takes some episodes of labelled classes, drawn at random: a `Sampling`.

    The indices of a step are those of its episodes, one after the other; of each, class by class, its support and then
    its query. An epoch has as many steps as one that visits each sample once.

    Args:
        source: labelled samples.
        way: classes of an episode.
        shot, query: samples of each class to learn from, and to classify.
        batch_size: of the recipe; a step takes as many whole episodes as it holds.
        seed: of the training.

    Raises:
        UserError: for samples without labels, a batch smaller than an episode, or too few classes or samples.
    """

    def __init__(self, source: Source, *, way: int, shot: int, query: int, batch_size: int, seed: int) -> None:
        self.way, self.shot, self.query, self.seed = way, shot, query, seed
        labels, groups = source.labels(), source.groups
        check_episodes(labels, groups, way=way, shot=shot, query=query, name=source.name)
        self.episodes = episodes_within(batch_size, way=way, each=shot + query)
        kept, self.members = members_of(labels, groups, least=shot + query)
        self.batch_size = self.episodes * way * (shot + query)
        self.steps_per_epoch = len(source) // batch_size
        steps = f"each step has {count_of(self.episodes, 'episode')}"
        self.notes = [f"{steps}: {way} of {len(kept):,} classes, {shot} + {query} samples of each"]
        few = [label for label in labels.unique().tolist() if label >= 0 and label not in kept]
        if few:
            named = ", ".join(str(source.classes[label] if source.classes else label) for label in few[:MOST_NAMED])
            count = count_of(len(few), "class", "classes")
            more = ", …" if len(few) > MOST_NAMED else ""
            self.notes.append(f"{count} with fewer than {shot + query} samples left out: {named}{more}")

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        numbers = range(step * self.episodes, (step + 1) * self.episodes)
        way, shot, query = self.way, self.shot, self.query
        drawn = draw_episodes(self.members, numbers, way=way, shot=shot, query=query, seed=self.seed)
        return torch.cat([drawn.support, drawn.query], dim=2).flatten()


class ViewEpisodeSampling:
    """Each step takes some episodes in which every sample is a class of its own, without labels: a `Sampling`.

    Support and query of a class are one sample, again and again: random views make them differ (UMTRA,
    arXiv:1811.11819). The indices are laid out as those of `EpisodeSampling`. The samples come from shuffled epochs.

    Args:
        source: the samples.
        way: samples of an episode.
        each: how often an episode has each of them.
        batch_size: of the recipe; a step takes as many whole episodes as it holds.
        seed: of the training.

    Raises:
        UserError: for a batch smaller than an episode.
    """

    def __init__(self, source: Source, *, way: int, each: int, batch_size: int, seed: int) -> None:
        self.each, self.episodes = each, episodes_within(batch_size, way=way, each=each)
        self.samples = epoch_sampling(source, batch_size=self.episodes * way, seed=seed)
        self.batch_size = self.episodes * way * each
        self.steps_per_epoch = len(source) // batch_size
        steps = f"each step has {count_of(self.episodes, 'episode')}"
        self.notes = [f"{steps}: {way} of {len(source):,} samples, {each} views of each"]

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        return self.samples.indices(step).repeat_interleave(self.each)


def episodes_within(batch_size: int, *, way: int, each: int) -> int:
    """How many whole episodes a batch holds.

    Raises:
        UserError: where it holds none.
    """
    size = way * each
    rule = f"at least {size:,}, one episode of {way} classes with {each} samples each"
    remedy = "take a larger --batch-size, or a smaller --way, --shot or --query"
    require(batch_size >= size, "batch_size", rule, batch_size, remedy)
    return batch_size // size
