"""Which subfolders of a folder are splits: `train` and `test`, and the other spellings of these."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROLES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "validate", "dev"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
"""What each kind of split is called, in any case of letters, also with `set` or `data` behind it: `training_set`."""

TESTS = ("test", "val")  # what is tested on: the first that there is
_ROLE = {name: role for role, names in ROLES.items() for name in names}


def role_of(split: str) -> str | None:
    """The kind of split that a name means, None for any other name: `train` of `Training` and `training_set`."""
    return _ROLE.get(re.sub(r"[ _-]?(set|data)$", "", split.lower()))


def by_role(names: Iterable[str]) -> dict[str, str]:
    """The name that serves for each kind of split; of several, the one that is most usual."""
    found: dict[str, str] = {}
    for name in sorted(names, key=_unusual):
        if (role := role_of(name)) is not None:
            found.setdefault(role, name)
    return {role: found[role] for role in ROLES if role in found}


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, but for hidden ones; none where it cannot be looked into."""
    try:
        entries = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in entries if not name.startswith((".", "__MACOSX")))


def split_folders(folder: Path) -> dict[str, str]:
    """The subfolders that are splits, each by its kind, as paths from `folder`: `{"train": "Training", …}`.

    There are none unless one is to train on and there is another. If all that a folder has is one subfolder, the splits
    may lie in that: `archive/train`.
    """
    below, names = "", subfolders(folder)
    if len(names) == 1 and role_of(names[0]) is None:
        below, names = f"{names[0]}/", subfolders(folder / names[0])
    found = by_role(names)
    if "train" not in found or len(found) == 1:
        return {}
    return {role: below + name for role, name in found.items()}


def split_folder(folder: Path, split: str) -> Path | None:
    """The subfolder that `photos:split` means: the one of this name, or the one of this kind; None without any."""
    if (folder / split).is_dir():
        return folder / split
    found = split_folders(folder)
    role = role_of(split)
    return folder / found[role] if role in found else None


def split_note(folder: Path, name: str, *, whole: bool) -> list[str]:
    """What to say of the splits of a folder; nothing where there are none, or where they are called train and test.

    Args:
        name: of the folder, as people call it.
        whole: whether all of its splits are taken together, which is always said.
    """
    found = split_folders(folder)
    if not found or (not whole and all(path == role for role, path in found.items())):
        return []
    listed = ", ".join(f"{role} is {path}/" for role, path in found.items())
    return [f"{name} has splits: {listed}" + ("; all of them are taken" if whole else "")]


def _unusual(name: str) -> tuple[int, bool, str]:
    """For sorting: `val` before `dev`, `train` before `Train`, both before `training_set`."""
    known = list(_ROLE)
    return known.index(name.lower()) if name.lower() in known else len(known), name != name.lower(), name
