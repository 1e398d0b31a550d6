"""Masks and boxes in each format become one typed form, letter-boxed exactly; run lengths and polygons are exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import small_scenes as scenes
from likewise.commands.annotated import images_of
from likewise.data.annotations.annotation import IGNORE, Outline, RunLengths
from likewise.data.annotations.layout import layout_parts
from likewise.data.annotations.read import read_annotations
from likewise.data.annotations.regions import class_map, counts_of, inside_polygon, inside_runs
from likewise.data.annotations.source import open_annotated
from likewise.data.open import open_source
from likewise.errors import UserError

SEEDS = range(4)
SIZE = scenes.WIDTH  # nothing is resized: the mask in the square is that of the file
TOP = (scenes.WIDTH - scenes.HEIGHT) // 2

MASKS: dict[str, Callable[[Path, range], Path]] = {
    "grey": scenes.as_masks,
    "palette": partial(scenes.as_masks, palette=True),
    "polygons": scenes.as_coco,
    "runs": partial(scenes.as_coco, kind="runs"),
    "text": partial(scenes.as_coco, kind="text"),
    "yolo": partial(scenes.as_yolo, outlines=True),
    "rows": scenes.as_parquet,
}
BOXES: dict[str, Callable[[Path, range], Path]] = {
    "coco": scenes.as_coco,
    "voc": scenes.as_voc,
    "yolo": scenes.as_yolo,
    "csv": scenes.as_table,
    "parquet": partial(scenes.as_table, name="boxes.parquet"),
    "rows": partial(scenes.as_parquet, kind="sizes"),
    "row corners": partial(scenes.as_parquet, kind="corners"),
    "row columns": partial(scenes.as_parquet, kind="columns"),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_each_format(kind: str, tmp_path: Path) -> None:
    source = open_annotated(MASKS[kind](tmp_path / "scenes", SEEDS), "masks", size=SIZE, channels=3, progress=False)
    assert len(source) == 4
    assert source.class_names == ["background", "red", "blue"]
    assert source.skipped == []
    masks = source.masks(torch.arange(4))
    for seed in SEEDS:
        made = scenes.scene(seed)
        assert (masks[seed, TOP : TOP + scenes.HEIGHT].numpy() == made.mask).all()
        assert (masks[seed, :TOP] == IGNORE).all()
        assert (masks[seed, TOP + scenes.HEIGHT :] == IGNORE).all()
        shown = source.read(torch.tensor([seed]))[0].permute(1, 2, 0).numpy()
        assert (shown[TOP : TOP + scenes.HEIGHT] == made.pixels).all()
        assert np.ptp(shown[:TOP]) == 0


@pytest.mark.parametrize("kind", BOXES)
def test_boxes_of_each_format(kind: str, tmp_path: Path) -> None:
    folder = BOXES[kind](tmp_path / "scenes", SEEDS)
    source = open_annotated(folder, "boxes", size=2 * SIZE, channels=1, progress=False)
    by_number = kind in ("coco", "yolo")  # else by name
    assert source.class_names == ["background", *(["red", "blue"] if by_number else ["blue", "red"])]
    for seed in SEEDS:
        wanted = [
            (2 * left, 2 * (top + TOP), 2 * right, 2 * (bottom + TOP), scenes.CLASSES[label])
            for left, top, right, bottom, label in scenes.scene(seed).boxes
        ]
        found = source.boxes(seed)
        assert [source.class_names[box.label] for box in found] == [each[4] for each in wanted]
        assert np.allclose([box[:4] for box in found], [each[:4] for each in wanted], atol=1e-6)


def test_a_mask_is_shrunk_to_the_class_at_the_middle_of_each_pixel(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", SEEDS)
    source = open_annotated(folder, "masks", size=SIZE // 2, channels=3, progress=False)
    small = source.masks(torch.arange(1))[0, TOP // 2 : (TOP + scenes.HEIGHT) // 2].numpy()
    assert (small == scenes.scene(0).mask[1::2, 1::2]).all()


def test_parts_of_a_folder(tmp_path: Path) -> None:
    scenes.as_masks(tmp_path / "a" / "train", range(3))
    scenes.as_masks(tmp_path / "a" / "test", range(3, 5))
    assert len(read_annotations(f"{tmp_path}/a:train", "masks").images) == 3
    assert len(read_annotations(f"{tmp_path}/a:test", "masks").images) == 2
    made = scenes.as_yolo(tmp_path / "yolo", range(4))
    for kind in ("images", "labels"):
        files = sorted((made / kind).iterdir())
        for part, some in (("train", files[:3]), ("val", files[3:])):
            (made / kind / part).mkdir()
            for file in some:
                file.rename(made / kind / part / file.name)
    assert len(read_annotations(f"{made}:train", "boxes").images) == 3
    assert len(read_annotations(f"{made}:val", "boxes").images) == 1
    with pytest.raises(UserError, match="has no part 'tset'"):
        read_annotations(f"{made}:tset", "boxes")


def test_parts_of_parquet_files(tmp_path: Path) -> None:
    """By their names, as Hugging Face's data sets have them, or in folders."""
    parts = {"train-00000-of-00002": range(3), "train-00001-of-00002": range(3, 5), "test": range(5, 6)}
    for name, seeds in parts.items():
        scenes.as_parquet(tmp_path / "a" / "data", seeds, name=f"{name}.parquet")
    assert layout_parts(tmp_path / "a") == {"train": "train", "test": "test"}
    source = open_annotated(f"{tmp_path}/a:train", "masks", size=SIZE, channels=3, progress=False)
    assert source.ids[2:4] == ["data/train-00000-of-00002.parquet/row 3", "data/train-00001-of-00002.parquet/row 1"]
    assert (source.masks(torch.tensor([4]))[0, TOP : TOP + scenes.HEIGHT].numpy() == scenes.scene(4).mask).all()
    (learned,) = {images_of(f"{tmp_path}/a"), images_of(f"{tmp_path}/a:train")}
    assert len(open_source(learned, progress=False)) == 5
    assert len(open_source(images_of(f"{tmp_path}/a:test"), progress=False)) == 1
    scenes.as_parquet(tmp_path / "b" / "train", range(2))
    scenes.as_parquet(tmp_path / "b" / "val", range(1))
    assert len(open_source(images_of(tmp_path / "b"), progress=False)) == 2
    assert len(read_annotations(f"{tmp_path}/b:val", "masks").images) == 1


def test_a_folder_of_images_goes_before_parquet_files(tmp_path: Path) -> None:
    folder = scenes.as_parquet(scenes.as_masks(tmp_path / "a", range(2)), range(3))
    assert images_of(folder) == str(folder / "images")
    assert len(read_annotations(folder, "masks").images) == 2


def test_a_changed_parquet_file_is_read_anew(tmp_path: Path) -> None:
    for seeds in (range(2), range(2, 4)):
        folder = scenes.as_parquet(tmp_path / "a", seeds)
        source = open_annotated(folder, "masks", size=SIZE, channels=3, progress=False)
        shown = source.read(torch.tensor([1]))[0].permute(1, 2, 0).numpy()
        assert (shown[TOP : TOP + scenes.HEIGHT] == scenes.scene(seeds[1]).pixels).all()


def test_masks_in_rows_are_no_labels(tmp_path: Path) -> None:
    source = open_source(scenes.as_parquet(tmp_path / "a", range(2)), progress=False)
    assert source.classes == []


def test_a_file_of_coco_in_a_folder_of_its_own(tmp_path: Path) -> None:
    scenes.as_coco(tmp_path / "val2017", range(2))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017" / "annotations.json").rename(tmp_path / "annotations" / "instances_val2017.json")
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"annotations": []}')
    assert len(read_annotations(tmp_path / "val2017", "masks").images) == 2


def test_masks_of_two_values_are_a_foreground(tmp_path: Path) -> None:
    scenes.images(tmp_path / "images", range(2))
    (tmp_path / "masks").mkdir()
    for seed in range(2):
        Image.fromarray((scenes.scene(seed).mask > 0).astype(np.uint8) * 255).save(
            tmp_path / "masks" / f"{seed:03}.png"
        )
    source = open_annotated(tmp_path, "masks", size=SIZE, channels=3, progress=False)
    assert source.class_names == ["background", "foreground"]
    assert any("255 is taken for the class foreground" in note for note in source.notes)
    mask = source.masks(torch.tensor([1]))[0]
    assert (mask[TOP : TOP + scenes.HEIGHT].numpy() == (scenes.scene(1).mask > 0)).all()
    assert (mask[:TOP] == IGNORE).all()


def test_a_picture_that_is_stored_on_its_side(tmp_path: Path) -> None:
    """Annotations are of the picture as it is seen."""
    made = scenes.scene(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = Image.fromarray(made.pixels).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "images" / "a.png", exif=exif)
    Image.fromarray(made.mask).save(tmp_path / "masks" / "a.png")
    source = open_annotated(tmp_path, "masks", size=SIZE, channels=3, progress=False)
    shown = source.read(torch.tensor([0]))[0].permute(1, 2, 0).numpy()
    assert (shown[TOP : TOP + scenes.HEIGHT] == made.pixels).all()
    assert source.sizes == [(scenes.WIDTH, scenes.HEIGHT)]


def test_a_polygon_covers_the_pixels_whose_middle_is_inside() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        points = [(float(x), float(y)) for x, y in random.uniform(-3, 15, (random.integers(3, 8), 2))]
        found = inside_polygon(points, 12, 10)
        for row in range(10):
            for column in range(12):
                assert found[row, column] == _inside(points, column + 0.5, row + 0.5)


def _inside(points: list[tuple[float, float]], x: float, y: float) -> bool:
    """The even-odd rule, one point at a time."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            inside = not inside
    return inside


def test_run_lengths_as_text() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        counts = random.integers(0, 5000, random.integers(1, 12)).tolist()
        assert list(counts_of(scenes.as_text(counts))) == counts
    inside = np.array([[0, 0, 0], [0, 1, 1]], dtype=bool)
    assert (inside_runs(RunLengths((3, 1, 1, 1), 3, 2), 3, 2) == inside).all()


def test_what_is_drawn_later_counts() -> None:
    square = (0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0)
    inner = (1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0)
    drawn, faults = class_map([Outline(1, (square,)), Outline(2, (inner,))], 5, 4)
    assert faults == []
    assert drawn.tolist() == [[1, 1, 1, 1, 0], [1, 2, 2, 1, 0], [1, 2, 2, 1, 0], [1, 1, 1, 1, 0]]


def test_run_lengths_of_another_program() -> None:
    mask = pytest.importorskip("faster_coco_eval.core.mask")
    random = np.random.default_rng(1)
    for _ in range(5):
        inside = random.random((7, 9)) < 0.5
        said = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
        text = said["counts"].decode() if isinstance(said["counts"], bytes) else said["counts"]
        assert (inside_runs(RunLengths(counts_of(text), 9, 7), 9, 7) == inside).all()


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "000.png,48,32,red,3,4,13,24"),
        ("image_path,x1,y1,x2,y2,class_name", "scenes/images/000,3,4,13,24,red"),
        ("Image_ID;X_Min;Y_Min;X_Max;Y_Max;Label", "000;3.0;4.0;13.0;24.0;red"),
        ("label\tx\ty\tw\th\timage", "red\t3\t4\t10\t20\timages/000.png"),
    ],
)
def test_spellings_of_columns_of_boxes(head: str, row: str, tmp_path: Path) -> None:
    scenes.images(tmp_path / "scenes" / "images", range(1))
    (tmp_path / "scenes" / "boxes.csv").write_text(f"{head}\n{row}\n")
    (box,) = read_annotations(tmp_path / "scenes", "boxes").images[0].boxes
    assert box == (3, 4, 13, 24, 1, False)


def test_a_table_beside_the_folder_that_it_is_about(tmp_path: Path) -> None:
    for part, seeds in (("train", range(3)), ("test", range(3, 5))):
        scenes.as_table(tmp_path / part, seeds)
        (tmp_path / part / "boxes.csv").rename(tmp_path / f"{part}.csv")
    assert len(read_annotations(f"{tmp_path}:train", "boxes").images) == 3
    assert len(read_annotations(tmp_path / "test", "boxes").images) == 2
