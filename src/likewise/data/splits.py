"""Which part of the data to pretrain on, to train on and to test on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data import arrays
from likewise.data.addresses import Address, shard_files, shard_splits
from likewise.data.builtin import SETS
from likewise.data.copies import copy_groups
from likewise.data.dispatch import folder_modalities, open_whole
from likewise.data.files import count_subfolders, scan
from likewise.data.folder_labels import folder_labelling, label_tables
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.data.source import Source, Subset, connected_groups
from likewise.data.split_folders import TESTS, by_role, split_folder, split_folders
from likewise.errors import UserError

HELD_OUT_FRACTION = 0.2
USUAL = ("train", "test", "val", "valid", "validation", "dev", "unlabeled")  # names that are not written otherwise
HELD_OUT = ("train", "test")  # what `hold_out` makes of labelled data that has no splits of its own


def splits(data: Any, read_options: ReadOptions | None = None) -> dict[str, Any]:
    """Which part of `data` to pretrain on, to train on and to test on, each ready for `open_source`.

    `{"pretrain": "stl10:unlabeled", "train": "stl10:train", "test": "stl10:test"}`: named sets, folders with
    subfolders `train` and `test` (or `val`; see `split_folders` for other spellings), shards whose names begin so, an
    `.npz` with `x_train` and `x_test`, and a `datasets.DatasetDict` have their own splits. A test split without labels,
    as competitions have it, is not tested on if the validation split has labels; without labels in these, or without a
    split to test on, `pretrain` is the only one. Of other labelled data `hold_out` makes them: a fifth of each class is
    `photos:test`, the rest `photos:train`. `{}` where that cannot be (no labels, one class only, no class of two
    samples), or where `data` names a split already. Of a folder, nothing is decoded.
    """
    read_options = read_options or ReadOptions()
    found, split = resolve(data)
    if split is not None:
        return {}
    kinds = by_role(_own_splits(found))
    if _has_roles(kinds):
        role_of_test = _tested(found, kinds, read_options)
        parts = {"pretrain": kinds.get("unlabeled", kinds["train"])}
        if role_of_test is not None:
            parts |= {"train": kinds["train"], "test": kinds[role_of_test]}
        return {part: found[split] if isinstance(found, dict) else f"{found}:{split}" for part, split in parts.items()}
    if isinstance(found, Path) and "train" in kinds:  # beside it, none to test on: what is held out would be of it
        return {"pretrain": f"{found}:{kinds.get('unlabeled', kinds['train'])}"}
    if isinstance(found, Path | Address):
        train, test = (f"{found}:{part}" for part in HELD_OUT)
        possible = (isinstance(found, Address) or found.exists()) and _can_hold_out(found, read_options)
        return {"pretrain": train, "train": train, "test": test} if possible else {}
    source = open_whole(found, read_options)
    if not _can_hold_out(source, read_options):
        return {}
    held_in, held_out = hold_out(source)
    return {"pretrain": held_in, "train": held_in, "test": held_out}


def has_own_splits(data: Any) -> bool:
    """Whether data has a split to train on and one to test on, so that none has to be held out."""
    return _has_roles(by_role(_own_splits(resolve(data)[0])))


def has_split(found: Any, split: str) -> bool:
    """Whether data, as `resolve` gives it, has a split of this name of its own."""
    if _is_folder(found):
        return split_folder(found, split) is not None
    return split in _own_splits(found)


def held_out_split(data: Any, read_options: ReadOptions, *, root: Any, progress: bool) -> Subset | None:
    """`photos:train` or `photos:test` of data that has no splits of its own: see `hold_out`. None for anything else."""
    found, split = resolve(data)
    if not isinstance(found, Path | Address) or split not in HELD_OUT:
        return None
    if has_split(found, split) or "train" in by_role(_own_splits(found)) or not _can_hold_out(found, read_options):
        return None
    return hold_out(open_whole(found, read_options, root=root, progress=progress))[HELD_OUT.index(split)]


def hold_out(source: Source) -> tuple[Subset, Subset]:
    """Split a source into (train, test): a fifth of each class, rounded, is the test part; of all, without classes.

    A class of two samples or more gives at least one to each part; a class of one, and what has no label, stays in
    training. Which samples are the test follows from a hash of their ids: a sample more or less moves at most one
    other. Samples that are pieces of one thing (`groups`), and copies (`copy_groups`), go to one part together. Both
    parts keep the order of the source.

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
    copies = copy_groups(source)
    groups = (
        copies.groups if source.groups is None else connected_groups(copies.groups.tolist(), source.groups.tolist())
    )
    _, first, group = np.unique(groups.numpy(), return_index=True, return_inverse=True)
    test = test[first][group]
    # What all samples of a class are copies of stays in training: no test is of a class that was never seen.
    unseen = (np.bincount(labels[~test], minlength=len(counts)) == 0)[labels]
    test &= ~np.isin(group, group[unseen])
    if not test.any():
        raise UserError(
            f"{source.name}: nothing can be held out for a test, the samples of each class are copies of one another: "
            "name labelled data with --train and --test"
        )
    parts = (
        Subset(source, torch.from_numpy(np.flatnonzero(~test)), name=f"{source.name}:train"),
        Subset(source, torch.from_numpy(np.flatnonzero(test)), name=f"{source.name}:test"),
    )
    if copies.note:
        parts[0].notes = [*source.notes, copies.note]
    return parts


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
        if not kinds:
            return tuple(shard_splits(found).values())
        return tuple(path if path in USUAL else kind for kind, path in kinds.items())
    if isinstance(found, Path) and found.suffix.lower() == ".npz" and found.is_file():
        return tuple(arrays.splits(found))
    return ()


def _has_roles(kinds: dict[str, str]) -> bool:
    """Whether there is a split to train on and one to test on."""
    return "train" in kinds and any(kind in kinds for kind in TESTS)


def _tested(found: Any, kinds: dict[str, str], read_options: ReadOptions) -> str | None:
    """The kind of split to test on, the first that has labels; None where these or those of the training are missing.

    The test splits of competitions have none.
    """
    possible = [kind for kind in TESTS if kind in kinds]
    if isinstance(found, str):
        return possible[0]  # the labels of a known set are known

    def classes(kind: str) -> int:
        if isinstance(found, dict):
            return _count_classes(found[kinds[kind]], None, read_options)[0]
        return _count_classes(found, kinds[kind], read_options)[0]

    if classes("train") < 2:
        return None
    return next((kind for kind in possible if classes(kind)), None)


def unlabelled_test_note(data: Any, test: Any) -> list[str]:
    """What to say where `splits` chose another split of `data` to test on, for the usual one has no labels."""
    kinds = by_role(_own_splits(resolve(data)[0]))
    if not _has_roles(kinds) or TESTS[0] not in kinds or not isinstance(test, str):
        return []
    chosen = test.rpartition(":")[2]
    if chosen == kinds[TESTS[0]] or chosen not in kinds.values():
        return []
    return [f"{kinds[TESTS[0]]} of {data} has no labels: tested on {chosen}"]


def _can_hold_out(data: Any, read_options: ReadOptions) -> bool:
    """Whether a test part makes sense: of samples in classes, and of those with targets of their own."""
    classes, has_two = _count_classes(data, None, read_options)
    return classes > 1 and has_two


def _count_classes(data: Any, split: str | None, read_options: ReadOptions) -> tuple[int, bool]:
    """How many classes have samples (two stands for any more), and whether one has two samples.

    Samples with targets of their own count as having all that is needed. Of a folder, nothing is decoded.
    """
    of_shards = split is not None and _is_folder(data) and split_folder(data, split) is None
    if _is_folder(data) and not of_shards and any(folder_modalities(read_options)):
        folder: Path = data if split is None else split_folder(data, split) or data
        if label_tables(Request(data, split, read_options=read_options), folder):
            return _count_labels(data, split, folder, read_options)
        for kind in folder_modalities(read_options):
            found = count_subfolders(folder, kind.suffixes, kind.recognises)
            if found is None:
                continue
            # Only where that decides nothing, the whole folder is looked through for what it mostly holds.
            if found == (2, True) or read_options.modality is not None or kind.may_hold(folder):
                return found
        if not shard_files(folder):
            return 0, False
    whole = f"{data}:{split}" if split is not None else data
    source = open_whole(whole, read_options, progress=False)
    if source.has_own_targets:
        return 2, len(source) > 1
    if not source.classes:
        return 0, False
    return _counted(source.labels())


def _count_labels(data: Path, split: str | None, folder: Path, read_options: ReadOptions) -> tuple[int, bool]:
    """As `_count_classes`, for a folder whose labels are in a table."""
    for kind in folder_modalities(read_options):
        if read_options.modality is None and not kind.may_hold(folder):
            continue
        files, _ = scan(folder, kind.suffixes, kind.recognises)
        if files:
            request = Request(data, split, read_options=read_options)
            labels = folder_labelling(request, folder, files, kind.nouns[1])[0](np.arange(len(files)))[1]
            return (0, False) if isinstance(labels, str) else _counted(labels)
    return 0, False


def _counted(labels: Int[Tensor, " n"]) -> tuple[int, bool]:
    counts = labels[labels >= 0].bincount()
    return min(int((counts > 0).sum()), 2), bool((counts > 1).any())


def _is_folder(data: Any) -> bool:
    return isinstance(data, Path) and data.is_dir()
