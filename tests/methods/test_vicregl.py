from __future__ import annotations

from typing import Any

import pytest
import torch
from patched import around_patched
from test_vicreg import formula
from tiny import Tiny, two_views
from torch import Tensor

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.vicregl import VICRegL
from likewise.seeding import generator_for
from likewise.views import ImageViews

PLACES = 4
MIDDLES = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]


def homographies(samples: int = 5) -> Tensor:
    """Where views lie: shrunk, moved and some of them mirrored."""
    generator = torch.Generator().manual_seed(3)
    found = torch.zeros(samples, 2, 3, 3, dtype=torch.float64)
    found[:, :, 0, 0], found[:, :, 1, 1] = torch.rand(2, samples, 2, generator=generator, dtype=torch.float64) + 0.5
    found[::2, 1, 0, 0] *= -1
    found[:, :, :2, 2] = torch.randn(samples, 2, 2, generator=generator, dtype=torch.float64)
    found[:, :, 2, 2] = 1
    return found


def distance(a: Any, b: Any) -> float:
    return float(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def of_pairs(maps: list[Tensor], near: list[list[list[Any]]], most: int, weights: tuple[float, ...]) -> Tensor:
    """VICReg of each pair of places over the samples, the mean over pairs and directions."""
    terms = []
    for one, other in ((0, 1), (1, 0)):
        rows: list[list[tuple[int, int]]] = []
        for i in range(len(maps[0])):
            found = []
            for p in range(PLACES):
                distances = [distance(near[one][i][p], near[other][i][q]) for q in range(PLACES)]
                found.append((min(distances), p, distances.index(min(distances))))
            rows.append(sorted((p, q) for _, p, q in sorted(found)[:most]))
        for pair in range(most):
            own = torch.stack([maps[one][i, rows[i][pair][0]] for i in range(len(rows))])
            theirs = torch.stack([maps[other][i, rows[i][pair][1]] for i in range(len(rows))])
            terms.append(formula(own, theirs, *weights))
    return torch.stack(terms).mean()


@pytest.mark.parametrize(("alpha", "share", "most"), [(0.75, 0.4, 2), (0.3, 0.75, 3), (0.0, 1.0, 4), (1.0, 0.01, 1)])
def test_the_objective_is_the_papers(alpha: float, share: float, most: int) -> None:
    method: Any = around_patched(VICRegL, projection_dim=4, place_dim=3, alpha=alpha, location_share=share)
    views, where = two_views(), homographies()
    weights = (25.0, 25.0, 1.0)
    maps = [method.embed_with_places(view)[1] for view in views]
    at = [
        [[(where[i, view] @ torch.tensor([x, y, 1.0], dtype=torch.float64))[:2].tolist() for x, y in MIDDLES]
         for i in range(5)]
        for view in range(2)
    ]  # fmt: skip
    expected = {
        "of_views": formula(method.embed(views[0]), method.embed(views[1]), *weights),
        "by_location": of_pairs(maps, at, most, weights),
        "by_features": of_pairs(maps, [m.tolist() for m in maps], PLACES, weights),
    }
    scalars = method.objective(where, *views)
    for name, value in expected.items():
        assert scalars[name].item() == pytest.approx(value.item(), rel=1e-9), name
    of_places = expected["by_location"] + expected["by_features"]
    total = alpha * expected["of_views"] + (1 - alpha) * of_places
    assert scalars["loss"].item() == pytest.approx(total.item(), rel=1e-9)


def test_the_order_of_the_views_does_not_matter() -> None:
    method: Any = around_patched(VICRegL, projection_dim=4, place_dim=3)
    (first, second), where = two_views(), homographies()
    swapped = method.objective(where.flip(1), second, first)
    for name, value in method.objective(where, first, second).items():
        assert swapped[name].item() == pytest.approx(value.item(), rel=1e-10)


def test_where_views_lie_decides_what_is_paired_by_location_alone() -> None:
    method: Any = around_patched(VICRegL, projection_dim=4, place_dim=3)
    views = two_views()
    one, other = (method.objective(where, *views) for where in (homographies(), homographies().flip(1)))
    assert one["by_location"] != other["by_location"]
    assert one["by_features"] == other["by_features"]
    assert one["of_views"] == other["of_views"]


def test_views_say_where_they_lie() -> None:
    method: Any = around_patched(VICRegL, projection_dim=4, place_dim=3)
    samples = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=generator_for(0))
    indices = torch.arange(6)
    method.views = ImageViews(["crop", "rotation"], size=4, channels=1)
    where, first, second = method.make_views(Batch(samples, indices, None), generator_for(1))
    again = method.views.located_pair(samples, generator_for(1))
    assert torch.equal(where, again[2])
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    method.views = None
    with pytest.raises(UserError, match="views must be those of images, which say where they lie, got NoneType"):
        method.make_views(Batch(samples, indices, None), generator_for(1))


def test_the_papers_values_are_the_defaults() -> None:
    method: Any = around_patched(VICRegL, projection_dim=4, place_dim=3)
    assert (method.alpha, method.location_share) == (0.75, 0.4)
    assert method.weights == {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
    assert [round(0.4 * places) for places in (49, 9)] == [20, 4]


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"alpha must be from 0 to 1, got 1\.5"):
        around_patched(VICRegL, projection_dim=4, alpha=1.5)
    with pytest.raises(UserError, match=r"location_share must be above 0 and at most 1, got 0\.0"):
        around_patched(VICRegL, projection_dim=4, location_share=0.0)
    with pytest.raises(UserError, match="place_dim must be at least 2, got 1"):
        around_patched(VICRegL, projection_dim=4, place_dim=1)
    with pytest.raises(UserError, match="encoder must be one with features of places, got Tiny"):
        VICRegL(Tiny(), projection_dim=4)
