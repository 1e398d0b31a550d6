"""Files that are either the old one or the new one, never half of either, and never outside their folder."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from likewise.errors import UserError

STALE_SECONDS = 24 * 3600
"""A part that has not changed for so long is nobody's: its process was killed."""

PART = re.compile(r"\..+\.[0-9a-f]{16}\.part")
"""Names of files that are being written; see `replacing`."""
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # absent on Windows, where making links takes a privilege
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.EIO)


def disk_trouble(error: BaseException | None) -> str | None:
    """What a user can fix about a failed write: "the disk is full", "permission denied" …; None for other errors.

    torch wraps a file's error in one of its own; what the file system said is its context.
    """
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    if error is None or error.errno is None:
        return None
    if error.errno in _FULL:
        return "the disk is full" if error.errno != errno.EFBIG else "the file would be larger than is allowed"
    return os.strerror(error.errno).lower() if error.errno in (*_FORBIDDEN, *_GONE) else None


@contextmanager
def telling_of_the_disk(path: Path, then: str = "what was there is kept") -> Iterator[None]:
    """What a user can fix about a failed write of `path` becomes a `UserError`; `then`: what to add to it."""
    try:
        yield
    except OSError as error:
        reason = "it is a folder" if isinstance(error, IsADirectoryError) else disk_trouble(error)
        if reason is None:
            raise
        raise UserError(f"could not write {path}: {reason}; {then}") from error


def check_file_place(path: Path) -> None:
    """Raise `UserError` where a file cannot be written: before the work whose result it takes, not after it."""
    with telling_of_the_disk(path, "name another place"):
        check_writable(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, to be written to; flushed to the disk and renamed to `path` at the end.

    Its name cannot be foreseen, it is created and not opened, and no link is followed: whoever can write into the same
    folder cannot make this process write elsewhere. An existing file's permissions are kept.

    Raises:
        OSError: from writing, with what was begun removed and `path` as it was.
    """
    sweep_parts(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666))
    try:
        with suppress(OSError):  # where there is no such file, or it is another user's
            part.chmod(stat.S_IMODE(path.stat(follow_symlinks=False).st_mode))
        yield part
        descriptor = os.open(part, os.O_RDWR | NO_LINK)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` with an open binary file beside `path`, flush it to the disk, then rename it to `path`.

    Raises:
        OSError: from writing, with what was begun removed and `path` as it was.
    """
    with replacing(path) as part, part.open("wb") as file:
        write(file)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file, and make its folder.

    Raises:
        UserError: when it cannot be written; what was there is kept.
    """
    with telling_of_the_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically, in UTF-8; of names that are no text, the bytes that are none become escapes."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sweep_parts(path: Path) -> None:
    """Remove the parts of `path` that killed processes left; nothing else, whatever its name is."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.part")
    oldest = time.time() - STALE_SECONDS
    with suppress(OSError):
        for entry in os.scandir(path.parent):
            if ours.fullmatch(entry.name):
                about = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(about.st_mode) and about.st_mtime < oldest:
                    Path(entry.path).unlink()


def check_writable(folder: Path) -> None:
    """Raise `OSError` unless a folder can be written to or, where it is absent, made; nothing stays of the trial.

    Permissions do not tell: of root, and of file systems of other machines, only a file that is made does.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    with tempfile.TemporaryFile(dir=there):
        pass


def own_folder(path: Path) -> Path:
    """Make a folder inside a run, or use the one that is there.

    Raises:
        UserError: where it is a link or a file: a run folder from elsewhere must not choose where files are written.
    """
    if not path.is_symlink():
        with suppress(FileExistsError):
            path.mkdir(exist_ok=True, parents=True)
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"{path} must be a folder, got a link or a file: remove it, or name another folder with --out")
    return path
