from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.distributed import local_rows
from likewise.errors import UserError
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.modules.prototypes import Prototypes, WeightNormPrototypes, usage_entropy
from likewise.seeding import generator_for
from likewise.views import ImageViews, preset


def rows(n: int, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=generator_for(seed))


@pytest.mark.parametrize("kind", [Prototypes, WeightNormPrototypes])
def test_scores_are_cosines_with_the_prototypes(kind: type[Prototypes]) -> None:
    prototypes, z = kind(3, 4), 5 * rows(6)
    prototypes.normalise()
    scores = prototypes(z)
    for i, j in [(0, 0), (5, 3), (2, 1)]:
        assert scores[i, j].item() == pytest.approx(F.cosine_similarity(z[i], prototypes.weight[j], dim=0).item())


def test_prototypes_come_back_to_length_1() -> None:
    prototypes = Prototypes(3, 4)
    direction = prototypes.weight.detach().clone()
    with torch.no_grad():
        prototypes.weight *= torch.tensor([[0.1], [2.0], [3.0], [40.0]])
    prototypes.normalise()
    torch.testing.assert_close(prototypes.weight.detach(), F.normalize(direction, dim=1))


def test_weight_norm_makes_length_irrelevant_and_the_gradient_tangential() -> None:
    prototypes, z = WeightNormPrototypes(3, 4), rows(6)
    before = prototypes(z)
    with torch.no_grad():
        prototypes.weight *= 7
    torch.testing.assert_close(prototypes(z), before)
    prototypes(z).logsumexp(1).sum().backward()
    gradient = prototypes.weight.grad
    assert gradient is not None
    assert gradient.norm() > 0
    assert (gradient * prototypes.weight).sum(1).abs().max() < 1e-5


def test_one_prototype_is_no_choice() -> None:
    with pytest.raises(UserError, match="prototypes must be at least 2, got 1"):
        Prototypes(3, 1)


def test_usage_entropy_is_1_for_even_use_and_0_for_a_collapse() -> None:
    assert usage_entropy(torch.full((5,), 0.2)).item() == pytest.approx(1)
    assert usage_entropy(torch.tensor([0.0, 1.0, 0.0])).item() == 0
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(3)
    assert usage_entropy(torch.tensor([0.25, 0.75, 0.0])).item() == pytest.approx(expected)


def test_a_single_process_owns_all_rows() -> None:
    assert torch.equal(local_rows(rows(4)), rows(4))


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 256, (n, 1, 28, 28), generator=generator_for(3), dtype=torch.uint8)


def test_multi_crop_makes_two_whole_views_and_small_ones() -> None:
    views = ImageViews(preset("strong", size=28, channels=1), size=28, channels=1)
    crops = multi_crop(views, images(), generator_for(0), local_crops=3)
    assert [tuple(crop.shape[-2:]) for crop in crops] == [(28, 28)] * 2 + [(12, 12)] * 3
    assert all(len(crop) == 5 for crop in crops)
    again = multi_crop(views, images(), generator_for(0), local_crops=3)
    assert all(torch.equal(a, b) for a, b in zip(crops, again, strict=True))
    assert not torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[2], crops[3])


class Whole:
    """Views of a modality that has no parts."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + torch.rand(batch.shape, generator=generator)


def test_parts_are_asked_of_views_that_have_them() -> None:
    assert len(multi_crop(Whole(), rows(2), generator_for(0), local_crops=0)) == 2
    with pytest.raises(UserError, match="local_crops must be 0 for Whole, which has no local views, got 2"):
        multi_crop(Whole(), rows(2), generator_for(0), local_crops=2)
    with pytest.raises(UserError, match="local_crops must be at least 0, got -1"):
        multi_crop(Whole(), rows(2), generator_for(0), local_crops=-1)


def test_crops_of_one_size_are_encoded_together() -> None:
    seen = []
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def encode(view: Any) -> Tensor:
        seen.append(tuple(view.shape))
        return pool(view)

    crops = [torch.randn(3, 1, size, size, generator=generator_for(i)) for i, size in enumerate([8, 8, 4, 4, 4])]
    embeddings = encode_crops(encode, crops)
    assert seen == [(6, 1, 8, 8), (9, 1, 4, 4)]
    assert len(embeddings) == 5
    for crop, embedding in zip(crops, embeddings, strict=True):
        torch.testing.assert_close(embedding, pool(crop))
