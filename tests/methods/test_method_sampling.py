"""A method may choose the samples of its steps: episodes of a few classes, resumed to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Tiny
from torch import Tensor
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.data.open import open_source
from likewise.data.sampling import Sampling
from likewise.data.source import Source
from likewise.methods.base import Method
from likewise.seeding import generator_for
from likewise.training.fit import fit
from likewise.training.recipe import Recipe

CLASSES, EACH, WAYS, SHOTS, QUERIES, EPISODES = 6, 9, 3, 2, 4, 5


class EpisodeSampling:
    """Each step is an n-way k-shot episode: some classes, and of each some samples, shots first."""

    def __init__(self, labels: Tensor, *, ways: int, each: int, steps_per_epoch: int, seed: int) -> None:
        self.of_class = [(labels == label).nonzero().flatten() for label in labels.unique()]
        self.ways, self.each, self.seed = ways, each, seed
        self.batch_size, self.steps_per_epoch = ways * each, steps_per_epoch

    def indices(self, step: int) -> Tensor:
        generator = generator_for(self.seed, step)
        classes = torch.randperm(len(self.of_class), generator=generator)[: self.ways]
        chosen = [self.of_class[label] for label in classes.tolist()]
        return torch.cat([some[torch.randperm(len(some), generator=generator)[: self.each]] for some in chosen])


class Scaled:
    """The samples as float32 numbers."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(batch)

    weak = __call__

    def clean(self, batch: Tensor) -> Tensor:
        return batch.float() / 255


class Prototypical(Method):
    """Snell et al. 2017, in a few lines: name a query's class by the nearest mean of shots."""

    supervised = True
    ends_at: int | None = None

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(Tiny())
        self.views = Scaled()
        self.batches: list[Batch] = []

    def sampling(self, source: Source, *, batch_size: int, seed: int) -> Sampling:
        each = SHOTS + QUERIES
        return EpisodeSampling(source.labels(), ways=WAYS, each=each, steps_per_epoch=EPISODES, seed=seed)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        self.batches.append(batch)
        if self.global_step == self.ends_at:
            raise RuntimeError("the power fails")
        return (self.views(batch.samples, generator),)

    def objective(self, view: Tensor) -> Tensor:
        z = self.encode(view).unflatten(0, (WAYS, -1))
        means, queries = z[:, :SHOTS].mean(1), z[:, SHOTS:].flatten(0, 1)
        return F.cross_entropy(-torch.cdist(queries, means), torch.arange(WAYS).repeat_interleave(QUERIES))


@pytest.fixture
def source() -> Source:
    labels = np.arange(CLASSES * EACH) % CLASSES
    noise = np.random.default_rng(0).integers(0, 128, (len(labels), 1, 4, 4))
    images = (noise + 20 * labels[:, None, None, None]).astype(np.uint8)
    labelled = open_source(images)
    labelled.labels = lambda: torch.from_numpy(labels)  # type: ignore[method-assign]
    return labelled


def trained(method: Prototypical, source: Source, folder: Path, *, resume: bool = False) -> Prototypical:
    folder.mkdir(exist_ok=True)
    recipe = Recipe(epochs=3, batch_size=8)
    fit(method, source, recipe, folder, seed=4, devices="1", resume=resume, checkpoint_minutes=0.0, progress=False)
    return method


def test_steps_are_episodes_and_a_resumed_training_has_the_same_bits(source: Source, tmp_path: Path) -> None:
    whole = trained(Prototypical(), source, tmp_path / "whole")
    context = whole.training_context
    assert (context.batch_size, context.steps_per_epoch, context.steps) == (18, EPISODES, 15)
    assert len(whole.batches) == 15
    for batch in whole.batches:
        assert batch.labels is not None
        labels = batch.labels.unflatten(0, (WAYS, -1))
        assert (labels == labels[:, :1]).all()
        assert len(labels[:, 0].unique()) == WAYS
        assert len(batch.indices.unique()) == 18
    assert not torch.equal(whole.batches[0].indices, whole.batches[EPISODES].indices)

    broken = Prototypical()
    broken.ends_at = 7
    with pytest.raises(RuntimeError, match="the power fails"):
        trained(broken, source, tmp_path / "broken")
    resumed = trained(Prototypical(), source, tmp_path / "broken", resume=True)
    assert [b.indices.tolist() for b in resumed.batches] == [b.indices.tolist() for b in whole.batches[7:]]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
