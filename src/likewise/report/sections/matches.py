"""Retrieval from each half of pairs to the other: the most similar answers to a few queries, in both directions."""

from __future__ import annotations

from html import escape

from likewise.report.contents import Contents
from likewise.report.pieces import Section
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
        f"<p>A query, then the {answers} most similar of {found.candidates:,} candidates by cosine similarity "
        "(✓ correct, ✗ incorrect), then the correct answer with the rank of the first correct candidate.</p>"
    ]
    for direction in (0, 1):
        rows = "".join(_row(found, sprites, direction, number) for number in range(len(found.queries)))
        parts.append(
            f"<h3>From {escape(found.names[direction])} to {escape(found.names[1 - direction])}</h3>"
            f'<div class="matches" style="--answers:{answers}">{rows}</div>'
        )
    return Section("Retrieval examples", "".join(parts), sprites=[sheet for sheet in sprites if sheet is not None])


def _row(found: RetrievalMatches, sprites: list[SpriteSheet | None], direction: int, number: int) -> str:
    (asked, asked_sheet), (given, given_sheet) = ((found.halves[n], sprites[n]) for n in (direction, 1 - direction))
    query, rank = int(found.queries[number]), int(found.ranks[direction, number])
    silent = Samples(given.pictures, given.texts)  # a player for every answer would be too much of a page
    if given.pictures is None and given.texts is None:
        silent = given
    cells = [f'<div class="query">{sample_html(asked, asked_sheet, query, f"query {number + 1}")}</div>']
    pairs = zip(found.answers[direction, number].tolist(), found.right[direction, number].tolist(), strict=True)
    for place, (answer, right) in enumerate(pairs, start=1):
        kind, mark = ("right", "✓") if right else ("wrong", "✗")
        look = sample_html(silent, given_sheet, answer, f"answer {place} to query {number + 1}")
        cells.append(f'<div class="{kind}">{look}<p>{mark}</p></div>')
    own = sample_html(silent, given_sheet, query, f"correct answer to query {number + 1}")
    cells.append(f'<div class="own">{own}<p>rank {rank:,}</p></div>')
    return f'<div class="match">{"".join(cells)}</div>'
