"""Where images and their annotations lie: the folders and files that the usual tools make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.data import endings, tables
from likewise.data.addresses import shard_files, shard_splits, shards_of_part
from likewise.data.annotations.box_columns import box_columns
from likewise.data.split_folders import split_folder, split_folders
from likewise.errors import UserError, nearest

IMAGES = ("images", "jpegimages", "imgs", "img", "image")
MASKS = ("masks", "mask", "segmentationclass", "segmentation", "annotations", "labels", "gt")
BOXES = ("annotations", "labels", "xml")
NAMES = ("classes.txt", "labels.txt", "obj.names", "classes.names", "data.yaml", "data.yml", "dataset.yaml")
"""Files with the names of the classes."""
LARGEST = 2**30
"""Bytes of a file of annotations: that of COCO's 118,000 images has 450 million."""
START = 2**16


class AnnotationLayout(NamedTuple):
    """Where everything lies; None where there is no such thing."""

    root: Path
    """Paths of images and masks are told from here."""
    images: Path
    masks: Path | None
    """A folder with a mask for each image."""
    coco: Path | None
    """A JSON file."""
    voc: Path | None
    """A folder with an XML file for each image."""
    yolo: Path | None
    """A folder with a text file for each image."""
    table: Path | None
    """A table with a row for each box."""
    parquet: list[Path] | None
    """Parquet files with an image in each row."""
    names: Path | None
    """A file with the names of the classes."""


def find_layout(folder: Path, split: str | None) -> AnnotationLayout:
    """Where images and annotations of a folder lie.

    `scenes:train` is the folder `scenes/train`, or `scenes/images/train` beside `scenes/masks/train`, or Parquet files
    whose names begin with `train`.

    Raises:
        UserError: for no such folder, or a split that it does not have.
    """
    if not folder.is_dir():
        raise UserError(f"annotated images must be in a folder, got {folder}, which is none")
    root, below = folder, ""
    if split is not None:
        own = split_folder(folder, split)
        root, below = (own, "") if own is not None else (folder, split)
    images = _inside(root, IMAGES, below)
    parquet: list[Path] = []  # they are looked for where there is no folder of images: what they hold are others
    if images is None:
        files = shards_of_part(root, below) if below else shard_files(root)
        parquet = [path for path in files if tables.holds_files(path)]
        images = parquet[0].parent if parquet else root / below
    if not images.is_dir():
        known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        raise UserError(f"{folder} has no part {split!r}{nearest(str(split), known)}; it has {', '.join(known)}")
    boxes = [folder for folder in (_inside(root, (name,), below) for name in BOXES) if folder is not None]
    return AnnotationLayout(
        root=root,
        images=images,
        masks=next(
            (each for name in MASKS if (each := _inside(root, (name,), below)) and _has(each, endings.IMAGES)), None
        ),
        coco=_coco(root, images, split),
        voc=next((each for each in (*boxes, images) if _has(each, (".xml",))), None),
        yolo=next((each for each in (*boxes, images) if _has(each, (".txt",), but=NAMES)), None),
        table=_box_table(root, images, split),
        parquet=parquet or None,
        names=_file(root, NAMES) or _file(root.parent, NAMES),
    )


def layout_parts(folder: Path) -> dict[str, str]:
    """The parts of a folder by their kind, `train` and others: subfolders, or those of its folder of images.

    `{"train": "train", "test": "val"}` is given by `scenes/train` and `scenes/val`, by `scenes/images/train` and
    `scenes/images/val`, or by Parquet files `train-….parquet` and `val-….parquet`; `{}` where there are none.
    """
    if not folder.is_dir():
        return {}
    if found := split_folders(folder):
        return found
    images = _inside(folder, IMAGES, "")
    if images is not None:
        return split_folders(images)
    return shard_splits(folder)


def images_folder(folder: Path) -> Path:
    """The subfolder of images where there is one beside folders of masks or boxes, else the folder itself."""
    return _inside(folder, IMAGES, "") or folder


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of a file from elsewhere, UTF-8.

    Raises:
        UserError: for no file, or a larger one than there should be.
        UnicodeDecodeError: for what is no such text.
    """
    if not path.is_file():
        raise UserError(f"{path} must be a file, it is a folder, a pipe or a device")
    if path.stat().st_size > largest:
        raise UserError(f"{path} must have at most {largest:,} bytes, it has {path.stat().st_size:,}")
    return path.read_text(encoding="utf-8-sig")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: for no file, a very large one, or no JSON.
    """
    try:
        return json.loads(read_text(path))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON that can be read: {' '.join(str(error).split())}") from error


def _inside(folder: Path, names: Sequence[str], below: str) -> Path | None:
    """The first subfolder of such a name, in any case of letters, and in it the subfolder `below`."""
    there = {entry.name.lower(): entry for entry in sorted(folder.iterdir()) if entry.is_dir()}
    found = (there[name] / below for name in names if name in there)
    return next((each for each in found if each.is_dir()), None)


def _has(folder: Path, suffixes: tuple[str, ...], but: Iterable[str] = ()) -> bool:
    names = (entry.name.lower() for entry in folder.iterdir() if not entry.name.startswith("."))
    return any(name.endswith(suffixes) and name not in but for name in names)


def _file(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _coco(root: Path, images: Path, split: str | None) -> Path | None:
    """The JSON file of COCO's kind that is about these images.

    Raises:
        UserError: where it could be one of several.
    """
    inside, beside = (root, images, root / "annotations"), (root.parent / "annotations",)
    return _about(images, inside, beside, ("*.json",), _is_coco, {images.name, split}, "JSON file of annotations")


def _box_table(root: Path, images: Path, split: str | None) -> Path | None:
    """The table of boxes that is about these images: also `train.csv` beside the folder `train`.

    Raises:
        UserError: where it could be one of several.
    """
    inside = (root, images, root / "annotations", root / "labels")
    beside = (root.parent / "annotations", root.parent)
    patterns = [f"*{suffix}" for suffix in tables.SUFFIXES]
    return _about(
        images, inside, beside, patterns, _is_box_table, {images.name, root.resolve().name, split}, "table of boxes"
    )


def _about(
    images: Path,
    inside: Sequence[Path],
    beside: Sequence[Path],
    patterns: Iterable[str],
    is_one: Callable[[Path], bool],
    names: set[str | None],
    what: str,
) -> Path | None:
    """The file of annotations that is about these images, in the first folder that has one.

    Args:
        inside: folders of these images.
        beside: folders of other ones, too: only a file with one of the names is about these.
        patterns: of the names of such files.
        is_one: whether a file holds such annotations.
        names: one of them is in the name of the file, where there are several files.
        what: it is, in the words of an error.

    Raises:
        UserError: where it could be one of several.
    """
    for folder in dict.fromkeys((*inside, *beside)):
        if not folder.is_dir():
            continue
        files = sorted(path for pattern in patterns for path in folder.glob(pattern))
        found = [path for path in files if path.is_file() and is_one(path)]
        named = [path for path in found if any(name and name in path.stem for name in names)]
        instances = [path for path in named or found if path.stem.startswith(("instances", "_annotations"))]
        fitting = instances or named or found
        if folder in beside and not named:
            continue  # of other parts
        if len(fitting) > 1:
            listed = ", ".join(path.name for path in fitting)
            raise UserError(f"{folder} must have one {what} for {images.name}, got {listed}")
        if fitting:
            return fitting[0]
    return None


def _is_box_table(path: Path) -> bool:
    """Whether a table has the columns of boxes."""
    try:
        return box_columns(tables.columns_of(path)) is not None
    except UserError:
        return False


def _is_coco(path: Path) -> bool:
    """Whether a JSON file begins as one of annotations does."""
    try:
        with path.open("rb") as file:
            start = file.read(START).lstrip()
            if path.stat().st_size > START:
                file.seek(-START, 2)
                start += file.read(START)
    except OSError:
        return False
    return start.startswith(b"{") and any(f'"{key}"'.encode() in start for key in ("annotations", "categories"))
