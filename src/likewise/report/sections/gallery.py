"""The embeddings of the gallery: a map of all, and the nearest neighbours of some."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from markupsafe import Markup

from likewise.report import charts
from likewise.report.charts import Chart
from likewise.report.contents import Contents
from likewise.report.embedding_map import FEWEST_FOR_TSNE, map_coordinates, unit_rows
from likewise.report.headline import percent
from likewise.report.pieces import Section, columns, joined
from likewise.report.sample_html import text_html
from likewise.report.sprites import SpriteSheet, picture_html
from likewise.runs.gallery import Gallery

FEWEST_SAMPLES = 3
QUERIES = 10
NEIGHBOURS = 8
MOST_CLASSES_IN_KEY = 100


def embedding_map(contents: Contents) -> Section | None:
    """The gallery's embeddings on a plane."""
    gallery = contents.gallery
    if gallery is None or len(gallery) < FEWEST_SAMPLES:
        return None
    coordinates = map_coordinates(gallery, contents.folder)
    sprites = contents.gallery_sprites
    how = "t-SNE" if len(gallery) >= FEWEST_FOR_TSNE else "principal components"
    one_point = not np.ptp(coordinates, axis=0).any()
    collapsed = " All embeddings are equal: the encoder has collapsed." if one_point else ""
    coloured = " Colours are the true classes; the encoder did not see them." if gallery.classes else ""
    chart = Chart(
        "map",
        f"{len(gallery):,} embeddings in two dimensions ({how}). Short distances are meaningful; long distances "
        "and the axes are not. Hover over a point, or tap it, to see the sample.",
        {"": charts.embedding_map(coordinates, gallery)},
        height=520,
        samples={
            "sheet": sprites and sprites.name,
            "positions": sprites and sprites.positions(len(gallery)),
            "captions": [gallery.caption(index) for index in range(len(gallery))],
            "wide": gallery.samples.texts is not None,
        },
    )
    text = f"Samples with similar embeddings lie close together.{collapsed}{coloured}"
    body = Markup("<p>{}</p>{}{}").format(text, _class_key(gallery), chart.html())
    return Section("Embedding map", body, [chart], [sprites] if sprites else [])


def _class_key(gallery: Gallery) -> Markup:
    """The legend of the classes, where there are too many to name in the map itself."""
    if gallery.labels is None:
        return Markup("")
    present = np.unique(gallery.labels).tolist()
    if not charts.MOST_NAMED_GROUPS < len(present) <= MOST_CLASSES_IN_KEY:
        return Markup("")
    items = joined(
        Markup('<li class="{}">● {}</li>').format(charts.class_colour(label).removeprefix("--"), gallery.classes[label])
        for label in present
    )
    return Markup('<ul class="key">{}</ul>').format(items)


def nearest_neighbours(contents: Contents) -> Section | None:
    """The most similar samples to a few of the gallery."""
    gallery = contents.gallery
    if gallery is None or len(gallery) < FEWEST_SAMPLES:
        return None
    sprites = contents.gallery_sprites
    read = sprites is None and gallery.samples.texts is not None
    unit = unit_rows(gallery.embeddings)
    count = min(NEIGHBOURS, len(unit) - 1)
    rows = []
    for query in query_indices(gallery):
        nearest = nearest_to(query, unit, count)
        cells = joined(_neighbour(gallery, sprites, int(other), query) for other in nearest)
        rows.append(Markup('<div class="row">{}{}</div>').format(_neighbour(gallery, sprites, query, None), cells))
    where = "First" if read else "Left"
    text = f"{where} a query, then the {count} gallery samples with the most similar embeddings (cosine)."
    if gallery.labels is not None:
        near = np.stack([nearest_to(query, unit, count) for query in range(len(unit))])
        agreement = float((gallery.labels[near] == gallery.labels[:, None]).mean())
        text += (
            " ✓ has the query's class, ✗ another; over the whole gallery "
            f"{percent(agreement)} of the neighbours have the query's class."
        )
    broad = gallery.samples.texts is not None or (sprites is not None and sprites.broad)
    kind = "neighbours read" if read else "neighbours broad" if broad else "neighbours"
    body = Markup('<p>{}</p><div class="{}" data-columns="{}">{}</div>').format(
        text, kind, columns(count), joined(rows)
    )
    return Section("Nearest neighbours", body, sprites=[sprites] if sprites else [])


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
    return np.unique(np.linspace(0, len(gallery) - 1, QUERIES).astype(np.int64)).tolist()


def _neighbour(gallery: Gallery, sprites: SpriteSheet | None, index: int, query: int | None) -> Markup:
    """A sample beside the mark and the name of its class; `query` is the sample that it is a neighbour of."""
    text = text_html(gallery.samples.texts[index]) if gallery.samples.texts else Markup("")
    if sprites:
        look = picture_html(sprites, index, gallery.caption(index)) + text
    else:
        look = text or text_html(gallery.caption(index))
    if gallery.labels is None:
        return Markup("<div>{}</div>").format(look)
    name = Markup("<span>{}</span>").format(gallery.classes[gallery.labels[index]])
    if query is None:
        return Markup("<div>{}<p>{}</p></div>").format(look, name)
    kind, mark = ("right", "✓") if gallery.labels[index] == gallery.labels[query] else ("wrong", "✗")
    return Markup('<div class="{}">{}<p>{} {}</p></div>').format(kind, look, mark, name)
