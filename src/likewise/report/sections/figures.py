"""What the method did to a few samples, as the method itself chose to show it."""

from __future__ import annotations

from html import escape

from likewise.report.contents import Contents, Shown
from likewise.report.pictures import Sheet, picture_html
from likewise.report.pieces import Section
from likewise.report.samples import sample_html

SIDE = 144
LONGEST_BELOW = 24
"""Letters of words without a picture that find room in a narrow column."""
MARKS = {"✓": "right", "✗": "wrong"}


def pictures(contents: Contents) -> Section | None:
    """Rows of samples: side by side, one column a sample; what must be read or heard one sample after the other."""
    if not contents.shown:
        return None
    parts, sheets = [], []
    for index, shown in enumerate(contents.shown):
        found = [row.sheet(f"shown-{index}-{number}", side=SIDE) for number, row in enumerate(shown.rows)]
        sheets += [sheet for sheet in found if sheet is not None]
        rows = _in_columns(shown, found) if _narrow(shown, found) else _by_sample(shown, found)
        parts.append(f"<h3>{escape(shown.title)}</h3><p>{escape(shown.caption)}</p>{rows}")
    return Section("What the method did", "".join(parts), sheets=sheets)


def _narrow(shown: Shown, sheets: list[Sheet | None]) -> bool:
    """Whether everything finds room in narrow columns."""
    words = [word for row in shown.rows if row.pictures is None for word in row.words or []]
    silent = all(row.sounds is None for row in shown.rows)
    return silent and all(len(word) <= LONGEST_BELOW for word in words) and not any(s and s.broad for s in sheets)


def _in_columns(shown: Shown, sheets: list[Sheet | None]) -> str:
    lines = []
    for row, sheet in zip(shown.rows, sheets, strict=True):
        cells = []
        for index in range(len(row)):
            word = row.words[index] if row.words else ""
            said = " ".join(part for part in (row.name, str(index + 1), word) if part)
            picture = picture_html(sheet, index, said) if sheet else ""
            cells.append(f"<div{_mark(word)}>{picture}{f'<p>{escape(word)}</p>' if word else ''}</div>")
        lines.append(f'<div class="shown-row"><p class="name">{escape(row.name)}</p>{"".join(cells)}</div>')
    columns = max(len(row) for row in shown.rows)
    return f'<div class="shown" style="--columns:{columns}">{"".join(lines)}</div>'


def _by_sample(shown: Shown, sheets: list[Sheet | None]) -> str:
    cases = []
    for index in range(max(len(row) for row in shown.rows)):
        lines = []
        for row, sheet in zip(shown.rows, sheets, strict=True):
            if index < len(row):
                cell = sample_html(row, sheet, index, f"{row.name} {index + 1}".strip())
                word = row.words[index] if row.words else ""
                lines.append(f'<p class="name">{escape(row.name)}</p><div{_mark(word)}>{cell}</div>')
        cases.append(f'<div class="case">{"".join(lines)}</div>')
    kind = "cases" if all(row.only_words for row in shown.rows) else "cases two"
    return f'<div class="{kind}">{"".join(cases)}</div>'


def _mark(word: str) -> str:
    return next((f' class="{MARKS[letter]}"' for letter in word if letter in MARKS), "")
