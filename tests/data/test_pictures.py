"""Every kind of image file becomes the right uint8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.data.pictures import decode, fit, reason, uniform

GRADIENT = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def decoded(picture: Image.Image, path: Path, channels: int = 3, **options: object) -> np.ndarray:
    picture.save(path, **options)
    return decode(path, min(picture.size), channels)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_lossless_rgb_is_kept(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    pixels = decoded(Image.fromarray(COLOURS), tmp_path / name, **options)
    np.testing.assert_array_equal(pixels, COLOURS.transpose(2, 0, 1))


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.stack([GRADIENT, GRADIENT[::-1], np.full_like(GRADIENT, 128)], axis=2)
    pixels = decoded(Image.fromarray(smooth), tmp_path / "a.jpg", quality=100, subsampling=0)
    assert np.abs(pixels.astype(int) - smooth.transpose(2, 0, 1)).mean() < 2


def test_grey_gives_three_equal_channels_or_one(tmp_path: Path) -> None:
    pixels = decoded(Image.fromarray(GRADIENT), tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, np.stack([GRADIENT] * 3))
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 16, 1), GRADIENT[None])


def test_colour_becomes_grey_by_its_luma(tmp_path: Path) -> None:
    pixels = decoded(Image.fromarray(COLOURS), tmp_path / "a.png", channels=1)
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels[0] - luma).max() <= 0.51


def test_black_and_white(tmp_path: Path) -> None:
    pixels = decoded(Image.fromarray(GRADIENT > 100), tmp_path / "a.png", channels=1)
    np.testing.assert_array_equal(pixels[0], np.where(GRADIENT > 100, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_over_white(tmp_path: Path, mode: str) -> None:
    alpha = GRADIENT[..., None]
    colour = COLOURS if mode == "RGBA" else COLOURS[..., :1]
    pixels = decoded(Image.fromarray(np.concatenate([colour, alpha], axis=2), mode), tmp_path / "a.png")
    opacity = alpha / 255
    expected = np.broadcast_to(colour * opacity + 255 * (1 - opacity), (16, 16, 3))
    assert np.abs(pixels - expected.transpose(2, 0, 1)).max() <= 1


def test_colours_hidden_by_transparency_do_not_bleed(tmp_path: Path) -> None:
    """Red beside fully transparent green, shrunk: pink, with no trace of green."""
    pixels = np.zeros((64, 64, 4), dtype=np.uint8)
    pixels[:, ::2] = (255, 0, 0, 255)
    pixels[:, 1::2] = (0, 255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    small = decode(tmp_path / "a.png", 4, 3).astype(int)
    assert np.abs(small - np.array([255, 128, 128])[:, None, None]).max() <= 2


def test_palette(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 2))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1, 1, 0])
    pixels = decoded(palette, tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[0], [[255, 0], [0, 255]])
    np.testing.assert_array_equal(pixels[2], [[0, 255], [255, 0]])


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_palette_with_a_transparent_colour(tmp_path: Path, name: str) -> None:
    palette = Image.new("P", (2, 2))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1, 1, 0])
    pixels = decoded(palette, tmp_path / name, transparency=1)
    np.testing.assert_array_equal(pixels[1], [[0, 255], [255, 0]])


def test_grey_with_a_transparent_level(tmp_path: Path) -> None:
    pixels = decoded(Image.fromarray(np.array([[0, 7], [7, 9]], dtype=np.uint8)), tmp_path / "a.png", transparency=7)
    np.testing.assert_array_equal(pixels[0], [[0, 255], [255, 9]])


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 255, 0))
    pixels = decoded(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])


def test_cmyk(tmp_path: Path) -> None:
    pixels = decoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=100)
    assert np.abs(pixels.astype(int) - np.array([255, 0, 0])[:, None, None]).max() <= 3
    pixels = decoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, name: str) -> None:
    levels = (GRADIENT.astype(np.uint16) * 257).reshape(16, 16)
    levels[0, 0], levels[0, 1] = 128, 129
    pixels = decoded(Image.fromarray(levels), tmp_path / name, channels=1)
    expected = GRADIENT.copy()
    expected[0, 0], expected[0, 1] = 0, 1
    np.testing.assert_array_equal(pixels[0], expected)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="floating-point"):
        decoded(Image.fromarray(np.ones((4, 4), dtype=np.float32)), tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_exif_orientation_is_undone(tmp_path: Path, name: str, orientation: int) -> None:
    """A file that stores the picture turned, and says so, is read upright."""
    upright = np.zeros((16, 16), dtype=np.uint8)
    upright[:8, :8], upright[:8, 8:] = 250, 100
    inverse = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(inverse[orientation]))
    pixels = decoded(stored, tmp_path / name, channels=1, exif=exif)
    assert np.abs(pixels[0].astype(int) - upright).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(40, 20), (21, 40), (20, 20)])
def test_centre_is_cropped_without_resampling_where_none_is_needed(width: int, height: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width), dtype=np.uint8)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    pixels = uniform(Image.fromarray(picture), side, 1)
    np.testing.assert_array_equal(pixels[0], picture[top : top + side, left : left + side])


@pytest.mark.parametrize("large", [100, 257, 3000])
def test_shrinking_is_antialiased_also_in_stripes(large: int) -> None:
    """A fine chequerboard becomes its mean, and a ramp stays a ramp, however many stripes it takes."""
    chequers = (np.indices((large, large)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(uniform(Image.fromarray(chequers), 10, 1).astype(int) - 127).max() <= 12
    ramp = np.broadcast_to(np.linspace(0, 255, large)[:, None], (large, large)).astype(np.uint8)
    expected = (np.arange(10) + 0.5) * 25.5
    assert np.abs(uniform(Image.fromarray(ramp), 10, 1)[0, :, 5] - expected).max() <= 4


def test_stripes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (203, 203, 4), dtype=np.uint8))
    whole = uniform(picture, 20, 3)
    monkeypatch.setattr("likewise.data.pictures.STRIPE_PIXELS", 1)
    np.testing.assert_array_equal(uniform(picture, 20, 3), whole)


def test_small_pictures_are_enlarged() -> None:
    np.testing.assert_array_equal(uniform(Image.new("RGB", (2, 1), (9, 8, 7)), 4, 3)[:, 3, 3], [9, 8, 7])


def test_fit_agrees_with_decoding() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (30, 44, 3), dtype=np.uint8)
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None]
    for channels in (1, 3):
        expected = uniform(Image.fromarray(picture), 24, channels).astype(int)
        assert np.abs(fit(batch, 24, channels)[0].numpy() - expected).max() <= 1


def test_fit_repeats_grey_and_keeps_what_fits() -> None:
    grey = torch.from_numpy(GRADIENT)[None, None]
    repeated = fit(grey, None, 3)
    assert repeated.is_contiguous()
    assert torch.equal(repeated[:, 2:], grey)
    assert torch.equal(fit(grey, 16, 1), grey)


def test_reasons_are_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(OSError) as failure:  # noqa: PT011
        decode(tmp_path / "text.jpg", 8, 3)
    assert reason(failure.value) == "not an image of a known type, or its start is damaged"
    assert reason(PermissionError(13, "Permission denied", "x.jpg")) == "Permission denied"
    assert reason(ValueError("two\nlines")) == "two lines"
    assert reason(MemoryError()) == "MemoryError"
