"""`likewise clean` as it is typed: what it lists, what it moves, and what it refuses."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

import likewise as lw
from likewise.cleaning import move
from likewise.cli import main
from small_data import SAMPLE_RATE, recordings, sentences
from small_files import captioned
from typed_commands import answered, refused


@pytest.fixture
def photos(working_folder: Path) -> Path:
    """300 digits, with a fault of each kind."""
    folder = working_folder / "photos"
    digits = load_digits()
    for i, (pixels, label) in enumerate(zip(digits.images[:300], digits.target, strict=False)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(folder / str(label) / f"{i:03}.png")
    shutil.copy(folder / "4" / "004.png", folder / "4" / "copy.png")
    noise = np.random.default_rng(0).integers(-4, 5, (8, 8))
    near = (np.asarray(Image.open(folder / "7" / "007.png")) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(near).save(folder / "7" / "near.png")
    Image.new("L", (8, 8), 200).save(folder / "1" / "page.png")
    (folder / "2" / "broken.png").write_bytes((folder / "2" / "002.png").read_bytes()[:40])
    (folder / "2" / "<b>.png").write_bytes((folder / "2" / "022.png").read_bytes())
    return folder


def of_kind(result: dict[str, Any], kind: str) -> list[tuple[str, str | None]]:
    return [(fault["id"], fault["partner"]) for fault in result["faults"] if fault["kind"] == kind]


def test_planted_faults_are_listed(digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cleanlab")
    words = ("clean", digits_run, photos, "--out", "faults.jsonl", "--sheet", "faults.html", "--no-progress")
    result = answered(capsys, *words)
    assert of_kind(result, "unreadable") == [("2/broken.png", None)]
    assert of_kind(result, "blank") == [("1/page.png", None)]
    assert of_kind(result, "duplicate") == [("2/<b>.png", "2/022.png"), ("4/copy.png", "4/004.png")]
    assert ("7/near.png", "7/007.png") in of_kind(result, "near-duplicate")
    assert result["samples"] == 304
    assert result["counts"]["duplicate"] == 2
    assert [json.loads(line) for line in Path("faults.jsonl").read_text().splitlines()] == result["faults"]
    page = Path("faults.html").read_text()
    assert "2/&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert "<script" not in page
    assert page.count('role="img"') >= 7
    again = lw.clean(digits_run, photos, list=["duplicate", "blank"], progress=False)
    assert [fault.kind for fault in again.faults] == ["blank", "duplicate", "duplicate"]
    assert repr(again) == "Faults(samples=304, blank: 1, duplicate: 2)"


def test_what_is_printed_is_short(digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(digits_run), str(photos), "--list", "duplicate", "blank", "--no-progress"]) == 0
    out = capsys.readouterr().out
    assert "304 samples, 3 faults" in out
    assert "equal to 4/004.png" in out
    assert main(["clean", str(digits_run), str(photos), "--list", "silent", "--no-progress"]) == 0
    assert capsys.readouterr().out == "304 samples: nothing was found\n"


def test_labels_in_a_table_are_checked(digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cleanlab")
    names = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/[0-9]*.png"))
    wrong = set(names[::25])
    rows = [f"{name},{(int(name[0]) + 5 * (name in wrong)) % 10}" for name in names]
    Path("labels.csv").write_text("\n".join(["file,label", *rows]))
    words = ("clean", digits_run, photos, "--labels", "labels.csv", "--list", "label-error", "--no-progress")
    faults = answered(capsys, *words)["faults"]
    assert len({fault["id"] for fault in faults} & wrong) >= 6
    assert len({fault["id"] for fault in faults} - wrong) <= 1
    assert all(fault["suggested"] == fault["id"][0] for fault in faults if fault["id"] in wrong)


def test_splits_and_other_data_are_compared(digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = Path("both")
    shutil.copytree(photos, both / "train")
    (both / "test" / "5").mkdir(parents=True)
    for name in ("005.png", "015.png"):
        shutil.copy(photos / "5" / name, both / "test" / "5" / f"x{name}")
    within = answered(capsys, "clean", digits_run, both, "--list", "leak", "--no-progress")
    assert of_kind(within, "leak") == [
        ("train/5/005.png", "test/5/x005.png"),
        ("train/5/015.png", "test/5/x015.png"),
    ]
    words = ("clean", digits_run, photos, "--test", both / "test", "--list", "leak", "--no-progress")
    assert of_kind(answered(capsys, *words), "leak") == [("5/005.png", "5/x005.png"), ("5/015.png", "5/x015.png")]


def test_files_are_moved_and_can_be_moved_back(
    digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*.png")}
    words = ["clean", digits_run, photos, "--list", "duplicate", "unreadable", "--no-progress", "--move-to"]
    assert answered(capsys, *words, "aside")["moved"] == 3
    moved = {path.relative_to("aside"): path.read_bytes() for path in Path("aside").rglob("*.png")}
    assert moved.keys() >= {Path("2/broken.png"), Path("4/copy.png")}
    left = {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*.png")}
    assert left | moved == before
    assert len(left) + len(moved) == len(before)
    lines = [json.loads(line) for line in Path("aside/moved.jsonl").read_text().splitlines()]
    for line in lines:
        Path(line["to"]).rename(line["from"])
    assert {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*.png")} == before

    Path("aside/4").mkdir(exist_ok=True)
    Path("aside/4/copy.png").write_text("mine")
    line = refused(capsys, *words, "aside")
    assert line.startswith("aside/4/copy.png would be written over: name another folder with --move-to")
    assert Path("aside/4/copy.png").read_text() == "mine"
    assert {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*.png")} == before


def test_a_link_is_not_moved_and_nothing_is_written_through_one(
    digits_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside.png"
    shutil.copy(photos / "4" / "004.png", outside)
    (photos / "9" / "link.png").symlink_to(outside)
    words = ("clean", digits_run, photos, "--list", "duplicate", "--no-progress", "--move-to", "aside")
    assert answered(capsys, *words)["moved"] == 2
    assert outside.is_file()
    assert (photos / "9" / "link.png").is_symlink()


def test_another_disk_gets_copies_and_a_full_one_keeps_what_was_there(
    digits_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    content = (photos / "4" / "copy.png").read_bytes()
    words = ["clean", digits_run, photos, "--list", "duplicate", "--no-progress", "--move-to"]
    monkeypatch.setattr(move.os, "link", elsewhere)
    with monkeypatch.context() as inside:
        inside.setattr(move.shutil, "copyfileobj", full)
        line = refused(capsys, *words, "full")
    assert line == "could not move a file to full: the disk is full; 0 of 2 are moved, see full/moved.jsonl"
    assert not list(Path("full").rglob("*.png"))
    assert answered(capsys, *words, "aside")["moved"] == 2
    assert Path("aside/4/copy.png").read_bytes() == content
    assert not (photos / "4" / "copy.png").exists()


def test_mistakes(digits_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def line(*words: object) -> str:
        return refused(capsys, "clean", digits_run, *words, "--no-progress")

    Path("labels.csv").write_text("file,label\nnowhere.png,a\nneither.png,b\n")
    assert f"labels.csv names a file of {photos}" in line(photos, "--labels", "labels.csv")
    names = [path.relative_to(photos).as_posix() for path in photos.glob("*/0*.png")]
    Path("one.csv").write_text("\n".join(["file,label", *(f"{name},a" for name in names)]))
    pytest.importorskip("cleanlab")
    assert "photos has 1 class with so many: give more labels" in line(photos, "--labels", "one.csv")
    assert line(photos, "--list", "blurred").startswith("list must be one of unreadable, empty, blank")
    assert line(photos, "--out", "faults.xlsx") == "out must end in .csv, .jsonl or .parquet, got faults.xlsx"
    assert line(photos, "--sheet", "faults.png") == "sheet must end in .html, got faults.png"
    assert line(photos, "--move-to", "aside").startswith("move_to needs list")
    moving = ("--list", "duplicate", "--move-to")
    assert line("digits", *moving, "aside") == "move_to moves the files of a folder, digits is none"
    assert line(photos, *moving, photos / "aside").startswith(f"move_to must be outside of {photos}")
    assert line(photos, *moving, photos / "0" / "000.png").startswith("move_to must be a folder, got the file")
    Path("notes.txt").write_text("\n".join(sentences(20)))
    assert "notes.txt" in line("notes.txt")
    Path("faults.csv").mkdir()
    assert line(photos, "--list", "blank", "--out", "faults.csv").startswith(
        "could not write faults.csv: it is a folder"
    )
    assert not Path("aside").exists()


def test_a_full_disk_keeps_the_list_from_before(
    digits_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("faults.csv").write_text("before")

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    words = ("clean", digits_run, photos, "--list", "blank", "--out", "faults.csv", "--no-progress")
    assert refused(capsys, *words) == "could not write faults.csv: the disk is full; what was there is kept"
    assert Path("faults.csv").read_text() == "before"


def test_texts(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tokenizers")
    texts = sentences(120)
    texts = list(dict.fromkeys(texts))[:90]
    Path("notes.txt").write_text("\n".join(texts))
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run", "max_tokens": 32}
    lw.pretrain("notes.txt", method="simcse", **how)
    texts += ["", "!!!", "ha ha ha ha ha", texts[3], texts[5].upper() + " ."]
    Path("more.txt").write_text("\n".join(texts))
    kinds = ("--list", "empty", "repetitive", "duplicate", "near-duplicate", "--no-progress")
    result = answered(capsys, "clean", "run", "more.txt", *kinds)
    found = {(fault["id"], fault["kind"]) for fault in result["faults"]}
    planted = {(90, "empty"), (91, "empty"), (92, "repetitive"), (93, "duplicate"), (94, "near-duplicate")}
    assert {(str(len(texts) - 95 + row), kind) for row, kind in planted} <= found
    assert ("94", "5") in of_kind(result, "near-duplicate")
    assert main(["clean", "run", "more.txt", "--list", "duplicate", "--no-progress"]) == 0
    assert texts[3][:20] in capsys.readouterr().out


def test_recordings(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waves, _ = recordings(60)
    folder = Path("notes")
    folder.mkdir()
    for i, wave in enumerate(waves):
        soundfile.write(folder / f"{i:02}.wav", wave, SAMPLE_RATE)
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run"}
    lw.pretrain(folder, method="cola", seconds=0.2, **how)
    soundfile.write(folder / "quiet.wav", np.zeros(1000), SAMPLE_RATE)
    soundfile.write(folder / "loud.wav", (20 * waves[1]).clip(-1, 1), SAMPLE_RATE)
    soundfile.write(folder / "softer.wav", 0.5 * waves[7], SAMPLE_RATE)
    shutil.copy(folder / "03.wav", folder / "copy.wav")
    (folder / "broken.wav").write_bytes(b"RIFF....WAVE")
    result = answered(capsys, "clean", "run", folder, "--no-progress")
    found = {(fault["id"], fault["kind"], fault["partner"]) for fault in result["faults"]}
    assert found >= {
        ("broken.wav", "unreadable", None),
        ("quiet.wav", "silent", None),
        ("loud.wav", "clipped", None),
        ("copy.wav", "duplicate", "03.wav"),
        ("softer.wav", "near-duplicate", "07.wav"),
    }
    assert any("label errors: not looked for: notes gives no labels" in note for note in result["notes"])


def test_pairs(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tokenizers")
    captioned(Path("squares"), 60)
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run", "batch_size": 20}
    lw.pretrain("squares", method="clip", **how)
    shutil.copy("squares/3.png", "squares/copy.png")
    shutil.copy("squares/3.txt", "squares/copy.txt")
    result = answered(capsys, "clean", "run", "squares", "--no-progress", "--sheet", "faults.html")
    assert of_kind(result, "duplicate") == [("copy.png", "3.png")]
    assert Path("faults.html").is_file()
    line = refused(capsys, "clean", "run", "squares", "--list", "duplicate", "--move-to", "aside", "--no-progress")
    assert line == "move_to moves files that are samples, those of squares are parts of pairs"
