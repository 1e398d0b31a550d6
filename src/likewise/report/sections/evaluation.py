"""The evaluation: learning curves, accuracies by number of labels, errors by class, other measures."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from likewise.report import charts
from likewise.report.charts import Chart, Choice
from likewise.report.contents import Contents
from likewise.report.headline import format_number, protocol_name, sentence, typical_count
from likewise.report.pieces import Section, buttons, code, folder, grid, key, labels_choice, noun, swatch
from likewise.runs.evaluation import Evaluation
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
    body = (
        "<p>Mean over seeds, by share of the supervised training; the band spans the seeds. Protocols that fit a "
        f"linear model to fixed features have no epochs: their steps are iterations of the solver.{measured}</p>"
        f"{buttons(choice)}{key(protocols, evaluation)}{grid(plots, 'two')}"
    )
    return Section("Learning curves", body, plots)


def results(contents: Contents) -> Section | None:
    """The table of accuracies and its chart by number of labels."""
    evaluation = contents.evaluation
    if evaluation is None:
        missing = "Not evaluated yet. This command compares the encoder with training from scratch:"
        command = f"likewise evaluate {folder(contents)} --train DATA --test DATA"
        return Section(TITLE, f"<p>{missing}</p>{code(command)}")
    if not evaluation.protocols:
        return None
    sizes = evaluation.get("samples", {})
    test = f"{sizes['test']:,} {noun(contents, sizes['test'])} of " if "test" in sizes else ""
    body = (
        f"<p>Accuracy in % on {test}{escape(str(evaluation.get('test', 'the test data')))}; "
        "no setting was chosen on these samples. "
        "Mean over seeds, with its 95 % interval below; each seed draws its own labels. "
        "Bold is the best of a column.</p>"
        f"{_result_table(evaluation)}"
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
        if evaluation.get(fact) is not None:
            cell = f"<td>{100 * evaluation[fact]:.1f}</td>" * len(counts)
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


def other_measures(contents: Contents) -> Section | None:
    """Tables of what was measured without drawing labels."""
    evaluation = contents.evaluation
    if evaluation is None or not evaluation.tables:
        return None
    title = "Other measures" if evaluation.protocols else TITLE
    return Section(title, "".join(_table(table) for table in evaluation.tables))


def _table(table: Table) -> str:
    """Numbers are at the right; of shares, the best of rows that are compared is bold."""
    lines = []
    for row in table.rows:
        names = "".join(f'<th scope="row">{escape(str(name))}</th>' for name in row[: table.name_columns])
        cells = "".join(_cell(table, row, column) for column in range(table.name_columns, len(row)))
        lines.append(f"<tr>{names}{cells}</tr>")
    heads = [f"{name}, {unit}" if unit else name for name, unit in zip(table.head, table.units, strict=True)]
    kinds = [' class="name"'] * table.name_columns + [""] * (len(heads) - table.name_columns)
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, heads, strict=True))
    caption = f"<figcaption>{escape(sentence(table.caption))}</figcaption>" if table.caption else ""
    return (
        f"<figure><h3>{escape(_capital(table.title))}</h3>"
        f'<div class="scroll" tabindex="0"><table class="results"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{caption}</figure>"
    )


def _cell(table: Table, row: list[Any], column: int) -> str:
    value, unit = row[column], table.units[column]
    if not is_number(value):
        return f"<td>{escape('–' if value is None else str(value))}</td>"
    text = format_number(value, unit)
    group = [other[column] for other in table.rows if other[: table.name_columns - 1] == row[: table.name_columns - 1]]
    shares = [share for share in group if unit == "%" and is_number(share)]
    return f"<td><b>{text}</b></td>" if len(shares) > 1 and value == max(shares) else f"<td>{text}</td>"


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
    body = f"{buttons(by_protocol)}{buttons(by_labels)}{grid(plots, 'two')}"
    return Section("Errors", body, plots)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
