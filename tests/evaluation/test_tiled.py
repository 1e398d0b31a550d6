"""Masks and boxes of images in tiles: one decoding, bounded batches, blended masks, each thing once and whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection import FCOS

from likewise.data import pictures
from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.data.tiling import Place, Tiling
from likewise.evaluation import blended_masks, merged_boxes
from likewise.evaluation.blended_masks import BlendedMask, scores_at, within
from likewise.evaluation.box_files import predicted_boxes
from likewise.evaluation.detection_measures import Detections
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.mask_files import predicted_masks
from likewise.evaluation.merged_boxes import MergedBoxes
from likewise.evaluation.tiled import OVERLAP

SIZE = 32
COMPUTE = ComputeSettings(torch.device("cpu"), batch_size=4)


class Levels:
    """Views that leave images as they are."""

    def clean(self, batch: Any) -> Any:
        return batch.float()

    def weak(self, batch: Any, generator: torch.Generator) -> Any:
        raise NotImplementedError


def saved(folder: Path, *images: np.ndarray) -> list[File]:
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [File.of(path.name, path.stat()) for path in sorted(folder.iterdir())]


def masks(folder: Path, files: list[File], network: Callable[[Tensor], Tensor], tile: int | None) -> list[Any]:
    how: dict[str, Any] = {"size": SIZE, "channels": 3, "compute": COMPUTE}
    return list(predicted_masks(network, Levels(), folder, files, tile=tile, **how))


def shades(view: Tensor) -> Tensor:
    """Four classes, by how light each pixel is."""
    middles = torch.tensor([32.0, 96, 160, 224])[:, None, None]
    return -(view.mean(1, keepdim=True) - middles).square() / 1000


def blocks(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of blocks of 8 px of four shades, and which shade is where."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 4, (-(-height // 8), -(-width // 8))).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (numbers * 64 + 32).astype(np.uint8)[..., None].repeat(3, 2), numbers


def test_masks_are_exact_where_nothing_is_resized(tmp_path: Path) -> None:
    """Of images of any size, also smaller ones than a tile; what cannot be read has a reason."""
    made = [blocks(*shape, seed) for seed, shape in enumerate([(100, 77), (33, 20), (20, 90), (32, 32), (9, 11)])]
    files = saved(tmp_path, *(pixels for pixels, _ in made))
    (tmp_path / "5.png").write_bytes(b"no picture")
    Image.fromarray(np.ones((40, 40), dtype=np.float32)).save(tmp_path / "6.tif")
    files += [File.of(name, (tmp_path / name).stat()) for name in ("5.png", "6.tif")]
    found = masks(tmp_path, files, shades, SIZE)
    for each, (_, numbers) in zip(found, made, strict=False):
        assert (each.mask == numbers).all()
    assert [each.mask for each in found[5:]] == [None, None]
    assert "not an image of a known type" in found[5].reason
    assert found[6].reason == "floating-point pixels, whose range is not known"


def test_a_file_is_decoded_once_and_its_tiles_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = saved(tmp_path, blocks(100, 77)[0], blocks(60, 50)[0])
    decoded, batches = [], []
    opened = pictures.opened

    def opening(path: Any) -> Any:
        decoded.append(path.name)
        return opened(path)

    def network(view: Tensor) -> Tensor:
        batches.append(len(view))
        return shades(view)

    monkeypatch.setattr(pictures, "opened", opening)
    masks(tmp_path, files, network, SIZE)
    assert decoded == ["0.png", "1.png"]
    assert batches == [4, 4, 4, 4, 2]  # 4 x 3 tiles, then 3 x 2


def test_a_constant_network_gives_the_constant(tmp_path: Path) -> None:
    files = saved(tmp_path, blocks(90, 131)[0])

    def constant(view: Tensor) -> Tensor:
        return torch.tensor([0.1, -3.0, 0.2])[:, None, None].expand(len(view), 3, 5, 5)

    assert (masks(tmp_path, files, constant, SIZE)[0].mask == 2).all()
    sums = BlendedMask((131, 90), Tiling(SIZE, OVERLAP))
    weights = BlendedMask((131, 90), Tiling(SIZE, OVERLAP))
    for place in Tiling(SIZE, OVERLAP).places(131, 90):
        sums.add(place, square(place), torch.full((1, 5, 5), 3.0))
        weights.add(place, square(place), torch.ones(1, 5, 5))
    assert sums.sums is not None
    assert weights.sums is not None
    assert torch.allclose(sums.sums / weights.sums, torch.tensor(3.0))


def square(place: Place, side: int = SIZE) -> Letterboxed:
    left, top, right, bottom = place
    wide, high = right - left, bottom - top
    pixels = np.zeros((3, side, side), dtype=np.uint8)
    return Letterboxed(pixels, ((side - wide) // 2, (side - high) // 2, wide, high), (wide, high))


@pytest.mark.parametrize("tile", [32, 48, 96, 128])
def test_what_depends_on_the_place_in_the_image_is_as_in_the_whole(tile: int, tmp_path: Path) -> None:
    """A picture says where in it each pixel is, the network names the nearer one of four places: no tile is seen."""
    side = 96
    y, x = np.mgrid[:side, :side] * 255 // (side - 1)
    files = saved(tmp_path, np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8))
    places = torch.tensor([[50.0, 60], [200, 90], [90, 190], [180, 200]])

    def nearest(view: Tensor) -> Tensor:
        return -(view[:, None, :2] - places[:, :, None, None]).square().sum(2)

    whole, cut = (masks(tmp_path, files, nearest, each)[0].mask for each in (None, tile))
    assert sorted(np.unique(whole)) == [0, 1, 2, 3]
    truth = ((np.stack([x, y], 2)[..., None, :] - places.numpy()) ** 2).sum(-1).argmin(-1)
    assert (cut == truth).mean() > 0.99
    assert (whole == truth).mean() > 0.97  # a third as fine
    assert (cut == whole).mean() > 0.97


def test_overlapping_tiles_are_blended_by_how_far_their_edges_are() -> None:
    """A row of two tiles that disagree: the one whose middle is nearer decides, by weights that are exact."""
    tiling = Tiling(16, OVERLAP)
    assert tiling.places(26, 10) == [(0, 0, 16, 10), (10, 0, 26, 10)]
    blend = BlendedMask((26, 10), tiling)
    for place, scores in zip(tiling.places(26, 10), ([1.0, 0.0], [0.0, 1.0]), strict=True):
        blend.add(place, square(place, 16), torch.tensor(scores)[:, None, None].expand(2, 4, 4))
    assert blend.sums is not None
    shares = blend.sums[1] / blend.sums.sum(0)
    assert torch.allclose(shares, shares[:1].expand(10, 26))
    first, second = 16 - torch.arange(10.5, 16), torch.arange(10.5, 16) - 10
    assert torch.allclose(shares[0, 10:16], second / (first + second))
    assert blend.joined().tolist() == [[0] * 13 + [1] * 13] * 10


def test_memory_is_that_of_one_row_of_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large mask is exact as long as a row of its tiles is not too large; else it is enlarged."""
    pixels, numbers = blocks(400, 96)
    files = saved(tmp_path, pixels)
    rows: list[int] = []
    finish = BlendedMask._finish

    def finished(self: BlendedMask, sums: Tensor) -> None:
        rows.append(sums.shape[1])
        finish(self, sums)

    monkeypatch.setattr(BlendedMask, "_finish", finished)
    monkeypatch.setattr(blended_masks, "MOST_PIXELS", 96 * SIZE)
    assert (masks(tmp_path, files, shades, SIZE)[0].mask == numbers).all()
    assert sum(rows) == 400
    assert max(rows) <= SIZE
    monkeypatch.setattr(blended_masks, "MOST_PIXELS", 96 * SIZE // 4)
    half = masks(tmp_path, files, shades, SIZE)[0].mask
    assert half.shape == (400, 96)
    assert (half == numbers).mean() > 0.95
    assert (half[::2, ::2] == half[1::2, 1::2]).all()


def test_pixels_of_a_tile_are_those_whose_middle_is_in_it() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        length, count = (int(each) for each in random.integers(20, 200, 2))
        start = int(random.integers(0, length - 16))
        end = start + 16
        middles = (np.arange(count) + 0.5) * length / count
        expected = np.flatnonzero((middles >= start) & (middles < end))
        if len(expected):
            assert within(start, end, length, count).tolist() == expected.tolist()
        assert len(within(start, end, length, count)) > 0


def test_scores_between_places_are_those_of_interpolate() -> None:
    scores = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0))
    middles = torch.arange(40) + 0.5
    found = scores_at(scores, middles, middles, square((0, 0, 40, 40), 40))
    expected = F.interpolate(scores[None], (40, 40), mode="bilinear", align_corners=False)[0]
    assert torch.allclose(found, expected, atol=1e-5)


# --- Boxes


def boxed(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    table = torch.tensor(rows, dtype=torch.float64).view(-1, 6)
    return Detections(table[:, :4].float(), table[:, 4].long(), table[:, 5].float())


def merged(size: tuple[int, int], found: dict[tuple[int, int], Detections], side: int = SIZE) -> list[Any]:
    """What is left of boxes by the left and the top of their tiles, in pixels of the tile."""
    tiling = Tiling(side, OVERLAP)
    merging = MergedBoxes(size, tiling)
    places = tiling.places(*size)
    assert set(found) <= {place[:2] for place in places}
    for place in places:
        merging.add(place, square(place, side), found.get(place[:2], boxed()))
    boxes, labels, scores = merging.joined()
    rows = zip(boxes.tolist(), labels.tolist(), scores.tolist(), strict=True)
    return [(*map(round, edges), label, round(score, 2)) for edges, label, score in rows]


def test_tiles_of_the_tests() -> None:
    assert [place[:2] for place in Tiling(SIZE, OVERLAP).places(80, 32)] == [(0, 0), (24, 0), (48, 0)]


def test_a_thing_in_two_tiles_is_found_once() -> None:
    """The surer one is kept; one of another class, and what is elsewhere, are others."""
    found = {
        (0, 0): boxed((25, 10, 31, 16, 0, 0.8), (4, 4, 12, 12, 1, 0.7)),
        (24, 0): boxed((1, 10, 7, 16, 0, 0.9), (1, 10, 7, 16, 1, 0.6), (12, 20, 18, 26, 0, 0.3)),
    }
    assert merged((80, 32), found) == [
        (25, 10, 31, 16, 0, 0.9),
        (4, 4, 12, 12, 1, 0.7),
        (25, 10, 31, 16, 1, 0.6),
        (36, 20, 42, 26, 0, 0.3),
    ]


def test_a_cut_box_gives_way_to_a_whole_one() -> None:
    """Also where it is surer, and overlaps too little to be the same by its intersection over union."""
    cut, whole = (27, 8, 32, 20, 0, 0.9), (3, 8, 18, 20, 0, 0.7)  # from 27 on in the image; the thing ends at 42
    assert merged((80, 32), {(0, 0): boxed(cut), (24, 0): boxed(whole)}) == [(27, 8, 42, 20, 0, 0.7)]
    # Not to one of another class, a much less sure one, or one elsewhere.
    for other in ((3, 8, 18, 20, 1, 0.7), (3, 8, 18, 20, 0, 0.4), (3, 19, 18, 31, 0, 0.7)):
        assert len(merged((80, 32), {(0, 0): boxed(cut), (24, 0): boxed(other)})) == 2
    # Nor to one of its own tile, nor at the edge of the image, where nothing is cut.
    assert len(merged((80, 32), {(0, 0): boxed(cut, (15, 7, 31, 21, 0, 0.7))})) == 2
    assert len(merged((32, 32), {(0, 0): boxed(cut, (15, 7, 31, 21, 0, 0.7))})) == 2
    at_the_edge = {(24, 0): boxed((5, 0, 20, 5, 0, 0.9)), (48, 0): boxed((0, 0, 6, 20, 0, 0.8))}
    assert (29, 0, 44, 5, 0, 0.9) in merged((80, 32), at_the_edge)


def test_of_two_cut_boxes_the_surer_one_is_kept() -> None:
    found = {(0, 0): boxed((23, 8, 32, 20, 0, 0.6)), (24, 0): boxed((0, 8, 8, 20, 0, 0.9))}
    assert merged((80, 32), found) == [(24, 8, 32, 20, 0, 0.9)]


def test_boxes_of_one_image_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_boxes, "MOST_MERGED", 5)
    found = {
        place[:2]: boxed(*((2 * n, 2 * n, 2 * n + 2, 2 * n + 2, 0, (n + 1 + place[0]) / 100) for n in range(4)))
        for place in Tiling(SIZE, OVERLAP).places(80, 80)
    }
    kept = merged((80, 80), found)
    assert len(kept) == 5
    assert [score for *_, score in kept] == [0.52, 0.52, 0.52, 0.51, 0.51]


def test_boxes_of_image_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finder of white squares, in an image of odd size in tiles that are enlarged, and one smaller than a tile."""
    corners = [(3, 5), (29, 30), (60, 21), (44, 48), (69, 50)]
    large, small = np.zeros((58, 77, 3), dtype=np.uint8), np.zeros((20, 24, 3), dtype=np.uint8)
    for left, top in corners:
        large[top : top + 8, left : left + 8] = 255
    small[2:10, 11:19] = 255

    def finder(network: Any, view: Tensor) -> list[Detections]:
        found = []
        for each in view:
            rows, columns = (each[0] > 150).numpy().nonzero()
            parts, rest = [], set(zip(columns.tolist(), rows.tolist(), strict=True))
            while rest:
                x, y = min(rest)
                part = {(a, b) for a, b in rest if x <= a < x + 16 and y - 2 <= b < y + 18}
                xs, ys = zip(*part, strict=True)
                parts.append((min(xs), min(ys), max(xs) + 1, max(ys) + 1, 0, 0.9 - min(xs) / 1000))
                rest -= part
            found.append(boxed(*parts))
        return found

    monkeypatch.setattr("likewise.evaluation.box_files.detections", finder)
    files = saved(tmp_path, large, small)
    (tmp_path / "2.png").write_bytes(b"no picture")
    files.append(File.of("2.png", (tmp_path / "2.png").stat()))
    how: dict[str, Any] = {"tile": SIZE, "size": 2 * SIZE, "channels": 3, "compute": COMPUTE}
    never_called = FCOS.__new__(FCOS)
    found = list(predicted_boxes(never_called, Levels(), tmp_path, files, **how))
    assert [each.size for each in found] == [(77, 58), (24, 20), (0, 0)]
    assert "not an image of a known type" in found[2].reason
    boxes = sorted(tuple(map(round, edges)) for edges in found[0].found.boxes.tolist())
    assert boxes == sorted((left, top, left + 8, top + 8) for left, top in corners)
    assert [tuple(map(round, edges)) for edges in found[1].found.boxes.tolist()] == [(11, 2, 19, 10)]
