"""Where samples come from."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.errors import UserError, nearest

if TYPE_CHECKING:
    from likewise.data.source import Source

HELD_OUT = ("train", "test")  # what `hold_out` makes of labelled data that has no parts of its own
TESTS = ("test", "val", "valid", "validation")  # the first that there is

# Asked in this order; each module has `open_source(Request) -> Source | None` and says what it ACCEPTS.
KINDS = ("named", "images", "arrays", "datasets")


def open_source(
    data: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    channels: int | None = None,
    progress: bool = True,
) -> Source:
    """Anything that holds samples, as a `Source`.

    `data` is one of: a `Source`; a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `stl10`);
    the path of a folder of images or of an `.npy` or `.npz` file; a NumPy array or torch tensor, or a pair
    (images, labels) of them; a `torch.utils.data.Dataset` or Hugging Face `datasets.Dataset`. A name or path
    may end in `:split`: `stl10:unlabeled`, `photos:train` (the subfolder `train`). A name wins over a folder
    of that name, which is written `./digits`.

    `root` is where the files of a named set lie or go: `$LIKEWISE_DATA` if None, or else `data/`. Samples
    are resized and centre-cropped to `size` x `size` pixels and given `channels` (1 or 3); None keeps the
    shape that arrays and named sets have, and takes the usual one of a folder (`ImageFolder`) or a dataset.
    `progress` reports on stderr.
    Raises `UserError` for what is unknown, missing or unreadable.
    """
    from likewise.data.source import Request, fitted, hold_out, is_source

    if size is not None and size < 1:
        raise UserError(f"size must be 1 or more pixels, got {size}")
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (RGB), got {channels}")
    if is_source(data):
        return fitted(data, size, channels)
    found, split = _resolve(data)
    if isinstance(found, Path) and split in HELD_OUT:
        parts = _parts(found)
        if split not in parts and not _roles(parts) and _can_hold_out(found):
            whole = open_source(found, root=root, size=size, channels=channels, progress=progress)
            return hold_out(whole)[HELD_OUT.index(split)]
    request = Request(found, split, root, size, channels, progress)
    kinds = [importlib.import_module(f"likewise.data.{kind}") for kind in KINDS]
    for kind in kinds:
        source = kind.open_source(request)
        if source is not None:
            return fitted(source, size, channels)
    raise UserError(_refusal(data, found, [kind.ACCEPTS for kind in kinds]))


def is_name(data: Any) -> bool:
    """Whether `open_source` takes `data` as the name of a known set, with or without a split."""
    from likewise.data.named import SETS

    return isinstance(data, str) and data.lower().partition(":")[0] in SETS


def splits(data: Any) -> dict[str, Any]:
    """Which part of `data` to pretrain on, to train on and to test on, each ready for `open_source`.

    `{"pretrain": "stl10:unlabeled", "train": "stl10:train", "test": "stl10:test"}`: named sets, folders with
    subfolders `train` and `test` (or `val`), an `.npz` with `x_train` and `x_test`, and a
    `datasets.DatasetDict` have their own parts; without labels there, `pretrain` is the only one. Of other
    labelled data `hold_out` makes them: a fifth of each class is `photos:test`, the rest `photos:train`. `{}`
    where that cannot be (no labels, one class only, no class of two samples), or where `data` names a part
    already. Of a folder, nothing is decoded.
    """
    from likewise.data.source import hold_out

    found, split = _resolve(data)
    if split is not None:
        return {}
    if roles := _roles(_parts(found)):
        parts = {role: found[part] if isinstance(found, dict) else f"{found}:{part}" for role, part in roles.items()}
        own = {role: found / part if _is_folder(found) else parts[role] for role, part in roles.items()}
        labelled = isinstance(found, str) or (_classes(own["train"])[0] > 1 and _classes(own["test"])[0] > 0)
        return parts if labelled else {"pretrain": parts["pretrain"]}
    if isinstance(found, Path):
        train, test = (f"{found}:{part}" for part in HELD_OUT)
        return {"pretrain": train, "train": train, "test": test} if found.exists() and _can_hold_out(found) else {}
    source = open_source(found)
    if not _can_hold_out(source):
        return {}
    held_in, held_out = hold_out(source)
    return {"pretrain": held_in, "train": held_in, "test": held_out}


def _parts(found: Any) -> tuple[str, ...]:
    """The parts that data has of its own; of a folder, those that `_roles` knows."""
    from likewise.data import arrays, named

    if isinstance(found, str):
        return named.SETS[found][1]
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


def _can_hold_out(data: Any) -> bool:
    classes, has_two = _classes(data)
    return classes > 1 and has_two


def _classes(data: Any) -> tuple[int, bool]:
    """How many classes have samples (two stands for any more), and whether one has two samples."""
    from likewise.data import images

    if _is_folder(data):
        return images.count_classes(data)
    source = open_source(data, progress=False)
    if not source.classes:
        return 0, False
    counts = source.labels().bincount()
    return min(int((counts > 0).sum()), 2), bool((counts > 1).any())


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


def _refusal(data: Any, found: Any, accepted: list[str]) -> str:
    from likewise.data import images, named

    possible = f"possible are {'; '.join(accepted)}"
    if not isinstance(found, Path):
        return f"cannot read samples from a {type(data).__name__}; {possible}"
    if not found.exists():
        close = nearest(str(data), named.SETS)
        return f"{str(data)!r} is neither a known name nor an existing path{close}; {possible}"
    if found.is_dir():
        count = sum(len(files) for _, _, files in os.walk(found))
        types = " ".join(images.SUFFIXES)
        return f"{data} holds no image: it has {count:,} other files, and the types read are {types}"
    return f"cannot read samples from the file {data}; {possible}"
