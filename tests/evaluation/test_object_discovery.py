"""Objects found by features, against LOST written out place by place, and on cases made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likewise.data.annotations.annotation import IGNORE
from likewise.evaluation.object_discovery import (
    SEED_SHARE,
    correct_localization,
    object_box,
    object_boxes,
    overlap,
    places_inside,
    whole_box,
)
from likewise.evaluation.segmenter import Colours, DenseEncoder, object_map


def naive_box(features: Tensor, inside: Tensor) -> tuple[float, float, float, float]:
    """Section 3.2 of arXiv:2109.14279, by loops."""
    cells = [tuple(cell) for cell in inside.nonzero().tolist()]
    rows = torch.stack([features[:, i, j] for i, j in cells]).double()
    mean = rows.mean(0)
    rows = (rows - mean) / ((rows - mean) ** 2).mean(0).sqrt()
    like = [[float(a @ b) >= 0 for b in rows] for a in rows]
    order = sorted(range(len(cells)), key=lambda p: (sum(like[p]), p))
    seeds = [q for q in order[: max(1, round(SEED_SHARE * len(cells)))] if like[order[0]][q]]
    alike = {cell for p, cell in enumerate(cells) if sum(float(rows[p] @ rows[s]) for s in seeds) >= 0 or p == order[0]}
    part, edge = {cells[order[0]]}, [cells[order[0]]]
    while edge:
        i, j = edge.pop()
        for near in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if near in alike and near not in part:
                part.add(near)
                edge.append(near)
    down, right = zip(*part, strict=True)
    return min(right), min(down), max(right) + 1, max(down) + 1


@pytest.mark.parametrize("seed", range(8))
def test_as_written_out(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(4, 7, 9, generator=generator)
    features = torch.nn.functional.avg_pool2d(features[None], 3, 1, 1)[0]
    inside = torch.ones(7, 9, dtype=torch.bool)
    inside[:, seed % 4 + 5 :] = False
    assert object_box(features, inside) == naive_box(features, inside)


def test_the_small_thing_is_found() -> None:
    features = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.05
    features[:, 2:5, 6:10] += torch.tensor([2.0, -1, 3])[:, None, None]
    features[:, 9:10, 1:2] += torch.tensor([2.0, -1, 3])[:, None, None]  # alike, but elsewhere
    assert object_box(features, torch.ones(12, 12, dtype=torch.bool)) == (6, 2, 10, 5)


def test_what_is_around_the_image_is_no_object() -> None:
    features = torch.zeros(2, 6, 6)
    features[0, 1:3, 1:3] = 1
    features[1, 4:] = 9  # padding
    inside = places_inside((0, 0, 60, 40), 60, (6, 6))
    assert inside.sum() == 24
    assert object_box(features, inside) == (1, 1, 3, 3)
    assert object_box(torch.zeros(2, 6, 6), inside) == (0, 0, 6, 4)  # nothing differs


def test_boxes_of_masks() -> None:
    mask = torch.zeros(6, 8, dtype=torch.long)
    mask[0:2, 0:3] = 1
    mask[4:6, 5:8] = 1
    mask[0:2, 3:5] = 2  # touches the first, of another class
    mask[3] = IGNORE
    assert sorted(object_boxes(mask)) == [(0, 0, 3, 2), (3, 0, 5, 2), (5, 4, 8, 6)]
    assert object_boxes(torch.zeros(3, 3, dtype=torch.long)) == []


def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return float(left), float(top), float(right), float(bottom)


def test_overlap_by_hand() -> None:
    assert overlap(box(0, 0, 2, 2), box(0, 0, 2, 2)) == 1
    assert overlap(box(0, 0, 2, 2), box(1, 0, 3, 2)) == pytest.approx(2 / 6)
    assert overlap(box(0, 0, 2, 2), box(2, 0, 4, 2)) == 0
    assert overlap(box(0, 0, 4, 4), box(1, 1, 2, 2)) == pytest.approx(1 / 16)


def test_correct_localization_by_hand() -> None:
    thing, half, other = box(0, 0, 4, 4), box(0, 0, 4, 2), box(5, 5, 6, 6)
    assert correct_localization([thing, thing, thing], [[thing, other], [other], [half]]) == pytest.approx(2 / 3)
    assert correct_localization([thing, thing], [[], [thing]]) == 1  # an image without an object counts not
    assert correct_localization([thing], [[]]) is None


def test_frames() -> None:
    assert whole_box((10, 0, 20, 40)) == (10, 0, 30, 40)
    assert places_inside((10, 0, 20, 40), 40, (2, 4)).tolist() == [[False, True, True, False]] * 2
    assert places_inside((19, 0, 1, 40), 40, (1, 2)).all()  # narrower than a place


def test_the_deepest_map_that_is_fine_enough() -> None:
    class Depths(nn.Module):
        def __init__(self, *sides: int) -> None:
            super().__init__()
            self.sides = sides

        def feature_maps(self, view: Tensor) -> list[Tensor]:
            return [view.new_zeros(1, 2, side, side) for side in self.sides]

    view = torch.zeros(1, 3, 48, 48)
    for sides, chosen in (((24, 12, 6, 3), 12), ((28, 14, 7), 14), ((32, 8), 32), ((7,), 7), ((6, 3), 6)):
        assert object_map(DenseEncoder(Depths(*sides)), view).shape[2] == chosen
    assert object_map(Colours(24), view).shape == (1, 3, 24, 24)
