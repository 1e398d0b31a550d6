"""Where samples come from."""

from __future__ import annotations

import dataclasses
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.errors import UserError, nearest

if TYPE_CHECKING:
    from likewise.data.read_options import ReadOptions
    from likewise.data.source import Source

HELD_OUT = ("train", "test")  # what `hold_out` makes of labelled data that has no parts of its own
TESTS = ("test", "val", "valid", "validation")  # the first that there is

# Asked in this order; each module has `open_source(Request) -> Source | None` and says what it ACCEPTS.
KINDS = ("builtin", "images", "arrays", "audio", "pairs", "text", "datasets")
KINDS_OF = {
    "image": ("builtin", "images", "arrays", "datasets"),
    "audio": ("audio",),
    "pair": ("pairs",),
    "text": ("text",),
}


def open_source(
    data: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    read_options: ReadOptions | None = None,
    progress: bool = True,
    **how: Any,
) -> Source:
    """Anything that holds samples, as a `Source`.

    `data` is one of: a `Source`; a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `stl10`);
    the path of a folder of images, recordings or text files, of an `.npy` or `.npz` file, of a `.txt` file, or of a
    table (`.csv`, `.tsv`, `.jsonl`, `.parquet`); a NumPy array or torch tensor, or a pair (images, labels) of them;
    a list of texts; a `torch.utils.data.Dataset` or Hugging Face `datasets.Dataset`. A name or path may end in
    `:split`: `stl10:unlabeled`, `photos:train` (the subfolder `train`). A name wins over a folder of that name, which
    is written `./digits`.

    `root` is where the files of a named set lie or go: `$LIKEWISE_DATA` if None, or else `data/`. `read_options`, or
    its fields one by one (`size=32`), is how files become samples: see `ReadOptions`. Images are resized and
    centre-cropped to `size` x `size` pixels and given `channels` (1 or 3); None keeps the shape that arrays and
    named sets have, and takes the usual one of a folder (`ImageFolder`) or a dataset. `progress` reports on stderr.
    Raises `UserError` for what is unknown, missing or unreadable.
    """
    from likewise.data.read_options import ReadOptions
    from likewise.data.source import Request, fitted, hold_out, is_source

    read_options = (read_options or ReadOptions()).with_(**how)
    if is_source(data):
        return fitted(data, read_options)
    found, split = _resolve(data)
    if isinstance(found, Path) and split in HELD_OUT:
        parts = _parts(found)
        if split not in parts and not _roles(parts) and _can_hold_out(found, read_options):
            whole = open_source(found, root=root, read_options=read_options, progress=progress)
            return hold_out(whole)[HELD_OUT.index(split)]
    request = Request(found, split, root, read_options, progress)
    asked = KINDS if read_options.modality is None else KINDS_OF[read_options.modality]
    accepted = []
    for name in asked:  # loaded when it is asked: a folder of images needs nothing of what reads tables
        kind = importlib.import_module(f"likewise.data.{name}")
        accepted.append(kind.ACCEPTS)
        source = kind.open_source(request)
        if source is not None:
            return fitted(source, read_options)
    raise UserError(_refusal(data, found, accepted, read_options))


def is_name(data: Any) -> bool:
    """Whether `open_source` takes `data` as the name of a known set, with or without a split."""
    from likewise.data.builtin import SETS

    return isinstance(data, str) and data.lower().partition(":")[0] in SETS


def pairs_or_halves(read_options: ReadOptions, data: Any) -> ReadOptions:
    """How to read `data` where pairs are read, but folders without captions, and tables of one column beside labels,
    may hold one half of pairs.
    """
    if read_options.modality != "pair":
        return read_options
    from likewise.data import tables

    found, split = _resolve(data)
    if _is_folder(found):
        whole = _has_captions(found if split is None or not (found / split).is_dir() else found / split)
    else:
        whole = not tables.is_table(found) or _has_two_columns(found, read_options)
    return read_options if whole else dataclasses.replace(read_options, modality=None)


def _has_two_columns(table: Path, read_options: ReadOptions) -> bool:
    """Whether a table has the columns that were named as pairs, or, beside labels, more than one."""
    from likewise.data import tables

    columns = set(tables.columns_of(table))
    if read_options.columns is not None and set(read_options.columns) <= columns:
        return True
    return len(columns - {read_options.label_column, *tables.usual_columns(columns, tables.LABELS)}) > 1


def _has_captions(folder: Path) -> bool:
    """Whether a folder has images or recordings with captions of the same name, or WebDataset shards."""
    from likewise.data import audio, images
    from likewise.data.files import scan

    captions, media = (scan(folder, endings)[0] for endings in ((".txt",), (*images.SUFFIXES, *audio.SUFFIXES)))
    described = {Path(file.id).with_suffix("") for file in captions}
    return any(folder.glob("*.tar")) or any(Path(file.id).with_suffix("") in described for file in media)


def splits(data: Any, read_options: ReadOptions | None = None) -> dict[str, Any]:
    """Which part of `data` to pretrain on, to train on and to test on, each ready for `open_source`.

    `{"pretrain": "stl10:unlabeled", "train": "stl10:train", "test": "stl10:test"}`: named sets, folders with
    subfolders `train` and `test` (or `val`), an `.npz` with `x_train` and `x_test`, and a
    `datasets.DatasetDict` have their own parts; without labels there, `pretrain` is the only one. Of other
    labelled data `hold_out` makes them: a fifth of each class is `photos:test`, the rest `photos:train`. `{}`
    where that cannot be (no labels, one class only, no class of two samples), or where `data` names a part
    already. Of a folder, nothing is decoded.
    """
    from likewise.data.read_options import ReadOptions
    from likewise.data.source import hold_out

    read_options = read_options or ReadOptions()
    found, split = _resolve(data)
    if split is not None:
        return {}
    if roles := _roles(_parts(found)):
        parts = {role: found[part] if isinstance(found, dict) else f"{found}:{part}" for role, part in roles.items()}
        own = {role: found / part if _is_folder(found) else parts[role] for role, part in roles.items()}
        labelled = isinstance(found, str) or (
            _classes(own["train"], read_options)[0] > 1 and _classes(own["test"], read_options)[0] > 0
        )
        return parts if labelled else {"pretrain": parts["pretrain"]}
    if isinstance(found, Path):
        train, test = (f"{found}:{part}" for part in HELD_OUT)
        return (
            {"pretrain": train, "train": train, "test": test}
            if found.exists() and _can_hold_out(found, read_options)
            else {}
        )
    source = open_source(found, read_options=read_options)
    if not _can_hold_out(source, read_options):
        return {}
    held_in, held_out = hold_out(source)
    return {"pretrain": held_in, "train": held_in, "test": held_out}


def _parts(found: Any) -> tuple[str, ...]:
    """The parts that data has of its own; of a folder, those that `_roles` knows."""
    from likewise.data import arrays, builtin

    if isinstance(found, str):
        return builtin.SETS[found][1]
    if isinstance(found, dict):
        return tuple(found)
    if _is_folder(found):
        return tuple(part for part in ("train", "unlabeled", *TESTS) if (found / part).is_dir())
    if isinstance(found, Path) and found.suffix.lower() == ".npz" and found.is_file():
        return tuple(arrays.splits(found))
    return ()


def _roles(parts: tuple[str, ...]) -> dict[str, str]:
    test = next((part for part in TESTS if part in parts), None)
    if test is None or "train" not in parts:
        return {}
    return {"pretrain": "unlabeled" if "unlabeled" in parts else "train", "train": "train", "test": test}


def _can_hold_out(data: Any, read_options: ReadOptions) -> bool:
    """Whether a test part makes sense: of samples in classes, and of those that can be tested without."""
    classes, has_two = _classes(data, read_options)
    return classes > 1 and has_two


def _classes(data: Any, read_options: ReadOptions) -> tuple[int, bool]:
    """How many classes have samples (two stands for any more), and whether one has two samples.

    Samples that are tested without labels (`tests_itself`) count as having all that is needed.
    """
    from likewise.data.files import count_subfolders
    from likewise.data.source import tests_itself

    if _is_folder(data) and read_options.modality != "pair":
        counted = (count_subfolders(data, suffixes) for suffixes in _suffixes(read_options).values())
        return next((found for found in counted if found is not None), (0, False))
    source = open_source(data, read_options=read_options, progress=False)
    if tests_itself(source):
        return 2, len(source) > 1
    if not source.classes:
        return 0, False
    counts = source.labels().bincount()
    return min(int((counts > 0).sum()), 2), bool((counts > 1).any())


def _suffixes(read_options: ReadOptions) -> dict[str, tuple[str, ...]]:
    """Of the files that a folder may hold, by modality, in the order in which they are looked for."""
    from likewise.data import audio, images, text

    known = {"image": images.SUFFIXES, "audio": audio.SUFFIXES, "text": text.SUFFIXES}
    return {kind: suffixes for kind, suffixes in known.items() if read_options.modality in (None, "pair", kind)}


def _is_folder(data: Any) -> bool:
    return isinstance(data, Path) and data.is_dir()


def _resolve(data: Any) -> tuple[Any, str | None]:
    """Names stay text, other text becomes a path; what follows the last colon of either is its split."""
    if not isinstance(data, str | os.PathLike):
        return data, None
    text = os.fspath(data)
    if is_name(data):
        name, _, split = text.lower().partition(":")
        return name, split or None
    path = Path(text).expanduser()
    base, _, split = str(path).rpartition(":")
    if base and split and not path.exists() and Path(base).exists():
        return Path(base), split
    return path, None


def _refusal(data: Any, found: Any, accepted: list[str], read_options: ReadOptions) -> str:
    from likewise.data import builtin

    possible = f"possible are {'; '.join(accepted)}"
    if isinstance(found, str):
        return f"{data} holds images, where {read_options.modality} samples are asked for; {possible}"
    if not isinstance(found, Path):
        return f"cannot read samples from a {type(data).__name__}; {possible}"
    if not found.exists():
        close = nearest(str(data), builtin.SETS)
        return f"{str(data)!r} is neither a known name nor an existing path{close}; {possible}"
    if found.is_dir():
        count = sum(len(files) for _, _, files in os.walk(found))
        wanted = _suffixes(read_options)
        types = " ".join(suffix for suffixes in wanted.values() for suffix in suffixes)
        return f"{data} holds no {' or '.join(wanted)}: it has {count:,} other files, and the types read are {types}"
    return f"cannot read samples from the file {data}; {possible}"
