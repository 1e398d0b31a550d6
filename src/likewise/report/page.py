"""The one-file web page of a run: sections, data of the charts, style, script, plotly. It fetches nothing."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from likewise.atomic import write_text
from likewise.report.contents import Contents, read_contents
from likewise.report.headline import caveat, headline
from likewise.report.pieces import Section
from likewise.report.sections import SECTIONS
from likewise.report.sections.run import learned_from, summary_facts


def write_page(run_folder: Path, out: Path | None = None) -> Path:
    """Write the page that shows a run, from the files of its folder alone.

    What a run lacks (no evaluation yet, no labels, still training) is left out, or the page says which
    command makes it. The map's coordinates are kept in the run as map.npz, so that the next report is fast.

    Args:
        run_folder: The folder that a training left.
        out: Where the page goes; report.html in the run folder by default.

    Returns:
        The path of the page.

    Raises:
        UserError: `run_folder` does not exist or is not a run folder.
    """
    contents = read_contents(run_folder)
    made = (section(contents) for section in SECTIONS)
    page = page_html(contents, [section for section in made if section is not None])
    out = run_folder / "report.html" if out is None else out
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return out


def page_html(contents: Contents, sections: list[Section]) -> str:
    """The whole page as text."""
    files = resources.files("likewise.report")
    sprites = {sheet.name: sheet.css() for section in sections for sheet in section.sprites}
    name = (contents.config.get("source") or {}).get("name") or contents.folder.name
    return Template(_text(files, "page.html")).substitute(
        title=escape(f"likewise · {name}"),
        css=_text(files, "page.css") + "".join(sprites.values()),
        head=_head_html(contents),
        contents="".join(f'<li><a href="#{_anchor(s)}">{escape(s.title)}</a></li>' for s in sections),
        sections="".join(f'<section id="{_anchor(s)}"><h2>{escape(s.title)}</h2>{s.body}</section>' for s in sections),
        charts=_charts_json(sections),
        plotly=get_plotlyjs(),
        js=_text(files, "page.js"),
    )


def _text(files: resources.abc.Traversable, name: str) -> str:
    return files.joinpath(name).read_text(encoding="utf-8")


def _anchor(section: Section) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in section.title.lower()).strip("-")


def _head_html(contents: Contents) -> str:
    evaluation = contents.evaluation
    title = headline(evaluation) if evaluation else None
    notes = [caveat(evaluation), *evaluation.get("notes", [])] if evaluation else []
    name = (contents.config.get("source") or {}).get("name") or contents.folder.name
    lines = [f"<h1>{escape(title or name)}</h1>"]
    lines += [f'<p class="caveat">{escape(str(note))}</p>' for note in notes if note]
    lines.append(f"<p>{escape(learned_from(contents))}</p>")
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in summary_facts(contents))
    return "".join(lines) + (f"<dl>{facts}</dl>" if facts else "")


def _charts_json(sections: list[Section]) -> str:
    """What page.js draws; "<" is escaped, so that no name in it can end the script element."""
    drawn = [
        {
            "name": chart.name,
            "choices": [choice.name for choice in chart.choices],
            "variants": chart.variants,
            "samples": chart.samples,
        }
        for section in sections
        for chart in section.charts
    ]
    return json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
