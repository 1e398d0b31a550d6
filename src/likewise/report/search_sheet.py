"""What a search has found, as a contact sheet: the query, then the samples that are most similar to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from likewise.report.contact_sheet import SIDE, CardGroup, contact_sheet
from likewise.report.sample_html import sample_html, sprites_of
from likewise.runs.samples import Samples

WIDTH = 9
"""Of a card, at least, in units of the letters' size: room for one picture."""


class SimilarSample(NamedTuple):
    """A sample that is similar to a query."""

    id: str
    similarity: float
    text: str | None = None
    """The sample itself, where it is a text."""


def search_sheet(
    collection: str, query_name: str, query: Samples, found: Sequence[SimilarSample], samples: Samples | None
) -> str:
    """The page.

    Args:
        collection: the name of what was searched.
        query_name: the path of the query, or what it is.
        query: one sample.
        found: the most similar first.
        samples: what these look or sound like, None where only their ids are at hand.
    """
    asked = sprites_of(query, "query", side=SIDE)
    look = _card(sample_html(query, asked, 0, query_name), query_name, "")
    sprites = None if samples is None else sprites_of(samples, "found", side=SIDE)
    cards = []
    for place, each in enumerate(found):
        seen = Markup("")
        if each.text is not None:
            seen = sample_html(Samples(texts=[each.text]), None, 0, each.id)
        elif samples is not None:
            seen = sample_html(samples, sprites, place, each.id)
        cards.append(_card(seen, each.id, f"{place + 1}. similarity {each.similarity:.3f}"))
    remark = "cosine similarity, the most similar first"
    sections = [
        CardGroup("Query", "", [look], asked, WIDTH),
        CardGroup(f"The {len(cards):,} most similar of {collection}", remark, cards, sprites, WIDTH),
    ]
    return contact_sheet(f"Search in {collection}", "", sections)


def _card(seen: Markup, name: str, remark: str) -> Markup:
    return Markup("{}<br><b>{}</b><br><small>{}</small>").format(seen, name, remark)
