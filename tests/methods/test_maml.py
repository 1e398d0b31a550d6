"""MAML, first-order MAML and Reptile: gradients of gradients are exact, and the episodes are apart."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.maml import FOMAML, MAML
from likewise.methods.reptile import Reptile
from likewise.training import fit as training
from likewise.training.fit import fit
from likewise.training.machine import fastest_plan
from likewise.training.recipe import Recipe

SIZES: dict[str, Any] = {"way": 3, "shot": 2, "query": 2, "inner_steps": 3, "inner_lr": 0.6}
EACH = 3 * 4
"""Samples of an episode."""


class Bent(nn.Module):
    """Two layers, with BatchNorm between them where asked for."""

    dim = 4

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 5), nn.Linear(5, self.dim)
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()

    def forward(self, view: Tensor) -> Tensor:
        return self.second(torch.tanh(self.norm(self.first(view.flatten(1)))))


class Numbers:
    """The samples as numbers."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(batch)

    weak = __call__

    def clean(self, batch: Tensor) -> Tensor:
        return batch.float() / 255


def built(cls: type[MAML] = MAML, *, norm: bool = False, **options: Any) -> MAML:
    torch.manual_seed(0)
    return cls(Bent(norm=norm), **(SIZES | options)).double().train()


def episodes(count: int = 2, seed: int = 1) -> Tensor:
    """Views of so many episodes, of classes that can be told apart, laid out as the sampling does."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(count, 3, 1, 16, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 3, 4, 16, generator=generator, dtype=torch.float64)
    return (means + 0.5 * noise).reshape(count * EACH, 1, 4, 4)


def loss_of(method: MAML, view: Tensor) -> Tensor:
    return method.objective(view)["loss"]


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "batch-norm"])
def test_the_gradient_through_the_inner_loop_is_that_of_finite_differences(norm: bool) -> None:
    method, view = built(norm=norm), episodes()
    loss_of(method, view).backward()
    gradient = nn.utils.parameters_to_vector([p.grad for p in method.parameters()])
    weights = nn.utils.parameters_to_vector(method.parameters()).detach()
    generator, step = torch.Generator().manual_seed(2), 1e-5
    for _ in range(6):
        direction = F.normalize(torch.randn(weights.shape, generator=generator, dtype=torch.float64), dim=0)
        ends = []
        for sign in (1, -1):
            nn.utils.vector_to_parameters(weights + sign * step * direction, method.parameters())
            ends.append(loss_of(method, view).item())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(gradient @ direction), rel=1e-6, abs=1e-9)


def test_first_order_applies_the_gradient_at_the_end_of_the_inner_loop() -> None:
    method, view = built(FOMAML), episodes(1)
    loss_of(method, view).backward()
    episode = next(method.episodes(view))
    model = nn.Sequential(copy.deepcopy(method.encoder), nn.Linear(4, 3).double())
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    for _ in range(SIZES["inner_steps"]):
        descend(model, F.cross_entropy(model(episode.support), episode.support_classes))
    model.zero_grad()
    F.cross_entropy(model(episode.query), episode.query_classes).backward()
    for got, exact in zip(method.encoder.parameters(), model[0].parameters(), strict=True):
        assert torch.allclose(got.grad, exact.grad, rtol=1e-9, atol=1e-12)
    second = built(MAML)
    loss_of(second, view).backward()
    assert not torch.allclose(second.encoder.first.weight.grad, method.encoder.first.weight.grad, rtol=1e-2)


def descend(model: nn.Module, loss: Tensor) -> None:
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= SIZES["inner_lr"] * parameter.grad


def test_reptile_moves_towards_where_plain_descent_on_single_shots_ends() -> None:
    method, view = built(Reptile, inner_steps=5), episodes(1)
    loss_of(method, view).backward()
    episode = next(method.episodes(view))
    model = nn.Sequential(copy.deepcopy(method.encoder), nn.Linear(4, 3).double())
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    shots = episode.support.unflatten(0, (3, 2))
    for step in range(5):
        descend(model, F.cross_entropy(model(shots[:, step % 2]), torch.arange(3)))
    for parameter, end in zip(method.encoder.parameters(), model[0].parameters(), strict=True):
        assert torch.allclose(parameter.grad, parameter - end, rtol=1e-9, atol=1e-12)
    found = method.objective(view)
    with torch.no_grad():
        scores = model(episode.query)
    assert found["loss"].item() == pytest.approx(F.cross_entropy(scores, episode.query_classes).item(), rel=1e-9)
    assert found["accuracy"] == (scores.argmax(1) == episode.query_classes).float().mean()


@pytest.mark.parametrize("cls", [MAML, FOMAML, Reptile])
def test_the_loss_is_the_mean_of_episodes_that_do_not_see_each_other(cls: type[MAML]) -> None:
    view = torch.cat([episodes(1, seed=1), 3 + 5 * episodes(1, seed=2)])
    together = built(cls, norm=True).objective(view)
    apart = [built(cls, norm=True).objective(part) for part in view.chunk(2)]
    for name in ("loss", "accuracy"):
        assert together[name].item() == pytest.approx((apart[0][name] + apart[1][name]).item() / 2, rel=1e-12)


def test_accuracies_by_step_begin_at_chance_and_end_with_the_accuracy_of_one_episode() -> None:
    method = built(inner_steps=2)
    found = method.objective(episodes(1))
    assert [name for name in found if name.startswith("accuracy")] == [
        "accuracy",
        "accuracy_after_0",
        "accuracy_after_1",
    ]
    assert found["accuracy_after_0"].item() == pytest.approx(1 / 3)  # a head of zeros names the first class
    assert found["accuracy"] > found["accuracy_after_0"]
    assert set(method.chance(64)) == {"loss", "accuracy"}


def test_batch_norm_keeps_statistics_of_the_weights_that_are_kept() -> None:
    method, view = built(norm=True), episodes(2)
    norm, values = method.encoder.norm, method.encoder.first(view.flatten(1)).detach()
    method.objective(view)
    assert torch.allclose(norm.running_mean, 0.1 * values.mean(0), rtol=1e-9)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * values.var(0), rtol=1e-9)
    assert norm.num_batches_tracked == 1


def test_options_out_of_range_and_micro_batches_are_told() -> None:
    for option, value, rule in (
        ("way", 1, "at least 2"),
        ("shot", 0, "at least 1"),
        ("query", 0, "at least 1"),
        ("inner_steps", 0, "from 1 to 1000"),
        ("inner_lr", 0.0, "above 0"),
    ):
        with pytest.raises(UserError, match=f"^{option} must be {rule}, got {value}"):
            built(**{option: value})
    with pytest.raises(UserError, match=r"^micro_batch_size has no use where each episode has weights of its own"):
        built().prepare(TrainingContext(64, 24, steps=4, steps_per_epoch=2, micro_batch_size=12))


@pytest.fixture
def source() -> Source:
    labels = np.arange(60) % 6
    noise = np.random.default_rng(0).integers(0, 128, (len(labels), 1, 4, 4))
    labelled = open_source((noise + 20 * labels[:, None, None, None]).astype(np.uint8))
    labelled.labels = lambda: torch.from_numpy(labels)  # type: ignore[method-assign]
    return labelled


class Broken(MAML):
    """It fails in a step."""

    ends_at: int | None = None

    def make_views(self, batch: Any, generator: torch.Generator) -> tuple[Any, ...]:
        if self.global_step == self.ends_at:
            raise RuntimeError("the power fails")
        return super().make_views(batch, generator)


def trained(source: Source, folder: Path, *, ends_at: int | None = None, resume: bool = False) -> MAML:
    torch.manual_seed(0)
    method = Broken(Bent(norm=True), **SIZES)
    method.views, method.ends_at = Numbers(), ends_at
    folder.mkdir(exist_ok=True)
    recipe = Recipe(epochs=3, batch_size=15)
    fit(method, source, recipe, folder, seed=4, devices="1", resume=resume, checkpoint_minutes=0.0, progress=False)
    return method


def test_a_resumed_training_has_the_same_bits(source: Source, tmp_path: Path) -> None:
    whole = trained(source, tmp_path / "whole")
    context = whole.training_context
    assert (context.batch_size, context.steps_per_epoch) == (12, 4)
    with pytest.raises(RuntimeError, match="the power fails"):
        trained(source, tmp_path / "broken", ends_at=6)
    resumed = trained(source, tmp_path / "broken", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_processes_have_whole_episodes(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_trainer", lambda **_: SimpleNamespace(world_size=2, strategy=None))
    said = r"^batch_size must be divisible by the 2 devices, in parts of 12 that belong together, got 12$"
    with pytest.raises(UserError, match=said):
        trained(source, tmp_path / "run")


def test_what_is_measured_is_whole_episodes(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path))
    method = MAML(Bent(), way=2, shot=3, query=37)
    method.views = Numbers()
    # 40 samples are fewer, and a divisor of the batch, but no episode.
    context = TrainingContext(60, 80, steps=4, steps_per_epoch=2, read=lambda places: source.read(places % 60))
    method.prepare(context)
    assert fastest_plan(method, context, threads=1).precision in ("32-true", "bf16-mixed")
