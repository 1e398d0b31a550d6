"""What each half of a pair finds among the others: the best answers to a few queries, both ways."""

from __future__ import annotations

from html import escape

from likewise.report.contents import Contents, Matches
from likewise.report.pictures import Sheet
from likewise.report.pieces import Section
from likewise.report.samples import Samples, sample_html

SIDE = 144


def matches(contents: Contents) -> Section | None:
    """The best answers to each query, which of them are right, and how far down the first right one comes."""
    found = contents.matches
    if found is None or not len(found.queries):
        return None
    sheets = [half.sheet(f"matches-{number}", side=SIDE) for number, half in enumerate(found.halves)]
    answers = found.answers.shape[2]
    parts = [
        f"<p>A query, then the {answers} answers of the most similar embeddings among {found.candidates:,} (✓ right, "
        "✗ wrong), then the answer that the data gives, and the place at which the first right one comes.</p>"
    ]
    for protocol in (0, 1):
        rows = "".join(_row(found, sheets, protocol, number) for number in range(len(found.queries)))
        parts.append(
            f"<h3>From {escape(found.names[protocol])} to {escape(found.names[1 - protocol])}</h3>"
            f'<div class="matches" style="--answers:{answers}">{rows}</div>'
        )
    return Section("What finds what", "".join(parts), sheets=[sheet for sheet in sheets if sheet is not None])


def _row(found: Matches, sheets: list[Sheet | None], protocol: int, number: int) -> str:
    (asked, asked_sheet), (given, given_sheet) = ((found.halves[n], sheets[n]) for n in (protocol, 1 - protocol))
    query, rank = int(found.queries[number]), int(found.ranks[protocol, number])
    silent = Samples(given.pictures, given.words)  # a player for every answer would be too much of a page
    if given.pictures is None and given.words is None:
        silent = given
    cells = [f'<div class="query">{sample_html(asked, asked_sheet, query, f"query {number + 1}")}</div>']
    pairs = zip(found.answers[protocol, number].tolist(), found.right[protocol, number].tolist(), strict=True)
    for place, (answer, right) in enumerate(pairs, start=1):
        kind, mark = ("right", "✓") if right else ("wrong", "✗")
        look = sample_html(silent, given_sheet, answer, f"answer {place} to query {number + 1}")
        cells.append(f'<div class="{kind}">{look}<p>{mark}</p></div>')
    own = sample_html(silent, given_sheet, query, f"right answer to query {number + 1}")
    cells.append(f'<div class="own">{own}<p>first right: {rank:,}</p></div>')
    return f'<div class="match">{"".join(cells)}</div>'
