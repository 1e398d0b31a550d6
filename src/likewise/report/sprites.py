"""Pictures on the page: those of a group in one sprite sheet, each shown as a piece of it."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

TINY = 32
"""Pictures up to this side (pixels) are kept to the bit and shown with visible pixels."""
BROAD = 1.4


@dataclass(frozen=True)
class SpriteSheet:
    """Equal pictures laid out in a grid, as one data URI."""

    name: str
    uri: str
    columns: int
    rows: int
    aspect: float
    """Width by height of a picture."""
    tiny: bool

    @property
    def broad(self) -> bool:
        """Whether the pictures are too wide for narrow columns."""
        return self.aspect > BROAD

    def css(self) -> Markup:
        """The rules that paint this sheet behind its samples, and bring a column and a row of it into view."""
        rules = [
            Markup(
                ".sheet-{}{{background-image:url({});aspect-ratio:{};background-size:{}% {}%;image-rendering:{}}}"
            ).format(
                self.name,
                self.uri,
                f"{self.aspect:.4f}",
                self.columns * 100,
                self.rows * 100,
                "pixelated" if self.tiny else "auto",
            )
        ]
        for axis, count in (("x", self.columns), ("y", self.rows)):
            rule = Markup(".sheet-{}[data-{}='{}']{{background-position-{}:{}}}")
            rules += [rule.format(self.name, axis, n, axis, _along(n, count)) for n in range(count)]
        return Markup("").join(rules)

    def position(self, index: int) -> str:
        """CSS background-position that brings picture `index` into view, at any size."""
        row, column = divmod(index, self.columns)
        return f"{_along(column, self.columns)} {_along(row, self.rows)}"

    def positions(self, count: int) -> list[str]:
        """The first `count` positions."""
        return [self.position(index) for index in range(count)]


def sprite_sheet(name: str, pictures: UInt8[np.ndarray, "m c h w"], *, side: int) -> SpriteSheet:
    """Lay pictures (grey or RGB) out in a sheet, shrunk so that none is larger than a square of `side` pixels."""
    images = [picture_image(picture) for picture in pictures]
    width, height = images[0].size
    shrink = min(1.0, side / math.sqrt(width * height))
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        images = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
        width, height = size
    columns = math.ceil(math.sqrt(len(images) * height / width))
    rows = math.ceil(len(images) / columns)
    canvas = Image.new(images[0].mode, (columns * width, rows * height))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        canvas.paste(image, (column * width, row * height))
    tiny = max(width, height) <= TINY
    return SpriteSheet(name, _data_uri(canvas, lossless=tiny), columns, rows, width / height, tiny)


def picture_image(picture: UInt8[np.ndarray, "c h w"]) -> Image.Image:
    """One picture, one or three channels, as a Pillow image."""
    return Image.fromarray(picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, -1))


def picture_html(sheet: SpriteSheet, index: int, text: str) -> Markup:
    """One picture of a sheet, described by `text`."""
    row, column = divmod(index, sheet.columns)
    place = Markup(
        '<span class="sample sheet-{}" data-x="{}" data-y="{}" role="img" aria-label="{}" title="{}"></span>'
    )
    return place.format(sheet.name, column, row, text, text)


def _along(index: int, count: int) -> str:
    return f"{100 * index / max(1, count - 1):.4g}%"


def _data_uri(image: Image.Image, *, lossless: bool) -> str:
    """PNG for tiny pictures; photographs as WebP, a tenth of the bytes."""
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "WEBP", quality=85)
    kind = "png" if lossless else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
