"""What the machine refuses and what a terminal must not obey: one line, with the path and a remedy."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from likewise import cli
from likewise.console import printable, tell
from likewise.errors import UserError

ERRORS = [
    (PermissionError(errno.EACCES, "Permission denied", "/runs/a"), 2, "'/runs/a' can't be read or written"),
    (OSError(errno.EROFS, "Read-only file system", "/runs/a"), 2, "'/runs/a' can't be read or written"),
    (OSError(errno.ENOSPC, "No space left on device", "/runs/a"), 2, "the disk of '/runs/a' is full"),
    (MemoryError(), 2, "memory is full"),
    (OSError(errno.EIO, "Input/output error", "/runs/a"), 2, "'/runs/a' can't be read or written (Input/output error)"),
    (OSError(errno.EFBIG, "File too large"), 2, "a file can't be read or written (File too large)"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2, "can't be read or written (File name too long)"),
    (FileExistsError(errno.EEXIST, "File exists", "afile"), 2, "'afile' can't be read or written (File exists)"),
    (
        OSError(errno.EMFILE, "Too many open files", "/runs/a"),
        2,
        "'/runs/a' can't be opened (Too many open files): raise",
    ),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), 2, "memory is full"),
    (torch.OutOfMemoryError("CUDA out of memory."), 2, "memory is full"),
    (RuntimeError("can't start new thread"), 2, "no more threads can be started"),
    (OSError(errno.EBADF, "Bad file descriptor"), 1, "a bug in likewise"),
    (RuntimeError("another one"), 1, "a bug in likewise"),
    (KeyError("a"), 1, "a bug in likewise"),
    (UserError("class '\x1b[2J\r\x07' is unknown"), 2, r"class '\x1b[2J \x07' is unknown"),
]


@pytest.mark.parametrize(("error", "status", "said"), ERRORS)
def test_an_error_is_one_line(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: list[str]) -> None:
        raise error

    monkeypatch.setattr(cli, "build_app", fail)
    assert cli.main(["methods"]) == status
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
    assert not {"\x1b", "\r", "\x07"} & set(line)


def test_control_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tell("a\x1b]0;title\x07 [bold]b\r\u202ec")
    assert capsys.readouterr().err == "a\\x1b]0;title\\x07 [bold]b\\r\\u202ec\n"
    assert printable("ein Käfer\t猫\n👩‍💻") == "ein Käfer\t猫\n👩‍💻"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:126] DefaultCPUAllocator: can't allocate memory"),
            "memory is full",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), "memory is full"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a.txt/run"), "'/a.txt/run' can't be read or written"),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "/runs"),
            "'/runs' can't be read or written (Is a directory)",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/aaa"), "'/aaa' can't be read or written"),
    ],
)
def test_what_the_machine_refuses_is_no_bug(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: list[str]) -> None:
        raise error

    monkeypatch.setattr(cli, "build_app", fail)
    assert cli.main(["methods"]) == 2
    assert capsys.readouterr().err.startswith(f"likewise: {said}")


def test_another_error_of_torch_is_a_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "build_app", lambda words: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    assert cli.main(["methods"]) == 1
    assert "a bug in likewise" in capsys.readouterr().err


def test_without_a_home_the_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs.txt").write_text("one two three four five six seven eight nine ten eleven\n" * 20)
    monkeypatch.delenv("LIKEWISE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    # A home that is a file, one that is nowhere, and none at all.
    for home in (tmp_path / "file", Path("/proc/none/home"), None):
        if home is None:
            monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/likewise")
        else:
            monkeypatch.setenv("HOME", str(home))
        assert cli.main("pretrain docs.txt --method bert --no-progress".split()) == 2
        err = capsys.readouterr().err
        assert "LIKEWISE_CACHE" in err
        assert err.count("\n") == 1
    assert not (tmp_path / "~").exists()


def test_an_interrupt_that_a_library_turns_into_its_own_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As torch does, whose C++ asks an object for its length and takes any exception for "none"."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ValueError("could not determine the shape") from None

    monkeypatch.setattr("likewise.methods.method_class", interrupted)
    assert cli.main(["methods"]) == 130
    assert "bug" not in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
