"""What the method did to a few samples, as the method itself chose to show it."""

from __future__ import annotations

from html import escape

from likewise.report.contents import Contents, ShownRow
from likewise.report.pictures import Sheet, sample_html, sheet
from likewise.report.pieces import Section

SIDE = 144
MARKS = {"✓": "right", "✗": "wrong"}


def pictures(contents: Contents) -> Section | None:
    """Rows of pictures side by side, one column a sample, with the words that belong to them."""
    if not contents.shown:
        return None
    parts, sheets = [], []
    for index, shown in enumerate(contents.shown):
        lines = []
        for number, row in enumerate(shown.rows):
            found = sheet(f"shown-{index}-{number}", row.pictures, side=SIDE)
            sheets.append(found)
            lines.append(_row(found, row))
        columns = max(len(row.pictures) for row in shown.rows)
        parts.append(
            f"<h3>{escape(shown.title)}</h3><p>{escape(shown.caption)}</p>"
            f'<div class="shown" style="--columns:{columns}">{"".join(lines)}</div>'
        )
    return Section("What the method did", "".join(parts), sheets=sheets)


def _row(found: Sheet, row: ShownRow) -> str:
    words = row.words or [""] * len(row.pictures)
    cells = []
    for index, word in enumerate(words):
        said = " ".join(part for part in (row.name, str(index + 1), word) if part)
        below = f"<p>{escape(word)}</p>" if word else ""
        kind = next((f' class="{MARKS[letter]}"' for letter in word if letter in MARKS), "")
        cells.append(f"<div{kind}>{sample_html(found, index, said)}{below}</div>")
    return f'<div class="shown-row"><p class="name">{escape(row.name)}</p>{"".join(cells)}</div>'
