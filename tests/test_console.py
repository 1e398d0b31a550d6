"""What happens to stderr ends nothing."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

import pytest
from rich.console import Console

from likewise.commands.search import Match, Matches
from likewise.console import count_of, plain, printable, stderr_console, tell
from likewise.runs.evaluation import Evaluation

NASTY = "[bold]b[/bold] [link=x]l :smile: \x1b]0;title\x07 \x9b2J \r \u202eevil \udce9"
SHOWN = r"[bold]b[/bold] [link=x]l :smile: \x1b]0;title\x07 \x9b2J \r \u202eevil \udce9"


def screen(renderable: object) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_what_a_text_says_is_text_on_the_terminal() -> None:
    assert printable(NASTY) == SHOWN
    assert screen(plain(NASTY)).strip() == SHOWN


def test_tables_show_texts_as_they_are() -> None:
    found = screen(Matches([Match(1, 0.5, NASTY, NASTY)]))
    assert found.count(SHOWN) == 2
    row = {"protocol": "own", "labels_per_class": 1, "mean": 0.5, "low": None, "high": None, "seeds": 1}
    evaluation = Evaluation(
        {
            "test": NASTY,
            "seeds": 1,
            "chance": 0.1,
            "majority": 0.1,
            "labels_per_class": [1],
            "protocols": ["own"],
            "protocol_details": {"own": {"label": NASTY}},
            "summary": [row],
            "trials": [],
            "tables": [{"title": NASTY, "caption": NASTY, "head": [NASTY], "units": [""], "rows": [[NASTY]]}],
            "notes": [NASTY],
        }
    )
    assert " ".join(screen(evaluation).split()).count(SHOWN) == 7  # lines of titles are broken at spaces


@pytest.mark.parametrize("module", ["likewise.training.callbacks.progress", "likewise.data.files"])
def test_bars_show_names_as_they_are(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    bar = importlib.import_module(module).progress_bar
    with bar(NASTY, "files", 3, True) if module.endswith("files") else bar(show=True) as advance:
        advance() if module.endswith("files") else advance(1, 3, NASTY)
    assert SHOWN in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()


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


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ((1, "sample"), "1 sample"),
        ((1297, "sample"), "1,297 samples"),
        ((0, "class", "classes"), "0 classes"),
        ((12_345_678, "token"), "12,345,678 tokens"),
        ((1.0, "minute"), "1 minute"),
        ((0.5, "minute"), "0.5 minutes"),
    ],
)
def test_one_is_not_several(counted: tuple[Any, ...], words: str) -> None:
    assert count_of(*counted) == words
