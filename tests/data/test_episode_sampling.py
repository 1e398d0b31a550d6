"""Steps of episodes: laid out class by class, a pure function of seed and step, with labels or without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from likewise.data.episode_sampling import EpisodeSampling, ViewEpisodeSampling
from likewise.data.episodes import draw_episodes, members_of
from likewise.data.open import open_source
from likewise.data.sampling import Sampling
from likewise.data.source import Source
from likewise.errors import UserError

CLASSES, EACH = 6, 9


def labelled(labels: np.ndarray) -> Source:
    source = open_source(np.zeros((len(labels), 8, 8), dtype=np.uint8))
    source.labels = lambda: torch.from_numpy(labels)  # type: ignore[method-assign]
    return source


@pytest.fixture
def source() -> Source:
    return labelled(np.arange(CLASSES * EACH) % CLASSES)


def sampling_of(source: Source, *, batch_size: int = 40, seed: int = 4) -> EpisodeSampling:
    return EpisodeSampling(source, way=3, shot=2, query=4, batch_size=batch_size, seed=seed)


def test_a_step_is_whole_episodes_class_by_class(source: Source) -> None:
    sampling = sampling_of(source)
    assert isinstance(sampling, Sampling)
    assert (sampling.batch_size, sampling.episodes, sampling.steps_per_epoch) == (36, 2, 54 // 40)
    labels = source.labels()
    drawn = []
    for step in range(8):
        for episode in sampling.indices(step).view(2, 3, 6):
            assert len(episode.unique()) == 18
            assert (labels[episode] == labels[episode[:, :1]]).all()
            assert len(labels[episode[:, 0]].unique()) == 3
            drawn.append(tuple(episode.flatten().tolist()))
    assert len(set(drawn)) == 16


def test_a_step_is_a_function_of_the_seed_and_its_number(source: Source) -> None:
    sampling, other = sampling_of(source), sampling_of(source, seed=5)
    ahead = [sampling.indices(step) for step in range(5)]
    assert torch.equal(sampling_of(source).indices(3), ahead[3])
    assert torch.equal(sampling.indices(1), ahead[1])
    assert not torch.equal(other.indices(3), ahead[3])
    members = members_of(source.labels(), None, least=6)[1]
    drawn = draw_episodes(members, (6, 7), way=3, shot=2, query=4, seed=4)  # the episodes of an evaluation
    assert torch.equal(torch.cat([drawn.support, drawn.query], dim=2).flatten(), ahead[3])


def test_a_process_has_whole_episodes(source: Source) -> None:
    parts: tuple[Tensor, ...] = sampling_of(source).indices(2).chunk(2)
    for part in parts:
        assert len(source.labels()[part].unique()) == 3
        assert len(part.unique()) == 18


def test_classes_with_too_few_samples_are_named() -> None:
    labels = np.array([0] * 9 + [1] * 9 + [2] * 9 + [3] * 5 + [-1] * 8)
    sampling = sampling_of(labelled(labels))
    assert sampling.notes == [
        "each step has 2 episodes: 3 of 3 classes, 2 + 4 samples of each",
        "1 class with fewer than 6 samples left out: 3",
    ]
    for step in range(20):
        assert set(labels[sampling.indices(step)].tolist()) == {0, 1, 2}


def test_what_holds_no_episode_is_told(source: Source) -> None:
    with pytest.raises(UserError, match=r"^batch_size must be at least 18, one episode of 3 classes with 6 samples"):
        sampling_of(source, batch_size=17)
    with pytest.raises(UserError, match=r"^way must be at most 6, the number of classes of .*, got 7$"):
        EpisodeSampling(source, way=7, shot=1, query=1, batch_size=40, seed=0)
    with pytest.raises(
        UserError, match=r"^shot \+ query must be at most 9 for 3 classes of .*, got 5 \+ 5: take fewer"
    ):
        EpisodeSampling(source, way=3, shot=5, query=5, batch_size=40, seed=0)
    with pytest.raises(UserError, match="no labels"):
        sampling_of(open_source(np.zeros((40, 8, 8), dtype=np.uint8)))


def test_without_labels_every_sample_is_a_class() -> None:
    source = open_source(np.zeros((50, 8, 8), dtype=np.uint8))
    sampling = ViewEpisodeSampling(source, way=5, each=3, batch_size=32, seed=1)
    assert (sampling.batch_size, sampling.steps_per_epoch) == (30, 1)
    seen: list[int] = []
    for step in range(5):  # ten samples a step: an epoch of the samples
        classes = sampling.indices(step).view(10, 3)
        assert (classes == classes[:, :1]).all()
        seen += classes[:, 0].tolist()
    assert sorted(seen) == list(range(50))
    again = ViewEpisodeSampling(source, way=5, each=3, batch_size=32, seed=1)
    assert torch.equal(again.indices(3), sampling.indices(3))
    assert sampling.notes == ["each step has 2 episodes: 5 of 50 samples, 3 views of each"]
