from __future__ import annotations

import math

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.methods import lejepa
from likewise.methods.base import TrainingContext
from likewise.methods.lejepa import LeJEPA
from likewise.seeding import generator_for

SMALL = {"hidden_dim": 7, "projection_dim": 4, "directions": 5, "local_crops": 2}
CONTEXT = TrainingContext(samples=50, batch_size=100, steps=100, steps_per_epoch=10, seed=3)


def crops(samples: int = 5) -> list[Tensor]:
    parts = torch.randn(2, samples, 1, 4, 4, generator=generator_for(4), dtype=torch.float64)
    return [*two_views(samples), *parts]


def formula(views: list[Tensor], directions: Tensor, trade_off: float) -> Tensor:
    """Algorithms 1 and 2, without gathering."""
    t = torch.linspace(-5, 5, 17, dtype=torch.float64)
    normal = torch.exp(-(t**2) / 2)
    statistics = []
    for z in views:
        waves = torch.exp(1j * (z @ directions)[..., None] * t).mean(0)
        statistics.append(len(z) * torch.trapezoid((waves - normal).abs() ** 2 * normal, t).mean())
    center = (views[0] + views[1]) / 2
    prediction = torch.stack([(center - z) ** 2 for z in views]).mean()
    return (1 - trade_off) * prediction + trade_off * torch.stack(statistics).mean()


def embedded(method: LeJEPA, views: list[Tensor]) -> list[Tensor]:
    """One batch, as the projector's BatchNorm sees it."""
    return list(method.embed(torch.cat(views)).chunk(len(views)))


@pytest.mark.parametrize("trade_off", [0.05, 0.5])
def test_the_objective_is_the_papers_algorithm(trade_off: float) -> None:
    method = built(LeJEPA, trade_off=trade_off, **SMALL)
    views = embedded(method, crops())
    answer = method.objective(*crops())
    expected = formula(views, method.random_directions(views[0]), trade_off)
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    both = (1 - trade_off) * answer["prediction"] + trade_off * answer["sigreg"]
    assert answer["loss"].item() == pytest.approx(both.item(), rel=1e-12)


def test_the_papers_settings_are_the_defaults() -> None:
    method = built(LeJEPA)
    assert (method.trade_off, method.directions, method.local_crops) == (0.05, 1024, 6)


def test_no_gradient_stops_at_the_center() -> None:
    method = built(LeJEPA, trade_off=1e-9, **SMALL)
    views = [torch.randn(5, 4, generator=generator_for(i), dtype=torch.float64).requires_grad_() for i in range(3)]
    method.encoder = method.projector = nn.Identity()
    method.objective(*views)["loss"].backward()
    center = (views[0] + views[1]) / 2
    residuals = [center - view for view in views]
    to_center = sum(residuals) / 2  # half of every view's residual reaches each of the two
    for view, residual, share in zip(views, residuals, (to_center, to_center, 0 * to_center), strict=True):
        torch.testing.assert_close(view.grad, 2 * (share - residual).detach() / 60, rtol=1e-6, atol=1e-9)


def test_directions_are_a_function_of_seed_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.zeros(2, 4)
    drawn = {}
    for seed, step in [(3, 0), (3, 1), (4, 0), (3, 0)]:
        method = built(LeJEPA, **SMALL)
        method.prepare(CONTEXT._replace(seed=seed))
        monkeypatch.setattr(LeJEPA, "global_step", step)
        again = drawn.setdefault((seed, step), method.random_directions(z))
        assert torch.equal(again, method.random_directions(z))
    assert len({tuple(each.flatten().tolist()) for each in drawn.values()}) == 3
    assert method.random_directions(z).dtype == torch.float32
    assert method.random_directions(z.bfloat16()).dtype == torch.float32


def test_the_distribution_is_that_of_the_batch_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(LeJEPA, **SMALL)
    elsewhere = torch.randn(5, 4, 4, generator=generator_for(5), dtype=torch.float64)
    monkeypatch.setattr(lejepa, "gather", lambda z: torch.cat([z, elsewhere]))
    views = [torch.cat([z, elsewhere[:, i]]) for i, z in enumerate(embedded(method, crops()))]
    expected = formula(views, method.random_directions(views[0]), 0.05)
    assert method.objective(*crops())["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert [len(z) for z in method.tracked] == [10, 10]


def test_the_projector_has_two_hidden_layers() -> None:
    method = built(LeJEPA, **SMALL)
    layers = [layer for layer in method.projector if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(6, 7), (7, 7), (7, 4)]


def test_a_point_is_reported_and_a_gaussian_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(LeJEPA, **SMALL)
    method.prepare(CONTEXT)
    monkeypatch.setattr(LeJEPA, "progress", 0.5)
    of_a_point = 100 * math.sqrt(2 * math.pi) * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    assert "collapsed to a point: try a larger --trade-off" in (
        method.degenerate_solution({"sigreg": of_a_point}) or ""
    )
    assert method.degenerate_solution({"sigreg": 1.06}) is None
    assert method.degenerate_solution({}) is None
    monkeypatch.setattr(LeJEPA, "progress", 0.1)
    assert method.degenerate_solution({"sigreg": of_a_point}) is None  # at the beginning it may


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trade_off": 0.0}, "trade_off must be above 0 and below 1, got 0.0"),
        ({"trade_off": 1.0}, "trade_off must be above 0 and below 1, got 1.0"),
        ({"directions": 0}, "directions must be at least 1, got 0"),
        ({"projection_dim": 0}, "projection_dim must be at least 1, got 0"),
        ({"local_crops": -1}, "local_crops must be at least 0, got -1"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LeJEPA(Tiny(), **options)
