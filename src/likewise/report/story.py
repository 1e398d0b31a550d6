"""The story of a run as one still picture, for a README: views, similarity by stage, accuracy by labels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from likewise.errors import UserError
from likewise.own_files import png_info
from likewise.report.charts import label_positions, moved_apart, protocol_style
from likewise.report.contents import Contents, read_contents
from likewise.report.headline import headline, protocol_name
from likewise.report.sections.training import MOST_PAIRS, stage_indices
from likewise.report.sprites import picture_image

WIDTH = 1600
SCALE = 2
"""All is drawn this many times larger and then reduced, for smooth lines; lengths are final pixels."""
MARGIN = 48
GAP = 36
TITLE_HEIGHT = 52
CHART_HEIGHT = 420
INK, MUTED, RULE = "#1b1f24", "#646b75", "#dfe2e7"
LOW, MIDDLE, HIGH = (np.array(rgb, dtype=np.float64) for rgb in ((33, 102, 172), (244, 244, 242), (194, 65, 12)))
OTHER_COLOUR = "#8b919a"


def story_png(run_folder: Path, out: Path) -> Path:
    """Write a PNG, 1600 pixels wide, of the views of a run, its similarity matrices and its evaluation.

    Raises:
        UserError: `run_folder` is not a run folder, or has none of the three parts yet.
    """
    contents = read_contents(run_folder)
    bands = [band for draw in (_views, _stages, _evaluation) if (band := draw(contents)) is not None]
    if not bands:
        needed = "pairs.npz, snapshots.npz or evaluation.json"
        raise UserError(f"run {str(run_folder)!r} has nothing to draw yet: it lacks {needed}")
    heights = [band.image.height // SCALE for band in bands]
    story = Image.new("RGB", (WIDTH, sum(heights) + GAP * (len(bands) - 1) + 2 * MARGIN), "white")
    top = MARGIN
    for band, height in zip(bands, heights, strict=True):
        story.paste(band.image.resize((WIDTH, height), Image.Resampling.LANCZOS), (0, top))
        top += height + GAP
    out.parent.mkdir(parents=True, exist_ok=True)
    story.save(out, "PNG", optimize=True, pnginfo=png_info())
    return out


class _Band:
    """A white strip with a title, `height` pixels below it, and a pen that takes final pixels."""

    def __init__(self, title: str, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, (TITLE_HEIGHT + height) * SCALE), "white")
        self._draw = ImageDraw.Draw(self.image)
        size = 30
        while size > 16 and self._draw.textlength(title, _font(size)) > (WIDTH - 2 * MARGIN) * SCALE:
            size -= 1
        self.text(MARGIN, 0, title, INK, size)

    def text(self, x: int | float, y: int | float, text: str, colour: str, size: int = 20, anchor: str = "la") -> None:
        plain = text.replace("\u00a0", " ")  # the built-in font has no such letter
        self._draw.text((x * SCALE, y * SCALE), plain, colour, _font(size), anchor=anchor)

    def line(self, points: Sequence[tuple[int | float, int | float]], colour: str, width: int) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, colour, width * SCALE, joint="curve")

    def dot(self, x: int | float, y: int | float, radius: int, colour: str) -> None:
        left, top, reach = (x - radius) * SCALE, (y - radius) * SCALE, 2 * radius * SCALE
        self._draw.ellipse((left, top, left + reach, top + reach), colour)

    def picture(self, x: int | float, y: int | float, picture: Image.Image, side: int) -> None:
        enlarged = max(picture.size) < side * SCALE
        resampling = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        square = picture.convert("RGB").resize((side * SCALE, side * SCALE), resampling)
        self.image.paste(square, (round(x * SCALE), round(y * SCALE)))

    def paragraph(self, x: int | float, y: int | float, text: str, side: int) -> None:
        """As much of `text` as finds room in a square."""
        font, size, lines = _font(16), 16, [""]
        for word in text.split():
            line = f"{lines[-1]} {word}".strip()
            if lines[-1] and self._draw.textlength(line, font) > side * SCALE:
                lines.append(word)
            else:
                lines[-1] = line
        most = side // (size + 4)
        shown = lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} …"]
        for number, line in enumerate(shown):
            self.text(x, y + number * (size + 4), line, INK, size)


def _views(contents: Contents) -> _Band | None:
    found = contents.pairs
    if found is None:
        return None
    if found.halves:
        title = "Pairs that belong together"
    else:
        title = "Training samples" if found.unchanged else "Two random views of each sample"
    sides = [found.first] if found.unchanged else [found.first, found.second]
    rows = [side for side in sides if side.pictures is not None or side.texts]
    if not rows:
        return None
    lefts, side = _columns(min(MOST_PAIRS, len(found.first)))
    band = _Band(title, len(rows) * (side + 8) - 8)
    for row, samples in enumerate(rows):
        top = TITLE_HEIGHT + row * (side + 8)
        for index, left in enumerate(lefts):
            if samples.pictures is not None:
                band.picture(left, top, picture_image(samples.pictures[index]), side)
            elif samples.texts:
                band.paragraph(left, top, samples.texts[index], side)
    return band


def _stages(contents: Contents) -> _Band | None:
    found = contents.snapshots
    if found is None or not len(found.steps):
        return None
    kept = stage_indices(found.steps)
    lefts, side = _columns(len(kept))
    band = _Band("Cosine similarity of the views during training", side + 34)
    for left, index in zip(lefts, kept, strict=True):
        heat = Image.fromarray(similarity_colours(found.similarity[index]))
        band.picture(left, TITLE_HEIGHT, heat, side)
        band.text(left, TITLE_HEIGHT + side + 8, f"epoch {found.epochs[index]:.3g}", MUTED)
    return band


def similarity_colours(matrix: Float[np.ndarray, "views views"]) -> UInt8[np.ndarray, "views views rgb"]:
    """Cosines as RGB: -1 blue, 0 nearly white, 1 orange."""
    share = np.clip(np.abs(matrix), 0, 1)[..., None]
    end = np.where(matrix[..., None] < 0, LOW, HIGH)
    return np.round(MIDDLE + share * (end - MIDDLE)).astype(np.uint8)


def _evaluation(contents: Contents) -> _Band | None:
    evaluation = contents.evaluation
    if evaluation is None or not evaluation.protocols:
        return None
    band = _Band(headline(evaluation) or "Accuracy by labels per class", CHART_HEIGHT + 76)
    left, right, top = MARGIN + 76, WIDTH - MARGIN - 330, TITLE_HEIGHT + 10
    logs = {count: math.log(place) for count, place in label_positions(evaluation).items()}
    first, last = min(logs.values()), max(logs.values())

    def x(count: int | str) -> float:
        return left + 40 + (right - left - 80) * (logs[count] - first) / ((last - first) or 1.0)

    def y(accuracy: int | float) -> float:
        return top + CHART_HEIGHT * (1.0 - accuracy)

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        band.line([(left, y(tick)), (right, y(tick))], RULE, 2)
        band.text(left - 14, y(tick), f"{100 * tick:.0f} %", MUTED, anchor="rm")
    for count in evaluation.counts:
        band.text(x(count), y(0) + 12, str(count), INK, anchor="mt")
    band.text((left + right) / 2, y(0) + 42, "labels per class", MUTED, anchor="mt")
    ends: list[tuple[float, str, str]] = []
    colours = _page_colours()
    styles = {protocol: protocol_style(protocol, evaluation) for protocol in evaluation.protocols}
    for protocol in sorted(styles, key=lambda protocol: styles[protocol][1] == "solid"):  # solid lines last, on top
        bold = styles[protocol][1] == "solid"
        colour = colours[styles[protocol][0]] if bold else OTHER_COLOUR
        rows = [(count, row) for count in evaluation.counts if (row := evaluation.summary(protocol, count))]
        band.line([(x(count), y(row["mean"])) for count, row in rows], colour, 4 if bold else 2)
        for count, row in rows:
            if row["low"] is not None:
                band.line([(x(count), y(row["low"])), (x(count), y(row["high"]))], colour, 2)
            band.dot(x(count), y(row["mean"]), 7 if bold else 4, colour)
        ends.append((y(rows[-1][1]["mean"]), protocol_name(protocol, evaluation), colour))
    majority = evaluation.get("majority")
    if majority is not None:
        for start in range(left, right, 18):
            band.line([(start, y(majority)), (start + 9, y(majority))], MUTED, 2)
        ends.append((y(majority), "most frequent class", MUTED))
    ends.sort()
    for place, (_, name, colour) in zip(moved_apart([end[0] for end in ends], gap=26.0, most=y(0)), ends, strict=True):
        band.text(right + 14, place, name, colour, 21, anchor="lm")
    return band


def _page_colours() -> dict[str, str]:
    """The colours of page.css on white paper, by name."""
    css = (resources.files("likewise.report") / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", css.partition("}")[0]))


def _columns(count: int) -> tuple[list[float], int]:
    """Left edges and the side of `count` squares in a row; at least six would fit."""
    places = max(count, 6)
    pitch = (WIDTH - 2 * MARGIN + 20) / places
    return [MARGIN + n * pitch for n in range(count)], int(pitch - 20)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)
