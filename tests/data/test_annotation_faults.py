"""What is wrong with annotations: skipped, counted and listed with its reason, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

import small_scenes as scenes
from likewise.data.annotations.annotation import AnnotationError, Box
from likewise.data.annotations.boxes import checked_boxes
from likewise.data.annotations.read import read_annotations
from likewise.data.annotations.regions import counts_of
from likewise.data.annotations.source import open_annotated
from likewise.errors import UserError

SIZE = 24


@pytest.mark.parametrize(
    ("edges", "shares", "why"),
    [
        ((50, 10, 60, 20), False, "outside the image of 48 x 32 pixels"),
        ((-9, 1, 0, 5), False, "outside the image"),
        ((5, 5, 5, 9), False, "without an area"),
        ((9, 5, 5, 9), False, "without an area"),
        ((0.2, 0.1, 0.5, 0.4), False, "in shares of the image, where pixels are expected"),
        ((12, 4, 30, 20), True, "in pixels, where shares of the image are expected"),
        ((float("nan"), 4, 30, 20), False, "no number"),
        ((1, 4, float("inf"), 20), False, "no number"),
        ((1.1, 0.1, 1.2, 0.2), True, "outside the image"),
    ],
)
def test_a_box_that_cannot_be_used(edges: tuple[float, ...], shares: bool, why: str) -> None:
    good = Box(0.1, 0.1, 0.5, 0.5, 1) if shares else Box(1, 1, 5, 5, 1)
    kept, faults = checked_boxes([good, Box(*edges, 1)], 48, 32, shares=shares)
    assert len(kept) == 1
    assert faults[0][0] == 1
    assert why in faults[0][1]


def test_images_in_rows_that_cannot_be_used(tmp_path: Path) -> None:
    good, mask = scenes.as_png(scenes.scene(0).pixels), scenes.as_png(scenes.scene(0).mask)
    rows = [
        {"image": good, "mask": mask},
        {"image": good, "mask": None},
        {"image": None, "mask": mask},
        {"image": b"no picture", "mask": mask},
        {"image": good, "mask": good},
        {"image": good, "mask": scenes.as_png(scenes.scene(0).mask[:9])},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = open_annotated(tmp_path, "masks", size=SIZE, channels=3, progress=False)
    assert source.ids == ["a.parquet/row 1"]
    why = dict(source.skipped)
    assert why["a.parquet/row 2"] == "image without a mask"
    assert why["a.parquet/row 3"] == "without an image"
    assert "not an image" in why["a.parquet/row 4"]
    assert "mask of colours" in why["a.parquet/row 5"]
    assert "mask of 48 x 9 pixels" in why["a.parquet/row 6"]
    with pytest.raises(UserError, match=r"no boxes that can be used \(a.parquet: without columns of boxes\)"):
        read_annotations(tmp_path, "boxes")


def test_boxes_in_rows_that_cannot_be_used(tmp_path: Path) -> None:
    good = scenes.as_png(scenes.scene(0).pixels)
    things = [
        ([1.0, 2.0, 3.0, 4.0], "red"),
        ([1.0, 2.0, 3.0], "red"),
        ([1.0, 2.0, 3.0, 4.0], None),
        ([1.0, 2.0, 3.0, 0.0], "red"),
        (None, "red"),
    ]
    rows: list[dict[str, Any]] = [
        {"image": good, "objects": [{"bbox": edges, "category": name} for edges, name in things]},
        {"image": good, "objects": None},
        {"image": good, "objects": []},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = open_annotated(tmp_path, "boxes", size=48, channels=3, progress=False)
    assert [len(source.boxes(place)) for place in range(3)] == [1, 0, 0]
    assert dict(source.skipped) == {
        "a.parquet/row 1: box 2": "a box must be four numbers",
        "a.parquet/row 1: box 3": "without a class",
        "a.parquet/row 1: box 5": "a box must be four numbers",
        "a.parquet/row 1": "box 1, 2, 4, 2 without an area",
    }
    box = [[1.0, 2.0, 3.0, 4.0]]
    for columns, why in (
        ({"bbox": [box], "label": [["red", "blue"]]}, "a.parquet/row 1: 1 boxes, but 2 classes"),
        (
            {"objects": [{"bbox": box, "label": ["red"], "iscrowd": [0, 1]}]},
            "a.parquet/row 1: 1 boxes, but 1 classes or",
        ),
        ({"objects": [{"bbox": box[0], "label": "red"}]}, "without columns of boxes"),
    ):
        pq.write_table(pa.table({"image": [good]} | columns), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=why):
            read_annotations(tmp_path, "boxes")


def test_a_damaged_row_group_is_listed(tmp_path: Path) -> None:
    made = scenes.as_parquet(tmp_path / "a", range(6)) / "scenes.parquet"
    about = pq.ParquetFile(made).metadata.row_group(1).column(0)
    content = bytearray(made.read_bytes())
    start = about.dictionary_page_offset or about.data_page_offset
    content[start : start + about.total_compressed_size] = bytes(about.total_compressed_size)
    made.write_bytes(content)
    source = open_annotated(tmp_path / "a", "masks", size=48, channels=3, progress=False)
    assert len(source) == 3
    assert [name for name, _ in source.skipped] == ["scenes.parquet/rows 4 to 6"]


def test_boxes_are_cut_at_the_edges_of_the_image() -> None:
    kept, faults = checked_boxes([Box(-4, 3, 60, 40, 2, True)], 48, 32)
    assert kept == [Box(0, 3, 48, 32, 2, True)]
    assert faults == []
    kept, _ = checked_boxes([Box(0, 0, 1.0005, 0.5, 1)], 48, 32, shares=True)
    assert kept == [Box(0, 0, 48, 16, 1)]


def damaged_coco(folder: Path) -> dict[str, Any]:
    """A file of COCO with a good annotation of each image, and others that cannot be used."""
    scenes.images(folder, range(3))
    said = scenes.coco_of(range(3))
    good = said["annotations"][0]
    said["annotations"] += [
        good | {"bbox": [1, 2, 3]},
        good | {"category_id": 77},
        good | {"segmentation": [["a", "b"]]},
        good | {"segmentation": {"counts": "~~", "size": [32, 48]}},
        good | {"image_id": None},
        "nothing",
        good | {"bbox": None, "segmentation": []},
        good | {"image_id": 99},
        good | {"segmentation": {"counts": [5, 5], "size": [32, 48]}},
        good | {"segmentation": [[1, 1, 2, 2]]},
        good | {"segmentation": [[1e8, 1, 2, 2, 5, 1e8]]},
    ]
    said["images"] += [
        {"id": 5, "file_name": "../outside.png"},
        {"id": 6, "file_name": "/etc/passwd"},
        {"id": 7, "file_name": "gone.png"},
        {"id": 0, "file_name": "001.png"},
        {"id": 8},
    ]
    (folder / "annotations.json").write_text(json.dumps(said))
    return said


def test_what_a_file_of_coco_says_wrongly(tmp_path: Path) -> None:
    damaged_coco(tmp_path / "scenes")
    source = open_annotated(tmp_path / "scenes", "masks", size=SIZE, channels=3, progress=False)
    assert source.ids == ["000.png", "001.png", "002.png"]
    said = [f"{file}: {why}" for file, why in source.skipped]
    for wanted in (
        "annotations.json: annotations[6]: bbox must be four numbers",
        "annotations[7]: category_id 77 is none of the categories",
        "annotations[8]: segmentation must be polygons",
        "annotations[9]: run lengths",
        "annotations[10]: without an image_id",
        "annotations[11]: no object",
        "annotations[12]: neither bbox nor segmentation",
        "1 annotations of images that are not in its list of images",
        "images[3]: file_name '../outside.png' leads out of the folder",
        "images[4]: file_name '/etc/passwd' leads out of the folder",
        "images[5]: no file gone.png",
        "images[6]: a second image of id 0",
        "images[7]: without an id and a file_name",
        "000.png: run lengths of 10 pixels, the image has 1,536",
        "000.png: polygon of 4 numbers",
        "000.png: polygon far outside",
    ):
        assert any(wanted in line for line in said), (wanted, said)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"images": [], "annotations": {}, "categories": []}', "a list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', r"categories\[0\] has not"),
        ('{"images": [], "annotations": [], "categories": []}', "no masks that can be used"),
    ],
)
def test_a_file_that_is_none_of_coco(text: str, why: str, tmp_path: Path) -> None:
    scenes.images(tmp_path, range(2))
    text = text if text.startswith("{") and len(text) > 1 else f'{{"annotations": {text}'
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(UserError, match=why):
        read_annotations(tmp_path, "masks")


def test_masks_that_cannot_be_used(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(8))
    masks = folder / "masks"
    Image.new("L", (9, 9)).save(masks / "000.png")
    Image.new("RGB", (48, 32)).save(masks / "001.png")
    Image.fromarray(np.full((32, 48), 700, dtype=np.uint16)).save(masks / "002.png")
    (masks / "003.png").write_bytes(b"no picture")
    (masks / "004.png").unlink()
    Image.new("L", (48, 32)).save(masks / "other.png")
    (folder / "images" / "005.png").write_bytes((folder / "images" / "005.png").read_bytes()[:200])
    source = open_annotated(folder, "masks", size=SIZE, channels=3, progress=False)
    assert source.ids == ["images/006.png", "images/007.png"]
    said = dict(source.skipped)
    assert said["images/000.png"] == "mask of 9 x 9 pixels, the image has 48 x 32"
    assert "mask of colours (RGB)" in said["images/001.png"]
    assert "mask with numbers from 700 to 700" in said["images/002.png"]
    assert "not an image of a known type" in said["images/003.png"]
    assert said["images/004.png"] == "image without a mask of its name"
    assert said["masks/other.png"] == "mask without an image of its name"
    assert "images/005.png" in said


def test_a_class_without_a_name(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(2))
    (folder / "classes.txt").write_text("background\nred\n")
    with pytest.raises(UserError, match="must name each class of its masks, got 2 names and the class 2"):
        open_annotated(folder, "masks", size=SIZE, channels=3, progress=False)
    (folder / "classes.txt").write_text("red\nred\n")
    with pytest.raises(UserError, match="must name each class once"):
        read_annotations(folder, "masks")


def test_xml_that_cannot_be_used(tmp_path: Path) -> None:
    folder = scenes.as_voc(tmp_path / "voc", range(4))
    at = folder / "Annotations"
    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    (at / "000.xml").write_text('<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation>&b;</annotation>')
    (at / "001.xml").write_text("<annotation><object>")
    (at / "002.xml").write_text(
        f"<annotation><object><name>red</name>{box}</object><object>{box}</object><object><name>red</name></object>"
        f"<object><name>red</name>{box.replace('>9<', '>900<').replace('>2<', '>800<')}</object></annotation>"
    )
    (at / "x.xml").write_text("<annotation/>")
    source = open_annotated(folder, "boxes", size=SIZE, channels=3, progress=False)
    assert source.ids == ["JPEGImages/002.png", "JPEGImages/003.png"]
    assert len(source.boxes(0)) == 1
    said = [f"{file}: {why}" for file, why in source.skipped]
    for wanted in (
        "000.xml: XML with declarations",
        "001.xml: no element found",
        "002.xml: object 1: without a name",
        "002.xml: object 2: without the four numbers of a bndbox",
        "002.png: box 799, 799, 900, 900 outside the image of 48 x 32 pixels",
        "x.xml: annotations without an image of their name",
    ):
        assert any(wanted in line for line in said), (wanted, said)


def test_lines_that_cannot_be_used(tmp_path: Path) -> None:
    folder = scenes.as_yolo(tmp_path / "yolo", range(3))
    lines = ["0 0.5 0.5 0.2 0.2", "red 1 2 3 4", "0 0.5 0.5", "-1 0.5 0.5 0.2 0.2", "0 24 16 9 9", "1e400 1 1 1 1"]
    (folder / "labels" / "000.txt").write_text("\n".join(lines))
    (folder / "labels" / "001.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "labels" / "002.txt").write_text("")  # nothing is in this image
    source = open_annotated(folder, "boxes", size=SIZE, channels=3, progress=False)
    assert source.ids == ["images/000.png", "images/002.png"]
    assert [len(source.boxes(i)) for i in range(2)] == [1, 0]
    said = [f"{file}: {why}" for file, why in source.skipped]
    for wanted in (
        "000.txt: line 2: a line must be numbers",
        "000.txt: line 3: 2 numbers after the class",
        "000.txt: line 4: class -1 must be a whole number",
        "000.txt: line 6: a number that is not finite",
        "000.png: box 19.5, 11.5, 28.5, 20.5 is in pixels",
        "001.txt: 'utf-8' codec",
    ):
        assert any(wanted in line for line in said), (wanted, said)
    (folder / "data.yaml").write_text("names: [red]\n")
    (folder / "labels" / "000.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match="must name each class, got 1 names and the class 1"):
        read_annotations(folder, "boxes")


@pytest.mark.parametrize("text", ["a", "P" * 30 + "0", "~0", "oooooooooooo0"])
def test_run_lengths_that_are_none(text: str) -> None:
    with pytest.raises(AnnotationError, match="run lengths"):
        counts_of(text)


def test_no_annotations(tmp_path: Path) -> None:
    scenes.images(tmp_path / "images", range(2))
    with pytest.raises(
        UserError, match="has no masks of its images; they are read from a folder images/ beside masks/"
    ):
        read_annotations(tmp_path, "masks")
    with pytest.raises(UserError, match="must be in a folder, got digits"):
        read_annotations("digits", "masks")
    folder = scenes.as_voc(tmp_path / "voc", range(2))
    with pytest.raises(UserError, match="has no masks"):
        read_annotations(folder, "masks")
    with pytest.raises(UserError, match="COCO annotations, but no masks"):
        read_annotations(scenes.as_coco(tmp_path / "boxes", range(2), kind="boxes"), "masks")


def test_two_files_of_coco(tmp_path: Path) -> None:
    folder = scenes.as_coco(tmp_path / "scenes", range(2))
    (folder / "b.json").write_text((folder / "annotations.json").read_text())
    with pytest.raises(
        UserError, match=r"must have one JSON file of annotations for scenes, got annotations\.json, b\.json"
    ):
        read_annotations(folder, "masks")


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    folder = scenes.as_table(tmp_path / "scenes", range(4))
    for name in ("deep", "other"):
        scenes.images(folder / "images" / name, [3])
    (folder / "images" / "003.png").unlink()
    (tmp_path / "outside.png").write_bytes((folder / "images" / "000.png").read_bytes())
    rows = [
        "file,xmin,ymin,xmax,ymax,label",
        "images/000.png,1,2,9,9,red",
        "gone.png,1,2,9,9,red",
        "images/000.png,1,2,9,,red",
        "images/000.png,1,2,9,9,",
        "images/000.png,nan,2,9,9,red",
        "images/000.png,0.1,0.2,0.5,0.9,red",
        "images/000.png,9,2,9,9,red",
        "001.png,100,2,120,9,red",
        "002.png,,,,,",
        "003.png,1,2,9,9,red",
        ",1,2,9,9,red",
        "../outside.png,1,2,9,9,red",
    ]
    (folder / "boxes.csv").write_text("\n".join(rows))
    source = open_annotated(folder, "boxes", size=SIZE, channels=3, progress=False)
    assert source.ids == ["images/000.png", "images/002.png"]
    assert [len(source.boxes(i)) for i in range(2)] == [1, 0]
    said = [f"{file}: {why}" for file, why in source.skipped]
    for wanted in (
        "boxes.csv: row 2: no image gone.png",
        "boxes.csv: row 3: edges must be four numbers, got 1, 2, 9,",
        "boxes.csv: row 4: without a label",
        "000.png: box with an edge that is no number",
        "000.png: box 0.1, 0.2, 0.5, 0.9 is in shares of the image, where pixels are expected",
        "000.png: box 9, 2, 9, 9 without an area",
        "001.png: no box that can be used (box 100, 2, 120, 9 outside the image of 48 x 32 pixels)",
        "boxes.csv: row 10: 003.png could be deep/003.png or other/003.png",
        "boxes.csv: row 11: without a file",
        "boxes.csv: row 12: no image ../outside.png",
        "images/deep/003.png: image without annotations",
    ):
        assert any(wanted in line for line in said), (wanted, said)


def test_no_boxes(tmp_path: Path) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(2))
    (folder / "boxes.csv").write_text("file,label\n000.png,red\n")
    with pytest.raises(UserError, match=r"has no boxes of its images; they are read from .* columns file, xmin"):
        read_annotations(folder, "boxes")
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("file,xmin,ymin,xmax,ymax,label\n000.png,1,2,3,4,red\n")
    with pytest.raises(UserError, match=r"must have one table of boxes for images, got a\.csv, b\.csv"):
        read_annotations(folder, "boxes")
