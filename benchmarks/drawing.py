"""Charts for the documentation, as SVG: lines with their intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#7f7f7f", "#cc79a7", "#56b4e9")  # Okabe and Ito, told apart by all eyes
WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 20, 52


class Line(NamedTuple):
    """Points of a line, and half their interval."""

    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float] | None = None
    dashed: bool = False


class Axis(NamedTuple):
    """What an axis says, and where its ticks are."""

    title: str
    ticks: Mapping[float, str]
    log: bool = False


def draw(path: Path, lines: Mapping[str, Line], x: Axis, y: Axis) -> None:
    """Write a chart; names stand at the ends of the lines."""

    def place(value: float, axis: Axis, low: int, high: int) -> float:
        least, most = min(axis.ticks), max(axis.ticks)
        if axis.log:
            value, least, most = (math.log(each) for each in (value, least, most))
        return low + (min(max(value, least), most) - least) / (most - least) * (high - low)

    def across(value: float) -> float:
        return place(value, x, LEFT, WIDTH - RIGHT)

    def up(value: float) -> float:
        return place(value, y, HEIGHT - BOTTOM, TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="14" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for value, text in y.ticks.items():
        parts.append(f'<path d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(value) + 5:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks.items():
        parts.append(
            f'<text x="{across(value):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{escape(text)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.title)}</text>'
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(y.title)}</text>'
    )
    ends = _apart([up(line.y[-1]) for line in lines.values()])
    for (name, line), colour, end in zip(lines.items(), COLOURS, ends, strict=False):
        points = [(across(a), up(b)) for a, b in zip(line.x, line.y, strict=True)]
        for (a, _), b, half in zip(points, line.y, line.half or [0.0] * len(points), strict=True):
            parts.append(f'<path d="M{a:.1f} {up(b - half):.1f}V{up(b + half):.1f}" stroke="{colour}" opacity="0.6"/>')
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if not line.dashed:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        parts.append(f'<text x="{points[-1][0] + 10:.1f}" y="{end + 5:.1f}" fill="{colour}">{escape(name)}</text>')
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _apart(heights: Sequence[float], least: float = 17.0) -> list[float]:
    """Heights of names, moved so that none covers another."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    found = list(heights)
    for before, after in itertools.pairwise(order):
        found[after] = max(found[after], found[before] + least)
    return found
