"""How explanations look: heat over a picture or a spectrogram, over the tokens of a text, curves and bars."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from markupsafe import Markup
from PIL import Image, ImageDraw
from torch import Tensor

from likewise.explanations.sample import ExplainedSample
from likewise.report.pieces import joined
from likewise.report.sounds import wav_uri

SIDE = 256  # px: smaller pictures are enlarged to about it
FOR, AGAINST, MARK = (213, 94, 0), (0, 104, 168), (255, 255, 255)
COVER = 0.75  # of a picture, by the largest value
LEVELS = 5  # of the heat of a token
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 420, 220, 44, 22, 36, 10  # of a chart, in px


def sample_picture(sample: ExplainedSample) -> UInt8[np.ndarray, "h w 3"]:
    """What a picture looks like, or the spectrogram of a recording."""
    picture = sample.views.picture(sample.view)[0].cpu().numpy()
    return np.moveaxis(np.broadcast_to(picture, (3, *picture.shape[1:])), 0, -1).copy()


def heat_image(
    sample: ExplainedSample, shape: tuple[int, ...], values: Float[Tensor, " parts"], *, mark: int | None = None
) -> Image.Image:
    """A picture, or a spectrogram, with heat: vermillion for what makes it more alike, blue for what makes it less.

    Args:
        sample: an image or a recording.
        shape: how the values are laid out.
        values: the largest size covers `COVER` of the picture.
        mark: a part to frame.
    """
    pixels = sample_picture(sample)
    factor = max(1, SIDE // max(pixels.shape[:2]))
    pixels = pixels.repeat(factor, 0).repeat(factor, 1)
    grey = pixels.mean(2, keepdims=True).repeat(3, 2)
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    down, across = (np.arange(side) * count // side for side, count in zip(pixels.shape, (rows, columns), strict=False))
    heat = values.reshape(rows, columns).numpy()[down][:, across][..., None]
    strength = COVER * np.abs(heat) / max(np.abs(heat).max(), 1e-12)
    colour = np.where(heat > 0, np.array(FOR), np.array(AGAINST))
    image = Image.fromarray((grey * (1 - strength) + colour * strength).round().astype(np.uint8))
    if mark is not None:
        row, column = divmod(mark, columns)
        tall, wide = pixels.shape[0] / rows, pixels.shape[1] / columns
        box = (column * wide, row * tall, (column + 1) * wide - 1, (row + 1) * tall - 1)
        ImageDraw.Draw(image).rectangle(box, outline=MARK, width=max(2, factor // 4))
    return image


def sample_html(
    sample: ExplainedSample,
    shape: tuple[int, ...] = (),
    names: Sequence[str] | None = None,
    values: Float[Tensor, " parts"] | None = None,
    *,
    mark: int | None = None,
    caption: str = "",
) -> Markup:
    """A sample with heat, or as it is."""
    if sample.modality == "text":
        shown = tokens_html(names or sample.parts.names or [], values, mark=mark)
    elif values is None:
        shown = picture_html(Image.fromarray(sample_picture(sample)), sample.name)
    else:
        shown = picture_html(heat_image(sample, shape, values, mark=mark), f"{sample.name}: {caption}")
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(shown, caption)


def player_html(sample: ExplainedSample) -> Markup:
    """A player for a recording; nothing for other samples."""
    if sample.modality != "audio":
        return Markup("")
    uri = wav_uri(sample.views.sounds(sample.view)[0].cpu().numpy(), sample.views.sample_rate)
    return Markup('<audio controls preload="metadata" src="{}" aria-label="{}"></audio>').format(uri, sample.name)


def picture_html(image: Image.Image, text: str) -> Markup:
    """A picture as a PNG within the page."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Markup('<img class="heat" src="{}" alt="{}">').format(uri, text)


def tokens_html(names: Sequence[str], values: Float[Tensor, " parts"] | None, *, mark: int | None = None) -> Markup:
    """Tokens with heat behind them."""
    levels = [0] * len(names) if values is None else heat_levels(values)
    numbers = [""] * len(names) if values is None else [f"{value:+.4f}" for value in values.tolist()]
    marked = ['class="mark"' if place == mark else "" for place in range(len(names))]
    spans = (
        Markup('<span data-heat="{}" title="{}" {}>{}</span> ').format(level, number, Markup(how), name)
        for level, number, how, name in zip(levels, numbers, marked, names, strict=True)
    )
    return Markup('<p class="tokens" dir="auto">{}</p>').format(joined(spans))


def heat_levels(values: Float[Tensor, " *shape"]) -> Any:
    """Values as whole numbers from -`LEVELS` to `LEVELS`, relative to the largest size."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    return (values * (LEVELS / max(largest, 1e-12))).round().long().tolist()


def matrix_html(
    rows: Sequence[str], columns: Sequence[str], values: Float[Tensor, "rows columns"], caption: str
) -> Markup:
    """Which token of one text matches which of another, as a table."""
    head = joined(Markup('<th scope="col">{}</th>').format(name) for name in columns)
    lines = []
    for name, row, levels in zip(rows, values.tolist(), heat_levels(values), strict=True):
        cells = joined(
            Markup('<td data-heat="{}">{}</td>').format(level, f"{value:.3f}")
            for value, level in zip(row, levels, strict=True)
        )
        lines.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, cells))
    return Markup(
        '<div class="scroll" tabindex="0"><table class="matrix"><caption>{}</caption>'
        "<thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, head, joined(lines))


def curves_html(shares: Sequence[float], curves: Mapping[str, Sequence[float]], title: str, x_title: str) -> Markup:
    """Lines over shares from 0 to 1, each named at the key below."""
    every = [value for curve in curves.values() for value in curve]
    least, most = min(0.0, *every), max(1.0, *every)

    def at(x: float, y: float) -> str:
        across = LEFT + x * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{TOP + (most - y) / (most - least) * (HEIGHT - TOP - BOTTOM):.1f}"

    ticks = joined(
        Markup('<path class="tick" d="M{} H{}"/><text x="{}" y="{}" text-anchor="end">{}</text>').format(
            at(0.0, y).replace(",", " "), WIDTH - RIGHT, LEFT - 6, float(at(0.0, y).split(",")[1]) + 4, f"{y:.1f}"
        )
        for y in (0.0, 0.5, 1.0)
    )
    lines = joined(
        Markup('<polyline class="line-{}" points="{}"/>').format(
            place, " ".join(at(x, y) for x, y in zip(shares, curve, strict=True))
        )
        for place, curve in enumerate(curves.values())
    )
    axis = joined(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            at(x, 0.0).split(",")[0], HEIGHT - BOTTOM + 16, f"{x:.0%}"
        )
        for x in (0.0, 0.5, 1.0)
    )
    key = joined(
        Markup(
            '<li><svg class="swatch" viewBox="0 0 24 11"><path class="line-{}" d="M0 5.5h24"/></svg> {}</li>'
        ).format(place, name)
        for place, name in enumerate(curves)
    )
    return Markup(
        '<figure class="curve"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}<text x="{}" y="{}" '
        'text-anchor="middle">{}</text></svg><figcaption>{}</figcaption><ul class="key">{}</ul></figure>'
    ).format(WIDTH, HEIGHT, title, ticks, lines, axis, (WIDTH + LEFT) / 2, HEIGHT - 2, x_title, title, key)


def bar_html(value: float) -> Markup:
    """A bar from 0 to 1; what is below 0 has none."""
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="all" width="100" height="8"/><rect class="part" width="{}" height="8"/></svg>'
    ).format(f"{100 * min(max(value, 0.0), 1.0):.1f}")


def strongest(values: Float[Tensor, " parts"], count: int) -> list[int]:
    """The places of the largest values, in descending order."""
    return torch.as_tensor(values).topk(min(count, len(values))).indices.tolist()
