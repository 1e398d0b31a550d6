"""Pieces that the sections share, in HTML. What comes from files is escaped here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from likewise.report.charts import Chart, Choice, protocol_style
from likewise.report.contents import Contents
from likewise.report.headline import protocol_name
from likewise.report.sprites import SpriteSheet
from likewise.runs.evaluation import Evaluation
from likewise.runs.recognition import Recognition

NOUNS = {"image": "image", "text": "document", "audio": "recording", "pair": "pair"}
MOST_COLUMNS = 32


@dataclass(frozen=True)
class Section:
    """A part of the page. `body` is HTML, with places for the `charts` and pieces of the `sprites`.

    HTML is `Markup`, and only a literal becomes `Markup`: its `format` and `join` escape every plain string.
    """

    title: str
    body: Markup
    charts: list[Chart] = field(default_factory=list)
    sprites: list[SpriteSheet] = field(default_factory=list)


def noun(contents: Contents, count: int) -> str:
    """What to call `count` samples of the run's kind."""
    one = NOUNS.get((contents.config.get("source") or {}).get("modality", ""), "sample")
    return one if count == 1 else f"{one}s"


def folder(contents: Contents) -> str:
    """The run folder as an argument of a command."""
    return shlex.quote(str(contents.folder))


def grid(charts: Sequence[Chart], kind: str) -> Markup:
    """Charts side by side, as many as fit; `kind` ("two", "three", "stages") says how wide each must be."""
    return Markup('<div class="grid {}">{}</div>').format(kind, joined(chart.html() for chart in charts))


def joined(parts: Iterable[str]) -> Markup:
    """Parts of the page one after the other; those that are no `Markup` are escaped."""
    return Markup("").join(parts)


def columns(count: int) -> int:
    """How many columns there are, as a `data-columns` that page.css has a rule for."""
    return max(1, min(count, MOST_COLUMNS))


def columns_css() -> str:
    """These rules."""
    return "".join(f"[data-columns='{count}']{{--columns:{count}}}" for count in range(1, MOST_COLUMNS + 1))


def labels_choice(name: str, counts: Sequence[int | str], chosen: int | str) -> Choice:
    """A choice among numbers of labels per class; the last one where `chosen` is not among them."""
    chosen = chosen if chosen in counts else counts[-1]
    return Choice(name, "Labels per class", [(str(count), str(count)) for count in counts], str(chosen))


def buttons(choice: Choice) -> Markup:
    """A choice as a row of radio buttons."""
    labels = []
    for value, text in choice.options:
        checked = " checked" if value == choice.chosen else ""
        radio = Markup('<input type="radio" name="{}" value="{}"{}>').format(choice.name, value, checked)
        labels.append(Markup("<label>{}<span>{}</span></label>").format(radio, text))
    return Markup('<fieldset class="choice"><legend>{}</legend>{}</fieldset>').format(choice.text, joined(labels))


def swatch(protocol: str, evaluation: Evaluation | Recognition) -> Markup:
    """The line and marker of a protocol in the charts."""
    colour, dash, symbol = protocol_style(protocol, evaluation)
    gaps = {"solid": "", "dash": "5 3", "dot": "2 3"}.get(dash, "6 2 2 2")
    outline = {
        "square": "M8 1.5h8v8h-8z",
        "diamond": "M12 0l5.5 5.5-5.5 5.5-5.5-5.5z",
    }.get(symbol.removesuffix("-open"), "M8 5.5a4 4 0 1 1 8 0a4 4 0 1 1-8 0z")
    fill = "--paper" if symbol.endswith("-open") else colour
    return Markup(
        '<svg class="swatch" viewBox="0 0 24 11" aria-hidden="true"><g stroke="var({})" fill="var({})">'
        '<path d="M0 5.5h24" stroke-dasharray="{}"/><path d="{}"/></g></svg>'
    ).format(colour, fill, gaps, outline)


def key(protocols: Sequence[str], evaluation: Evaluation | Recognition, *, narrow: bool = False) -> Markup:
    """The legend of the protocols; with `narrow`, only where the page is too narrow for names in the chart."""
    items = (
        Markup("<li>{} {}</li>").format(swatch(protocol, evaluation), protocol_name(protocol, evaluation))
        for protocol in protocols
    )
    return Markup('<ul class="key{}">{}</ul>').format(" narrow" * narrow, joined(items))


def settings(title: str, values: dict[str, Any]) -> Markup:
    """A table of names and values; what is nested has dotted names."""
    rows = joined(
        Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(name, value) for name, value in _flat(values)
    )
    return Markup('<table class="settings"><caption>{}</caption><tbody>{}</tbody></table>').format(title, rows)


def code(text: str) -> Markup:
    """Commands with a button that copies them."""
    button = Markup('<button type="button" class="copy">Copy</button>')
    return Markup('<div class="code">{}<pre><code>{}</code></pre></div>').format(button, text)


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
