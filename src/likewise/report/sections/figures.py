"""What the method itself shows of a few samples."""

from __future__ import annotations

from html import escape

from likewise.report.contents import Contents
from likewise.report.pieces import Section
from likewise.report.sample_html import sample_html, sprites_of
from likewise.report.sprites import SpriteSheet, picture_html
from likewise.runs.figures import Figure

SIDE = 144
MAX_LETTERS = 24
"""Of a text without a picture that finds room in a narrow column."""
MARKS = {"✓": "right", "✗": "wrong"}


def method_figures(contents: Contents) -> Section | None:
    """Rows of samples: side by side, one column a sample; what must be read or heard one sample after the other."""
    if not contents.figures:
        return None
    parts, sprites = [], []
    for index, figure in enumerate(contents.figures):
        found = [sprites_of(row, f"figure-{index}-{number}", side=SIDE) for number, row in enumerate(figure.rows)]
        sprites += [sheet for sheet in found if sheet is not None]
        rows = _in_columns(figure, found) if _is_narrow(figure, found) else _by_sample(figure, found)
        parts.append(f"<h3>{escape(figure.title)}</h3><p>{escape(figure.caption)}</p>{rows}")
    return Section("Method figures", "".join(parts), sprites=sprites)


def _is_narrow(figure: Figure, sprites: list[SpriteSheet | None]) -> bool:
    """Whether everything finds room in narrow columns."""
    texts = [text for row in figure.rows if row.pictures is None for text in row.texts or []]
    silent = all(row.sounds is None for row in figure.rows)
    return silent and all(len(text) <= MAX_LETTERS for text in texts) and not any(s and s.broad for s in sprites)


def _in_columns(figure: Figure, sprites: list[SpriteSheet | None]) -> str:
    lines = []
    for row, sheet in zip(figure.rows, sprites, strict=True):
        cells = []
        for index in range(len(row)):
            text = row.texts[index] if row.texts else ""
            label = " ".join(part for part in (row.name, str(index + 1), text) if part)
            picture = picture_html(sheet, index, label) if sheet else ""
            cells.append(f"<div{_mark(text)}>{picture}{f'<p>{escape(text)}</p>' if text else ''}</div>")
        lines.append(f'<div class="shown-row"><p class="name">{escape(row.name)}</p>{"".join(cells)}</div>')
    columns = max(len(row) for row in figure.rows)
    return f'<div class="shown" style="--columns:{columns}">{"".join(lines)}</div>'


def _by_sample(figure: Figure, sprites: list[SpriteSheet | None]) -> str:
    cases = []
    for index in range(max(len(row) for row in figure.rows)):
        lines = []
        for row, sheet in zip(figure.rows, sprites, strict=True):
            if index < len(row):
                cell = sample_html(row, sheet, index, f"{row.name} {index + 1}".strip())
                text = row.texts[index] if row.texts else ""
                lines.append(f'<p class="name">{escape(row.name)}</p><div{_mark(text)}>{cell}</div>')
        cases.append(f'<div class="case">{"".join(lines)}</div>')
    kind = "cases" if all(row.only_texts for row in figure.rows) else "cases two"
    return f'<div class="{kind}">{"".join(cases)}</div>'


def _mark(text: str) -> str:
    return next((f' class="{MARKS[letter]}"' for letter in text if letter in MARKS), "")
