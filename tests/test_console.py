"""What happens to stderr ends nothing."""

from __future__ import annotations

import io
import sys

import pytest

from likewise.console import stderr_console, tell


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [Broken(), None])
def test_a_stderr_that_is_gone_or_full_is_no_failure(stream: Broken | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    tell("anything")
    stderr_console().print("anything")


def test_a_closed_stderr_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    tell("anything")
    stderr_console().print("anything")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_letters_that_a_terminal_lacks_are_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding=encoding))
    tell("±95 % “字”")
    stderr_console().print("a ─ line")
    assert "95 %" in written.getvalue().decode(encoding)
    assert "line" in written.getvalue().decode(encoding)
