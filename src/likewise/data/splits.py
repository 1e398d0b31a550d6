"""Which part of the data to pretrain on, to train on and to test on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likewise.data import arrays
from likewise.data.builtin import SETS
from likewise.data.dispatch import folder_modalities, open_whole
from likewise.data.files import count_subfolders
from likewise.data.read_options import ReadOptions
from likewise.data.resolve import resolve
from likewise.data.source import Source, Subset
from likewise.data.split_folders import TESTS, by_role, split_folder, split_folders
from likewise.errors import UserError

HELD_OUT_FRACTION = 0.2
USUAL = ("train", "test", "val", "valid", "validation", "dev", "unlabeled")  # names that are not written otherwise
HELD_OUT = ("train", "test")  # what `hold_out` makes of labelled data that has no splits of its own


def splits(data: Any, read_options: ReadOptions | None = None) -> dict[str, Any]:
    """Which part of `data` to pretrain on, to train on and to test on, each ready for `open_source`.

    `{"pretrain": "stl10:unlabeled", "train": "stl10:train", "test": "stl10:test"}`: named sets, folders with
    subfolders `train` and `test` (or `val`; see `split_folders` for other spellings), an `.npz` with `x_train` and
    `x_test`, and a `datasets.DatasetDict` have their own splits; without labels there, `pretrain` is the only one. Of
    other labelled data `hold_out` makes them: a fifth of each class is `photos:test`, the rest `photos:train`. `{}`
    where that cannot be (no labels, one class only, no class of two samples), or where `data` names a split
    already. Of a folder, nothing is decoded.
    """
    read_options = read_options or ReadOptions()
    found, split = resolve(data)
    if split is not None:
        return {}
    if roles := _roles(_own_splits(found)):
        parts = {role: found[part] if isinstance(found, dict) else f"{found}:{part}" for role, part in roles.items()}
        own = {role: split_folder(found, part) if _is_folder(found) else parts[role] for role, part in roles.items()}
        labelled = isinstance(found, str) or (
            _count_classes(own["train"], read_options)[0] > 1 and _count_classes(own["test"], read_options)[0] > 0
        )
        return parts if labelled else {"pretrain": parts["pretrain"]}
    if isinstance(found, Path):
        train, test = (f"{found}:{part}" for part in HELD_OUT)
        possible = found.exists() and _can_hold_out(found, read_options)
        return {"pretrain": train, "train": train, "test": test} if possible else {}
    source = open_whole(found, read_options)
    if not _can_hold_out(source, read_options):
        return {}
    held_in, held_out = hold_out(source)
    return {"pretrain": held_in, "train": held_in, "test": held_out}


def held_out_split(data: Any, read_options: ReadOptions, *, root: Any, progress: bool) -> Subset | None:
    """`photos:train` or `photos:test` of data that has no splits of its own: see `hold_out`. None for anything else."""
    found, split = resolve(data)
    if not isinstance(found, Path) or split not in HELD_OUT:
        return None
    own = _own_splits(found)
    has_own = split_folder(found, split) is not None if found.is_dir() else split in own
    if has_own or _roles(own) or not _can_hold_out(found, read_options):
        return None
    return hold_out(open_whole(found, read_options, root=root, progress=progress))[HELD_OUT.index(split)]


def hold_out(source: Source) -> tuple[Subset, Subset]:
    """Split a source into (train, test): a fifth of each class, rounded, is the test part; of all, without classes.

    A class of two samples or more gives at least one to each part; a class of one, and what has no label, stays in
    training. Which
    samples are the test follows from a hash of their ids: a sample more or less moves at most one other. Samples that
    are pieces of one thing (`groups`) go to one part together. Both parts keep the order of the source.

    Raises:
        UserError: where there are no labels and the samples have no targets of their own, or no class has two samples.
    """
    labelled = source.classes or not source.has_own_targets
    labels = source.labels().numpy() + 1 if labelled else np.ones(len(source), np.int64)
    counts = np.bincount(labels)
    wanted = np.rint(HELD_OUT_FRACTION * counts).clip(1, (counts - 1).clip(1)) * (counts > 1)
    wanted[0] = 0  # these have no label
    if not wanted.any():
        raise UserError(f"{source.name}: nothing can be held out for a test, no class has two samples")
    hashes = np.array(
        [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in source.ids], np.uint64
    )
    order = np.lexsort((hashes, labels))
    grouped = labels[order]
    rank = np.arange(len(labels)) - (counts.cumsum() - counts)[grouped]
    test = np.zeros(len(labels), dtype=bool)
    test[order] = rank < wanted[grouped]
    if source.groups is not None:
        _, first, inverse = np.unique(source.groups.numpy(), return_index=True, return_inverse=True)
        test = test[first][inverse]
    return (
        Subset(source, torch.from_numpy(np.flatnonzero(~test)), name=f"{source.name}:train"),
        Subset(source, torch.from_numpy(np.flatnonzero(test)), name=f"{source.name}:test"),
    )


def _own_splits(found: Any) -> tuple[str, ...]:
    """The splits that data has of its own, by the names that it is asked for them with.

    A subfolder that lies deeper, or has capitals in its name, is asked for by the kind of split that it is.
    """
    if isinstance(found, str):
        return SETS[found][1]
    if isinstance(found, dict):
        return tuple(found)
    if _is_folder(found):
        kinds = split_folders(found)
        return tuple(path if path in USUAL else kind for kind, path in kinds.items())
    if isinstance(found, Path) and found.suffix.lower() == ".npz" and found.is_file():
        return tuple(arrays.splits(found))
    return ()


def _roles(parts: tuple[str, ...]) -> dict[str, str]:
    """Which of the splits serves for what; nothing without one to train on and one to test on."""
    kinds = by_role(parts)
    test = next((kinds[kind] for kind in TESTS if kind in kinds), None)
    if test is None or "train" not in kinds:
        return {}
    return {"pretrain": kinds.get("unlabeled", kinds["train"]), "train": kinds["train"], "test": test}


def _can_hold_out(data: Any, read_options: ReadOptions) -> bool:
    """Whether a test part makes sense: of samples in classes, and of those with targets of their own."""
    classes, has_two = _count_classes(data, read_options)
    return classes > 1 and has_two


def _count_classes(data: Any, read_options: ReadOptions) -> tuple[int, bool]:
    """How many classes have samples (two stands for any more), and whether one has two samples.

    Samples with targets of their own count as having all that is needed.
    """
    if _is_folder(data) and any(folder_modalities(read_options)):
        for kind in folder_modalities(read_options):
            found = count_subfolders(data, kind.suffixes, kind.recognises)
            if found is None:
                continue
            # Only where that decides nothing, the whole folder is looked through for what it mostly holds.
            if found == (2, True) or read_options.modality is not None or kind.may_hold(data):
                return found
        return 0, False
    source = open_whole(data, read_options, progress=False)
    if source.has_own_targets:
        return 2, len(source) > 1
    if not source.classes:
        return 0, False
    labels = source.labels()
    counts = labels[labels >= 0].bincount()
    return min(int((counts > 0).sum()), 2), bool((counts > 1).any())


def _is_folder(data: Any) -> bool:
    return isinstance(data, Path) and data.is_dir()
