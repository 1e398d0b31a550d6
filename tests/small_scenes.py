"""Pictures of coloured blocks on noise, whose masks and boxes are known exactly, in the formats that people have."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import csv
from pyarrow import parquet as pq

CLASSES = ["background", "red", "blue"]
COLOURS = {1: (210, 40, 40), 2: (40, 40, 210)}
WIDTH, HEIGHT = 48, 32
SIDE, CHECKERED = 144, 8


class Scene(NamedTuple):
    pixels: np.ndarray
    mask: np.ndarray
    boxes: list[tuple[int, int, int, int, int]]
    """left, top, right, bottom, class: edges between pixels."""


def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Scene:
    """A red block in the left half and a blue one in the right half, of random places and sizes."""
    random = np.random.default_rng(seed)
    pixels = random.integers(90, 170, (height, width, 3))
    mask = np.zeros((height, width), dtype=np.uint8)
    boxes = []
    for label, start in ((1, 0), (2, width // 2)):
        wide, high = random.integers(8, width // 2 - 2), random.integers(8, height - 4)
        left, top = start + random.integers(1, width // 2 - wide), random.integers(1, height - high)
        mask[top : top + high, left : left + wide] = label
        pixels[top : top + high, left : left + wide] = COLOURS[label] + random.integers(-20, 20, (high, wide, 3))
        boxes.append((int(left), int(top), int(left + wide), int(top + high), label))
    return Scene(pixels.clip(0, 255).astype(np.uint8), mask, boxes)


def large_scene(seed: int) -> Scene:
    """Six small checkered squares of class 1 on noise of the same mean: where it is shrunk, nothing is left of them."""
    random = np.random.default_rng(seed)
    pixels = random.integers(108, 149, (SIDE, SIDE, 1)).repeat(3, 2)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    cells, boxes = SIDE // (2 * CHECKERED), []
    for cell in random.choice(cells**2, 6, replace=False).tolist():
        top, left = (2 * CHECKERED * at + int(random.integers(CHECKERED)) for at in divmod(cell, cells))
        rows, columns = np.indices((CHECKERED, CHECKERED)) // 2
        place = np.s_[top : top + CHECKERED, left : left + CHECKERED]
        pixels[place] = np.where((rows + columns) % 2, 228, 28)[..., None]
        mask[place] = 1
        boxes.append((left, top, left + CHECKERED, top + CHECKERED, 1))
    return Scene(pixels.astype(np.uint8), mask, boxes)


def images(folder: Path, seeds: Sequence[int], make: Callable[[int], Scene] = scene) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Image.fromarray(make(seed).pixels).save(folder / f"{seed:03}.png")


def as_masks(
    folder: Path, seeds: Sequence[int], *, palette: bool = False, make: Callable[[int], Scene] = scene
) -> Path:
    """`images/` beside `masks/` and classes.txt."""
    images(folder / "images", seeds, make)
    (folder / "masks").mkdir()
    for seed in seeds:
        mask = Image.fromarray(make(seed).mask)
        if palette:
            mask.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
        mask.save(folder / "masks" / f"{seed:03}.png")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return folder


def run_counts(inside: np.ndarray) -> list[int]:
    """COCO's run lengths, outside first, column by column."""
    counts, now = [0], False
    for value in inside.T.flatten().tolist():
        if value != now:
            counts.append(0)
            now = value
        counts[-1] += 1
    return counts


def as_text(counts: Sequence[int]) -> str:
    """COCO's run lengths as a text, after its own rule."""
    letters = []
    for place, count in enumerate(counts):
        rest = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            letters.append(chr(48 + bits + 32 * more))
    return "".join(letters)


def coco_of(seeds: Sequence[int], kind: str = "polygons") -> dict[str, Any]:
    """What a COCO file says: with "polygons", "runs" or "text" (run lengths), or "boxes" alone."""
    annotations = []
    for seed in seeds:
        for left, top, right, bottom, label in scene(seed).boxes:
            inside = scene(seed).mask == label
            counts, size = run_counts(inside), [HEIGHT, WIDTH]
            segmentation: Any = {
                "polygons": [[left, top, right, top, right, bottom, left, bottom]],
                "runs": {"counts": counts, "size": size},
                "text": {"counts": as_text(counts), "size": size},
                "boxes": [],
            }[kind]
            box = [left, top, right - left, bottom - top]
            known = {"id": len(annotations) + 1, "image_id": seed, "category_id": 10 * label, "iscrowd": 0}
            annotations.append(known | {"bbox": box, "area": box[2] * box[3], "segmentation": segmentation})
    return {
        "images": [{"id": s, "file_name": f"{s:03}.png", "width": WIDTH, "height": HEIGHT} for s in seeds],
        "categories": [{"id": 20, "name": "blue"}, {"id": 10, "name": "red"}],
        "annotations": annotations,
    }


def as_coco(folder: Path, seeds: Sequence[int], kind: str = "polygons") -> Path:
    images(folder, seeds)
    (folder / "annotations.json").write_text(json.dumps(coco_of(seeds, kind)))
    return folder


def as_voc(folder: Path, seeds: Sequence[int]) -> Path:
    images(folder / "JPEGImages", seeds)
    (folder / "Annotations").mkdir()
    for seed in seeds:
        things = "".join(
            f"<object><name>{CLASSES[label]}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for left, top, right, bottom, label in scene(seed).boxes
        )
        (folder / "Annotations" / f"{seed:03}.xml").write_text(f"<annotation>{things}</annotation>")
    return folder


def as_yolo(folder: Path, seeds: Sequence[int], *, outlines: bool = False) -> Path:
    images(folder / "images", seeds)
    (folder / "labels").mkdir()
    for seed in seeds:
        lines = []
        for left, top, right, bottom, label in scene(seed).boxes:
            x0, x1, y0, y1 = left / WIDTH, right / WIDTH, top / HEIGHT, bottom / HEIGHT
            numbers = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
            if outlines:
                numbers = [x0, y0, x1, y0, x1, y1, x0, y1]
            lines.append(" ".join(map(str, [label - 1, *numbers])))
        (folder / "labels" / f"{seed:03}.txt").write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text("names:\n  0: red\n  1: blue\n")
    return folder


def as_parquet(folder: Path, seeds: Sequence[int], kind: str = "masks", name: str = "scenes.parquet") -> Path:
    """An image in each row, with a picture of its "masks", or with boxes.

    These are "sizes" in a record of lists, with numbered classes, as Hugging Face's `datasets` writes them, "corners"
    in a list of records, or "columns" of their own.
    """
    rows = []
    for seed in seeds:
        made = scene(seed)
        corners, names = [list(box[:4]) for box in made.boxes], [CLASSES[box[4]] for box in made.boxes]
        sizes = [[left, top, right - left, bottom - top] for left, top, right, bottom in corners]
        row: dict[str, Any] = {"image": {"bytes": as_png(made.pixels), "path": None}}
        if kind == "masks":
            row["label"] = {"bytes": as_png(made.mask), "path": None}
        elif kind == "sizes":
            row["objects"] = {"bbox": sizes, "category": [["blue", "red"].index(name) for name in names]}
        elif kind == "corners":
            row["objects"] = [{"bbox": box, "label": name} for box, name in zip(corners, names, strict=True)]
        else:
            row |= {"boxes": sizes, "labels": names, "width": WIDTH, "height": HEIGHT}
        rows.append(row)
    label = {"_type": "ClassLabel", "names": ["blue", "red"]}
    features = {"objects": {"bbox": {}, "category": {"feature": label, "_type": "List"}}} if kind == "sizes" else {}
    said = json.dumps({"info": {"features": features}})
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": said})
    pq.write_table(table, folder / name, row_group_size=3)
    if kind == "masks":
        (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder


def as_png(pixels: np.ndarray) -> bytes:
    """A file in memory."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def as_table(
    folder: Path, seeds: Sequence[int], name: str = "boxes.csv", *, make: Callable[[int], Scene] = scene
) -> Path:
    """A row for each box: file, xmin, ymin, xmax, ymax, label."""
    images(folder / "images", seeds, make)
    rows = [(f"{seed:03}.png", *box[:4], CLASSES[box[4]]) for seed in seeds for box in make(seed).boxes]
    table = pa.table(dict(zip(("file", "xmin", "ymin", "xmax", "ymax", "label"), zip(*rows, strict=True), strict=True)))
    if name.endswith(".parquet"):
        pq.write_table(table, folder / name)
    else:
        csv.write_csv(table, folder / name)
    return folder
