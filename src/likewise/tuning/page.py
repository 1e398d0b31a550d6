"""The page of a search: what it found, its trials, what each value does, the best recipe, what it cost."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from likewise.atomic import write_text
from likewise.console import count_of
from likewise.report.charts import Chart, scatter, shares
from likewise.report.headline import sentence
from likewise.report.page import document_html
from likewise.report.pieces import Section, code, grid, joined, settings
from likewise.tuning.ranges import SearchChoice, SearchInterval, Space
from likewise.tuning.result import SearchResult, TrialFile
from likewise.tuning.trials import FAILED, FINISHED, PRUNED

PAGE, BEST = "tune.html", "best.yaml"
MOST_ROWS = 500
"""Trials in the table of the page."""
DEFAULT = "default"
KEY = "◆ the best, ✚ the default recipe, ● others that finished, ○ ended early, where they were then."
STATES = {PRUNED: "ended early"}
"""What people call a state."""


def write_search_page(result: SearchResult, space: Space, folder: Path) -> Path:
    """Write the page of a search into its folder."""
    made = (_history(result), _parameters(result, space), _best(result, folder), _cost(result), _trials(result, space))
    sections = [section for section in made if section is not None]
    write_text(folder / PAGE, document_html(f"search on {result['name']}", _head(result), sections))
    return folder / PAGE


def _head(result: SearchResult) -> Markup:
    objective = result["objective"]
    lines = [Markup("<h1>{}</h1>").format(sentence(result.headline()))]
    if caution := result.caution():
        lines.append(Markup('<p class="caveat">{}</p>').format(sentence(caution)))
    told = f"Recipes of {result['method']} on {result['name']}. "
    told += f"The objective, {objective['kind']}, is the {objective['what']}"
    if objective["probe"]:
        told += f", of {objective['probe']}"
    lines.append(Markup("<p>{}. No label of a test part was read.</p>").format(told))
    facts = [("trials", str(len(result.trials))), ("epochs of a trial", str(result.get("epochs") or "–"))]
    facts.append(("minutes of training", f"{result.get('minutes', 0.0):.1f}"))
    cells = (Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*fact) for fact in facts)
    return joined(lines) + Markup("<dl>{}</dl>").format(joined(cells))


def _history(result: SearchResult) -> Section | None:
    """The objective by trial."""
    if not any(_height(trial) is not None for trial in result.trials):
        return None
    chart = Chart(
        "history",
        f"Each trial is one training. {KEY}",
        {"": _plot(result, {trial["number"]: trial["number"] for trial in result.trials}, "trial")},
        heading=f"{result['objective']['kind']} by trial",
    )
    return Section("Trials", chart.html(), [chart])


def _parameters(result: SearchResult, space: Space) -> Section | None:
    """The objective over each of what is searched, and how much of it each explains."""
    charts = []
    for place, (name, of) in enumerate(space.items()):
        where = {trial["number"]: _place(_value(result, trial, name), of) for trial in result.trials}
        if any(value is not None for value in where.values()):
            log = isinstance(of, SearchInterval) and of.log
            charts.append(Chart(f"over-{place}", "", {"": _plot(result, where, name, log=log)}, heading=name))
    if not charts:
        return None
    body = grid(charts, "two")
    importance = result.get("importance")
    if importance is None:
        said = "How much each value decides is estimated from four finished trials or more with different objectives."
        return Section("What the values do", body + Markup("<p>{}</p>").format(said), charts)
    caption = (
        "The share of the objective's variance that a value explains by itself (fANOVA, over the finished trials). Of "
        "few trials it is a guess."
    )
    chart = Chart(
        "importance", caption, {"": shares(importance)}, heading="Importance", height=60 + 34 * len(importance)
    )
    return Section("What the values do", chart.html() + body, [chart, *charts])


def _best(result: SearchResult, folder: Path) -> Section | None:
    best = result.best
    if best is None:
        return None
    values = {name: _value(result, best, name) for name in (text.partition("=")[0] for text in result["over"])}
    data = shlex.quote(result["data"] or "DATA")
    use = f"likewise pretrain {data} --recipe {shlex.quote(str(folder / BEST))}"
    return Section("The best recipe", settings(f"trial {best['number']}", values) + code(use))


def _cost(result: SearchResult) -> Section:
    used = {
        state: sum(trial["seconds"] for trial in result.of_state(state)) / 60 for state in (FINISHED, PRUNED, "failed")
    }
    told = f"{count_of(len(result.trials), 'trial')}: {result.counts()}. "
    told += (
        f"{result.get('minutes', 0.0):.1f} minutes of training, of which {used[PRUNED]:.1f} in trials that were ended "
    )
    told += f"early and {used['failed']:.1f} in failed ones."
    failed = [f"trial {trial['number']} failed: {trial['reason']}" for trial in result.of_state(FAILED)]
    failed += (result.get("confirmed") or {}).get("failed", [])
    lines = joined(Markup("<li>{}</li>").format(line) for line in failed[:MOST_ROWS])
    body = Markup("<p>{}</p>").format(told) + (Markup("<ul>{}</ul>").format(lines) if failed else "")
    return Section("What it cost", body + code(result["command"]))


def _trials(result: SearchResult, space: Space) -> Section:
    """All trials in a table, the best first."""
    ordered = sorted(result.trials, key=lambda trial: (trial["state"] != FINISHED, -(_height(trial) or 0.0)))
    heads = ["trial", "state", result["objective"]["kind"], *space, "epochs", "seconds"]
    head = Markup('<th scope="col" class="name">{}</th>').format(heads[0])
    head += joined(Markup('<th scope="col">{}</th>').format(name) for name in heads[1:])
    rows = []
    for trial in ordered[:MOST_ROWS]:
        number = f"{trial['number']} ({DEFAULT})" if trial["number"] == 0 else str(trial["number"])
        values = [said(_value(result, trial, name)) for name in space]
        cells = [
            STATES.get(trial["state"], trial["state"]),
            result.shown(_height(trial)),
            *values,
            str(trial["epochs"]),
            f"{trial['seconds']:.1f}",
        ]
        texts = joined(Markup("<td>{}</td>").format(cell) for cell in cells)
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(number, texts))
    table = Markup('<table class="results"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>')
    return Section("All trials", Markup('<div class="scroll">{}</div>').format(table.format(head, joined(rows))))


def said(value: Any) -> str:
    """A value that was tried, as people read it."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "–" if value is None else str(value)


def _value(result: SearchResult, trial: TrialFile, name: str) -> Any:
    """What a trial had of something searched."""
    return (result.get("default") or {}).get(name) if trial["number"] == 0 else trial["values"].get(name)


def _height(trial: TrialFile) -> float | None:
    """The objective of a trial; of one that was ended early, the last."""
    if trial["state"] == FINISHED:
        return trial["value"]
    return trial["curve"][-1][1] if trial["state"] == PRUNED and trial["curve"] else None


def _place(value: Any, of: SearchInterval | SearchChoice) -> Any:
    """Where a value stands on its axis; None where it has no place."""
    if isinstance(of, SearchChoice):
        return said(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and (value > 0 or not of.log) else None


def _plot(result: SearchResult, where: dict[int, Any], title: str, *, log: bool = False) -> dict[str, Any]:
    """The objective of all trials by where they stand."""
    best, kind = result.best, result["objective"]["kind"]

    def group(trials: Sequence[TrialFile]) -> tuple[list[Any], list[float], list[str]]:
        known = [
            (where[trial["number"]], height, f"trial {trial['number']}")
            for trial in trials
            if where[trial["number"]] is not None and (height := _height(trial)) is not None
        ]
        return [each[0] for each in known], [each[1] for each in known], [each[2] for each in known]

    chosen = {0, -1 if best is None else best["number"]}
    groups = {
        "ended early": group(result.of_state(PRUNED)),
        "finished": group([trial for trial in result.of_state(FINISHED) if trial["number"] not in chosen]),
        "best": group([] if best is None else [best]),
        DEFAULT: group([trial for trial in result.of_state(FINISHED) if trial["number"] == 0]),
    }
    default = result.default
    level = None if default is None or default["value"] is None else (DEFAULT, default["value"])
    return scatter(groups, x=title, y=kind, log=log, share=kind == "probe", level=level)
