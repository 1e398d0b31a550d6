"""Numbers of more than 8 bits keep their grey levels: scans, signed values, floats, many channels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from likewise.data import arrays, images
from likewise.data.levels import Levels, find_extent
from likewise.data.open import open_source
from likewise.data.pictures import decode
from likewise.errors import UserError

RAMP = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
SIGNED = (RAMP.astype(np.int64) * 4000 // 65535 - 1000).astype("<i2")
ONE = torch.tensor([0])


def save_signed(path: Path, pixels: np.ndarray) -> None:
    tags = ImageFileDirectory_v2()
    tags[339] = 2  # SampleFormat: signed
    Image.fromarray(pixels.view(np.uint16)).save(path, tiffinfo=tags)


def save_rgb16(path: Path, pixels: np.ndarray) -> None:
    """A PNG of 16 bits a colour, which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def levels_of(data: Any, **options: Any) -> int:
    """How many grey levels the first sample has."""
    return len(open_source(data, size=64, **options).read(ONE).unique())


@pytest.mark.parametrize(
    ("name", "pixels", "range"),
    [
        ("full.png", RAMP, (0, 65535)),
        ("full.tif", RAMP, (0, 65535)),
        ("12-bit.png", RAMP // 16, (0, 4095)),
        ("dark.png", RAMP // 64, (0, 1023)),
        ("odd.png", RAMP // 30 + 500, (500, 2684)),
        ("bytes.tif", (RAMP // 256).astype(np.int32), (0, 255)),
        ("whole.tif", RAMP.astype(np.int32) * 9 - 70000, (-70000, 519815)),
        ("unit.tif", (RAMP / 65535).astype(np.float32), (0, 1)),
        ("hounsfield.tif", (RAMP / 20 - 1000.5).astype(np.float32), (-1000.5, 2276.25)),
    ],
)
def test_all_grey_levels_of_a_folder_survive(tmp_path: Path, name: str, pixels: np.ndarray, range: Any) -> None:
    Image.fromarray(pixels).save(tmp_path / name)
    source = open_source(tmp_path)
    assert source.range == pytest.approx(range)
    assert levels_of(tmp_path) == 256
    low, high = range
    expected = np.floor((pixels.astype(np.float64) - low) / (high - low) * 255 + 0.5)
    assert np.abs(open_source(tmp_path, size=64).read(ONE)[0, 0].numpy() - expected).max() <= 1


def test_signed_numbers_and_another_byte_order(tmp_path: Path) -> None:
    for name in ("signed", "big"):
        (tmp_path / name).mkdir()
    save_signed(tmp_path / "signed" / "ct.tif", SIGNED)
    assert open_source(tmp_path / "signed").range == (-1000, 3000)
    assert levels_of(tmp_path / "signed") == 256
    Image.frombytes("I;16B", (64, 64), (RAMP // 16).astype(">u2").tobytes()).save(tmp_path / "big" / "a.tif")
    assert levels_of(tmp_path / "big") == 256


def test_a_folder_has_one_range(tmp_path: Path) -> None:
    """A number is the same grey level in each of its files."""
    for i in range(4):
        Image.fromarray(np.full((8, 8), 1000 * i + 37, dtype=np.uint16)).save(tmp_path / f"{i}.png")
    source = open_source(tmp_path)
    assert source.read(torch.arange(4))[:, 0, 0, 0].tolist() == [0, 85, 170, 255]
    assert source.notes == [
        "values from 37 to 3037: grey levels 0 to 255 are 37 to 3037 (pretrain --range LOW HIGH sets another range)",
        "4 of 4 images use fewer than 64 of the 256 grey levels",
    ]


def test_bytes_beside_scans_stay_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(RAMP // 16).save(tmp_path / "a.png")
    Image.fromarray(np.full((64, 64), 99, dtype=np.uint8)).save(tmp_path / "b.png")
    assert open_source(tmp_path).read(torch.tensor([1])).unique().tolist() == [99]


def test_a_folder_of_several_kinds_of_pixels_says_how_many_there_are_of_each(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(RAMP // 16).save(tmp_path / f"scan{i}.png")
    for i in range(2):
        Image.fromarray(np.full((64, 64), 99, dtype=np.uint8)).save(tmp_path / f"photo{i}.png")
    shared = "those of 8 bits stay as they are, one range makes grey levels of the others"
    assert (
        f"pixels are of several kinds: 16 bits in 3, 8 bits in 2 of 5 images; {shared}" in open_source(tmp_path).notes
    )
    Image.fromarray(np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)).save(tmp_path / "map.tif")
    notes = open_source(tmp_path).notes
    assert f"pixels are of several kinds: 16 bits in 3, 8 bits in 2, floating point in 1 of 6 images; {shared}" in notes
    assert "1 of 6 images uses fewer than 64 of the 256 grey levels" in notes
    for path in tmp_path.glob("photo*.png"):
        path.unlink()
    assert open_source(tmp_path).notes[1].endswith("of 4 images; one range makes grey levels of all")


def test_deep_images_that_no_range_was_looked_for_in_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SAMPLED", 2)
    for name in "ace":
        Image.fromarray(np.full((64, 64), 99, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    Image.fromarray(RAMP // 16).save(tmp_path / "b.png")
    told = "1 of 4 images has more than 8 bits: grey levels 0 to 255 are 0 to 65535 (pretrain --range LOW HIGH)"
    for _ in ("decoded", "from the cache"):
        assert open_source(tmp_path).notes == [told]


def test_channels_that_no_image_has_are_refused_before_all_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(30):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i:02}.png")
    decoded = []
    monkeypatch.setattr(images.pictures, "decode", lambda path, *given: decoded.append(path) or decode(path, *given))
    told = r"none of the 8 images that were tried can be read \(00\.png: channels must be 1 or 3, as the images have"
    with pytest.raises(UserError, match=told):
        open_source(tmp_path, channels=2)
    assert len(decoded) == 8


def test_a_range_that_is_given_holds_and_what_it_clips_is_said(tmp_path: Path) -> None:
    Image.fromarray(RAMP // 16).save(tmp_path / "a.png")
    Image.fromarray(RAMP // 64).save(tmp_path / "b.png")
    source = open_source(tmp_path, range=(0, 1023))
    first, second = source.read(torch.arange(2))
    assert (first[0, -1] == 255).all()
    assert len(second.unique()) == 256
    assert source.notes == [
        "grey levels 0 to 255 are 0 to 1023",
        "values outside 0 to 1023 are clipped, in 1 of 2 images",
    ]
    whole = open_source(tmp_path, range=(0, 4095)).read(torch.tensor([1]))
    assert whole.max() == 64  # another range is not served from the cache of the first


def test_a_hot_pixel_does_not_take_the_levels_of_the_others(tmp_path: Path) -> None:
    pixels = RAMP // 64
    pixels[0, 0] = 65535
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = open_source(tmp_path)
    assert source.range[1] < 1100
    assert "the 0.1% and 99.9% quantiles" in source.notes[0]
    assert levels_of(tmp_path) > 250


def test_sixteen_bits_a_colour(tmp_path: Path) -> None:
    """12 bits of each colour in 16-bit PNG: 256 levels each, not the 16 of their high bytes."""
    colours = np.stack([RAMP // 16, RAMP[::-1] // 16, RAMP.T // 16], axis=2)
    save_rgb16(tmp_path / "a.png", colours)
    source = open_source(tmp_path, size=64)
    assert source.range == (0, 4095)
    sample = source.read(ONE)[0].numpy()
    expected = np.floor(colours.transpose(2, 0, 1) / 4095 * 255 + 0.5)
    np.testing.assert_array_equal(sample, expected)


def test_sixteen_bits_a_colour_with_transparency_lie_over_white(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 65535, dtype=np.uint16)
    pixels[..., 1:3] = 0
    pixels[:4, :, 3] = 0
    save_rgb16(tmp_path / "a.png", pixels)
    sample = open_source(tmp_path).read(ONE)[0]
    assert sample[:, 0, 0].tolist() == [255, 255, 255]
    assert sample[:, -1, 0].tolist() == [255, 0, 0]


def test_as_many_channels_as_a_file_has_if_they_are_asked_for(tmp_path: Path) -> None:
    """Transparency is a channel like others then."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    sample = open_source(tmp_path, channels=4).read(ONE)[0]
    np.testing.assert_array_equal(sample.numpy(), pixels.transpose(2, 0, 1))
    with pytest.raises(UserError, match=r"can be read .*channels must be 4, as the images have"):
        open_source(tmp_path, channels=5)


@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_many_channels(tmp_path: Path, how: dict[str, Any], dtype: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    top = 255 if dtype is np.uint8 else 4095
    pixels = np.random.default_rng(0).integers(0, top + 1, (6, 20, 20)).astype(dtype)
    pixels[:, 0, :2] = 0, top
    stored = pixels if how.get("planarconfig") == "separate" else pixels.transpose(1, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, **({"photometric": "minisblack", "planarconfig": "contig"} | how))
    source = open_source(tmp_path)
    assert source.range == (None if dtype is np.uint8 else (0, 4095))
    sample = source.read(ONE)[0].numpy()
    np.testing.assert_array_equal(sample, np.floor(pixels / top * 255 + 0.5))


def test_tiff_of_sixteen_bits_a_colour(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    colours = np.stack([RAMP // 16, RAMP[::-1] // 16, RAMP.T // 16], axis=2)
    for i, how in enumerate(({"byteorder": "<"}, {"byteorder": ">"}, {"byteorder": "<", "compression": "zlib"})):
        tifffile.imwrite(tmp_path / f"{i}.tif", colours, photometric="rgb", **how)
    batch = open_source(tmp_path, size=64).read(torch.arange(3)).numpy()
    for sample in batch:
        np.testing.assert_array_equal(sample, np.floor(colours.transpose(2, 0, 1) / 4095 * 255 + 0.5))


def test_a_vast_tiff_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((64, 64, 5), np.uint16), photometric="minisblack", planarconfig="contig"
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="too large to be decoded safely"):
        open_source(tmp_path)


def test_values_that_are_no_numbers_are_listed(tmp_path: Path) -> None:
    Image.fromarray((RAMP / 65535).astype(np.float32)).save(tmp_path / "a.tif")
    Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)).save(tmp_path / "b.tif")
    source = open_source(tmp_path)
    assert source.ids == ["a.tif"]
    assert source.skipped == [("b.tif", "holds values that are NaN or infinite")]


@pytest.mark.parametrize(
    ("array", "range"),
    [
        (RAMP[None] // 16, (0, 4095)),
        (SIGNED[None], (-1000, 3000)),
        (RAMP[None] / 65535 * 5 - 2, (-2, 3)),
        (RAMP[None].astype(np.float32) / 257, (0, 255)),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "memory"])
def test_all_grey_levels_of_an_array_survive(array: np.ndarray, range: Any, kind: str, tmp_path: Path) -> None:
    data: Any = array
    if kind == "npy":
        np.save(data := tmp_path / "a.npy", array)
    elif kind == "npz":
        np.savez(data := tmp_path / "a.npz", x=array)
    source = open_source(data)
    assert source.range == pytest.approx(range)
    assert len(source.read(ONE).unique()) == 256
    assert len(source.notes) == 1


def test_numbers_of_an_array_that_a_range_clips_are_told() -> None:
    assert open_source(RAMP[None] // 16, range=(0, 5000)).notes == ["grey levels 0 to 255 are 0 to 5000"]
    assert open_source(RAMP[None] // 16, range=(100, 5000)).notes == [
        "grey levels 0 to 255 are 100 to 5000",
        "its values are from 0 to 4095: those outside are clipped",
    ]


def test_the_range_of_a_file_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", RAMP[None] // 16)
    first = open_source(tmp_path / "a.npy")
    monkeypatch.setattr(arrays, "find_extent", None)
    again = open_source(tmp_path / "a.npy")
    assert (again.range, again.notes) == (first.range, first.notes) == ((0, 4095), first.notes)


def test_usual_arrays_have_no_range_and_dark_ones_are_told() -> None:
    assert open_source(RAMP[None] / 65535).range is None
    assert open_source(RAMP[None] / 65535).notes == []
    assert open_source(RAMP[None] / 65535 / 100).notes == [
        "values from 0 to 0.01 use 3 of the 256 grey levels, which are 0 to 1: pretrain --range 0 0.01 uses all"
    ]


def test_the_range_is_that_of_all_rows() -> None:
    rows = np.zeros((5000, 4, 6), dtype=np.int16)
    rows[4321, 2, 2] = 900
    rows[17] = -100
    rows[18] = 500
    assert open_source(rows).range == (-100, 900)


@pytest.mark.parametrize("order", ["last", "first"])
@pytest.mark.parametrize("channels", [2, 4, 13])
def test_arrays_of_other_channels(order: str, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 32, 40, channels), dtype=np.uint8)
    data = array if order == "last" else array.transpose(0, 3, 1, 2)
    assert open_source(data).read(ONE).shape == (1, channels, 32, 40)
    assert open_source(data, channels=channels).read(ONE).shape == (1, channels, 32, 40)
    with pytest.raises(UserError, match=f"channels must be {channels}, as the images have, got 3"):
        open_source(data, channels=3)


def test_channels_that_are_said_decide_which_axis_they_are() -> None:
    square = np.zeros((2, 5, 6, 6), dtype=np.uint8)
    with pytest.raises(UserError, match="--channels says how many"):
        open_source(square)
    assert open_source(square, channels=5).read(ONE).shape == (1, 5, 6, 6)
    assert open_source(square.transpose(0, 2, 3, 1), channels=5).read(ONE).shape == (1, 5, 6, 6)


def test_levels_count_what_they_clip() -> None:
    levels = Levels((0, 100))
    assert levels(np.array([-1, 0, 50, 100, 101])).tolist() == [0, 0, 128, 255, 255]
    assert (levels.outside, levels.numbers, levels.clips) == (2, 5, True)
    with pytest.raises(ValueError, match="NaN"):
        levels(np.array([np.inf]))


def test_an_extent_of_nothing() -> None:
    assert find_extent([]) is None
    assert find_extent([np.full(3, np.nan)]) is None


@pytest.mark.parametrize("given", [(1, 1), (2, 1), (0, np.inf), (1, 2, 3), ("a", "b")])
def test_impossible_ranges(given: Any) -> None:
    with pytest.raises(UserError, match="range must be two numbers, the lower one first, got"):
        open_source(RAMP[None], range=given)


def test_pillow_images_of_a_dataset(tmp_path: Path) -> None:
    pictures = [Image.fromarray(RAMP // 16), Image.fromarray(RAMP // 32)]
    source = open_source(pictures, size=64)
    assert len(source.read(ONE).unique()) == 256
    assert source.range == (0, 4095)
    assert open_source(pictures, size=64, range=(0, 8190)).read(ONE).max() == 128
    pictures[0].save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 64, 1, Levels((0, 4095))), source.read(ONE)[0].numpy())
