"""The charts of the page, as plotly plots in plain dictionaries.

Colours are named by the custom properties of page.css ("--blue", or "--blue/25" for 25 % of it), which
page.js replaces by the values of the theme that is on; so one plot serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from markupsafe import Markup

from likewise.report.headline import protocol_name
from likewise.runs.evaluation import Evaluation
from likewise.runs.gallery import Gallery
from likewise.runs.recognition import Recognition

Plot = dict[str, Any]
"""{"data": […], "layout": {…}} of plotly."""
Columns = dict[str, Float[np.ndarray, " n"]]
"""Columns of metrics.csv by name."""

LINE_COLOURS = ("--ink", "--vermillion", "--blue", "--green", "--purple", "--sky", "--grey")
DASHES = ("dashdot", "solid", "dash", "dot")
MARKERS = ("cross", "square", "circle", "diamond", "square-open", "circle-open", "diamond-open", "cross-open")
CLASS_COLOURS = [f"--class-{index}" for index in range(8)]
CLASS_SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "x"]
MOST_POINTS = 1500
MOST_NUMBERED_CELLS = 12
MOST_BARS = 30
MOST_NAMED_GROUPS = 20
LETTER = 7.2  # pixels that a letter of a line's name takes


@dataclass(frozen=True)
class Choice:
    """A row of buttons above charts; `options` are (value, text), `chosen` the value that is on at first."""

    name: str
    text: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True)
class Chart:
    """A plot with heading and caption.

    `name`, of letters, digits and hyphens, is its id. `variants` has one plot per combination of the choices' values
    (joined by "|"; "" without choices); a combination that was not measured may lack.
    """

    name: str
    caption: str
    variants: dict[str, Plot]
    choices: list[Choice] = field(default_factory=list)
    height: int | None = 320
    """Pixels; None for a square."""
    heading: str = ""
    samples: dict[str, Any] | None = None
    """For a chart of samples: their "sheet", "positions" in it and "captions", by a point's `customdata`."""

    def html(self) -> Markup:
        """The place on the page that page.js fills."""
        heading = Markup("<h3>{}</h3>").format(self.heading) if self.heading else ""
        caption = Markup("<figcaption>{}</figcaption>").format(self.caption) if self.caption else ""
        label = ". ".join(text for text in (self.heading, self.caption) if text)
        plot = Markup('<div class="plot" id="{}" role="img" aria-label="{}"></div>').format(self.name, label)
        return Markup("<figure>{}{}{}</figure>").format(heading, plot, caption)

    def css(self) -> str:
        """The rule that gives this place its shape."""
        shape = "aspect-ratio:1" if self.height is None else f"height:{self.height}px"
        return f"#{self.name}{{{shape}{';max-height:105vw' if self.samples else ''}}}"


def measurement(
    x: Float[np.ndarray, " n"],
    columns: Columns,
    chance: dict[str, float],
    *,
    share: bool = False,
) -> Plot:
    """Columns of metrics.csv by step: every logged value pale, their running mean strong, chance dashed.

    `share` says that the values are shares of 1, shown in percent.
    """
    data: list[dict[str, Any]] = []
    marks: list[tuple[str, float, str]] = []
    shapes: list[dict[str, Any]] = []
    for (name, values), colour in zip(columns.items(), ("--blue", "--green", "--purple", "--grey"), strict=False):
        known = np.isfinite(values) & np.isfinite(x)
        steps, raw = x[known], values[known]
        if not len(raw):
            continue
        smooth = running_mean(raw)
        thin = _thin(len(raw))
        label = escape(name)
        data.append(_line(steps[thin], raw[thin], label, f"{colour}/35", width=1.0, hoverinfo="skip"))
        data.append(_line(steps[thin], smooth[thin], label, colour, width=2.5))
        several = len(columns) > 1
        if several:
            marks.append((label, float(smooth[-1]), colour))
        if name in chance:
            level = chance[name]
            shapes.append(_level(level, colour if several else "--muted"))
            marks.append((f"chance {_short(level, share)}", level, colour if several else "--muted"))
    axis = _axis(rangemode="tozero", tickformat=".0%", range=[0, 1.03]) if share else _axis(rangemode="tozero")
    highest = [*(mark[1] for mark in marks), *(max(trace["y"]) for trace in data)]
    span = 1.03 if share else max(highest, default=1.0)
    layout = _layout(xaxis=_axis(title="step"), yaxis=axis, hovermode="x unified", shapes=shapes)
    layout["annotations"] = _end_labels(marks, span=span, height=240)
    layout["margin"]["r"] = max((20 + LETTER * len(name) for name, *_ in marks), default=12)
    for trace in data:
        trace["hovertemplate"] = "%{y:.1%}" if share else "%{y:.4g}"
    return {"data": data, "layout": layout}


def running_mean(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Centred mean over about a thirtieth of the values; shorter near the ends, so that it does not lag."""
    reach = max(1, len(values) // 60)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach_here = np.minimum(reach, np.minimum(index, index[::-1]))
    return (total[index + reach_here + 1] - total[index - reach_here]) / (2 * reach_here + 1)


def accuracy_by_step(curves: Mapping[str, Sequence[Mapping[str, Any]]], chance: float | None) -> Plot:
    """Accuracies after each step of an inner loop, with 95 % intervals where there are any.

    `curves` has rows with "step", "mean", "low" and "high" by the name of their line.
    """
    data: list[dict[str, Any]] = []
    marks: list[tuple[str, float, str]] = []
    for place, (name, rows) in enumerate(curves.items()):
        colour, label = LINE_COLOURS[1 + place % (len(LINE_COLOURS) - 1)], escape(name)
        steps = np.array([row["step"] for row in rows])
        if all(row["low"] is not None and row["high"] is not None for row in rows):
            low, high = (np.array([row[end] for row in rows]) for end in ("low", "high"))
            data.append(_band(steps, low, high, colour))
        trace = _line(steps, [row["mean"] for row in rows], label, colour, hovertemplate="%{y:.1%}")
        data.append(trace | {"mode": "lines+markers"})
        marks.append((label, rows[-1]["mean"], colour))
    shapes = [] if chance is None else [_level(chance)]
    if chance is not None:
        marks.append((f"chance {_short(chance, True)}", chance, "--muted"))
    most = max(int(row["step"]) for rows in curves.values() for row in rows)
    layout = _layout(
        xaxis=_axis(title="inner steps", tick0=0, dtick=max(1, most // 10)),
        yaxis=_axis(tickformat=".0%", range=[0, 1.03]),
        shapes=shapes,
        hovermode="x unified",
    )
    layout["annotations"] = _end_labels(marks, span=1.03, height=240)
    layout["margin"]["r"] = max(20 + LETTER * len(name) for name, *_ in marks)
    return {"data": data, "layout": layout}


def similarity(matrix: Float[np.ndarray, "views views"]) -> Plot:
    """Cosine similarities of pairs of views, first views then second views; colours span -1 to 1."""
    half = len(matrix) // 2
    names = [f"pair {index % half + 1}, {'first' if index < half else 'second'} view" for index in range(2 * half)]
    heat = {
        "type": "heatmap",
        "z": _rounded(matrix, 3),
        "x": names,
        "y": names,
        "zmin": -1,
        "zmax": 1,
        # Without gaps plotly enlarges a small image by a style attribute, which the page's policy does not allow.
        "xgap": 1e-6,
        "ygap": 1e-6,
        "colorscale": [[0, "--low"], [0.5, "--middle"], [1, "--high"]],
        "showscale": False,
        "hovertemplate": "%{y}<br>%{x}<br>cosine %{z:.2f}<extra></extra>",
    }
    layout = _layout(
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"visible": False, "fixedrange": True, "autorange": "reversed"},
        margin={"l": 1, "r": 1, "t": 1, "b": 1},
    )
    return {"data": [heat], "layout": layout}


def learning_curves(evaluation: Evaluation, protocols: Sequence[str], count: int | str, metric: str) -> Plot:
    """`metric` ("loss" or "accuracy") by share of the training: test solid with the range over seeds, training dotted.

    A share, because the protocols count differently: those that train an encoder epochs, the linear ones iterations.
    """
    data: list[dict[str, Any]] = []
    for protocol in protocols:
        curves = evaluation.curves(protocol, count)
        if not curves:
            continue
        colour, name = protocol_style(protocol, evaluation)[0], escape(protocol_name(protocol, evaluation))
        epochs = np.array([row["epoch"] for row in min(curves, key=len)], dtype=np.float64)
        shares = epochs / (epochs.max() or 1.0)
        for part in ("test", "train"):
            rows = [[row[f"{part}_{metric}"] for row in curve[: len(epochs)]] for curve in curves]
            values = np.array(rows, dtype=np.float64)
            mean = values.mean(axis=0)
            if part == "test" and len(values) > 1:
                data.append(_band(shares, values.min(axis=0), values.max(axis=0), colour))
            dash, width = ("solid", 2.5) if part == "test" else ("dot", 1.5)
            trace = _line(shares, mean, f"{name}, {part}", colour, dash=dash, width=width)
            trace["hovertemplate"] = "%{y:.1%}" if metric == "accuracy" else "%{y:.3g}"
            data.append(trace)
    share = {"tickformat": ".0%", "range": [0, 1.03]} if metric == "accuracy" else {"rangemode": "tozero"}
    done = _axis(title="share of the training", tickformat=".0%", range=[0, 1])
    layout = _layout(xaxis=done, yaxis=_axis(**share), hovermode="x unified")
    return {"data": data, "layout": layout}


def accuracy_by_labels(evaluation: Evaluation) -> Plot:
    """Test accuracy by labels per class (logarithmic), with 95 % intervals and the majority class's level."""
    positions = label_positions(evaluation)
    results = {
        protocol: {count: row for count in evaluation.counts if (row := evaluation.summary(protocol, count))}
        for protocol in evaluation.protocols
    }
    majority = evaluation.get("majority")
    level = None if majority is None else ("most frequent class", majority)
    return _by_amount(results, evaluation, positions, title="labels per class", level=level, highest=1.03)


def errors_by_recordings(recognition: Recognition) -> Plot:
    """Character error rate by the number of recordings (logarithmic), and the level of the commonest transcript."""
    counts = recognition.counts
    positions: dict[int | str, float] = {count: float(count) for count in counts if count != "all"}
    if "all" in counts:
        positions["all"] = max(recognition["recordings"]["train"], 1.1 * max(positions.values(), default=1.0))
    results: dict[str, dict[int | str, dict[str, Any]]] = {
        protocol: {count: row for count in counts if (row := recognition.summary(protocol, count))}
        for protocol in recognition.protocols
    }
    results = {protocol: rows for protocol, rows in results.items() if rows}
    constant = recognition["baseline"]["cer"]
    means = [row["mean"] for rows in results.values() for row in rows.values()]
    return _by_amount(
        results,
        recognition,
        positions,
        title="recordings with transcripts",
        level=("commonest transcript", constant),
        highest=1.03 * max(1.0, constant, *means),
    )


def _by_amount(
    results: dict[str, dict[int | str, dict[str, Any]]],
    evaluation: Evaluation | Recognition,
    positions: dict[int | str, float],
    *,
    title: str,
    level: tuple[str, float] | None,
    highest: float,
) -> Plot:
    """A share by an amount (logarithmic), with 95 % intervals, of each protocol, and a level to compare with."""
    data: list[dict[str, Any]] = []
    marks: list[tuple[str, float, str]] = []
    for order, (protocol, rows) in enumerate(results.items()):
        colour, dash, symbol = protocol_style(protocol, evaluation)
        aside = 1.02 ** (order - (len(results) - 1) / 2)  # so that intervals do not cover each other
        means = [row["mean"] for row in rows.values()]
        trace = _line(
            [positions[count] * aside for count in rows],
            means,
            escape(protocol_name(protocol, evaluation)),
            colour,
            dash=dash,
        )
        trace["mode"] = "lines+markers"
        trace["marker"] = {"color": colour, "symbol": symbol, "size": 8}
        trace["error_y"] = {
            "type": "data",
            "array": [_gap(row["high"], row["mean"]) for row in rows.values()],
            "arrayminus": [_gap(row["mean"], row["low"]) for row in rows.values()],
            "color": colour,
            "thickness": 1.5,
            "width": 4,
        }
        trace["customdata"] = [_interval(row) for row in rows.values()]
        trace["hovertemplate"] = "%{y:.1%} %{customdata}"
        data.append(trace)
        marks.append((trace["name"], means[-1], colour))
    shapes = []
    if level is not None:
        shapes.append(_level(level[1]))
        marks.append((*level, "--muted"))
    layout = _layout(
        xaxis=_axis(
            title=title,
            type="log",
            tickvals=list(positions.values()),
            ticktext=[escape(str(n)) for n in positions],
        ),
        yaxis=_axis(tickformat=".0%", range=[0, highest]),
        shapes=shapes,
        hovermode="closest",
    )
    layout["annotations"] = _end_labels(marks, span=highest, height=330)
    layout["margin"]["r"] = 196
    return {"data": data, "layout": layout}


def label_positions(evaluation: Evaluation) -> dict[int | str, float]:
    """Where numbers of labels per class lie on the axis: "all" at the training set's mean, right of the others."""
    numbers = [float(n) for n in evaluation.counts if n != "all"]
    positions: dict[int | str, float] = {n: float(n) for n in evaluation.counts if n != "all"}
    if "all" in evaluation.counts:
        last = max(numbers, default=1.0)
        mean = evaluation.samples_per_class
        positions["all"] = mean if mean is not None and mean > last else 2 * last
    return positions


def confusion(counts: Float[np.ndarray, "k k"], classes: Sequence[str]) -> Plot:
    """Shares of each true class (row) given each name (column)."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    names = axis_names(classes)
    heat: dict[str, Any] = {
        "type": "heatmap",
        "z": _rounded(shares, 4),
        "x": names,
        "y": names,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "--none"], [0.25, "--half"], [1, "--full"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{y} taken for %{x}: %{z:.1%}<extra></extra>",
    }
    if len(names) <= MOST_NUMBERED_CELLS:
        heat["text"] = [[f"{100 * s:.0f}" if s >= 0.005 else "" for s in row] for row in shares]
        heat["texttemplate"] = "%{text}"
        heat["textfont"] = {"size": 11}
    layout = _layout(
        xaxis=_axis(title="predicted", type="category", showgrid=False, ticks=""),
        yaxis=_axis(title="true", type="category", autorange="reversed", showgrid=False, ticks=""),
    )
    return {"data": [heat], "layout": layout}


def per_class(accuracies: Float[np.ndarray, " k"], classes: Sequence[str]) -> Plot:
    """Accuracy of each class, weakest at the bottom; of many classes the weakest and the strongest."""
    order = np.argsort(accuracies, kind="stable")
    if len(order) > MOST_BARS:
        order = np.concatenate([order[: MOST_BARS // 2], order[-MOST_BARS // 2 :]])
    values, names = accuracies[order], axis_names(classes)
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": _rounded(values, 4),
        "y": [names[index] for index in order],
        "marker": {"color": "--blue"},
        "text": [f"{100 * value:.0f}" for value in values],
        "textposition": "auto",
        "insidetextanchor": "end",
        "textfont": {"size": 11},
        "insidetextfont": {"color": "--paper"},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = _layout(
        xaxis=_axis(tickformat=".0%", range=[0, 1.03]), yaxis=_axis(type="category", showgrid=False, ticks="")
    )
    layout["bargap"] = 0.25
    return {"data": [bars], "layout": layout}


def scatter(
    groups: Mapping[str, tuple[Sequence[Any], Sequence[float], Sequence[str]]],
    *,
    x: str,
    y: str,
    log: bool = False,
    share: bool = False,
    level: tuple[str, float] | None = None,
) -> Plot:
    """Points of several groups.

    Args:
        groups: by name, where points are, how high, and what each is called; the first is pale.
        x, y: what the axes say.
        log: whether the first axis is logarithmic; without it, texts on it are categories.
        share: whether heights are shares of 1, shown in percent.
        level: the name and the height of a dashed line.
    """
    styles = (("--grey", "circle-open"), ("--blue", "circle"), ("--vermillion", "diamond"), ("--ink", "cross"))
    shown = "%{y:.1%}" if share else "%{y:.4g}"
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": escape(name),
            "x": [escape(value) if isinstance(value, str) else value for value in across],
            "y": _rounded(np.asarray(heights, dtype=np.float64), 5),
            "text": [escape(text) for text in texts],
            "marker": {"color": colour, "symbol": symbol, "size": 9},
            "hovertemplate": f"%{{text}}<br>{shown}<extra></extra>",
        }
        for (name, (across, heights, texts)), (colour, symbol) in zip(groups.items(), styles, strict=False)
    ]
    known = [height for _, heights, _ in groups.values() for height in heights if np.isfinite(height)]
    marks = [] if level is None else [(escape(level[0]), level[1], "--muted")]
    highest = max([*known, *(height for _, height, _ in marks)], default=0.0)
    layout = _layout(
        xaxis=_axis(title=escape(x), **({"type": "log", "exponentformat": "e"} if log else {})),
        yaxis=_axis(title=escape(y), **({"tickformat": ".0%"} if share else {})),
        shapes=[_level(height) for _, height, _ in marks],
        hovermode="closest",
    )
    layout["annotations"] = _end_labels(marks, span=highest, height=260)
    layout["margin"]["r"] = max((20 + LETTER * len(name) for name, *_ in marks), default=12)
    return {"data": data, "layout": layout}


def shares(values: Mapping[str, float]) -> Plot:
    """Shares of 1 by name, the largest at the top."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": _rounded(np.array([value for _, value in ordered], dtype=np.float64), 4),
        "y": axis_names([name for name, _ in ordered]),
        "marker": {"color": "--blue"},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    layout = _layout(
        xaxis=_axis(tickformat=".0%", rangemode="tozero"), yaxis=_axis(type="category", showgrid=False, ticks="")
    )
    layout["bargap"] = 0.35
    return {"data": [bars], "layout": layout}


def axis_names(names: Sequence[str]) -> list[str]:
    """Escaped names, at most 20 letters, all different: plotly merges the rows of equal ones."""
    short = [name if len(name) <= 20 else f"{name[:19]}…" for name in names]
    twice = {name for name in short if short.count(name) > 1}
    return [escape(f"{name} ({n})" if name in twice else name) for n, name in enumerate(short)]


def embedding_map(coordinates: Float[np.ndarray, "m 2"], gallery: Gallery) -> Plot:
    """One point per sample, coloured by class; each class is named where it is densest."""
    labels = np.zeros(len(coordinates), dtype=np.int64) if gallery.labels is None else gallery.labels
    data: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    present = np.unique(labels).tolist()
    short = axis_names(gallery.classes)
    for label in present:
        members = np.flatnonzero(labels == label)
        points = coordinates[members]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(gallery.classes[label]) if gallery.classes else "sample",
                "x": _rounded(points[:, 0], 4),
                "y": _rounded(points[:, 1], 4),
                "customdata": members.tolist(),
                "hoverinfo": "none",
                "marker": {
                    "color": class_colour(label),
                    "symbol": class_symbol(label),
                    "size": 7,
                    "opacity": 0.8,
                },
            }
        )
        if gallery.classes and len(present) <= MOST_NAMED_GROUPS:
            x, y = points[densest(points)]
            names.append(
                {
                    "x": float(x),
                    "y": float(y),
                    "text": short[label],
                    "font": {"weight": 700},
                    "showarrow": False,
                    "bgcolor": "--paper/75",
                    "borderpad": 2,
                    "captureevents": False,
                }
            )
    blank = {"visible": False}
    layout = _layout(xaxis=blank, yaxis={**blank, "scaleanchor": "x"}, annotations=names, hovermode="closest")
    layout["margin"] = {"l": 4, "r": 4, "t": 4, "b": 4}
    return {"data": data, "layout": layout}


def densest(points: Float[np.ndarray, "n 2"]) -> int:
    """Index of the point whose ten nearest neighbours are nearest."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = np.sort(distances, axis=1)[:, : min(11, len(points))]
    return int(near.mean(axis=1).argmin())


def class_colour(label: int) -> str:
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def class_symbol(label: int) -> str:
    """Classes that share a colour differ in symbol."""
    return CLASS_SYMBOLS[label // len(CLASS_COLOURS) % len(CLASS_SYMBOLS)]


def protocol_style(protocol: str, evaluation: Evaluation | Recognition) -> tuple[str, str, str]:
    """Colour, dash and marker of a protocol, from the file; the first of each where the file has none of them."""
    style = evaluation.details(protocol).get("style", {})
    allowed = (("color", LINE_COLOURS), ("dash", DASHES), ("marker", MARKERS))
    colour, dash, marker = (style.get(part) if style.get(part) in known else known[0] for part, known in allowed)
    return colour, dash, marker


def _layout(**settings: Any) -> dict[str, Any]:
    return {
        "paper_bgcolor": "--paper/0",
        "plot_bgcolor": "--paper/0",
        "font": {"color": "--ink", "size": 12},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--line", "font": {"color": "--ink"}},
        "margin": {"l": 8, "r": 12, "t": 10, "b": 8},
        "showlegend": False,
        "dragmode": False,
        **settings,
    }


def _axis(*, title: str = "", **settings: Any) -> dict[str, Any]:
    axis = {
        "gridcolor": "--line",
        "linecolor": "--line",
        "zeroline": False,
        "tickcolor": "--line",
        "ticks": "outside",
        "ticklen": 4,
        "fixedrange": True,
        "automargin": True,
        **settings,
    }
    return axis | ({"title": {"text": title, "standoff": 6}} if title else {})


def _line(
    x: Sequence[float] | Float[np.ndarray, " n"] | Int[np.ndarray, " n"],
    y: Sequence[float] | Float[np.ndarray, " n"],
    name: str,
    colour: str,
    *,
    dash: str = "solid",
    width: float = 2.0,
    **settings: Any,
) -> dict[str, Any]:
    line = {"color": colour, "dash": dash, "width": width}
    return {
        "type": "scatter",
        "mode": "lines" if len(x) > 1 else "lines+markers",  # a line of one point is not seen
        "x": np.asarray(x).tolist(),
        "y": _rounded(np.asarray(y), 5),
        "name": name,
        "line": line,
        **settings,
    }


def _band(
    x: Shaped[np.ndarray, " n"], low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], colour: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x.tolist(), *x[::-1].tolist()],
        "y": [*_rounded(high, 5), *_rounded(low[::-1], 5)],
        "fill": "toself",
        "fillcolor": f"{colour}/18",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _level(value: float, colour: str = "--muted") -> dict[str, Any]:
    line = {"color": colour, "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}


def _end_labels(marks: list[tuple[str, float, str]], *, span: float, height: int) -> list[dict[str, Any]]:
    """Names at the right end of their lines, moved apart where they would overlap.

    `span` is the axis' range and `height` the plot's in pixels. page.js drops them where the page is narrow.
    """
    ordered = sorted(marks, key=lambda mark: mark[1])
    places = moved_apart([value for _, value, _ in ordered], gap=15 * span / height, most=span)
    return [
        {
            "name": "end label",
            "xref": "paper",
            "x": 1,
            "xanchor": "left",
            "xshift": 8,
            "y": place,
            "yanchor": "middle",
            "text": text,
            "font": {"color": colour, "size": 12},
            "showarrow": False,
        }
        for (text, _, colour), place in zip(ordered, places, strict=True)
    ]


def moved_apart(values: Sequence[float], *, gap: float, most: float) -> list[float]:
    """Ascending values, moved as little upwards as leaves `gap` between them, and down again where above `most`."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else value)
    for index in reversed(range(len(places))):
        places[index] = min(places[index], most)
        most = places[index] - gap
    return places


def _thin(length: int) -> Int[np.ndarray, " kept"]:
    return np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).astype(np.int64))


def _gap(high: float | None, low: float | None) -> float:
    return 0.0 if high is None or low is None else max(0.0, high - low)


def _interval(row: dict[str, Any]) -> str:
    return "" if row["low"] is None else f"({100 * row['low']:.1f}–{100 * row['high']:.1f})"


def _short(value: float, share: bool) -> str:
    if not share:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{100 * value:.1f}\u00a0%" if value >= 0.001 else f"{100 * value:.2g}\u00a0%"


def _rounded(values: Float[np.ndarray, "..."] | Int[np.ndarray, "..."], digits: int) -> list[Any]:
    """Nested lists of numbers of few significant digits; None, which plotly leaves out, for non-finite."""
    exact = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.nan_to_num(np.floor(np.log10(np.abs(exact))), neginf=0.0, posinf=0.0)
        rounded = np.round(exact * 10.0 ** (digits - 1 - power)) / 10.0 ** (digits - 1 - power)
    rounded = rounded.astype(object)
    rounded[~np.isfinite(exact)] = None
    return rounded.tolist()
