"""Segmentation: test images with their masks, what each protocol made of them, and features as colours."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from likewise.report.contents import Contents
from likewise.report.pieces import Section, joined
from likewise.report.sections.figures import figures_html

COLOUR = re.compile(r"#[0-9a-f]{6}")
PLAIN = "#7f7f7f"


def segmentation_examples(contents: Contents) -> Section | None:
    """What is to be seen of a segmentation; its numbers are among the other measures."""
    values = contents.evaluation.get("segmentation") if contents.evaluation else None
    if not values or not contents.segmentation:
        return None
    body, sprites = figures_html(contents.segmentation, "segmentation")
    return Section("Segmentation", _classes(values) + body, sprites=sprites)


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
