"""The evaluation: learning curves, accuracies by number of labels, errors by class, other measures."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from likewise.report import charts
from likewise.report.charts import Chart, Choice
from likewise.report.contents import Contents
from likewise.report.headline import format_number, protocol_name, sentence, typical_count
from likewise.report.pieces import Section, buttons, code, folder, grid, joined, key, labels_choice, noun, swatch
from likewise.runs.evaluation import Evaluation
from likewise.runs.evaluation_table import balanced, is_clear, points
from likewise.runs.table import Table, is_number

TITLE = "Evaluation"
MOST_CLASSES_IN_MATRIX = 100


def learning_curves(contents: Contents) -> Section | None:
    """Loss and accuracy of the protocols that train, from start to end."""
    evaluation = contents.evaluation
    if evaluation is None:
        return None
    counts = [n for n in evaluation.counts if any(evaluation.curves(protocol, n) for protocol in evaluation.protocols)]
    protocols = [protocol for protocol in evaluation.protocols if any(evaluation.curves(protocol, n) for n in counts)]
    if not counts:
        return None
    choice = labels_choice("curves-labels", counts, typical_count(evaluation))
    plots = [
        Chart(
            f"curves-{metric}",
            caption,
            {str(count): charts.learning_curves(evaluation, protocols, count, metric) for count in counts},
            [choice],
            heading=metric.capitalize(),
        )
        for metric, caption in (
            (
                "accuracy",
                "Training (dotted) far above test (solid) means overfitting.",
            ),
            ("loss", "A test loss that rises while the training loss falls means overfitting."),
        )
    ]
    most = evaluation.get("settings", {}).get("curve_samples")
    measured = (
        f" Curves are measured on at most {most:,} samples, so their ends may differ from the table." if most else ""
    )
    text = (
        "Mean over seeds, by share of the supervised training; the band spans the seeds. Protocols that fit a "
        f"linear model to fixed features have no epochs: their steps are iterations of the solver.{measured}"
    )
    legend = key(protocols, evaluation)
    body = Markup("<p>{}</p>{}{}{}").format(text, buttons(choice), legend, grid(plots, "two"))
    return Section("Learning curves", body, plots)


def results(contents: Contents) -> Section | None:
    """The table of accuracies and its chart by number of labels."""
    evaluation = contents.evaluation
    if evaluation is None:
        missing = "Not evaluated yet. This command compares the encoder with training from scratch:"
        command = f"likewise evaluate {folder(contents)} --train DATA --test DATA"
        return Section(TITLE, Markup("<p>{}</p>{}").format(missing, code(command)))
    if not evaluation.protocols:
        return None
    sizes = evaluation.get("samples", {})
    test = f"{sizes['test']:,} {noun(contents, sizes['test'])} of " if "test" in sizes else ""
    text = (
        f"Accuracy in % on {test}{evaluation.get('test', 'the test data')}; no setting was chosen on these samples. "
        "Mean over seeds, with its 95 % interval below; each seed draws its own labels. Bold is the best of a column."
    )
    body = (
        Markup("<p>{}</p>{}").format(text, _result_table(evaluation)) + _uneven(evaluation) + _differences(evaluation)
    )
    if len(evaluation.counts) == 1:
        return Section(TITLE, body)
    caption = (
        "Accuracy by labels per class on a logarithmic axis, with 95 % intervals. Points of one column are shifted "
        "sideways so that the intervals do not overlap."
    )
    if "all" in evaluation.counts and evaluation.samples_per_class:
        caption += f" “all” is about {evaluation.samples_per_class:,.0f} per class."
    chart = Chart("labels", caption, {"": charts.accuracy_by_labels(evaluation)}, height=400)
    return Section(TITLE, body + key(evaluation.protocols, evaluation, narrow=True) + chart.html(), [chart])


def _result_table(evaluation: Evaluation) -> Markup:
    counts = evaluation.counts
    best = {
        count: max(row["mean"] for protocol in evaluation.protocols if (row := evaluation.summary(protocol, count)))
        for count in counts
    }
    lines = []
    for protocol in evaluation.protocols:
        name = _capital(protocol_name(protocol, evaluation))
        cells = joined(_result_cell(evaluation.summary(protocol, count), best[count]) for count in counts)
        line = Markup('<tr><th scope="row">{} {}</th>{}</tr>')
        lines.append(line.format(swatch(protocol, evaluation), name, cells))
    for fact, name in (("majority", "Always the most frequent class"), ("chance", "Chance")):
        if evaluation.get(fact) is not None:
            cell = Markup("<td>{:.1f}</td>").format(100 * evaluation[fact]) * len(counts)
            lines.append(Markup('<tr class="floor"><th scope="row">{}</th>{}</tr>').format(name, cell))
    heads = joined(Markup('<th scope="col">{}</th>').format(count) for count in counts)
    return Markup(
        '<div class="scroll" tabindex="0"><table class="results"><thead>'
        '<tr><th rowspan="2" scope="col">Protocol</th>'
        '<th colspan="{}" scope="colgroup">labels per class</th></tr><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(len(counts), heads, joined(lines))


def _result_cell(row: dict[str, Any] | None, best: float) -> Markup:
    if row is None:
        return Markup("<td>–</td>")
    mean = Markup("<b>{:.1f}</b>" if row["mean"] == best else "{:.1f}").format(100 * row["mean"])
    interval = Markup("<small>{:.1f}–{:.1f}</small>")
    shown = "" if row["low"] is None else interval.format(100 * row["low"], 100 * row["high"])
    return Markup("<td>{}{}</td>").format(mean, shown)


def _uneven(evaluation: Evaluation) -> Markup:
    """Where classes are uneven, the measures in which each counts the same."""
    if not evaluation.get("uneven"):
        return Markup("")

    def cell(row: dict[str, Any] | None) -> str:
        return "–" if row is None else balanced(row)

    rows = [
        (
            _capital(protocol_name(protocol, evaluation)),
            [cell(evaluation.summary(protocol, n)) for n in evaluation.counts],
        )
        for protocol in evaluation.protocols
    ]
    text = "The classes are uneven. Balanced accuracy / macro-F1 in %, in which each class counts the same:"
    return Markup("<p>{}</p>{}").format(text, _by_labels("Protocol", rows, evaluation))


def _differences(evaluation: Evaluation) -> Markup:
    """What pretraining adds, seed by seed."""
    pairs = dict.fromkeys((row["protocol"], row["versus"]) for row in evaluation.get("differences", []))
    if not pairs:
        return Markup("")

    def cell(row: dict[str, Any] | None) -> str | Markup:
        if row is None:
            return "–"
        return Markup("<b>{}</b>" if is_clear(row) else "{}").format(points(row))

    rows = [
        (f"{one} \N{MINUS SIGN} {other}", [cell(evaluation.difference(one, other, n)) for n in evaluation.counts])
        for one, other in pairs
    ]
    text = (
        "Differences in percentage points, seed by seed on the same labels, with their 95 % intervals. Bold: the "
        "interval is on one side of 0."
    )
    return Markup("<p>{}</p>{}").format(text, _by_labels("Difference", rows, evaluation))


def _by_labels(head: str, rows: list[tuple[str, list[Any]]], evaluation: Evaluation) -> Markup:
    """A table with a column for each number of labels."""
    lines = joined(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name, joined(Markup("<td>{}</td>").format(c) for c in cells)
        )
        for name, cells in rows
    )
    heads = joined(Markup('<th scope="col">{}</th>').format(count) for count in evaluation.counts)
    return Markup(
        '<div class="scroll" tabindex="0"><table class="results"><thead><tr><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, heads, lines)


def other_measures(contents: Contents) -> Section | None:
    """Tables of what was measured without drawing labels."""
    evaluation = contents.evaluation
    if evaluation is None or not evaluation.tables:
        return None
    title = "Other measures" if evaluation.protocols else TITLE
    return Section(title, joined(_table(table) for table in evaluation.tables))


def _table(table: Table) -> Markup:
    """Numbers are at the right; of shares, the best of rows that are compared is bold."""
    lines = []
    for row in table.rows:
        names = joined(Markup('<th scope="row">{}</th>').format(name) for name in row[: table.name_columns])
        cells = joined(_cell(table, row, column) for column in range(table.name_columns, len(row)))
        lines.append(Markup("<tr>{}{}</tr>").format(names, cells))
    heads = [f"{name}, {unit}" if unit else name for name, unit in zip(table.head, table.units, strict=True)]
    named, measured = heads[: table.name_columns], heads[table.name_columns :]
    head = joined(Markup('<th scope="col" class="name">{}</th>').format(name) for name in named)
    head += joined(Markup('<th scope="col">{}</th>').format(name) for name in measured)
    caption = Markup("<figcaption>{}</figcaption>").format(sentence(table.caption)) if table.caption else ""
    return Markup(
        '<figure><h3>{}</h3><div class="scroll" tabindex="0"><table class="results"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>{}</figure>"
    ).format(_capital(table.title), head, joined(lines), caption)


def _cell(table: Table, row: list[Any], column: int) -> Markup:
    value, unit = row[column], table.units[column]
    if not is_number(value):
        return Markup("<td>{}</td>").format("–" if value is None else value)
    text = format_number(value, unit)
    group = [other[column] for other in table.rows if other[: table.name_columns - 1] == row[: table.name_columns - 1]]
    shares = [share for share in group if unit == "%" and is_number(share)]
    best = len(shares) > 1 and value == max(shares)
    return Markup("<td><b>{}</b></td>" if best else "<td>{}</td>").format(text)


def errors(contents: Contents) -> Section | None:
    """Accuracy by class and the confusion matrix, of any protocol at any number of labels."""
    evaluation = contents.evaluation
    if evaluation is None:
        return None
    classes = [str(name) for name in evaluation.get("classes", [])]
    if not classes or len(classes) > MOST_CLASSES_IN_MATRIX:
        return None
    counts = evaluation.counts if len(classes) <= charts.MOST_NAMED_GROUPS else evaluation.counts[-1:]
    protocols = sorted(evaluation.protocols, key=lambda protocol: (protocol != "frozen", protocol != "fine-tuned"))
    matrices = {
        (protocol, count): np.array(counted, dtype=np.float64)
        for protocol in protocols
        for count in counts
        if (counted := evaluation.confusion(protocol, count)) is not None
    }
    if not matrices:
        return None
    options = [
        (protocol, protocol_name(protocol, evaluation))
        for protocol in dict.fromkeys(protocol for protocol, _ in matrices)
    ]
    measured = [count for count in counts if any((protocol, count) in matrices for protocol, _ in options)]
    by_protocol = Choice("errors-protocol", "Protocol", options, options[0][0])
    by_labels = labels_choice("errors-labels", measured, measured[-1])
    tested = np.flatnonzero(next(iter(matrices.values())).sum(axis=1))
    names = [classes[index] for index in tested]
    bars, heats = {}, {}
    for (protocol, count), matrix in matrices.items():
        right = matrix.diagonal()[tested] / matrix.sum(axis=1)[tested]
        bars[f"{protocol}|{count}"] = charts.per_class(right, names)
        heats[f"{protocol}|{count}"] = charts.confusion(matrix, classes)
    shown = min(len(tested), charts.MOST_BARS)
    many = f" The lowest and the highest of {len(tested)} classes." if len(tested) > shown else ""
    absent = len(classes) - len(tested)
    untested = f" Left out, without test samples: {absent} class{'es' * (absent > 1)}." if absent else ""
    choices = [by_protocol, by_labels]
    plots = [
        Chart(
            "confusion",
            "Row: the true class; column: the predicted class, in % of the row. Errors are off the diagonal.",
            heats,
            choices,
            height=None,
            heading="Confusion matrix",
        ),
        Chart(
            "per-class",
            f"Share of each class's test samples that were classified correctly, in %, over all seeds.{many}{untested}",
            bars,
            choices,
            height=max(240, 22 * shown + 60),
            heading="Accuracy by class",
        ),
    ]
    body = buttons(by_protocol) + buttons(by_labels) + grid(plots, "two")
    return Section("Errors", body, plots)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
