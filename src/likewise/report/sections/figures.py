"""What the method itself shows of a few samples."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from likewise.report.contents import Contents
from likewise.report.pieces import Section, columns, joined
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
    body, sprites = figures_html(contents.figures, "figure")
    return Section("Method figures", body, sprites=sprites)


def figures_html(figures: Sequence[Figure], name: str) -> tuple[Markup, list[SpriteSheet]]:
    """Figures one below the other, and their pictures, in sheets whose names begin with `name`."""
    parts, sprites = [], []
    for index, figure in enumerate(figures):
        found = [sprites_of(row, f"{name}-{index}-{number}", side=SIDE) for number, row in enumerate(figure.rows)]
        sprites += [sheet for sheet in found if sheet is not None]
        rows = _in_columns(figure, found) if _is_narrow(figure, found) else _by_sample(figure, found)
        parts.append(Markup("<h3>{}</h3><p>{}</p>{}").format(figure.title, figure.caption, rows))
    return joined(parts), sprites


def _is_narrow(figure: Figure, sprites: list[SpriteSheet | None]) -> bool:
    """Whether everything finds room in narrow columns."""
    texts = [text for row in figure.rows if row.pictures is None for text in row.texts or []]
    silent = all(row.sounds is None for row in figure.rows)
    return silent and all(len(text) <= MAX_LETTERS for text in texts) and not any(s and s.broad for s in sprites)


def _in_columns(figure: Figure, sprites: list[SpriteSheet | None]) -> Markup:
    lines = []
    for row, sheet in zip(figure.rows, sprites, strict=True):
        cells = []
        for index in range(len(row)):
            text = row.texts[index] if row.texts else ""
            label = " ".join(part for part in (row.name, str(index + 1), text) if part)
            picture = picture_html(sheet, index, label) if sheet else ""
            words = Markup("<p>{}</p>").format(text) if text else ""
            cells.append(Markup("<div{}>{}{}</div>").format(_mark(text), picture, words))
        line = Markup('<div class="shown-row"><p class="name">{}</p>{}</div>')
        lines.append(line.format(row.name, joined(cells)))
    count = max((len(row) for row in figure.rows), default=1)
    return Markup('<div class="shown" data-columns="{}">{}</div>').format(columns(count), joined(lines))


def _by_sample(figure: Figure, sprites: list[SpriteSheet | None]) -> Markup:
    cases = []
    for index in range(max((len(row) for row in figure.rows), default=0)):
        lines = []
        for row, sheet in zip(figure.rows, sprites, strict=True):
            if index < len(row):
                cell = sample_html(row, sheet, index, f"{row.name} {index + 1}".strip())
                text = row.texts[index] if row.texts else ""
                line = Markup('<p class="name">{}</p><div{}>{}</div>')
                lines.append(line.format(row.name, _mark(text), cell))
        cases.append(Markup('<div class="case">{}</div>').format(joined(lines)))
    kind = "cases" if all(row.only_texts for row in figure.rows) else "cases two"
    return Markup('<div class="{}">{}</div>').format(kind, joined(cases))


def _mark(text: str) -> Markup:
    kind = next((MARKS[letter] for letter in text if letter in MARKS), None)
    return Markup(' class="{}"').format(kind) if kind else Markup("")
