"""From one picture of any kind, or a batch of pixels, to uniform uint8 samples."""

from __future__ import annotations

import logging
import math
import statistics
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Shaped, UInt8
from PIL import ExifTags, Image
from torch import Tensor

from likewise.data.content import AnyFile, readable, size_of
from likewise.data.endings import CAMERA_RAW
from likewise.data.levels import Levels
from likewise.data.tiling import Place
from likewise.errors import UserError, needs
from likewise.own_files import is_own_picture

# What Pillow reads by itself, and knows by its first bytes: no format that starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "QOI", "ICO", "SGI")
BY_NAME = {".tga": "TGA", ".dib": "DIB"}  # these have no first bytes of their own
UNREAD = {  # where a file of the kind has which bytes
    "HEIC": (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftypmsf1")),
    "JPEG XL": (0, (b"\xff\n", b"\0\0\0\x0cJXL ")),
    "DICOM": (128, (b"DICM",)),
    "Photoshop": (0, (b"8BPS",)),
    "FITS": (0, (b"SIMPLE  =",)),
}
WHOLE_NUMBERS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
DEEP = (*WHOLE_NUMBERS, "F")
GREY = ("1", "L", "LA", "La", *DEEP)
DEEP_COLOURS = ("RGB;16", "RGBA;16", "CMYK;16")
BYTES = "8 bits"
SIXTEEN_BITS = (0.0, 65535.0)
START = 256  # bytes of a file that tell what it is
MOST_BYTES = 8  # for each pixel that Pillow would decode at most: of all channels together
MOST_COMPRESSED = 1100  # bytes that one of a deflated file can become
PNG_START = b"\x89PNG\r\n\x1a\n"
TIFF_AXES = {"YX": (0, 1), "YXS": (2, 0, 1), "SYX": (0, 1, 2)}  # to channels, height, width
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
BACKWARDS, UPWARDS = (2, 3, 7, 8), (3, 4, 6, 7)  # stored columns, and rows, that are the last ones of what is upright
LARGEST, LARGEST_ON_CPU = 96, 64
MIDDLE_GREY = 127  # around a picture in a square
LETTERBOX = 2  # raise it when `letterboxed` would make other pixels of the same file
# Averaging whole blocks down to twice the wanted size first is several times faster and looks the same.
GAP = 2
STRIPE_PIXELS = 2**22
LARGE_PIXELS = 2**24
_one_large = threading.Lock()


class UnreadPictureError(ValueError):
    """A file holds a picture, but one that is not read; the message says why."""


class Header(NamedTuple):
    """What a file says of its picture before it is decoded."""

    side: int
    """The shorter one, in pixels."""
    channels: int
    """1 where it is stored without colour, else 3; of TIFF files that Pillow does not read, all that there are."""
    pixels: str
    """What its numbers are: `BYTES`, or another kind in the words of people, such as "16 bits"."""


def usual_size(sides: Sequence[int]) -> int:
    """The size for pictures with these shorter sides, in pixels: their median, 96 at most.

    On a machine without an accelerator 64 at most: an epoch costs half the time and memory.
    """
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    largest = LARGEST if accelerated else LARGEST_ON_CPU
    return min(largest, int(statistics.median(sides))) if sides else largest


def opened(path: AnyFile) -> Image.Image | None:
    """The picture in a file, before it is decoded; None for a TIFF file that Pillow does not read.

    Raises what says what is wrong with it.
    """
    if path.name.lower().endswith(CAMERA_RAW):
        raise UnreadPictureError("raw data of a camera, which is not read: export it as TIFF or JPEG")
    named = BY_NAME.get(path.suffix.lower())
    try:
        picture = Image.open(readable(path), formats=(*FORMATS, named) if named else FORMATS)
    except Image.UnidentifiedImageError:
        with path.open("rb") as file:
            start = file.read(START)
        if start.startswith(TIFF_STARTS):
            return None
        for kind, (place, signs) in UNREAD.items():
            if start.startswith(signs, place):
                raise UnreadPictureError(f"{kind}, which is not read: convert it to PNG or TIFF") from None
        raise
    return picture


def is_own(path: Path) -> bool:
    """Whether a file is a picture that likewise has drawn."""
    with path.open("rb") as file:
        if not file.read(START).startswith(PNG_START):
            return False
    with suppress(Exception), Image.open(path, formats=("PNG",)) as picture:
        return is_own_picture(picture)
    return False


@contextmanager
def quietly() -> Iterator[None]:
    """Remarks about single files (odd EXIF, large sizes) are no news: what fails is listed."""
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def recognises(path: AnyFile) -> bool:
    """Whether a file holds a picture, by its first bytes, also of a kind that is not read."""
    try:
        with quietly():
            if (picture := opened(path)) is not None:
                picture.close()
    except (UnreadPictureError, Image.DecompressionBombError):
        return True
    except Image.UnidentifiedImageError:
        return False
    except OSError as error:
        if error.errno is None:  # Pillow's own, of what begins as a picture and goes on as something else
            return False
        raise
    except Exception:
        return False
    return True


def decode(
    path: AnyFile, size: int, channels: int, levels: Levels | None = None
) -> UInt8[np.ndarray, "{channels} {size} {size}"]:
    """The picture in a file, upright, its shorter side resized (antialiased) to `size`, centre-cropped.

    Transparency lies over white, an animation gives its first frame. `levels` makes bytes of pixels of more than
    8 bits; without it whole numbers are taken for 16 bits. For 1 or 3 channels colours become grey, and grey is
    repeated; any other number of channels must be that of the file. Raises what Pillow or tifffile raises for a file
    that is broken, too large or no picture.
    """
    picture = opened(path)
    if picture is None:
        return _uniform_planes(_tiff_planes(path), size, channels, levels)
    with picture, _turn(picture.width * picture.height):
        if channels not in (1, 3) or _has_deep_colours(picture):
            return _uniform_planes(_planes(picture), size, channels, levels, of=picture)
        picture.draft(None, (GAP * size, GAP * size))
        picture.load()
        return uniform(picture, size, channels, levels)


class Letterboxed(NamedTuple):
    """A whole picture, or a part of one, within a square."""

    pixels: UInt8[np.ndarray, "c s s"]
    frame: tuple[int, int, int, int]
    """Where it lies: left, top, width and height, in pixels."""
    size: tuple[int, int]
    """Its width and height in the file, upright."""


def letterboxed(path: AnyFile, size: int, channels: int) -> Letterboxed:
    """The picture in a file, upright, its longer side resized (antialiased) to `size`, in the middle of a grey square.

    As `decode` otherwise, for 1 or 3 channels. Raises what `decode` raises.
    """
    with _in_turn(path) as picture:
        stored = picture.size
        width, height = (max(1, round(side * size / max(stored))) for side in stored)
        picture.draft(None, (GAP * width, GAP * height))
        picture.load()
        orientation = picture.getexif().get(ExifTags.Base.Orientation)  # none of a TIFF file, which is turned by now
        small = _small(picture, (width, height), orientation)
    upright = stored[::-1] if orientation in SIDEWAYS else stored
    return _in_square(small, size, channels, upright)


class DecodedPicture:
    """A decoded picture, of which parts are made uniform one at a time, upright."""

    def __init__(self, stored: Image.Image) -> None:
        self.stored = stored
        self.orientation = stored.getexif().get(ExifTags.Base.Orientation)
        self.size = stored.size[::-1] if self.orientation in SIDEWAYS else stored.size

    def part(self, place: Place, side: int, size: int, channels: int) -> Letterboxed:
        """A part in the middle of a square of `side` of its pixels, which is resized (antialiased) to `size`.

        Args:
            place: left, top, right and bottom in the upright picture.
            side: of the square, at least those of the part.
            size, channels: of the square when it is made.
        """
        box = _as_stored(place, self.size, self.orientation)
        stored = self.stored if box == (0, 0, *self.stored.size) else self.stored.crop(box)
        width, height = (max(1, round(length * size / side)) for length in stored.size)
        small = _small(stored, (width, height), self.orientation)
        return _in_square(small, size, channels, (place[2] - place[0], place[3] - place[1]))

    def whole(self, size: int, channels: int) -> Letterboxed:
        """All of it, as `letterboxed` makes it but for the rounding of what a JPEG decoder shrinks."""
        return self.part((0, 0, *self.size), max(self.size), size, channels)


@contextmanager
def decoded(path: AnyFile) -> Iterator[DecodedPicture]:
    """The picture in a file, to take parts of. Raises what `letterboxed` raises, and its parts raise nothing."""
    with _in_turn(path) as picture:
        picture.load()
        _small(picture.crop((0, 0, 1, 1)), (1, 1), None)  # what cannot be converted is known before the first part
        yield DecodedPicture(picture)


@contextmanager
def _in_turn(path: AnyFile) -> Iterator[Image.Image]:
    """The picture in a file with annotations, before it is decoded; large ones one after the other."""
    picture = opened(path)
    if picture is None:
        raise UnreadPictureError("TIFF of a kind that is not read with annotations: convert it to PNG")
    with picture, _turn(picture.width * picture.height):
        yield picture


def _small(picture: Image.Image, size: tuple[int, int], orientation: Any) -> Image.Image:
    """A picture resized to `size`, on white where it is transparent, then turned as `orientation` says."""
    mode = _working_mode(picture)
    small = _converted(picture, mode, None).resize(size, Image.Resampling.BILINEAR, reducing_gap=GAP)
    small = _over_white(small) if mode == "RGBa" else small
    return small.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else small


def _in_square(small: Image.Image, size: int, channels: int, of: tuple[int, int]) -> Letterboxed:
    """A resized picture in the middle of a grey square; `of`: its width and height before."""
    small = small.convert("L" if channels == 1 else "RGB")
    width, height = small.size
    left, top = (size - width) // 2, (size - height) // 2
    pixels = np.full((size, size, channels), MIDDLE_GREY, dtype=np.uint8)
    pixels[top : top + height, left : left + width] = np.asarray(small).reshape(height, width, channels)
    return Letterboxed(np.ascontiguousarray(pixels.transpose(2, 0, 1)), (left, top, width, height), of)


def _as_stored(place: Place, size: tuple[int, int], orientation: Any) -> Place:
    """Where a part of an upright picture of such a size lies in the picture as it is stored."""
    (left, top, right, bottom), (width, height) = place, size
    across, down = (left, right), (top, bottom)
    if orientation in SIDEWAYS:
        across, down, width, height = down, across, height, width
    if orientation in BACKWARDS:
        across = (width - across[1], width - across[0])
    if orientation in UPWARDS:
        down = (height - down[1], height - down[0])
    return across[0], down[0], across[1], down[1]


def uniform(
    picture: Image.Image, size: int, channels: int, levels: Levels | None = None
) -> UInt8[np.ndarray, "{channels} {size} {size}"]:
    """A picture of any mode as `size` x `size` pixels of 1 (grey) or 3 (RGB) channels, or as its own; see `decode`."""
    if channels not in (1, 3):
        return _uniform_planes(_planes(picture), size, channels, levels, of=picture)
    return _upright(_resized(picture, size, levels), picture, channels)


def header(path: AnyFile) -> Header:
    """What a file says of its picture; raises what `decode` raises."""
    picture = opened(path)
    if picture is None:
        with _tiff_page(path) as page:
            return Header(min(page.imagewidth, page.imagelength), page.samplesperpixel, _kind_of(page.dtype))
    with picture:
        return Header(min(picture.size), 1 if is_grey(picture) else 3, _kind(picture))


def numbers(path: AnyFile) -> Shaped[np.ndarray, "c h w"]:
    """The numbers in a file as they are stored; raises what `decode` raises."""
    picture = opened(path)
    if picture is None:
        return _tiff_planes(path)
    with picture, _turn(picture.width * picture.height):
        return _planes(picture)


def fit(batch: UInt8[Tensor, "n c h w"], size: int | None, channels: int | None) -> UInt8[Tensor, "n d i j"]:
    """A batch resized and cropped as `decode` does, its colours greyed or its grey repeated; None: kept.

    Raises `UserError` where the images have other channels, which cannot be made into those that are asked for.
    """
    check_channels(batch.shape[1], channels)
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


def check_channels(there: int, wanted: int | None) -> None:
    """Raise `UserError` unless images of so many channels can be given as many as are wanted (None: any)."""
    if wanted not in (None, there) and {there, wanted} != {1, 3}:
        rule = "1 or 3" if there in (1, 3) else str(there)
        raise UserError(f"channels must be {rule}, as the images have, got {wanted}")


def is_grey(picture: Image.Image) -> bool:
    """Whether the picture is stored without colour."""
    return picture.mode in GREY


def is_deep(picture: Image.Image) -> bool:
    """Whether the picture, before it is decoded, has pixels of more than 8 bits."""
    return picture.mode in DEEP or _has_deep_colours(picture)


def _kind(picture: Image.Image) -> str:
    if not is_deep(picture):
        return BYTES
    return {"F": "floating point", "I": "32 bits"}.get(picture.mode, "16 bits")


def _kind_of(dtype: np.dtype[Any]) -> str:
    return "floating point" if dtype.kind == "f" else f"{8 * dtype.itemsize} bits"


def reason(error: Exception) -> str:
    """Why a file could not be read, in a few words on one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known type, or its start is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return "too large to be decoded safely: " + str(error).partition(",")[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _resized(picture: Image.Image, size: int, levels: Levels | None) -> Image.Image:
    """The square in the middle of a decoded picture, as grey or RGB bytes."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    factor = max(side // (GAP * size), 1)
    mode = _working_mode(picture)
    small = Image.new(mode, (-(-side // factor),) * 2)
    # Stripe by stripe, so that no second copy of a large picture is made.
    rows = max(STRIPE_PIXELS // side // factor, 1) * factor
    for y in range(0, side, rows):
        stripe = picture.crop((left, top + y, left + side, top + min(y + rows, side)))
        small.paste(_converted(stripe, mode, levels).reduce(factor), (0, y // factor))
    box = (0, 0, side / factor, side / factor)
    small = small.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return _over_white(small) if mode == "RGBa" else small


def _upright(small: Image.Image, picture: Image.Image | None, channels: int) -> UInt8[np.ndarray, "c h w"]:
    """What was made of a picture, turned as that one says."""
    orientation = None if picture is None else picture.getexif().get(ExifTags.Base.Orientation)
    if orientation in UPRIGHT:
        small = small.transpose(UPRIGHT[orientation])
    pixels = np.asarray(small.convert("L" if channels == 1 else "RGB"))
    return np.array(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1), order="C")


def _uniform_planes(
    planes: Shaped[np.ndarray, "c h w"],
    size: int,
    channels: int,
    levels: Levels | None,
    of: Image.Image | None = None,
) -> UInt8[np.ndarray, "d {size} {size}"]:
    """Numbers of any type and channels as `decode` makes them; `of`: the picture that they are from."""
    are_colours = channels in (1, 3) and len(planes) in (3, 4) and of is not None
    if not are_colours:
        check_channels(len(planes), channels)
    height, width = planes.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    planes = planes[:, top : top + side, left : left + side]
    if planes.dtype != np.uint8:
        planes = _levels_of(planes.dtype.kind, levels)(planes)
    if are_colours and of is not None:
        colours = Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)), of.mode)
        return _upright(_resized(colours, size, None), of, channels)
    made = [_upright(_resized(Image.fromarray(plane), size, None), of, 1)[0] for plane in planes]
    return fit(torch.from_numpy(np.stack(made))[None], None, channels)[0].numpy()


def _planes(picture: Any) -> Shaped[np.ndarray, "c h w"]:
    """The numbers of a picture as they are stored, of any type; a palette's as colours."""
    if not _has_deep_colours(picture):
        if picture.mode == "1":
            picture = picture.convert("L")
        elif picture.mode in ("P", "PA"):
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        pixels = np.asarray(picture)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    # Pillow keeps one byte of each colour of 16 bits: of two byte orders it is once the high and once the low one.
    tiles, mode = picture.tile, _raw_mode(picture)
    high, low = ("B", "L") if mode.endswith("B") or (mode.endswith("N") and sys.byteorder == "big") else ("L", "B")
    halves = []
    for order in (high, low):
        with Image.open(picture.filename or picture.fp, formats=FORMATS) as half:
            half.tile = [_with_raw_mode(tile, mode[:-1] + order) for tile in tiles]
            halves.append(np.asarray(half).transpose(2, 0, 1).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _has_deep_colours(picture: Image.Image) -> bool:
    return _raw_mode(picture).startswith(DEEP_COLOURS)


def _raw_mode(picture: Image.Image) -> str:
    """How the pixels of a file are stored, which Pillow knows before it has decoded them."""
    tiles = getattr(picture, "tile", None)
    arguments: Any = tiles[0][3] if tiles else None
    mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return mode if isinstance(mode, str) else ""


def _with_raw_mode(tile: Any, mode: str) -> Any:
    arguments = (mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode
    return tile._replace(args=arguments)


def _turn(pixels: int) -> AbstractContextManager[Any]:
    """Large pictures wait for one another: a decoded one takes up to 700 MB."""
    return _one_large if pixels > LARGE_PIXELS else nullcontext()


@contextmanager
def _tiff_page(path: AnyFile) -> Iterator[Any]:
    """The first image of a TIFF file that Pillow does not read, before it is decoded."""
    with needs("tifffile", "tiff").TiffFile(readable(path)) as file:
        page = file.pages[0]
        if page.axes not in TIFF_AXES or page.dtype is None or page.dtype.kind not in "uif":
            raise ValueError(f"holds {page.dtype or 'unknown'} values with axes {page.axes}, not an image of numbers")
        if page.size * page.dtype.itemsize > MOST_BYTES * (Image.MAX_IMAGE_PIXELS or math.inf):
            raise Image.DecompressionBombError(f"Image size ({page.size} values) exceeds limit, could be a bomb")
        stored = size_of(path) * (1 if page.compression == 1 else MOST_COMPRESSED)
        if math.prod(page.chunked) != len(page.dataoffsets) or page.size * page.dtype.itemsize > stored:
            raise ValueError(f"damaged: it holds less than an image of shape {page.shape}")
        yield page


def _tiff_planes(path: AnyFile) -> Shaped[np.ndarray, "c h w"]:
    with _tiff_page(path) as page, _turn(page.size):
        pixels, axes = page.asarray(), TIFF_AXES[page.axes]
        return pixels.transpose(axes) if len(axes) == 3 else pixels[None]


def _working_mode(picture: Image.Image) -> str:
    """L, RGB or, where something shows through, RGBa: colours multiplied by alpha average rightly."""
    if picture.has_transparency_data:
        return "RGBa"
    return "L" if is_grey(picture) else "RGB"


def _converted(stripe: Image.Image, mode: str, levels: Levels | None) -> Image.Image:
    if stripe.mode in DEEP:
        pixels = np.asarray(stripe)
        stripe = Image.fromarray(_levels_of(pixels.dtype.kind, levels)(pixels))
    if mode == "RGBa" and stripe.mode not in ("RGBA", "RGBa"):
        stripe = stripe.convert("RGBA")
    return stripe if stripe.mode == mode else stripe.convert(mode)


def _levels_of(kind: str, levels: Levels | None) -> Levels:
    if (levels is None or levels.of_whole_numbers) and kind == "f":
        raise ValueError("floating-point pixels, whose range is not known")
    return Levels(SIXTEEN_BITS) if levels is None else levels


def _over_white(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture).astype(np.uint16)
    return Image.fromarray(np.minimum(pixels[..., :3] + (255 - pixels[..., 3:]), 255).astype(np.uint8))
