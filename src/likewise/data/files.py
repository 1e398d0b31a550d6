"""Files in a folder: found by suffix, read by many threads with a bar, labelled by the subfolder they lie in."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from likewise.console import printable as escaped
from likewise.console import stderr_console, tell
from likewise.data import endings
from likewise.data.label_values import FILES_NEED, mean_no_label
from likewise.data.pictures import reason
from likewise.data.request import Request
from likewise.data.source import natural_sort
from likewise.data.split_folders import split_folder, split_folders, split_note
from likewise.errors import UserError, nearest
from likewise.own_files import IDS_SUFFIX, OWN, is_index_folder, is_of_embeddings, is_run_folder

Item = TypeVar("Item")
Made = TypeVar("Made")
Recognises = Callable[[Path], bool]
"""Whether the content of a file is a sample of a kind."""
SHOWN = 5  # files that a note names


class File(NamedTuple):
    id: str
    """Path relative to the folder, with "/" on every platform, as it opens the file: see `printable`."""
    size: int
    modified: int
    mode: int
    inode: int
    changed: int
    """With size and times, what a file is known again by: a file that was replaced by one of its size and time has
    another inode or another time of change."""

    @classmethod
    def of(cls, id: str, about: os.stat_result) -> File:
        """A file as the file system describes it."""
        return cls(id, about.st_size, about.st_mtime_ns, about.st_mode, about.st_ino, about.st_ctime_ns)


def folder_of(request: Request) -> tuple[Path, str] | None:
    """The folder that is asked for, its split being a subfolder, and what to call it; None for anything else.

    Raises `UserError` where there is no such subfolder.
    """
    if not isinstance(request.data, Path) or not request.data.is_dir():
        return None
    folder = request.data if request.split is None else split_folder(request.data, request.split)
    if folder is None:
        known = sorted(entry.name for entry in request.data.iterdir() if entry.is_dir())
        raise UserError(
            f"{request.data} has no subfolder {request.split!r}{nearest(str(request.split), known)}; "
            f"it has {', '.join(known) or 'none'}"
        )
    return folder, printable(request.data.resolve().name + (f":{request.split}" if request.split else ""))


def check_same(folder: Path, file: File) -> None:
    """Raise `UserError` for a file that is gone, or no longer the one that was found."""
    try:
        about = (folder / file.id).stat()
    except OSError as error:
        raise UserError(f"{printable(file.id)} cannot be read: {reason(error)}") from error
    if File.of(file.id, about) != file:
        raise UserError(f"{printable(file.id)} has changed since it was opened: start again")


def no_file(about: os.stat_result) -> str | None:
    """Why something is not to be read as a file, None for a file: a pipe or a device would never end."""
    if stat.S_ISREG(about.st_mode):
        return None
    return "Is a directory" if stat.S_ISDIR(about.st_mode) else "not a regular file"


def scan(
    folder: Path, suffixes: tuple[str, ...], recognises: Recognises | None = None, noun: str = "file"
) -> tuple[list[File], list[tuple[str, str]]]:
    """Every file below `folder` with one of these suffixes, sorted, and what could not be looked into.

    `recognises`: whether the content of a file of an unknown ending is such a `noun`, too. If there are any, the others
    are listed with what could not be looked into.
    """
    files: list[File] = []
    unreadable: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for below, entry in walk(folder, suffixes, unreadable, others=recognises is not None):
        named = entry.name.lower().endswith(suffixes)
        try:
            about = entry.stat()
            if why := no_file(about):
                (unreadable if named else others).append((below, why))
            elif named or (recognises is not None and could_be(entry.name) and recognises(folder / below)):
                files.append(File.of(below, about))
            elif not is_about_samples(entry.name):
                others.append((below, f"not {noun}, by its {'content' if could_be(entry.name) else 'name'}"))
        except OSError as error:
            # A link that leads nowhere.
            (unreadable if named else others).append((below, reason(error)))
    return sorted(files), [*unreadable, *(others if files else [])]


def could_be(name: str) -> bool:
    """Whether the ending of a file's name leaves open what it is."""
    return not name.lower().endswith((*endings.IMAGES, *endings.RECORDINGS, *endings.ABOUT_SAMPLES))


def is_recognised(path: Path, recognises: Recognises) -> bool:
    """Whether there is a file at a path whose ending leaves open what it is, and whose content is a sample."""
    try:
        return could_be(path.name) and no_file(path.stat()) is None and recognises(path)
    except (OSError, ValueError, RuntimeError):
        return False


def is_about_samples(name: str) -> bool:
    """Whether the ending of a file's name says that it is no sample itself, but what lies beside samples."""
    return name.lower().endswith(endings.ABOUT_SAMPLES)


def walk(
    folder: Path, suffixes: tuple[str, ...], unreadable: list[tuple[str, str]], *, others: bool = False
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below `folder` with one of these suffixes, by its path from there; those in no subfolder first.

    Hidden files and folders are left out. Links are followed, but no folder is entered twice, so that a
    link to a folder above ends there. What cannot be looked into is put on the list `unreadable`, and so are runs and
    embeddings that likewise has written. `others`: files of all other suffixes, too.
    """
    entered: set[tuple[int, int]] = set()
    # Real folders at the left, linked ones at the right: a folder goes by its own name where it has one.
    waiting = deque([""])
    while waiting:
        prefix = waiting.popleft()
        try:
            where = (folder / prefix).stat()
            if (where.st_dev, where.st_ino) in entered:
                continue
            entered.add((where.st_dev, where.st_ino))
            entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
        except OSError as error:
            unreadable.append((prefix, reason(error)))
            continue
        names = {entry.name for entry in entries}
        if is_run_folder(folder / prefix, names) or is_index_folder(names):
            unreadable.append((prefix or ".", OWN))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = prefix + entry.name
            is_wanted = entry.name.lower().endswith(suffixes)
            if entry.name.endswith((".npy", IDS_SUFFIX)) and is_of_embeddings(folder / below):
                unreadable.append((below, OWN))
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.appendleft(below + "/")
                elif entry.is_dir():
                    waiting.append(below + "/")
                elif is_wanted or others:
                    yield below, entry
            except OSError as error:
                # A link that leads to itself.
                if is_wanted:
                    unreadable.append((below, reason(error)))


def mostly_recordings(folder: Path) -> bool:
    """Whether there are more recordings than images below `folder`, by their names: covers beside songs are no data."""
    names = [entry.name.lower() for _, entry in walk(folder, (*endings.IMAGES, *endings.RECORDINGS), [])]
    recordings = sum(name.endswith(endings.RECORDINGS) for name in names)
    return recordings > len(names) - recordings


def count_subfolders(
    folder: Path, suffixes: tuple[str, ...], recognises: Recognises | None = None
) -> tuple[int, bool] | None:
    """How many classes there are, counted up to two, and whether one has two files, by the names if these tell.

    Stops as soon as that is known. None where there is no file with one of these suffixes, and none that `recognises`
    knows by its content.
    """
    class_of = _class_of(folder)
    counts: Counter[str] = Counter()
    found = False
    for below, entry in walk(folder, suffixes, [], others=recognises is not None):
        if not entry.name.lower().endswith(suffixes):
            assert recognises is not None
            if not could_be(entry.name) or not entry.is_file() or not recognises(folder / below):
                continue
        found = True
        if name := class_of(below):
            counts[name] += 1
            if len(counts) > 1 and counts.most_common(1)[0][1] > 1:
                break
    return (min(len(counts), 2), any(count > 1 for count in counts.values())) if found else None


def by_subfolder(folder: Path, ids: Sequence[str], things: str) -> tuple[list[str], Int[Tensor, " len"] | str]:
    """The classes, and the class of each path; or no classes, and why.

    A class is a first subfolder of the paths, or of the splits where these are what `folder` has (`split_folders`).
    Classes are in natural order. What lies in none has no label, -1, if there are two classes or more.
    """
    names = list(map(_class_of(folder), ids))
    if "" in names and len(set(names)) < 3:
        return [], (
            f"{folder} gives no labels: {names.count(''):,} of its {len(ids):,} {things} lie in no class "
            f"subfolder (such as {ids[names.index('')]}); {FILES_NEED}"
        )
    classes = natural_sort(set(names) - {""})
    number = {name: i for i, name in enumerate(classes)} | {"": -1}
    return classes, torch.tensor([number[name] for name in names])


def by_name(names: Sequence[str]) -> tuple[list[str], Int[Tensor, " len"]]:
    """The different names in natural order, and which of them each is; -1 for one that means no label."""
    known = list(set(names))
    none = [name for name, means_none in zip(known, mean_no_label(known), strict=True) if means_none]
    classes = natural_sort(set(known).difference(none))
    number = {name: i for i, name in enumerate(classes)} | dict.fromkeys(none, -1)
    return classes, torch.tensor([number[name] for name in names])


def own_note(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """That outputs of likewise were found among the data, and which."""
    own = [printable(file) for file, why in skipped if why == OWN]
    more = f" and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
    return [f"left out, as likewise made them: {', '.join(own[:SHOWN])}{more}"] if own else []


def folder_notes(request: Request) -> list[str]:
    """What to say of a folder: which of its subfolders are splits."""
    return split_note(request.data, printable(request.data.resolve().name), whole=request.split is None)


def _class_of(folder: Path) -> Callable[[str], str]:
    """What says of a path from `folder` which class it is of: "" for none."""
    splits = tuple(f"{printable(path)}/" for path in split_folders(folder).values())

    def class_of(path: str) -> str:
        if splits:
            split = next((split for split in splits if path.startswith(split)), None)
            path = "" if split is None else path.removeprefix(split)
        top, slash, _ = path.partition("/")
        return top if slash else ""

    return class_of


def printable(name: str) -> str:
    """A file name as text that can be written anywhere: bytes that are not UTF-8 as `\\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def in_threads(make: Callable[[Item], Made], items: Iterable[Item], *, ahead: int) -> Generator[Made, None, None]:
    """`make` of every item, in their order, made by as many threads as there are processors.

    `ahead`: how many may be made before they are asked for; they wait in memory.
    """
    pool = ThreadPoolExecutor(os.cpu_count())
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress_bar(name: str, things: str, total: int, show: bool) -> Iterator[Callable[[], None]]:
    """A bar where stderr is a terminal, one line where it is not; call what it gives per file."""
    if not show:
        yield lambda: None
    elif not sys.stderr.isatty():
        tell(f"{name}: decoding {total:,} {things}, once")
        yield lambda: None
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=stderr_console(), transient=True) as bar:
            task = bar.add_task(escaped(f"{name}: decoding"), total=total)
            yield lambda: bar.advance(task)
