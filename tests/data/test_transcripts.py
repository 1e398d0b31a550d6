"""Tables of what is said in recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.data.transcripts import normalize, pieces, read_transcripts, root_of
from likewise.errors import UserError
from small_data import SAMPLE_RATE
from small_files import spelled, table


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Path, Source]:
    """Recordings in a folder and one below it."""
    spelled(tmp_path / "speech", 3)
    (tmp_path / "speech" / "more").mkdir()
    (tmp_path / "speech" / "02.wav").rename(tmp_path / "speech" / "more" / "02.wav")
    return tmp_path / "speech", open_source(tmp_path / "speech", progress=False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It's 5, OK?", "it's 5 ok"),
        ("  'Tis\tthe DOGS\N{RIGHT SINGLE QUOTATION MARK} bowl \n", "tis the dogs bowl"),
        ("l\N{RIGHT SINGLE QUOTATION MARK}e\u0301te\u0301 re-entry", "l'\u00e9t\u00e9 re entry"),
        ("\N{LATIN SMALL LIGATURE FI}n 50 %", "fin 50"),
        ("\u0915\u093f\u0924\u093e\u092c", "\u0915\u093f\u0924\u093e\u092c"),
        ("... --", ""),
        ("\x1b[31m\u202ered", "31m red"),
    ],
)
def test_transcripts_are_compared_without_case_and_punctuation(text: str, wanted: str) -> None:
    assert normalize(text) == wanted
    assert normalize(normalize(text)) == wanted


def test_files_are_named_by_path_name_or_name_without_ending(spoken: tuple[Path, Source], tmp_path: Path) -> None:
    rows = [("speech/00.wav", "One."), ("01", "Two"), ("02.wav", "three"), ("03.wav", "four"), ("99", "five")]
    found = read_transcripts(table(tmp_path / "said.csv", ["path", "sentence"], rows), [spoken], None)
    assert found.texts == [["one", "two", "three"]]
    assert found.notes == [
        "transcripts are column 'sentence' of said.csv, which names the recordings in column 'path'",
        "2 of 5 rows of said.csv name no file of the data: row 4 '03.wav', row 5 '99'",
    ]


def test_the_column_of_transcripts(spoken: tuple[Path, Source], tmp_path: Path) -> None:
    # Words can be the names of files, too.
    rows = [("00", "01", "x"), ("01", "00", "y"), ("02", "02", "z")]
    path = table(tmp_path / "said.csv", ["id", "transcript", "speaker"], rows)
    assert read_transcripts(path, [spoken], None).texts == [["01", "00", "02"]]
    assert read_transcripts(path, [spoken], "speaker").texts == [["x", "y", "z"]]
    two = table(tmp_path / "two.csv", ["id", "said"], [row[:2] for row in rows[:2]])
    assert read_transcripts(two, [spoken], None).texts[0][2] is None
    path = table(tmp_path / "none.csv", ["id", "said", "by"], [("00", "one two", "me")])
    with pytest.raises(
        UserError, match=r"text_column: say which column of .*none\.csv has the transcripts; it has said"
    ):
        read_transcripts(path, [spoken], None)
    with pytest.raises(UserError, match=r"text_column: .* has no column 'sad', did you mean 'said'"):
        read_transcripts(path, [spoken], "sad")


def test_mistakes_are_named(spoken: tuple[Path, Source], tmp_path: Path) -> None:
    path = table(tmp_path / "said.csv", ["file", "text"], [("a.wav", "one"), ("b.wav", "two")])
    with pytest.raises(UserError, match=r"no row of .* names a file of speech \(its column 'file' begins with 'a.wav'"):
        read_transcripts(path, [spoken], None)
    path = table(tmp_path / "said.csv", ["file", "text"], [("00.wav", "one"), ("00", "two")])
    with pytest.raises(UserError, match=r"row 2 gives 00\.wav the transcript 'two', an earlier one 'one'"):
        read_transcripts(path, [spoken], None)
    spelled(tmp_path / "speech" / "again", 1)
    (tmp_path / "speech" / "00.wav").rename(tmp_path / "speech" / "more" / "00.wav")
    both = open_source(tmp_path / "speech", progress=False)
    path = table(tmp_path / "said.csv", ["file", "text"], [("00.wav", "one"), ("02", "two")])
    with pytest.raises(UserError, match=r"row 1 says '00\.wav', which could be again/00\.wav or more/00\.wav"):
        read_transcripts(path, [(tmp_path / "speech", both)], None)
    (tmp_path / "said.txt").write_text("00 one\n")
    with pytest.raises(UserError, match="transcripts must be a table of files and what is said in them"):
        read_transcripts(tmp_path / "said.txt", [spoken], None)
    with pytest.raises(UserError, match="there is no file"):
        read_transcripts(tmp_path / "gone.csv", [spoken], None)


def test_pieces_of_a_long_recording_have_its_file(tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "long.wav", np.full(31 * SAMPLE_RATE, 0.1), SAMPLE_RATE)
    soundfile.write(tmp_path / "speech" / "short.wav", np.full(SAMPLE_RATE, 0.1), SAMPLE_RATE)
    source = open_source(tmp_path / "speech", progress=False)
    assert pieces(source) == [True, True, False]
    path = table(tmp_path / "said.csv", ["file", "text"], [("long.wav", "one"), ("short.wav", "two")])
    assert read_transcripts(path, [(tmp_path / "speech", source)], None).texts == [["one", "one", "two"]]


def test_where_paths_start(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / "speech" / name).mkdir(parents=True)
    assert root_of(str(tmp_path / "speech")) == tmp_path / "speech"
    assert root_of(f"{tmp_path / 'speech'}:test") == tmp_path / "speech" / "test"
    assert root_of(f"{tmp_path / 'speech'}:held") == tmp_path / "speech"
    (tmp_path / "speech.csv").touch()
    assert root_of(tmp_path / "speech.csv") == tmp_path
    assert root_of([np.zeros(9)]) == Path()
