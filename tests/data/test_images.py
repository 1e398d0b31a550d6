"""Folders of images: what is found, what is cached, what is skipped, what labels there are."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.data import audio, images, pictures, text
from likewise.data.open import open_source
from likewise.errors import UserError


def save(path: Path, level: int = 0, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode == "L" else (level, 0, 255)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for i, name in enumerate(["class10/a.png", "class2/b.PNG", "class2/deep/c.bmp", "class1/d.gif"]):
        save(root / name, level=10 * i)
    return root


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, as they are."""
    seen: list[str] = []
    real = pictures.decode

    def decode(path: Path, *how: object) -> np.ndarray:
        seen.append(path.name)
        return real(path, *how)

    monkeypatch.setattr(pictures, "decode", decode)
    return seen


def test_nested_folder(folder: Path) -> None:
    source = open_source(folder)
    assert (source.name, source.modality, len(source)) == ("photos", "image", 4)
    assert source.ids == ["class1/d.gif", "class10/a.png", "class2/b.PNG", "class2/deep/c.bmp"]
    batch = source.read(torch.tensor([3, 1, 3]))
    assert batch.shape == (3, 3, 12, 12)
    assert batch.is_contiguous()
    assert batch[:, 0, 5, 5].tolist() == [20, 0, 20]
    assert batch[:, 2, 5, 5].tolist() == [255, 255, 255]


def test_reading_gives_memory_of_its_own_and_no_warning(folder: Path) -> None:
    source = open_source(folder, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source.read(torch.arange(4)).zero_()
    assert source.read(torch.arange(4)).any()
    assert source.read(torch.arange(0)).shape == (0, 3, 12, 12)


def test_labels_are_the_first_subfolder_in_natural_order(folder: Path) -> None:
    source = open_source(folder)
    assert source.classes == ["class1", "class2", "class10"]
    assert source.labels().tolist() == [0, 2, 1, 1]
    assert source.labels().dtype == torch.int64


def test_labels_are_worked_out_once(folder: Path) -> None:
    source = open_source(folder)
    first = source.labels()
    source.ids = []
    assert source.labels() is first


def test_loose_files_have_no_label(folder: Path) -> None:
    before = open_source(folder)
    assert before.notes == []
    save(folder / "loose.png")
    source = open_source(folder)
    assert source.classes == before.classes
    assert source.labels()[source.ids.index("loose.png")] == -1
    assert sorted(source.labels().tolist()) == [-1, *sorted(before.labels().tolist())]
    assert source.notes == ["labels: 4 of 5 images"]


def test_flat_files_and_those_beside_a_single_subfolder_have_no_labels(tmp_path: Path) -> None:
    for name in ("loose.png", "only/a.png", "only/b.png"):
        save(tmp_path / name)
    source = open_source(tmp_path)
    assert (source.classes, source.notes) == ([], [])
    with pytest.raises(UserError, match=r"1 of its 3 images lie in no class subfolder \(such as loose.png\)"):
        source.labels()


@pytest.mark.parametrize(("accelerated", "largest"), [(False, 64), (True, 96)])
def test_size_and_channels_are_found_or_given(
    accelerated: bool, largest: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: accelerated)
    save(folder / "large.png", size=(400, 300))
    assert open_source(folder).read(torch.arange(1)).shape == (1, 3, 12, 12)
    assert open_source(folder, size=7, channels=1).read(torch.arange(1)).shape == (1, 1, 7, 7)
    for i in range(9):
        save(folder / f"more{i}.png", size=(400, 300))
    assert open_source(folder).read(torch.arange(1)).shape == (1, 3, largest, largest)


def test_a_grey_folder_has_one_channel(tmp_path: Path) -> None:
    save(tmp_path / "a.png", mode="L", level=77)
    assert open_source(tmp_path).read(torch.arange(1)).flatten().tolist() == [77] * 144
    save(tmp_path / "b.png")
    assert open_source(tmp_path).read(torch.arange(1)).shape == (1, 3, 12, 12)


def test_what_is_hidden_or_no_image_is_ignored(folder: Path) -> None:
    save(folder / ".hidden.png")
    save(folder / ".trash" / "a.png")
    (folder / "notes.pdf").write_text("notes")
    source = open_source(folder)
    assert len(source) == 4
    assert source.skipped == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links(folder: Path, tmp_path: Path) -> None:
    """Linked folders are followed, but none is entered twice; links that lead nowhere are listed."""
    (folder / "class1" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "alias").symlink_to(folder / "class2", target_is_directory=True)
    save(tmp_path / "elsewhere" / "e.png")
    (folder / "outside").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    source = open_source(folder)
    assert len(source) == 5
    assert source.ids[-1] == "outside/e.png"
    assert dict(source.skipped) == {
        "gone.png": "No such file or directory",
        "self.png": os.strerror(errno.ELOOP),
    }


def test_second_start_decodes_nothing(folder: Path, decodings: list[str]) -> None:
    (folder / "bad.png").write_text("no picture")
    first = open_source(folder)
    assert sorted(decodings) == ["a.png", "b.PNG", "bad.png", "c.bmp", "d.gif"]
    decodings.clear()
    second = open_source(folder)
    assert decodings == []
    assert torch.equal(second.read(torch.arange(4)), first.read(torch.arange(4)))
    assert second.ids == first.ids
    assert second.skipped == first.skipped == [("bad.png", "not an image of a known type, or its start is damaged")]


@pytest.mark.parametrize("change", ["content", "time", "name", "mode", "removed", "size", "channels"])
def test_the_cache_knows_what_has_changed(folder: Path, decodings: list[str], change: str) -> None:
    open_source(folder)
    decodings.clear()
    file, options = folder / "class10" / "a.png", {}
    if change == "content":
        stat = file.stat()
        save(file, level=99, size=(12, 400))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "time":
        os.utime(file, ns=(1, 1))
    elif change == "name":
        file.rename(file.with_name("z.png"))
    elif change == "mode":
        file.chmod(0o400)
    elif change == "removed":
        file.unlink()
    else:
        options = {change: 1}
    source = open_source(folder, **options)
    assert len(decodings) == len(source) == (3 if change == "removed" else 4)
    if change == "content":
        assert source.read(torch.tensor([1]))[0, 0, 0, 0] == 99


def test_folders_alike_in_names_sizes_and_times_share_no_cache(tmp_path: Path) -> None:
    for part, level in (("train", 10), ("test", 20)):
        for name in ("a/0.bmp", "b/0.bmp"):
            save(tmp_path / part / name, level=level)
            os.utime(tmp_path / part / name, ns=(0, 0))
    train, test = (open_source(f"{tmp_path}:{part}").read(torch.arange(2)) for part in ("train", "test"))
    assert (train[0, 0, 0, 0], test[0, 0, 0, 0]) == (10, 20)


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no text")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xe9ves")
    save(folder / os.fsdecode(b"caf\xe9") / "a.png", level=10)
    save(folder / "thé" / os.fsdecode(b"b\xff.png"), level=20)
    (folder / os.fsdecode(b"bad\xe9.png")).write_text("no picture")
    for source in (open_source(folder), open_source(folder)):
        assert source.ids == ["caf\\xe9/a.png", "thé/b\\xff.png"]
        assert (source.name, source.classes) == ("f\\xe9ves", ["caf\\xe9", "thé"])
        assert [file for file, _ in source.skipped] == ["bad\\xe9.png"]
        assert source.read(torch.arange(2))[:, 0, 0, 0].tolist() == [10, 20]


def test_bad_files_are_left_out_with_their_reasons(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("hello")
    save(folder / "vast.png", size=(200, 200))
    save(folder / "forbidden.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    real = Image.open

    def guarded(path: Path, **options: object) -> Image.Image:
        if Path(path).name == "forbidden.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Image, "open", guarded)
    source = open_source(folder)
    assert len(source) == 4
    reasons = dict(source.skipped)
    assert list(reasons) == ["cut.jpg", "empty.png", "forbidden.png", "text.jpg", "vast.png"]
    assert reasons["cut.jpg"].startswith("image file is truncated")
    assert reasons["empty.png"] == "empty file"
    assert reasons["forbidden.png"] == "Permission denied"
    assert reasons["text.jpg"].startswith("not an image")
    assert reasons["vast.png"].startswith("too large to be decoded safely: Image size (40000 pixels)")
    said = capsys.readouterr()
    assert said.out == ""
    assert "photos: decoding 9 images" in said.err
    assert "decoded 4 images to 12 x 12" in said.err
    assert "skipped 5" in said.err


def test_a_folder_that_cannot_be_looked_into_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "class1":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    source = open_source(folder)
    assert len(source) == 3
    assert source.skipped == [("class1/", "Permission denied")]


def test_no_progress_says_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_source(folder, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    open_source(folder)
    assert "decoded 4 images" in capsys.readouterr().err


def test_subfolder_as_split(folder: Path) -> None:
    source = open_source(f"{folder}:class2")
    assert (source.name, source.ids) == ("photos:class2", ["b.PNG", "deep/c.bmp"])
    with pytest.raises(UserError, match="has no subfolder 'class3', did you mean 'class"):
        open_source(f"{folder}:class3")


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes.pdf").write_text("notes")
    with pytest.raises(UserError) as failure:
        open_source(tmp_path)
    assert str(failure.value) == (
        f"{tmp_path} holds no images, recordings or texts: it has 1 other files, and the types read are "
        f"{' '.join((*images.SUFFIXES, *audio.SUFFIXES, *text.SUFFIXES))}"
    )


def test_no_readable_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"none of its 1 image files can be read \(a.png: empty file\)"):
        open_source(tmp_path)


def test_an_interrupted_build_leaves_nothing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pictures.decode

    def interrupted(*_: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_source(folder)
    assert list((cache / "images").iterdir()) == []
    monkeypatch.setattr(pictures, "decode", real)
    assert len(open_source(folder)) == 4


def test_a_killed_build_harms_no_later_one(folder: Path, cache: Path) -> None:
    program = f"""
import os
from likewise.data import pictures
from likewise.data.open import open_source
pictures.decode = lambda *_: os._exit(9)
open_source({str(folder)!r})
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 9
    left = list((cache / "images").iterdir())
    assert len(left) == 1
    assert len(open_source(folder)) == 4
    assert left[0].exists()
    for path in (left[0], *left[0].iterdir()):
        os.utime(path, (1, 1))
    open_source(folder, size=5)
    assert not left[0].exists()


@pytest.mark.parametrize("damage", ["index", "pixels"])
def test_a_damaged_cache_is_built_again(folder: Path, cache: Path, damage: str) -> None:
    before = open_source(folder).read(torch.arange(4))
    (built,) = (cache / "images").iterdir()
    if damage == "index":
        (built / "index.json").write_text("{")
    else:
        (built / "pixels.u8").write_bytes(b"short")
    assert torch.equal(open_source(folder).read(torch.arange(4)), before)
    assert json.loads((built / "index.json").read_text())["metadata"] == {"skipped": []}


def test_two_builds_at_once(folder: Path, cache: Path) -> None:
    """Both decode at the same time; both end with the same pixels and one folder is left."""
    together = threading.Barrier(2, timeout=30)
    real = images.build
    sources = []

    def build(*arguments: object) -> dict:
        together.wait()
        said = real(*arguments)
        together.wait()
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "build", build)
        threads = [
            threading.Thread(target=lambda: sources.append(open_source(folder, progress=False))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first, second = (source.read(torch.arange(4)) for source in sources)
    assert torch.equal(first, second)
    assert len(list((cache / "images").iterdir())) == 1


def test_a_full_disk(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> dict:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images, "build", full)
    with pytest.raises(UserError) as failure:
        open_source(folder)
    assert str(failure.value) == (
        f"cannot write the cache in {cache}: No space left on device; make room there, "
        "or name another folder in the environment variable LIKEWISE_CACHE"
    )


def test_a_cache_folder_that_cannot_be_made(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"cannot write the cache in .*LIKEWISE_CACHE"):
        open_source(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_listed_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert open_source(folder, progress=False).skipped == [("pipe.png", "not a regular file")]
