"""What is shown of data before a training: one line each, whatever the data says."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len

from likewise.commands.understood import shortened, tell_understood
from likewise.data.open import open_source


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", "50")
    return 50


@pytest.mark.parametrize(
    "text", ["short", "x" * 50, "x" * 51, "日本語" * 40, "a\nb\tc\x1b[31m\u202e\u2028\x00", "\ud800x", "\n" * 90]
)
def test_a_line_is_one_and_no_longer_than_asked_for(text: str) -> None:
    line = shortened(text, 50)
    assert line.isprintable()
    assert cell_len(line) <= 50
    assert line == text or "…" in line or "\\" in line


def test_what_is_not_printable_is_escaped() -> None:
    assert shortened("a\nb\tc\x1b[31m", 50) == "a\\nb\\tc\\x1b[31m"
    assert shortened("x" * 60, 10) == "x" * 9 + "…"


def test_texts_and_their_labels(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["one\nline", "a long text " * 50, "\x1b[2Jclear", "not shown"]
    tell_understood(open_source((texts, ["b", None, "a\nb", "b"]), progress=False))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  2 classes: a\\nb 1, b 2"
    assert lines[1] == "  sample 1: [b] one\\nline"
    assert lines[2].startswith("  sample 2: [no label] a long text a long")
    assert lines[2].endswith("…")
    assert lines[3] == "  sample 3: [a\\nb] \\x1b[2Jclear"
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= terminal


def test_both_parts_of_a_pair_are_seen(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = (["a long question " * 9, "b"], ["the answer " * 9, "d"])
    tell_understood(open_source(pairs, modality="pair", progress=False))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("  sample 1: a long question")
    assert "… | the answer" in lines[0]
    assert lines[1] == "  sample 2: b | d"
    assert max(map(cell_len, lines)) <= terminal


def test_many_classes_are_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tell_understood(open_source((np.zeros((30, 8, 8), np.uint8), np.arange(30) % 12), progress=False))
    first, *samples = capsys.readouterr().err.splitlines()
    assert first == "  12 classes: 0 3, 1 3, 2 3, 3 3, 4 3, 5 3, 6 2, 7 2, 8 2, 9 2 and 2 more"
    assert samples == ["  sample 1: [0] 0", "  sample 2: [1] 1", "  sample 3: [2] 2"]


def test_labels_that_have_to_be_read_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    read: list[int] = []

    class Slow:
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            read.append(index)
            return np.zeros((8, 8, 1), np.uint8), index % 2

    source = open_source(Slow(), size=8, channels=1)
    read.clear()
    tell_understood(source)
    assert read == []
    assert capsys.readouterr().err == "  sample 1: 0\n  sample 2: 1\n  sample 3: 2\n"
