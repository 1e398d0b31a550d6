"""Retrieval from each half of pairs to the other: the most similar answers to a few queries, in both directions."""

from __future__ import annotations

from markupsafe import Markup

from likewise.report.contents import Contents
from likewise.report.pieces import Section, columns, joined
from likewise.report.sample_html import sample_html, sprites_of
from likewise.report.sprites import SpriteSheet
from likewise.runs.matches import RetrievalMatches
from likewise.runs.samples import Samples

SIDE = 144


def retrieval_examples(contents: Contents) -> Section | None:
    """The most similar answers to each query, which of them are correct, and the rank of the first correct one."""
    found = contents.matches
    if found is None or not len(found.queries):
        return None
    sprites = [sprites_of(half, f"matches-{number}", side=SIDE) for number, half in enumerate(found.halves)]
    answers = found.answers.shape[2]
    parts = [
        Markup(
            "<p>A query, then the {} most similar of {} candidates by cosine similarity (✓ correct, ✗ incorrect), "
            "then the correct answer with the rank of the first correct candidate.</p>"
        ).format(answers, " or ".join(f"{count:,}" for count in dict.fromkeys(found.candidates)))
    ]
    for direction in (0, 1):
        rows = joined(_row(found, sprites, direction, number) for number in range(len(found.queries)))
        part = Markup('<h3>From {} to {}</h3><div class="matches" data-columns="{}">{}</div>')
        parts.append(part.format(found.names[direction], found.names[1 - direction], columns(answers), rows))
    return Section("Retrieval examples", joined(parts), sprites=[sheet for sheet in sprites if sheet is not None])


def _row(found: RetrievalMatches, sprites: list[SpriteSheet | None], direction: int, number: int) -> Markup:
    (asked, asked_sheet), (given, given_sheet) = ((found.halves[n], sprites[n]) for n in (direction, 1 - direction))
    query, rank = int(found.queries[number]), int(found.ranks[direction, number])
    silent = Samples(given.pictures, given.texts)  # a player for every answer would be too much of a page
    if given.pictures is None and given.texts is None:
        silent = given
    asked_html = sample_html(asked, asked_sheet, query, f"query {number + 1}")
    cells = [Markup('<div class="query">{}</div>').format(asked_html)]
    pairs = zip(found.answers[direction, number].tolist(), found.right[direction, number].tolist(), strict=True)
    for place, (answer, right) in enumerate(pairs, start=1):
        kind, mark = ("right", "✓") if right else ("wrong", "✗")
        look = sample_html(silent, given_sheet, answer, f"answer {place} to query {number + 1}")
        cells.append(Markup('<div class="{}">{}<p>{}</p></div>').format(kind, look, mark))
    own = sample_html(silent, given_sheet, query, f"correct answer to query {number + 1}")
    cells.append(Markup('<div class="own">{}<p>rank {:,}</p></div>').format(own, rank))
    return Markup('<div class="match">{}</div>').format(joined(cells))
