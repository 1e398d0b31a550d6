from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.cpc import CPC
from likewise.modules.sequence_prediction import SequencePrediction
from likewise.seeding import generator_for
from likewise.views.overlapping_patches import overlapping_patches

N, DIM = 3, 5


class Views:
    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return batch + torch.rand(batch.shape, generator=generator)


def encoder() -> nn.Module:
    body = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, DIM))
    body.dim = DIM  # type: ignore[assignment]
    return body


def built(**options: Any) -> CPC:
    torch.manual_seed(0)
    return CPC(encoder(), **{"grid": 4, "steps": 2, "context_dim": 6, "temperature": 0.3} | options).double()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("height", "width", "grid"), [(256, 256, 7), (28, 28, 4), (43, 30, 5)])
def test_patches_are_half_over_each_other_column_by_column(height: int, width: int, grid: int) -> None:
    view = random(2, 3, height, width)
    stride = min(height, width) // (grid + 1)
    top, left = ((side - stride * (grid + 1)) // 2 for side in (height, width))
    patches = overlapping_patches(view, grid)
    assert patches.shape == (2, grid * grid, 3, 2 * stride, 2 * stride)
    for column in range(grid):
        for row in range(grid):
            i, j = top + row * stride, left + column * stride
            wanted = view[:, :, i : i + 2 * stride, j : j + 2 * stride]
            assert torch.equal(patches[:, column * grid + row], wanted)


def test_the_papers_grid_has_patches_of_64_px() -> None:
    assert overlapping_patches(torch.zeros(1, 3, 256, 256), 7).shape == (1, 49, 3, 64, 64)


@pytest.mark.parametrize("shape", [(7, 7), (5, 8), (6, 4)])
def test_tiny_images_are_enlarged_once(shape: tuple[int, int]) -> None:
    gradient = torch.linspace(0, 1, shape[0])[:, None].expand(1, 1, *shape)
    patches = overlapping_patches(gradient, 3)
    assert patches.shape == (1, 9, 1, 4, 4)
    assert patches[0, 0].mean() < patches[0, 1].mean() < patches[0, 2].mean()  # down a column
    torch.testing.assert_close(patches[0, 0], patches[0, 3])  # along a row


def test_the_objective_is_the_papers_equation() -> None:
    method = built()
    view = random(N, 1, 40, 40)
    patches = overlapping_patches(view, 4)
    z = method.encoder(patches.flatten(0, 1)).view(N, 4, 4, DIM)  # sample, column, row
    losses = []
    for k, predict in zip((2, 3), method.sequence.predict, strict=True):
        asked, named = [], []
        for sample in range(N):
            for column in range(4):
                for row in range(4 - k):
                    _, context = method.sequence.context(
                        z[sample, column, None, : row + 1]
                    )  # the rows down to this one
                    asked.append(predict(context[0, 0]))
                    named.append(z[sample, column, row + k])
        s = torch.stack([torch.stack([F.cosine_similarity(a, b, dim=0) for b in named]) for a in asked]) / 0.3
        losses.append(torch.stack([-torch.log(s[i, i].exp() / s[i].exp().sum()) for i in range(len(s))]).mean())
    torch.testing.assert_close(method.objective(patches), torch.stack(losses).mean(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("skip", [0, 1, 3])
def test_predictions_know_nothing_that_comes_later(skip: int) -> None:
    torch.manual_seed(0)
    sequence = SequencePrediction(DIM, context_dim=6, steps=2, skip=skip).double()
    latents = random(2, 9, DIM).requires_grad_()
    for k, (predicted, targets) in enumerate(sequence(latents), start=skip + 1):
        assert predicted.shape == targets.shape == (2, 9 - k, DIM)
        for i in range(9 - k):
            assert torch.equal(targets[:, i], latents[:, i + k])
            (gradient,) = torch.autograd.grad(predicted[:, i].sum(), latents, retain_graph=True)
            seen = gradient.abs().sum((0, 2)) > 0
            assert seen.tolist() == [place <= i for place in range(9)]


def test_the_sequence_part_takes_frames_of_any_number() -> None:
    sequence = SequencePrediction(4, context_dim=3, steps=12)
    pairs = sequence(torch.randn(2, 20, 4))
    assert [predicted.shape[1] for predicted, _ in pairs] == list(range(19, 7, -1))


def test_samples_stay_apart() -> None:
    sequence = SequencePrediction(DIM, context_dim=6, steps=1).double()
    latents = random(3, 5, DIM)
    changed = latents.clone()
    changed[1] += 1
    (one, _), (other, _) = sequence(latents)[0], sequence(changed)[0]
    assert torch.equal(one[[0, 2]], other[[0, 2]])
    assert not torch.equal(one[1], other[1])


def test_views_are_patches_of_one_random_view() -> None:
    method = built()
    method.views = Views()
    batch = Batch(torch.zeros(N, 1, 40, 40), torch.arange(N))
    (patches,), (again,) = (method.make_views(batch, generator_for(5)) for _ in range(2))
    assert torch.equal(patches, again)
    assert torch.equal(patches, overlapping_patches(method.views(batch.samples, generator_for(5)), 4))


def test_chance_is_what_equal_embeddings_give() -> None:
    method = built()
    nn.init.zeros_(method.encoder[2].weight)
    chance = method.chance(N)
    assert chance == {"loss": (math.log(N * 4 * 2) + math.log(N * 4)) / 2}
    assert method.objective(random(N, 16, 1, 8, 8)).item() == pytest.approx(chance["loss"])


def test_the_diagnostics_see_one_pair_of_each_image() -> None:
    method = built()
    method.objective(random(N, 16, 1, 8, 8))
    assert method.tracked is not None
    assert [z.shape for z in method.tracked] == [(N, DIM), (N, DIM)]
    z = method.encoder(random(N, 16, 1, 8, 8)[:, 11])  # the third column's last row
    torch.testing.assert_close(method.tracked[1], z.detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 3}, r"grid must be above steps \+ skip = 3, got 3: there are too few rows"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"skip": -1}, "skip must be at least 0, got -1"),
        ({"temperature": 0.0}, "temperature must be a number above 0"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        built(**options)
