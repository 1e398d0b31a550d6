"""The columns of a table of boxes: what people call the file, the edges and the class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

FILES = ("file", "filename", "filepath", "image", "imageid", "imagename", "imagepath", "img", "path")
EDGES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
)
CORNERS_AND_SIZES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
LABELS = ("label", "labels", "class", "classname", "labelname", "category", "categoryname", "name")
"""All without capitals, and without what is between words: `X_Min` is `xmin`."""


class BoxColumns(NamedTuple):
    """The names of the columns, as the table has them."""

    file: str
    edges: tuple[str, str, str, str]
    label: str
    sized: bool
    """Whether the last two of `edges` are width and height."""


def box_columns(names: Iterable[str]) -> BoxColumns | None:
    """Those of a table of boxes; None for any other table."""
    there: dict[str, str] = {}
    for name in names:
        there.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), name)
    file = next((there[name] for name in FILES if name in there), None)
    label = next((there[name] for name in LABELS if name in there), None)
    for kinds, sized in ((EDGES, False), (CORNERS_AND_SIZES, True)):
        for left, top, right, bottom in kinds:
            if file and label and {left, top, right, bottom} <= there.keys():
                return BoxColumns(file, (there[left], there[top], there[right], there[bottom]), label, sized)
    return None
