"""What the encoder is worth: learning curves, accuracies by number of labels, mistakes by class."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from likewise.report import charts as figures
from likewise.report.answer import figure, protocol_name, sentence, typical_count
from likewise.report.charts import Choice, Figure
from likewise.report.contents import Contents, Evaluation, Table, is_figure
from likewise.report.pieces import Section, buttons, code, folder, grid, key, labels_choice, noun, swatch

TITLE = "What the encoder is worth"
MOST_CLASSES_IN_MATRIX = 100


def curves(contents: Contents) -> Section | None:
    """How the ways that train learn, from start to end."""
    evaluation = contents.evaluation
    if evaluation is None:
        return None
    counts = [n for n in evaluation.counts if any(evaluation.curves(protocol, n) for protocol in evaluation.protocols)]
    protocols = [protocol for protocol in evaluation.protocols if any(evaluation.curves(protocol, n) for n in counts)]
    if not counts:
        return None
    choice = labels_choice("curves-labels", counts, typical_count(evaluation))
    plots = [
        Figure(
            f"curves-{metric}",
            caption,
            {str(count): figures.learning_curves(evaluation, protocols, count, metric) for count in counts},
            [choice],
            heading=metric.capitalize(),
        )
        for metric, caption in (
            (
                "accuracy",
                "Where training (dotted) runs far above test (solid), the labels were learned by heart.",
            ),
            ("loss", "A test loss that rises while the training loss falls says the same."),
        )
    ]
    most = evaluation.facts.get("settings", {}).get("curve_samples")
    measured = (
        f" Curves are measured on at most {most:,} samples, so their ends may differ from the table." if most else ""
    )
    body = (
        "<p>Mean over seeds, by share of the supervised training; the band spans the seeds. The ways that fit a linear "
        f"model to fixed features do not count epochs: their steps are iterations of the solver.{measured}</p>"
        f"{buttons(choice)}{key(protocols, evaluation)}{grid(plots, 'two')}"
    )
    return Section("How each way learns", body, plots)


def results(contents: Contents) -> Section | None:
    """The table of accuracies and its chart by number of labels."""
    evaluation = contents.evaluation
    if evaluation is None:
        missing = "Not measured yet. This compares the encoder with training from scratch:"
        command = f"likewise evaluate {folder(contents)} --train DATA --test DATA"
        return Section(TITLE, f"<p>{missing}</p>{code(command)}")
    if not evaluation.protocols:
        return None
    facts = evaluation.facts
    sizes = facts.get("samples", {})
    test = f"{sizes['test']:,} {noun(contents, sizes['test'])} of " if "test" in sizes else ""
    body = (
        f"<p>Accuracy in % on {test}{escape(str(facts.get('test', 'the test data')))}, which chose nothing. "
        "Mean over seeds and, small, its 95 % interval; the labels are drawn anew for each seed. "
        "Bold is the best of a column.</p>"
        f"{_result_table(evaluation)}"
    )
    if len(evaluation.counts) == 1:
        return Section(TITLE, body)
    caption = (
        "Accuracy by labels per class on a logarithmic axis, with 95 % intervals: the steeper a line, the "
        "more labels its way of learning needs. Points are set a little apart sideways."
    )
    if "all" in evaluation.counts and evaluation.samples_per_class:
        caption += f" “all” is about {evaluation.samples_per_class:,.0f} per class."
    chart = Figure("labels", caption, {"": figures.accuracy_by_labels(evaluation)}, height=400)
    return Section(TITLE, f"{body}{key(evaluation.protocols, evaluation, narrow=True)}{chart.html()}", [chart])


def _result_table(evaluation: Evaluation) -> str:
    counts = evaluation.counts
    best = {
        count: max(row["mean"] for protocol in evaluation.protocols if (row := evaluation.summary(protocol, count)))
        for count in counts
    }
    lines = []
    for protocol in evaluation.protocols:
        name = f"{swatch(protocol, evaluation)} {escape(_capital(protocol_name(protocol, evaluation)))}"
        cells = "".join(_result_cell(evaluation.summary(protocol, count), best[count]) for count in counts)
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    for fact, name in (("majority", "Always the most frequent class"), ("chance", "Chance")):
        if evaluation.facts.get(fact) is not None:
            cell = f"<td>{100 * evaluation.facts[fact]:.1f}</td>" * len(counts)
            lines.append(f'<tr class="floor"><th scope="row">{name}</th>{cell}</tr>')
    heads = "".join(f'<th scope="col">{escape(str(count))}</th>' for count in counts)
    return (
        '<div class="scroll" tabindex="0"><table class="results"><thead>'
        '<tr><th rowspan="2" scope="col">Protocol</th>'
        f'<th colspan="{len(counts)}" scope="colgroup">labels per class</th></tr><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _result_cell(row: dict[str, Any] | None, best: float) -> str:
    if row is None:
        return "<td>–</td>"
    mean = f"{100 * row['mean']:.1f}"
    mean = f"<b>{mean}</b>" if row["mean"] == best else mean
    interval = "" if row["low"] is None else f"<small>{100 * row['low']:.1f}–{100 * row['high']:.1f}</small>"
    return f"<td>{mean}{interval}</td>"


def measures(contents: Contents) -> Section | None:
    """Tables of what was measured without drawing labels."""
    evaluation = contents.evaluation
    if evaluation is None or not evaluation.tables:
        return None
    title = "Other measures" if evaluation.protocols else TITLE
    return Section(title, "".join(_table(table) for table in evaluation.tables))


def _table(table: Table) -> str:
    """Figures stand at the right; of shares, the best of rows that are compared is bold."""
    lines = []
    for row in table.rows:
        names = "".join(f'<th scope="row">{escape(str(name))}</th>' for name in row[: table.names])
        cells = "".join(_cell(table, row, column) for column in range(table.names, len(row)))
        lines.append(f"<tr>{names}{cells}</tr>")
    heads = [f"{name}, {unit}" if unit else name for name, unit in zip(table.head, table.units, strict=True)]
    kinds = [' class="name"'] * table.names + [""] * (len(heads) - table.names)
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, heads, strict=True))
    caption = f"<figcaption>{escape(sentence(table.caption))}</figcaption>" if table.caption else ""
    return (
        f"<figure><h3>{escape(_capital(table.title))}</h3>"
        f'<div class="scroll" tabindex="0"><table class="results"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{caption}</figure>"
    )


def _cell(table: Table, row: list[Any], column: int) -> str:
    value, unit = row[column], table.units[column]
    if not is_figure(value):
        return f"<td>{escape('–' if value is None else str(value))}</td>"
    text = figure(value, unit)
    group = [other[column] for other in table.rows if other[: table.names - 1] == row[: table.names - 1]]
    shares = [share for share in group if is_figure(share)] if unit == "%" else []
    return f"<td><b>{text}</b></td>" if len(shares) > 1 and value == max(shares) else f"<td>{text}</td>"


def errors(contents: Contents) -> Section | None:
    """Accuracy by class and the confusion matrix, of any way at any number of labels."""
    evaluation = contents.evaluation
    if evaluation is None:
        return None
    classes = [str(name) for name in evaluation.facts.get("classes", [])]
    if not classes or len(classes) > MOST_CLASSES_IN_MATRIX:
        return None
    counts = evaluation.counts if len(classes) <= figures.MOST_NAMED_GROUPS else evaluation.counts[-1:]
    protocols = sorted(evaluation.protocols, key=lambda protocol: (protocol != "frozen", protocol != "fine-tuned"))
    matrices = {
        (protocol, count): matrix
        for protocol in protocols
        for count in counts
        if (matrix := evaluation.confusion(protocol, count)) is not None
    }
    if not matrices:
        return None
    options = [
        (protocol, protocol_name(protocol, evaluation))
        for protocol in dict.fromkeys(protocol for protocol, _ in matrices)
    ]
    measured = [count for count in counts if any((protocol, count) in matrices for protocol, _ in options)]
    by_way = Choice("errors-protocol", "Protocol", options, options[0][0])
    by_labels = labels_choice("errors-labels", measured, measured[-1])
    tested = np.flatnonzero(next(iter(matrices.values())).sum(axis=1))
    names = [classes[index] for index in tested]
    bars, heats = {}, {}
    for (protocol, count), matrix in matrices.items():
        right = matrix.diagonal()[tested] / matrix.sum(axis=1)[tested]
        bars[f"{protocol}|{count}"] = figures.per_class(right, names)
        heats[f"{protocol}|{count}"] = figures.confusion(matrix, classes)
    shown = min(len(tested), figures.MOST_BARS)
    many = f" The weakest and the strongest of {len(tested)}." if len(tested) > shown else ""
    absent = len(classes) - len(tested)
    untested = f" Without test samples, and left out: {absent} class{'es' * (absent > 1)}." if absent else ""
    choices = [by_way, by_labels]
    plots = [
        Figure(
            "confusion",
            "Row: the true class; column: the name given, in % of the row. Mistakes are off the diagonal.",
            heats,
            choices,
            height=None,
            heading="Confusion matrix",
        ),
        Figure(
            "per-class",
            f"Share of each class's test samples that were named right, in %, over all seeds.{many}{untested}",
            bars,
            choices,
            height=max(240, 22 * shown + 60),
            heading="Accuracy by class",
        ),
    ]
    body = f"{buttons(by_way)}{buttons(by_labels)}{grid(plots, 'two')}"
    return Section("Errors", body, plots)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
