"""The similarities of fixed pairs, and what the pairs look like."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likewise.data.batches import Parts
from likewise.methods.base import Method, TrainingContext
from likewise.runs.pairs import Pairs
from likewise.runs.snapshots import Snapshots
from likewise.seeding import generator_for
from likewise.training.callbacks.snapshots import SnapshotRecorder, similarity


class Noisy:
    """Views of bytes: noise is added."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch.float() + 20 * torch.rand(batch.shape, generator=generator)

    def clean(self, batch: Tensor) -> Tensor:
        return batch.float()

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self(batch, generator)

    def picture(self, view: Tensor) -> Tensor:
        return view.round().clamp(0, 255).to(torch.uint8)


class Spoken:
    """The same views, to be read and heard."""

    sample_rate = 8000

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return Noisy()(batch, generator)

    def texts(self, view: Tensor) -> list[str]:
        return [f"{float(row.sum()):.3f}" for row in view]

    def sounds(self, view: Tensor) -> Tensor:
        return view.flatten(1).to(torch.int16)


class Embedding(Method):
    """Linear, BatchNorm, dropout."""

    family, paper, when_to_use = "none", "0000.00000", "never"

    def __init__(self, dropout: float = 0.0) -> None:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(dropout))
        encoder.dim = 8  # type: ignore[assignment]
        super().__init__(encoder)
        self.views = Noisy()
        self.training_context = TrainingContext(samples=8, batch_size=8, steps=4, steps_per_epoch=2, seed=3)


class At(L.Trainer):
    """A trainer that has come so far."""

    global_step = 0
    is_global_zero = True

    def __init__(self, step: int) -> None:
        self.global_step = step


def samples(n: int = 8) -> Tensor:
    return torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def method() -> Embedding:
    torch.manual_seed(0)
    return Embedding()


def test_similarities_are_cosines_of_two_views_normalised_by_their_own_statistics(method: Embedding) -> None:
    generator = generator_for(3, 7)
    views = torch.cat([method.views(samples(), generator), method.views(samples(), generator)]).double()
    linear = method.encoder[1]
    h = views.flatten(1) @ linear.weight.detach().double().T + linear.bias.detach().double()
    h = (h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt()
    expected = [[float(a @ b / (a.norm() * b.norm())) for b in h] for a in h]
    torch.testing.assert_close(similarity(method, samples(), (3, 7)), torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_the_method_and_the_generator_of_the_process_as_they_were(training: bool) -> None:
    torch.manual_seed(0)
    method = Embedding(dropout=0.5).train(training)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.get_rng_state()
    similarity(method, samples(), (3, 7))
    assert method.training == method.encoder[2].training == training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_chance_in_the_network_is_a_function_of_the_key() -> None:
    torch.manual_seed(0)
    method = Embedding(dropout=0.5)
    one = similarity(method, samples(), (3, 7))
    torch.rand(5)
    assert torch.equal(similarity(method, samples(), (3, 7)), one)
    assert not torch.equal(similarity(method, samples(), (3, 8)), one)
    first, second = one[:8, :8], one[8:, 8:]
    assert not torch.equal(first, second)


def test_pairs_are_the_views_that_the_similarities_are_of(method: Embedding) -> None:
    generator = generator_for(3, 7)
    drawn = [method.views(samples(), generator) for _ in range(2)]
    pairs = Pairs.of(method.views, samples(), generator_for(3, 7))
    assert not pairs.halves
    for side, view in zip((pairs.first, pairs.second), drawn, strict=True):
        assert side.only_pictures
        assert np.array_equal(side.pictures, view.round().clamp(0, 255).to(torch.uint8).numpy())


def test_pairs_that_are_read_and_heard() -> None:
    pairs = Pairs.of(Spoken(), samples(), generator_for(0))
    assert pairs.first.pictures is pairs.second.pictures is None
    assert pairs.second.sounds.shape == (8, 16)
    assert pairs.second.sample_rate == 8000
    assert pairs.first.texts != pairs.second.texts


def test_of_pairs_the_halves_of_one_view_are_shown() -> None:
    class Two:
        parts = (Noisy(), Noisy(), Noisy())

        def __call__(self, batch: Parts, generator: torch.Generator) -> Parts:
            return Parts(tuple(views(part, generator) for views, part in zip(self.parts, batch.parts, strict=True)))

    batch = Parts((samples(), samples() // 2, samples() // 3))
    pairs = Pairs.of(Two(), batch, generator_for(0))
    assert pairs.halves
    for side, part in ((pairs.first, samples()), (pairs.second, samples() // 2)):
        assert side.only_pictures
        added = side.pictures.astype(int) - part.numpy()
        assert ((added >= 0) & (added <= 20) | (side.pictures == 255)).all()


def test_views_that_show_nothing_leave_no_pairs() -> None:
    assert len(Pairs.of(lambda batch, generator: batch, samples(), generator_for(0))) == 0


def test_a_training_leaves_the_similarities_of_its_stages_and_its_pairs(tmp_path: Any, method: Embedding) -> None:
    callback = SnapshotRecorder(tmp_path, samples(), steps=4, steps_per_epoch=2)
    for step in range(5):
        trainer = At(step)
        if step == 0:
            callback.on_train_start(trainer, method)
        else:
            with torch.no_grad():
                method.encoder[1].weight.mul_(1 + 0.1 * step * torch.arange(8.0)[:, None])
            callback.on_train_batch_end(trainer, method)
    snapshots = Snapshots.load(tmp_path)
    assert snapshots.steps.tolist() == [0, 1, 2, 4]
    assert snapshots.epochs.tolist() == [0, 0.5, 1, 2]
    assert snapshots.similarity.shape == (4, 16, 16)
    assert np.array_equal(snapshots.similarity[-1], similarity(method, samples(), (3, 1 << 40)).numpy())
    pairs = Pairs.load(tmp_path)
    assert pairs.first.only_pictures
    assert len(pairs) == 8
    assert not pairs.halves
