"""Speech recognition: error rates by number of recordings with transcripts, and some transcriptions."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from likewise.report import charts
from likewise.report.charts import Chart
from likewise.report.contents import Contents
from likewise.report.headline import protocol_name
from likewise.report.pieces import Section, joined, key, swatch
from likewise.runs.evaluation_table import is_clear, points
from likewise.runs.recognition import NAMES, Recognition

TITLE = "Speech recognition"


def speech_recognition(contents: Contents) -> Section | None:
    """The tables of error rates, their chart by number of recordings, and examples."""
    recognition = contents.evaluation.recognition if contents.evaluation else None
    if contents.evaluation is None or recognition is None or not recognition.protocols:
        return None
    test = contents.evaluation.get("test", "the test data")
    text = (
        f"Errors in % of the characters, and of the words, of {recognition['recordings']['test']:,} transcripts of "
        f"{test}; above 100 where too much is said. No setting was chosen on these recordings. Mean over seeds, with "
        "its 95 % interval below; each seed draws its own recordings to learn from. Bold is the best of a column."
    )
    body = Markup("<p>{}</p>").format(text)
    for measure, name in NAMES.items():
        body += Markup("<h3>{}</h3>{}").format(name[0].upper() + name[1:], _rates(recognition, measure))
    body += _differences(recognition)
    plots = []
    if len(recognition.counts) > 1:
        caption = (
            "Character error rate by the number of recordings with transcripts on a logarithmic axis, with 95 % "
            "intervals. Points of one column are shifted sideways so that the intervals do not overlap."
        )
        plots.append(Chart("recognition", caption, {"": charts.errors_by_recordings(recognition)}, height=400))
        body += key(recognition.protocols, recognition, narrow=True) + plots[0].html()
    left_out = len(recognition.get("left_out", []))
    if left_out:
        are = "recording is" if left_out == 1 else "recordings are"
        body += Markup("<p>{:,} {} left out; evaluation.json lists them with the reason.</p>").format(left_out, are)
    return Section(TITLE, body + _examples(recognition), plots)


def _rates(recognition: Recognition, measure: str) -> Markup:
    best = {
        count: min(
            (row["mean"] for p in recognition.protocols if (row := recognition.summary(p, count, measure))), default=0.0
        )
        for count in recognition.counts
    }
    rows: list[tuple[Markup, list[Any]]] = []
    for protocol in recognition.protocols:
        name = protocol_name(protocol, recognition)
        head = Markup("{} {}").format(swatch(protocol, recognition), name[:1].upper() + name[1:])
        found = [(best[count], recognition.summary(protocol, count, measure)) for count in recognition.counts]
        rows.append((head, [_rate(row, least) for least, row in found]))
    constant = f"{100 * recognition['baseline'][measure]:.1f}"
    rows.append((Markup("Always the commonest transcript"), [constant] * len(recognition.counts)))
    return _by_recordings("Protocol", rows, recognition)


def _rate(row: dict[str, Any] | None, least: float) -> Markup:
    if row is None:
        return Markup("–")
    mean = Markup("<b>{:.1f}</b>" if row["mean"] == least else "{:.1f}").format(100 * row["mean"])
    interval = Markup("<small>{:.1f}–{:.1f}</small>")
    return mean + ("" if row["low"] is None else interval.format(100 * max(0, row["low"]), 100 * row["high"]))


def _differences(recognition: Recognition) -> Markup:
    if not recognition.compared:
        return Markup("")

    def cell(row: dict[str, Any] | None) -> Markup:
        if row is None:
            return Markup("–")
        return Markup("<b>{}</b>" if is_clear(row) else "{}").format(points(row))

    rows = [
        (
            Markup("{} \N{MINUS SIGN} {}").format(one, other),
            [cell(recognition.difference(one, other, count)) for count in recognition.counts],
        )
        for one, other in recognition.compared
    ]
    text = (
        "Differences of the character error rate in percentage points, seed by seed on the same recordings, with their "
        "95 % intervals; below 0: fewer errors. Bold: the interval is on one side of 0."
    )
    return Markup("<p>{}</p>{}").format(text, _by_recordings("Difference", rows, recognition))


def _by_recordings(head: str, rows: list[tuple[Markup, list[Any]]], recognition: Recognition) -> Markup:
    """A table with a column for each number of recordings."""
    lines = joined(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name, joined(Markup("<td>{}</td>").format(cell) for cell in cells)
        )
        for name, cells in rows
    )
    heads = joined(Markup('<th scope="col">{}</th>').format(count) for count in recognition.counts)
    return Markup(
        '<div class="scroll" tabindex="0"><table class="results"><thead><tr><th rowspan="2" scope="col">{}</th>'
        '<th colspan="{}" scope="colgroup">recordings with transcripts</th></tr><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, len(recognition.counts), heads, lines)


def _examples(recognition: Recognition) -> Markup:
    """What each protocol made of some test recordings."""
    examples = recognition["examples"]
    if not examples["recordings"]:
        return Markup("")
    names = [name for name in recognition.protocols if name in examples["recordings"][0]["hypotheses"]]
    lines = joined(
        Markup('<tr><th scope="row" class="name">{}</th><td class="name">{}</td>{}</tr>').format(
            example["id"],
            example["reference"],
            joined(Markup('<td class="name">{}</td>').format(example["hypotheses"].get(name) or "–") for name in names),
        )
        for example in examples["recordings"]
    )
    heads = joined(
        Markup('<th scope="col" class="name">{}</th>').format(head)
        for head in ("Recording", "Transcript", *(protocol_name(name, recognition) for name in names))
    )
    count = examples["labelled"]
    learned = "all transcripts" if count == "all" else f"{count:,} transcript{'s' * (count != 1)}"
    text = f"Test recordings, and what the first seed made of them after learning from {learned}; –: nothing."
    return Markup(
        '<h3>Transcriptions</h3><p>{}</p><div class="scroll" tabindex="0"><table class="results"><thead><tr>{}</tr>'
        "</thead><tbody>{}</tbody></table></div>"
    ).format(text, heads, lines)
