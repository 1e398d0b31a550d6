"""Names of shards that are no paths: addresses (`s3://…`, `https://…`) and patterns (`shards/{000..099}.tar`)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from likewise.data.request import Request
from likewise.data.split_folders import by_role, role_of, split_folder, subfolders
from likewise.errors import UserError

ENDINGS = (".tar", ".parquet")
SCHEME = re.compile(r"(?!lance:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
PATTERN, REMOTE_PATTERN = re.compile(r"[*?\[{]"), re.compile(r"[*\[{]")  # of addresses, ? begins a query
BRACES = re.compile(r"\{([^{}]*)\}")
NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
SPLIT = re.compile(r"(?<=.):(train|test|base|novel)")
MOST_SHARDS = 100_000


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, not those below it; all of one kind: .tar files may have tables beside them.

    Where there are none, those in the folder `data`, if that is the only one there, as in Hugging Face's data sets.
    """
    files = _of_one_kind(folder)
    inside = folder / "data"
    return files or (_of_one_kind(inside) if inside.is_dir() and subfolders(folder) == ["data"] else [])


def _of_one_kind(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower().endswith(ENDINGS)]
    found = ([path for path in files if path.name.lower().endswith(ending) and path.is_file()] for ending in ENDINGS)
    return sorted(next(filter(None, found), []))


def shards_by_part(folder: Path) -> dict[str, list[Path]]:
    """The shards in a folder by the part that their names begin with: `train` of `train-00000-of-00002.parquet`."""
    found: dict[str, list[Path]] = {}
    for path in shard_files(folder):
        found.setdefault(re.split(r"[-_.]\d|\.", path.name, maxsplit=1)[0], []).append(path)
    return found


def shards_of_part(folder: Path, split: str) -> list[Path]:
    """The shards whose names begin with a split, or else with another name of that kind."""
    parts = shards_by_part(folder)
    return parts.get(split) or parts.get(by_role(parts).get(role_of(split) or "", ""), [])


def shard_splits(folder: Path) -> dict[str, str]:
    """The parts of the shards in a folder that are splits, each by its kind; none unless there are several.

    As for folders, one of them is to train on: what has no other part than that is held out of, and is no split.
    """
    found = by_role(shards_by_part(folder))
    return found if "train" in found and len(found) > 1 else {}


def part_of_shards(folder: Path, split: str) -> Address | None:
    """The shards that `folder:split` means."""
    if role_of(split) is not None and not shard_splits(folder):
        return None
    files = shards_of_part(folder, split)
    return Address(f"{folder}:{split}", tuple(map(str, files))) if files else None


def may_hold_shards(request: Request) -> bool:
    """Whether what is asked for could be shards, by its name and its kind alone."""
    data, split = request.data, request.split
    if isinstance(data, Address):
        return True
    if not isinstance(data, Path):
        return False
    if not data.is_dir():
        return ending_of(str(data)) is not None
    return bool(shard_files(data if split is None else split_folder(data, split) or data))


@dataclass(frozen=True)
class Address:
    """Where shards are, as it was typed: an address with a scheme, a pattern, or both; or a part of a folder."""

    text: str
    files: tuple[str, ...] = ()
    """The shards of a part of a folder."""

    def __str__(self) -> str:
        return self.text

    @property
    def is_remote(self) -> bool:
        return SCHEME.match(self.text) is not None

    @property
    def name(self) -> str:
        """What to call the samples: the last part that is no pattern, without its ending."""
        parts = [part for part in SCHEME.sub("", path_of(self.text)).split("/") if part]
        plain = [part for part in parts if not is_pattern(part)]
        last = (plain or parts or [self.text])[-1]
        return last.removesuffix(".tar").removesuffix(".parquet")

    def absolute(self) -> str:
        """The same from any folder."""
        return self.text if self.is_remote else os.path.join(os.getcwd(), self.text)  # noqa: PTH109, PTH118


def address_of(text: str) -> tuple[Address, str | None] | None:
    """The address that a data argument is, and the split that follows its last colon; None for a path or a name."""
    if not SCHEME.match(text) and (not PATTERN.search(text) or Path(text).expanduser().exists()):
        return None
    found = re.search(SPLIT.pattern + "$", text)
    whole, split = (text[: found.start()], found[1]) if found else (text, None)
    if not SCHEME.match(whole) and ending_of(whole) is None:
        return None
    return Address(whole if SCHEME.match(whole) else os.path.expanduser(whole)), split  # noqa: PTH111


def is_pattern(name: str) -> bool:
    return bool((REMOTE_PATTERN if SCHEME.match(name) else PATTERN).search(name))


def path_of(name: str) -> str:
    """An address without its query."""
    return name.partition("?")[0] if SCHEME.match(name) else name


def ending_of(name: str) -> str | None:
    """`.tar` or `.parquet`; None for the name of no shard."""
    return next((ending for ending in ENDINGS if path_of(name).lower().endswith(ending)), None)


def _filled(name: str, word: str) -> str:
    """A name with a word for its first braces."""
    found = BRACES.search(name)
    return name if found is None else name[: found.start()] + word + name[found.end() :]


def expanded(text: str) -> list[str]:
    """The names that braces stand for: `a-{00..02}.tar` for a-00.tar, a-01.tar and a-02.tar; `{a,b}.tar` for two.

    Raises:
        UserError: for more than 100,000 names.
    """
    names = [text]
    while braces := BRACES.search(names[0]):
        if numbers := NUMBERS.fullmatch(braces[1]):
            first, last = int(numbers[1]), int(numbers[2])
            if not 0 <= last - first < MOST_SHARDS:
                raise UserError(f"{text}: {{{braces[1]}}} must go upwards, over {MOST_SHARDS:,} numbers at most")
            words = [f"{number:0{len(numbers[1])}}" for number in range(first, last + 1)]
        else:
            words = braces[1].split(",")
        if len(names) * len(words) > MOST_SHARDS:
            raise UserError(f"{text} must name {MOST_SHARDS:,} shards at most, got {len(names) * len(words):,}")
        names = [_filled(name, word) for name in names for word in words]
    return names
