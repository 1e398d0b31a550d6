"""Locks of folders: who writes into one. Two trainings into one run folder would mix their files."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from likewise.atomic import NO_LINK, PART, disk_trouble
from likewise.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "training.lock"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


def is_unused(folder: Path) -> bool:
    """Whether a run can begin in a folder: it is not there, or holds nothing but what a killed beginning leaves."""
    return not folder.exists() or (
        folder.is_dir() and all(entry.name == LOCK or PART.fullmatch(entry.name) for entry in folder.iterdir())
    )


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold a run folder, which is made if need be, for the training of this process; see `folder_lock`."""
    with folder_lock(folder, LOCK, "trained"):
        yield


@contextmanager
def folder_lock(folder: Path, name: str, doing: str) -> Iterator[None]:
    """Hold a folder, which is made if need be, for this process.

    The kernel releases the lock when the process ends, however it ends. Where the file system has no locks, the process
    that the file names is looked for: one that is gone, on this host, holds nothing.

    Args:
        folder: what is held.
        name: of the file in it that is locked.
        doing: what the holder does with it, for the message to others: "trained".

    Raises:
        UserError: when another process holds it, or the folder cannot be written to.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} must be a file, got a link: remove it, or name another folder") from error
        if (reason := disk_trouble(error)) is None:
            raise
        raise UserError(f"could not write into {folder}: {reason}; name another folder with --out") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path} must be a file: remove it, or name another folder with --out")
        holder = os.pread(descriptor, 300, 0) if hasattr(os, "pread") else os.read(descriptor, 300)
        if not _locked(descriptor, holder):
            pid, _, host = holder.decode("utf-8", "replace").strip().partition(" ")
            who = f"process {pid} on {host}" if pid.isdigit() and host.isprintable() else "another process"
            raise UserError(f"{folder} is being {doing} by {who}; wait for it, or name another folder with --out")
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        with suppress(OSError):  # a full disk: the lock is held without a name
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, holder: bytes) -> bool:
    """Whether this process has got the lock; without locks, whether nobody else has it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
        else:
            return True
    pid, _, host = holder.decode("utf-8", "replace").strip().partition(" ")
    if not pid.isdigit():
        return True
    return host == socket.gethostname() and not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
