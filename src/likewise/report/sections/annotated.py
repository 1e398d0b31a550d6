"""Segmentation and detection: test images with masks or boxes, and what each protocol made of them."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from likewise.report.contents import Contents
from likewise.report.pieces import Section, joined
from likewise.report.sections.figures import figures_html
from likewise.runs.figures import Figures

COLOUR = re.compile(r"#[0-9a-f]{6}")
PLAIN = "#7f7f7f"


def segmentation_examples(contents: Contents) -> Section | None:
    """What is to be seen of a segmentation; its numbers are among the other measures."""
    return _examples(contents, contents.segmentation, "segmentation", "Segmentation")


def detection_examples(contents: Contents) -> Section | None:
    """What is to be seen of a detection; its numbers are among the other measures."""
    return _examples(contents, contents.detection, "detection", "Detection")


def _examples(contents: Contents, figures: Figures | None, name: str, title: str) -> Section | None:
    values = contents.evaluation.get(name) if contents.evaluation else None
    if not values or not figures:
        return None
    body, sprites = figures_html(figures, name)
    return Section(title, _tiles(values) + _classes(values) + body, sprites=sprites)


def _tiles(values: dict[str, Any]) -> Markup:
    """What was learned from and tested on, where these are no whole images."""
    if not (tile := values.get("tile")):
        return Markup("")
    text = f"Images were cut into tiles of {tile:,} x {tile:,} pixels: these were learned from and tested on."
    return Markup("<p>{}</p>").format(text)


def _classes(values: dict[str, Any]) -> Markup:
    """The classes with their colours."""
    colours = values.get("colours") or []
    known = colours if len(colours) == len(values["classes"]) else [PLAIN] * len(values["classes"])
    items = (
        Markup(
            '<li><svg class="swatch" viewBox="0 0 24 11" aria-hidden="true"><path d="M6 0h12v11h-12z" fill="{}"/></svg>'
            " {}</li>"
        ).format(colour if COLOUR.fullmatch(str(colour)) else PLAIN, name)
        for name, colour in zip(values["classes"], known, strict=True)
    )
    return Markup('<ul class="key">{}</ul>').format(joined(items))
