"""Pieces that the sections share, in HTML. What comes from files is escaped here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from likewise.report.charts import Chart, Choice, protocol_style
from likewise.report.contents import Contents
from likewise.report.headline import protocol_name
from likewise.report.sprites import SpriteSheet
from likewise.runs.evaluation import Evaluation

NOUNS = {"image": "image", "text": "document", "audio": "recording", "pair": "pair"}


@dataclass(frozen=True)
class Section:
    """A part of the page. `body` is HTML, with places for the `charts` and pieces of the `sprites`."""

    title: str
    body: str
    charts: list[Chart] = field(default_factory=list)
    sprites: list[SpriteSheet] = field(default_factory=list)


def noun(contents: Contents, count: int) -> str:
    """What to call `count` samples of the run's kind."""
    one = NOUNS.get((contents.config.get("source") or {}).get("modality", ""), "sample")
    return one if count == 1 else f"{one}s"


def folder(contents: Contents) -> str:
    """The run folder as an argument of a command."""
    return shlex.quote(str(contents.folder))


def grid(charts: Sequence[Chart], kind: str) -> str:
    """Charts side by side, as many as fit; `kind` ("two", "three", "stages") says how wide each must be."""
    return f'<div class="grid {kind}">{"".join(chart.html() for chart in charts)}</div>'


def labels_choice(name: str, counts: Sequence[int | str], chosen: int | str) -> Choice:
    """A choice among numbers of labels per class; the last one where `chosen` is not among them."""
    chosen = chosen if chosen in counts else counts[-1]
    return Choice(name, "Labels per class", [(str(count), str(count)) for count in counts], str(chosen))


def buttons(choice: Choice) -> str:
    """A choice as a row of radio buttons."""
    labels = []
    for value, text in choice.options:
        checked = " checked" if value == choice.chosen else ""
        radio = f'<input type="radio" name="{choice.name}" value="{escape(value)}"{checked}>'
        labels.append(f"<label>{radio}<span>{escape(text)}</span></label>")
    return f'<fieldset class="choice"><legend>{escape(choice.text)}</legend>{"".join(labels)}</fieldset>'


def swatch(protocol: str, evaluation: Evaluation) -> str:
    """The line and marker of a protocol in the charts."""
    colour, dash, symbol = protocol_style(protocol, evaluation)
    gaps = {"solid": "", "dash": "5 3", "dot": "2 3"}.get(dash, "6 2 2 2")
    outline = {
        "square": "M8 1.5h8v8h-8z",
        "diamond": "M12 0l5.5 5.5-5.5 5.5-5.5-5.5z",
    }.get(symbol.removesuffix("-open"), "M8 5.5a4 4 0 1 1 8 0a4 4 0 1 1-8 0z")
    fill = "--paper" if symbol.endswith("-open") else colour
    return (
        f'<svg class="swatch" viewBox="0 0 24 11" aria-hidden="true" '
        f'style="stroke:var({colour});fill:var({fill})">'
        f'<path d="M0 5.5h24" stroke-dasharray="{gaps}"/><path d="{outline}"/></svg>'
    )


def key(protocols: Sequence[str], evaluation: Evaluation, *, narrow: bool = False) -> str:
    """The legend of the protocols; with `narrow`, only where the page is too narrow for names in the chart."""
    names = {protocol: escape(protocol_name(protocol, evaluation)) for protocol in protocols}
    items = "".join(f"<li>{swatch(protocol, evaluation)} {name}</li>" for protocol, name in names.items())
    return f'<ul class="key{" narrow" * narrow}">{items}</ul>'


def settings(title: str, values: dict[str, Any]) -> str:
    """A table of names and values; what is nested has dotted names."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in _flat(values)
    )
    return f'<table class="settings"><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>'


def code(text: str) -> str:
    """Commands with a button that copies them."""
    button = '<button type="button" class="copy">Copy</button>'
    return f'<div class="code">{button}<pre><code>{escape(text)}</code></pre></div>'


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        parts = value if isinstance(value, list) else [value]
        if parts and all(isinstance(part, dict) and part for part in parts):
            for part in parts:
                pairs += _flat(part, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", value if isinstance(value, str) else json.dumps(_short(value))))
    return pairs


def _short(value: Any) -> Any:
    """Floats to six digits, also within lists."""
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
