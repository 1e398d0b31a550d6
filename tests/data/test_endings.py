"""The content of a file decides what it is, not the ending of its name; what cannot be used is listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from likewise.data import pictures
from likewise.data.open import open_source
from likewise.data.splits import splits
from likewise.errors import UserError

LEVELS = np.arange(12 * 12, dtype=np.uint8).reshape(12, 12)
COLOURS = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
HEIC = b"\0\0\0\x18ftypheic" + b"\0" * 100
DICOM = b"\0" * 128 + b"DICM"


def save(path: Path, kind: str, pixels: np.ndarray = COLOURS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format=kind)


LOSSLESS = [
    ("a.dib", "DIB", COLOURS),
    ("a.ppm", "PPM", COLOURS),
    ("a.pgm", "PPM", LEVELS),
    ("a.pnm", "PPM", LEVELS),
    ("a.tga", "TGA", COLOURS),
    ("a.qoi", "QOI", COLOURS),
    ("a.sgi", "SGI", COLOURS),
    ("a.jp2", "JPEG2000", COLOURS),
    ("a", "PNG", COLOURS),
    ("a.2", "BMP", COLOURS),
    ("a.image", "TIFF", LEVELS),
    ("a.jpg", "PNG", COLOURS),
    ("b.tga", "PNG", COLOURS),
]


@pytest.mark.parametrize(("name", "kind", "pixels"), LOSSLESS)
def test_pictures_of_any_ending(tmp_path: Path, name: str, kind: str, pixels: np.ndarray) -> None:
    save(tmp_path / name, kind, pixels)
    source = open_source(tmp_path)
    assert source.ids == [name]
    expected = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    np.testing.assert_array_equal(source.read(torch.tensor([0]))[0].numpy(), expected)


@pytest.mark.parametrize(("name", "kind"), [("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a", "JPEG"), ("a.avif", "AVIF")])
def test_photographs_of_any_ending(tmp_path: Path, name: str, kind: str) -> None:
    if not features.check("avif") and kind == "AVIF":
        pytest.skip("this Pillow has no AVIF")
    save(tmp_path / name, kind, np.full((12, 12, 3), 90, dtype=np.uint8))
    assert abs(int(open_source(tmp_path).read(torch.tensor([0])).float().mean()) - 90) <= 3


def test_classes_are_found_among_files_without_endings(tmp_path: Path) -> None:
    for name in ("ant/1", "ant/2", "bee/1", "bee/2"):
        save(tmp_path / "photos" / name, "PNG")
    assert open_source(tmp_path / "photos").classes == ["ant", "bee"]
    assert set(splits(tmp_path / "photos")) == {"pretrain", "train", "test"}


def test_what_is_no_image_or_not_read_is_listed_with_why(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "PNG")
    for name, content in {
        "IMG_1.HEIC": HEIC,
        "scan.dcm": DICOM,
        "b.psd": b"8BPS\0\1" + b"\0" * 30,
        "clip.mp4": b"\0\0\0\x18ftypisom" + b"\0" * 20,
        "voice.wav": b"RIFF",
        "README": b"photographs of ants\n",
        "empty": b"",
        "half": (tmp_path / "a.png").read_bytes()[:60],
        "DSC_1.NEF": b"II*\0" + b"\0" * 30,
    }.items():
        (tmp_path / name).write_bytes(content)
    for name in ("labels.csv", "caption.txt", "notes.pdf", "Thumbs.db"):
        (tmp_path / name).write_text("about the images")
    for source in (open_source(tmp_path), open_source(tmp_path)):  # the second time from the cache
        assert source.ids == ["a.png"]
        why = dict(source.skipped)
        assert why.pop("half")
        assert why == {
            "DSC_1.NEF": "raw data of a camera, which is not read: export it as TIFF or JPEG",
            "IMG_1.HEIC": "HEIC, which is not read: convert it to PNG or TIFF",
            "README": "not an image, by its content",
            "b.psd": "Photoshop, which is not read: convert it to PNG or TIFF",
            "clip.mp4": "not an image, by its content",
            "empty": "not an image, by its content",
            "scan.dcm": "DICOM, which is not read: convert it to PNG or TIFF",
            "voice.wav": "not an image, by its name",
        }


def test_a_folder_of_a_kind_that_is_not_read_says_so(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"IMG_{i}.HEIC").write_bytes(HEIC)
    with pytest.raises(UserError, match=r"none of its 3 image files can be read \(IMG_0.HEIC: HEIC, which is not read"):
        open_source(tmp_path)


def test_files_of_other_kinds_are_no_images(tmp_path: Path) -> None:
    """Nothing is listed of a folder without any image: it is no folder of images."""
    (tmp_path / "a.tex").write_text("P1 is a section")
    (tmp_path / "b").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="holds no images, recordings or texts: it has 2 other files"):
        open_source(tmp_path)


def test_no_program_is_started_for_a_picture(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript."""
    (tmp_path / "a.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    save(tmp_path / "a.png", "PNG")
    assert open_source(tmp_path).skipped == [("a.eps", "not an image, by its content")]
    assert not {"EPS", "WMF", "PDF", "MPEG"} & set(pictures.FORMATS)


def test_recordings_of_any_ending(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = 0.4 * np.sin(np.arange(4000) / 9)
    for name, kind in {
        "a.wave": "WAV",
        "b": "FLAC",
        "c.dat": "OGG",
        "d.aifc": "AIFF",
        "e.au": "AU",
        "f.caf": "CAF",
        "g.w64": "W64",
        "h.bin": "AIFF",
        "i.mpga": "MP3",
        "j.txt.bak": "WAV",
    }.items():
        soundfile.write(tmp_path / "sound", wave, 8000, format=kind)
        shutil.move(tmp_path / "sound", tmp_path / name)
    (tmp_path / "k.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + b"\0" * 40)
    (tmp_path / "l.wma").write_bytes(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + b"\0" * 40)
    (tmp_path / "m").write_text("no sound")
    (tmp_path / "labels.csv").write_text("a,b")
    for source in (open_source(tmp_path), open_source(tmp_path)):
        assert [name[0] for name in source.ids] == list("abcdefghij")
        assert source.skipped == [
            ("k.m4a", "MPEG-4 (AAC), which is not read: convert it to WAV or FLAC"),
            ("l.wma", "Windows Media, which is not read: convert it to WAV or FLAC"),
            ("m", "not a recording, by its content"),
        ]


def test_a_folder_of_recordings_that_are_not_read_says_so(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + b"\0" * 40)
    with pytest.raises(UserError, match=r"none of its 1 recordings can be read \(a.m4a: MPEG-4 \(AAC\), which is not"):
        open_source(tmp_path)


def test_covers_beside_songs_are_no_data(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for album in ("one", "two"):
        for i in range(2):
            (tmp_path / album).mkdir(exist_ok=True)
            soundfile.write(tmp_path / album / f"{i}.wav", 0.4 * np.sin(np.arange(4000) / 9), 8000)
    save(tmp_path / "one" / "cover.png", "PNG")
    source = open_source(tmp_path)
    assert (source.modality, len(source)) == ("audio", 4)
    assert source.skipped == [("one/cover.png", "not a recording, by its name")]
    assert set(splits(tmp_path)) == {"pretrain", "train", "test"}
    assert open_source(tmp_path, modality="image").ids == ["one/cover.png"]
