"""A contact sheet: one HTML file with samples side by side, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from likewise.atomic import check_file_place, write_file
from likewise.errors import UserError
from likewise.report.sprites import SpriteSheet

SIDE = 128
"""Pixels of a picture, at most."""

PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:;
 style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>{body}</body></html>
""")
STYLE = Markup("""
:root{color-scheme:light dark}
body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(var(--width),1fr));gap:1rem;list-style:none;padding:0}
.cards li{border:1px solid #8886;border-radius:6px;padding:.6rem;overflow-wrap:anywhere}
.side{display:flex;gap:.4rem}.sample{display:block;width:7rem}audio{width:100%}
blockquote{margin:.2rem 0;max-height:9rem;overflow:auto}small{opacity:.75}
""")


class CardGroup(NamedTuple):
    """Cards under a heading."""

    heading: str
    remark: str
    cards: Sequence[Markup]
    sprites: SpriteSheet | None = None
    """What the pictures on the cards are pieces of; its name is that of no other group."""
    width: int = 16
    """Of a card, at least, in units of the letters' size."""


def check_sheet(path: str | Path | None) -> None:
    """Raise `UserError` unless a sheet can be written there; none need be."""
    if path is None:
        return
    if Path(path).suffix not in (".html", ".htm"):
        raise UserError(f"sheet must end in .html, got {path}")
    check_file_place(Path(path))


def write_sheet(path: Path, page: str) -> None:
    """Replace a file by a page; characters that are none in UTF-8 are escaped."""
    write_file(path, page.encode("utf-8", "backslashreplace"))


def contact_sheet(title: str, summary: str, groups: Iterable[CardGroup]) -> str:
    """The page."""
    rules, body = [STYLE], Markup("<p>{}</p>").format(summary)
    for group in groups:
        if group.sprites is not None:
            rules.append(group.sprites.css())
        body += Markup("<h2>{}</h2><p>{}</p>").format(group.heading, group.remark)
        items = Markup("").join(map(Markup("<li>{}</li>").format, group.cards))
        body += Markup('<ul class="cards" style="--width:{}rem">{}</ul>').format(group.width, items)
    return PAGE.format(title=title, style=Markup("").join(rules), body=body)
