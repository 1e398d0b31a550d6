"""What the embeddings are like: a map of the gallery, and the nearest neighbours of some of it."""

from __future__ import annotations

from html import escape

import numpy as np
from jaxtyping import Float, Int

from likewise.report import charts as figures
from likewise.report.answer import percent
from likewise.report.charts import Figure
from likewise.report.contents import Contents, Gallery
from likewise.report.embedding_map import FEWEST_FOR_TSNE, map_coordinates, unit_rows
from likewise.report.pictures import picture_html
from likewise.report.pieces import Section
from likewise.report.samples import words_html

FEWEST_SAMPLES = 3
QUERIES = 10
NEIGHBOURS = 8
MOST_CLASSES_IN_KEY = 100


def embedding_map(contents: Contents) -> Section | None:
    """The gallery's embeddings on a plane."""
    gallery = contents.gallery
    if gallery is None or len(gallery.ids) < FEWEST_SAMPLES:
        return None
    coordinates = map_coordinates(gallery, contents.folder)
    pictures = gallery.sheet
    how = "t-SNE" if len(gallery.ids) >= FEWEST_FOR_TSNE else "principal components"
    one_point = not np.ptp(coordinates, axis=0).any()
    collapsed = " They are all one point: the encoder has collapsed." if one_point else ""
    coloured = " Colours are the true classes, shown only to judge the groups by." if gallery.classes else ""
    plot = Figure(
        "map",
        f"{len(gallery.ids):,} embeddings on a plane ({how}): nearness means something, "
        "far distances and the axes mean nothing. Point at one, or tap it, to see it.",
        {"": figures.embedding_map(coordinates, gallery)},
        height=520,
        samples={
            "sheet": pictures and pictures.name,
            "positions": pictures and pictures.positions(len(gallery.ids)),
            "captions": [gallery.caption(index) for index in range(len(gallery.ids))],
            "wide": gallery.words is not None,
        },
    )
    words = f"Samples that the encoder takes for alike lie together.{collapsed}{coloured}"
    body = f"<p>{words}</p>{_class_key(gallery)}{plot.html()}"
    return Section("A map of the embeddings", body, [plot], [pictures] if pictures else [])


def _class_key(gallery: Gallery) -> str:
    """The legend of the classes, where there are too many to name in the map itself."""
    if gallery.labels is None:
        return ""
    present = np.unique(gallery.labels).tolist()
    if not figures.MOST_NAMED_GROUPS < len(present) <= MOST_CLASSES_IN_KEY:
        return ""
    items = "".join(
        f'<li style="color:var({figures.class_colour(label)})">● {escape(gallery.classes[label])}</li>'
        for label in present
    )
    return f'<ul class="key">{items}</ul>'


def neighbours(contents: Contents) -> Section | None:
    """The most similar samples to a few of the gallery."""
    gallery = contents.gallery
    if gallery is None or len(gallery.ids) < FEWEST_SAMPLES:
        return None
    pictures = gallery.sheet
    read = pictures is None and gallery.words is not None
    unit = unit_rows(gallery.embeddings)
    count = min(NEIGHBOURS, len(unit) - 1)
    rows = []
    for query in query_indices(gallery):
        nearest = nearest_to(query, unit, count)
        cells = "".join(_neighbour(gallery, int(other), query) for other in nearest)
        rows.append(f'<div class="row">{_neighbour(gallery, query, None)}{cells}</div>')
    where = "First" if read else "Left"
    said = f"<p>{where} a query, then the {count} gallery samples of the most similar embeddings (cosine)."
    if gallery.labels is not None:
        near = np.stack([nearest_to(query, unit, count) for query in range(len(unit))])
        agreement = float((gallery.labels[near] == gallery.labels[:, None]).mean())
        said += (
            " ✓ has the query's class, ✗ another; over the whole gallery "
            f"{percent(agreement)} of the neighbours have it."
        )
    broad = gallery.words is not None or (pictures is not None and pictures.broad)
    kind = "neighbours read" if read else "neighbours broad" if broad else "neighbours"
    body = f'{said}</p><div class="{kind}" style="--neighbours:{count}">{"".join(rows)}</div>'
    return Section("Nearest neighbours", body, sheets=[pictures] if pictures else [])


def nearest_to(query: int, unit: Float[np.ndarray, "m dim"], count: int) -> Int[np.ndarray, " count"]:
    """Indices of the `count` rows of largest cosine with row `query`, itself left out; largest first."""
    cosines = unit @ unit[query]
    cosines[query] = -np.inf
    return np.argsort(-cosines, kind="stable")[:count]


def query_indices(gallery: Gallery) -> list[int]:
    """Up to ten samples to look up: the first of each class, or evenly spaced ones without labels."""
    if gallery.labels is not None:
        present, first = np.unique(gallery.labels, return_index=True)
        if len(present) > 1:
            return first[:QUERIES].tolist()
    return np.unique(np.linspace(0, len(gallery.ids) - 1, QUERIES).astype(np.int64)).tolist()


def _neighbour(gallery: Gallery, index: int, query: int | None) -> str:
    """A sample beside the mark and the name of its class; `query` is the sample that it is a neighbour of."""
    words = words_html(gallery.words[index]) if gallery.words else ""
    if gallery.sheet:
        look = picture_html(gallery.sheet, index, gallery.caption(index)) + words
    else:
        look = words or words_html(gallery.caption(index))
    if gallery.labels is None:
        return f"<div>{look}</div>"
    name = f"<span>{escape(gallery.classes[gallery.labels[index]])}</span>"
    if query is None:
        return f"<div>{look}<p>{name}</p></div>"
    kind, mark = ("right", "✓") if gallery.labels[index] == gallery.labels[query] else ("wrong", "✗")
    return f'<div class="{kind}">{look}<p>{mark} {name}</p></div>'
