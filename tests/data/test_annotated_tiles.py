"""Annotated images in tiles: exact pixels, masks and boxes, images that stay together, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import small_scenes as scenes
from likewise.data.annotations import source as annotated
from likewise.data.annotations.annotation import IGNORE, Box
from likewise.data.annotations.boxes import boxes_in_part
from likewise.data.annotations.source import AnnotatedImages, open_annotated
from likewise.data.pictures import MIDDLE_GREY
from likewise.data.splits import hold_out
from likewise.errors import UserError
from likewise.evaluation.annotated import AnnotatedData
from likewise.evaluation.labelled_samples import draw_samples

TILE = 32
WIDTH, HEIGHT = 77, 53  # six tiles


def odd(seed: int) -> scenes.Scene:
    return scenes.scene(seed, WIDTH, HEIGHT)


def opened(folder: Path, wanted: Any = "masks", **options: Any) -> AnnotatedImages:
    return open_annotated(folder, wanted, **{"size": TILE, "channels": 3, "tile": TILE, "progress": False} | options)


def corner(id: str) -> tuple[int, int]:
    left, _, top = id.partition("#")[2].partition(",")
    return int(left), int(top)


def test_tiles_are_parts_of_images(tmp_path: Path) -> None:
    """Each pixel and its class are those of the image, at the place that the id says; together they are all of it."""
    source = opened(scenes.as_masks(tmp_path / "scenes", range(3), make=odd))
    assert len(source) == 18
    assert source.ids[:2] == ["images/000.png#0,0", "images/000.png#22,0"]
    assert source.wholes.ids == ["images/000.png", "images/001.png", "images/002.png"]
    assert source.image_of.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert source.sizes == [(WIDTH, HEIGHT)] * 3
    assert source.notes == ["scenes: 3 images with masks annotations, in 18 tiles of 32 x 32 pixels"]
    pixels, masks = source.read(torch.arange(18)), source.masks(torch.arange(18))
    for seed in range(3):
        whole, seen = odd(seed), np.zeros((HEIGHT, WIDTH), dtype=bool)
        for place in range(6 * seed, 6 * seed + 6):
            left, top = corner(source.ids[place])
            part = np.s_[top : top + TILE, left : left + TILE]
            assert (pixels[place].permute(1, 2, 0).numpy() == whole.pixels[part]).all()
            assert (masks[place].numpy() == whole.mask[part]).all()
            seen[part] = True
        assert seen.all()
    larger = opened(tmp_path / "scenes", size=2 * TILE).masks(torch.arange(18))
    assert (larger[:, ::2, ::2] == masks).all()


def test_images_as_a_whole_are_kept_beside_their_tiles(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(3), make=odd)
    whole = opened(folder, tile=None)
    assert whole.wholes is whole
    assert torch.equal(opened(folder).wholes.read(torch.tensor([2, 0])), whole.read(torch.tensor([2, 0])))


@pytest.mark.parametrize(("tile", "frame"), [(64, (0, 5, 32, 21)), (128, (6, 11, 19, 10))])
def test_an_image_that_is_smaller_than_a_tile(tile: int, frame: tuple[int, int, int, int], tmp_path: Path) -> None:
    """It is not enlarged: things are as large as in other tiles."""

    def small(seed: int) -> scenes.Scene:
        return scenes.scene(seed, 77, 42)

    folder = scenes.as_masks(tmp_path / "scenes", range(2), make=small)
    source = opened(folder, tile=tile)
    assert len(source) == (4 if tile == 64 else 2)
    assert source.frames[0] == frame
    left, top, wide, high = frame
    outside = np.ones((TILE, TILE), dtype=bool)
    outside[top : top + high, left : left + wide] = False
    assert (source.read(torch.tensor([0]))[0].numpy()[:, outside] == MIDDLE_GREY).all()
    mask = source.masks(torch.tensor([0]))[0].numpy()
    assert (mask[outside] == IGNORE).all()
    part = small(0).mask[:, :tile]  # each pixel has the class at its middle
    rows, columns = (
        ((np.arange(n) + 0.5) * of / n).astype(int) for n, of in zip((high, wide), part.shape, strict=True)
    )
    assert (mask[~outside].reshape(high, wide) == part[rows][:, columns]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_pictures_that_are_stored_turned(name: str, orientation: int, tmp_path: Path) -> None:
    """Tiles, and letter-boxed images, are those of the picture as it is seen."""
    upright = np.full((40, 56, 3), 255, dtype=np.uint8)
    upright[:16, :24], upright[24:, 32:], upright[:16, 32:] = (250, 20, 20), (20, 20, 250), (20, 250, 20)
    inverse = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(inverse[orientation]))
    stored.save(tmp_path / "images" / name, exif=exif, **({"quality": 100, "subsampling": 0} if "jpg" in name else {}))
    Image.fromarray((upright[..., 0] > 100).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    source = opened(tmp_path)
    assert source.sizes == [(56, 40)]
    for place in range(4):
        left, top = corner(source.ids[place])
        shown = source.read(torch.tensor([place]))[0].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(shown - upright[top : top + TILE, left : left + TILE]).max() <= 12
    whole = opened(tmp_path, tile=None, size=56).read(torch.tensor([0]))[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(whole[8:48] - upright).max() <= 12


def test_boxes_are_cut_at_the_edges_of_a_part() -> None:
    boxes = [Box(10, 10, 20, 20, 1), Box(28, 4, 36, 12, 2), Box(27, 4, 36, 12, 1), Box(0, 28, 8, 38, 2, True)]
    boxes += [Box(40, 0, 50, 9, 1), Box(32, 0, 40, 9, 1), Box(29, 30, 33, 34, 1)]
    assert boxes_in_part(boxes, (0, 0, 32, 32)) == [
        Box(10, 10, 20, 20, 1, False),
        Box(28, 4, 32, 12, 2, False),  # half of it
        Box(27, 4, 32, 12, 1, False),
        Box(0, 28, 8, 32, 2, True),  # as it was
        Box(29, 30, 32, 32, 1, True),  # 6 of 16 pixels
    ]
    assert boxes_in_part(boxes[1:3], (32, 2, 64, 34)) == [Box(0, 2, 4, 10, 2, False), Box(0, 2, 4, 10, 1, True)]


def test_boxes_in_tiles(tmp_path: Path) -> None:
    source = opened(scenes.as_table(tmp_path / "scenes", range(3), make=odd), "boxes", size=2 * TILE)
    whole = opened(tmp_path / "scenes", "boxes", tile=None, size=WIDTH)
    seen = 0
    for place in range(len(source)):
        left, top = corner(source.ids[place])
        image = int(source.image_of[place])
        labels = {box.label for box in whole.boxes(image)}
        assert len(labels) == 2
        expected = []
        for x0, y0, x1, y1, label in odd(image).boxes:
            cut = max(x0, left), max(y0, top), min(x1, left + TILE), min(y1, top + TILE)
            area = max(0, cut[2] - cut[0]) * max(0, cut[3] - cut[1])
            if cut[2] > cut[0] and cut[3] > cut[1]:
                edges = [2 * (edge - start) for edge, start in zip(cut, (left, top, left, top), strict=True)]
                expected.append((*edges, scenes.CLASSES[label], 2 * area < (x1 - x0) * (y1 - y0)))
        found = [(*box[:4], source.class_names[box.label], box.crowd) for box in source.boxes(place)]
        assert found == expected
        seen += sum(each[5] for each in expected)
    assert seen > 3  # some are cut to less than half


def test_draws_and_hold_outs_take_whole_images(tmp_path: Path) -> None:
    """Images of different sizes: a draw of three has all their tiles, and the same images as without tiles."""

    def some(seed: int) -> scenes.Scene:
        return scenes.scene(seed, 40 + 20 * (seed % 3), 40)

    folder = scenes.as_masks(tmp_path / "scenes", range(10), make=some)
    source, whole = opened(folder), opened(folder, tile=None)
    assert source.image_of.bincount().tolist() == [4, 4, 6, 4, 4, 6, 4, 4, 6, 4]
    chosen, numbers = torch.tensor([7, 2, 5, 0]), torch.arange(256)
    data, uncut = (AnnotatedData(each, chosen, numbers) for each in (source, whole))
    assert source.image_of[data.indices].tolist() == [7] * 4 + [2] * 6 + [5] * 6 + [0] * 4
    assert uncut.indices.tolist() == chosen.tolist()
    for count in (1, 3, "all"):
        drawn = data.draw(count, 5)
        images = chosen[draw_samples(4, count, 5)].tolist()
        assert source.image_of[data.indices[drawn]].unique_consecutive().tolist() == images
        assert len(drawn) == sum(int(source.image_of.bincount()[image]) for image in images)
        assert len(drawn.unique()) == len(drawn)
        assert torch.equal(uncut.draw(count, 5), draw_samples(4, count, 5))
    source.has_own_targets = True
    train, test = hold_out(source)
    sides = [set(source.image_of[part.indices].tolist()) for part in (train, test)]
    assert not sides[0] & sides[1]


def test_each_tile_has_a_cache_of_its_own(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(2), make=odd)
    assert [len(opened(folder, tile=tile)) for tile in (None, 32, 64, 32, None)] == [2, 12, 4, 12, 2]


def test_what_is_left_out_is_named_by_its_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(4), make=odd)
    (folder / "masks" / "001.png").write_bytes(b"no picture")
    (folder / "images" / "002.png").write_bytes((folder / "images" / "002.png").read_bytes()[:200])
    Image.fromarray(scenes.scene(3, 200, 200).pixels).save(folder / "images" / "003.png")
    Image.fromarray(scenes.scene(3, 200, 200).mask).save(folder / "masks" / "003.png")
    monkeypatch.setattr(annotated, "MOST_TILES", 20)
    source = opened(folder)
    assert source.wholes.ids == ["images/000.png"]
    said = dict(source.skipped)
    assert "not an image of a known type" in said["images/001.png"]
    assert "images/002.png" in said
    assert said["images/003.png"] == "49 tiles of 32 x 32 pixels, more than 20: give a larger --tile"


def test_floating_point_is_left_out(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(2), make=odd)
    (folder / "images" / "001.png").unlink()
    Image.fromarray(np.ones((HEIGHT, WIDTH), dtype=np.float32)).save(folder / "images" / "001.tif")
    assert dict(opened(folder).skipped) == {"images/001.tif": "floating-point pixels, whose range is not known"}


def test_masks_of_two_values_in_tiles(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(2), make=odd)
    (folder / "classes.txt").unlink()
    for seed in range(2):
        Image.fromarray((odd(seed).mask > 0).astype(np.uint8) * 255).save(folder / "masks" / f"{seed:03}.png")
    source = opened(folder, tile=64)
    assert source.class_names == ["background", "foreground"]
    assert source.masks(torch.arange(4)).unique().tolist() == [0, 1, IGNORE]  # these lie below and above the image


FORMATS: dict[str, Callable[[Path, range], Path]] = {
    "coco": scenes.as_coco,
    "runs": partial(scenes.as_coco, kind="runs"),
    "yolo": partial(scenes.as_yolo, outlines=True),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_outlines_in_tiles(kind: str, tmp_path: Path) -> None:
    source = opened(FORMATS[kind](tmp_path / "scenes", range(2)), tile=16, size=16)
    assert len(source) == 12
    for place in range(12):
        left, top = corner(source.ids[place])
        expected = scenes.scene(place // 6).mask[top : top + 16, left : left + 16]
        assert (source.masks(torch.tensor([place]))[0].numpy() == expected).all()


def test_an_impossible_tile(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(1))
    with pytest.raises(UserError, match="tile must be from 16 to 8192, got 15"):
        opened(folder, tile=15)
