"""From one picture of any kind, or a batch of pixels, to uniform uint8 samples."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import ExifTags, Image
from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA", "La", *SIXTEEN_BITS)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LARGEST, LARGEST_ON_CPU = 96, 64
# Averaging whole blocks down to twice the wanted size first is several times faster and looks the same.
GAP = 2
STRIPE_PIXELS = 2**22
LARGE_PIXELS = 2**24
_one_large = threading.Lock()


def usual_size(sides: Sequence[int]) -> int:
    """The size for pictures with these shorter sides, in pixels: their median, 96 at most.

    On a machine without an accelerator 64 at most: an epoch costs half the time and memory.
    """
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    largest = LARGEST if accelerated else LARGEST_ON_CPU
    return min(largest, int(statistics.median(sides))) if sides else largest


def decode(path: Path, size: int, channels: int) -> UInt8[np.ndarray, "c h w"]:
    """The picture in a file, upright, its shorter side resized (antialiased) to `size`, centre-cropped.

    Transparency lies over white, 16 bits are scaled to 8, an animation gives its first frame. Raises what
    Pillow raises for a file that is broken, too large or no picture.
    """
    with (
        Image.open(path, formats=FORMATS) as picture,
        # Large pictures wait for one another: a decoded one takes up to 700 MB.
        _one_large if picture.width * picture.height > LARGE_PIXELS else nullcontext(),
    ):
        picture.draft(None, (GAP * size, GAP * size))
        picture.load()
        return uniform(picture, size, channels)


def uniform(picture: Image.Image, size: int, channels: int) -> UInt8[np.ndarray, "c h w"]:
    """A picture of any mode as `size` x `size` pixels of 1 (grey) or 3 (RGB) channels; see `decode`."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    factor = max(side // (GAP * size), 1)
    mode = _working_mode(picture)
    small = Image.new(mode, (-(-side // factor),) * 2)
    # Stripe by stripe, so that no second copy of a large picture is made.
    rows = max(STRIPE_PIXELS // side // factor, 1) * factor
    for y in range(0, side, rows):
        stripe = picture.crop((left, top + y, left + side, top + min(y + rows, side)))
        small.paste(_converted(stripe, mode).reduce(factor), (0, y // factor))
    box = (0, 0, side / factor, side / factor)
    small = small.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if mode == "RGBa":
        small = _over_white(small)
    orientation = picture.getexif().get(ExifTags.Base.Orientation)
    if orientation in UPRIGHT:
        small = small.transpose(UPRIGHT[orientation])
    pixels = np.asarray(small.convert("L" if channels == 1 else "RGB"))
    return np.array(pixels.reshape(size, size, channels).transpose(2, 0, 1), order="C")


def fit(batch: UInt8[Tensor, "n c h w"], size: int | None, channels: int | None) -> UInt8[Tensor, "n d i j"]:
    """A batch resized and cropped as `decode` does, its colours greyed or its grey repeated; None: kept."""
    if size is not None and batch.shape[2:] != (size, size):
        side = min(batch.shape[2:])
        top, left = (batch.shape[2] - side) // 2, (batch.shape[3] - side) // 2
        batch = batch[:, :, top : top + side, left : left + side]
        batch = F.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)
    if channels == 1 and batch.shape[1] == 3:
        red, green, blue = batch.int().unbind(1)
        batch = ((19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16).to(torch.uint8)[:, None]
    elif channels == 3 and batch.shape[1] == 1:
        batch = batch.expand(-1, 3, -1, -1)
    return batch.contiguous()


def is_grey(picture: Image.Image) -> bool:
    """Whether the picture is stored without colour."""
    return picture.mode in GREY


def reason(error: Exception) -> str:
    """Why a file could not be read, in a few words on one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known type, or its start is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return "too large to be decoded safely: " + str(error).partition(",")[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _working_mode(picture: Image.Image) -> str:
    """L, RGB or, where something shows through, RGBa: colours multiplied by alpha average rightly."""
    if picture.has_transparency_data:
        return "RGBa"
    return "L" if is_grey(picture) else "RGB"


def _converted(stripe: Image.Image, mode: str) -> Image.Image:
    if stripe.mode in SIXTEEN_BITS:
        levels = np.asarray(stripe).astype(np.int64).clip(0, 65535)
        stripe = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    elif stripe.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if mode == "RGBa" and stripe.mode not in ("RGBA", "RGBa"):
        stripe = stripe.convert("RGBA")
    return stripe if stripe.mode == mode else stripe.convert(mode)


def _over_white(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture).astype(np.uint16)
    return Image.fromarray(np.minimum(pixels[..., :3] + (255 - pixels[..., 3:]), 255).astype(np.uint8))
