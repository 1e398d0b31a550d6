"""Places of two views: which are alike, which lie near each other, and where they lie in the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.modules.places import encode_places, locations, most_similar_places, nearest_pairs, places_dim


class Patches(nn.Module):
    """Features of the pixels of a row, and their sum."""

    dim, features_dim = 1, 2

    def with_features(self, view: Tensor) -> tuple[Tensor, Tensor]:
        return view.sum(1, keepdim=True), torch.stack([view, -view], dim=2)


def test_embedding_and_places_come_from_one_pass() -> None:
    passes = []

    def encode(view: Tensor, rows: object) -> Tensor:
        passes.append(view)
        return rows(view)  # type: ignore[operator]

    view = torch.arange(6.0).view(2, 3)
    embedding, places = encode_places(encode, Patches(), view)
    assert embedding.tolist() == [[3.0], [12.0]]
    assert places.tolist() == [[[0, 0], [1, -1], [2, -2]], [[3, -3], [4, -4], [5, -5]]]
    assert len(passes) == 1


def test_an_encoder_without_places_is_refused() -> None:
    assert places_dim(Patches()) == 2
    with pytest.raises(UserError, match="encoder must be one with features of places, got Linear: give it what"):
        places_dim(nn.Linear(2, 2))


def test_the_most_similar_place_by_cosine() -> None:
    first = torch.tensor([[[1.0, 0], [0, 2], [-3, -3]]])
    second = torch.tensor([[[0.0, 0.1], [9, 1]]])
    assert most_similar_places(first, second).tolist() == [[1, 0, 0]]
    random = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    found = most_similar_places(random[0], random[1])
    for i in range(3):
        for p in range(5):
            cosines = [torch.cosine_similarity(random[0, i, p], other, dim=0) for other in random[1, i]]
            assert int(found[i, p]) == int(torch.stack(cosines).argmax())


@pytest.mark.parametrize("most", [1, 3, None])
def test_nearest_pairs_one_by_one(most: int | None) -> None:
    first, second = torch.randn(2, 4, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kept, pairs = nearest_pairs(first, second, most)
    for i in range(4):
        nearest = []
        for p in range(6):
            distances = [float((first[i, p] - other).square().sum()) for other in second[i]]
            nearest.append((min(distances), p, distances.index(min(distances))))
        expected = sorted((p, q) for _, p, q in sorted(nearest)[:most])
        assert list(zip(kept[i].tolist(), pairs[i].tolist(), strict=True)) == expected


def test_of_equal_distances_the_first_place_counts_in_any_batch() -> None:
    first = torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0]]).expand(40, 4, 2)
    second = torch.tensor([[0.5, 0.0], [1.5, 0], [2.5, 0], [3.5, 0]]).expand(40, 4, 2)
    kept, pairs = nearest_pairs(first, second, 2)
    assert torch.equal(kept, torch.tensor([0, 1]).expand(40, 2))
    assert torch.equal(pairs, torch.tensor([0, 0]).expand(40, 2))
    one = nearest_pairs(first[:1], second[:1], 2)
    assert torch.equal(one[0], kept[:1])
    assert torch.equal(one[1], pairs[:1])


def test_where_places_lie() -> None:
    whole, mirrored_half = torch.eye(3), torch.tensor([[-0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    far = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 2]])
    found = locations(torch.stack([whole, mirrored_half, far]), 1, 2)
    assert found[:2].tolist() == [[[-0.5, 0], [0.5, 0]], [[0.75, 0], [0.25, 0]]]
    torch.testing.assert_close(found[2], torch.tensor([[-0.5 / 1.5, 0], [0.5 / 2.5, 0]]))
    assert locations(whole[None], 2, 1).tolist() == [[[0, -0.5], [0, 0.5]]]
