"""Moving files aside: nothing is written over, nothing is removed, and a list says how to undo it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from likewise.atomic import NO_LINK, disk_trouble
from likewise.data.files import printable, walk
from likewise.errors import UserError

LIST = "moved.jsonl"
"""In the folder that files are moved to: a line for each, {"from": …, "to": …}."""
PIECE = re.compile(r"#\d+s$")
"""What the id of a piece of a recording has behind the name of the file."""


class Move(NamedTuple):
    source: Path
    target: Path


def check_target(folder: Path, to: Path) -> None:
    """Raise `UserError` where files of a folder cannot be moved to another: it is a file, or lies in the first."""
    if to.exists() and not to.is_dir():
        raise UserError(f"move_to must be a folder, got the file {to}")
    if to.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"move_to must be outside of {folder}, whose files are moved, got {to}")


def planned(folder: Path, names: Iterable[str], to: Path) -> tuple[list[Move], list[str]]:
    """The moves of files in a folder to the same paths below another one, and the names that are not moved, with why.

    Args:
        folder: that the names start from.
        names: of samples and of files that are none, as lists show them; a piece of a recording stands for all of it.
        to: the other folder.

    Raises:
        UserError: where a target is there already.
    """
    top = folder.resolve()
    real: defaultdict[str, list[str]] = defaultdict(list)
    for below, _ in walk(folder, ("",), []):
        real[printable(below)].append(below)
    moves, left = {}, []
    for name in dict.fromkeys(names):
        found = real.get(name) or real.get(PIECE.sub("", name)) or []
        path = folder / found[0] if found else folder / name
        if len(found) != 1:
            left.append(f"{name} (no file of this name, or several)")
        elif path.is_symlink() or not path.resolve().is_relative_to(top):
            left.append(f"{name} (a link)")
        else:
            moves[path] = Move(path, to / found[0])
    if there := [move.target for move in moves.values() if os.path.lexists(move.target)]:
        more = f" and {len(there) - 1:,} more" if len(there) > 1 else ""
        raise UserError(f"{there[0]}{more} would be written over: name another folder with --move-to; nothing is moved")
    return list(moves.values()), left


def move_files(moves: Sequence[Move], to: Path) -> None:
    """Move files, each listed before it is moved.

    Raises:
        UserError: where one cannot be moved; the others until then are, and are listed.
    """
    done = 0
    try:
        to.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK
        with os.fdopen(os.open(to / LIST, flags, 0o666), "a", encoding="ascii") as listing:
            for move in moves:
                line = {"from": os.fspath(move.source.absolute()), "to": os.fspath(move.target.absolute())}
                listing.write(json.dumps(line) + "\n")
                listing.flush()
                move.target.parent.mkdir(parents=True, exist_ok=True)
                _move(*move)
                done += 1
    except OSError as error:
        reason = "it is there already" if isinstance(error, FileExistsError) else disk_trouble(error)
        if reason is None:
            raise
        raise UserError(
            f"could not move a file to {to}: {reason}; {done:,} of {len(moves):,} are moved, see {to / LIST}"
        ) from error


def _move(source: Path, target: Path) -> None:
    """Move a file to a name that is not taken: a hard link, which nothing can be written over with, or a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _copy(source, target)
    source.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy a file to another disk, whole or not at all."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o600)
    try:
        with source.open("rb") as old, os.fdopen(descriptor, "wb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        shutil.copystat(source, target)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
