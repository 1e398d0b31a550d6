"""The one-file web page of a run: sections, data of the charts, style, script, plotly. It fetches nothing."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from hashlib import sha256
from importlib import resources
from pathlib import Path
from string import Template

from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from likewise.atomic import write_text
from likewise.report.contents import Contents, read_contents
from likewise.report.headline import caveat, headline
from likewise.report.pieces import Section, columns_css, joined
from likewise.report.recognition_headline import recognition_caveat, recognition_headline
from likewise.report.sections import SECTIONS
from likewise.report.sections.run import learned_from, summary_facts


def write_page(run_folder: Path, out: Path | None = None, *, contents: Contents | None = None) -> Path:
    """Write the page that shows a run, from the files of its folder alone.

    What a run lacks (no evaluation yet, no labels, still training) is left out, or the page says which
    command makes it. The map's coordinates are kept in the run as map.npz, so that the next report is fast.

    Args:
        run_folder: The folder that a training left.
        out: Where the page goes; report.html in the run folder by default.
        contents: Of the folder, where it has been read already.

    Returns:
        The path of the page.

    Raises:
        UserError: `run_folder` does not exist or is not a run folder.
    """
    contents = contents or read_contents(run_folder)
    made = (section(contents) for section in SECTIONS)
    page = page_html(contents, [section for section in made if section is not None])
    out = run_folder / "report.html" if out is None else out
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return out


def page_html(contents: Contents, sections: list[Section]) -> str:
    """The whole page as text."""
    name = (contents.config.get("source") or {}).get("name") or contents.folder.name
    return document_html(name, _head_html(contents), sections)


def document_html(name: str, head: Markup, sections: list[Section]) -> str:
    """A page of a name, with a head and sections, as text."""
    files = resources.files("likewise.report")
    sprites = {sheet.name: sheet.css() for section in sections for sheet in section.sprites}
    charts = [chart.css() for section in sections for chart in section.charts]
    css = "".join([_text(files, "page.css"), columns_css(), *charts, *sprites.values()])
    plotly, js = get_plotlyjs().replace("\r\n", "\n"), _text(files, "page.js")
    links = joined(Markup('<li><a href="#{}">{}</a></li>').format(_anchor(s), s.title) for s in sections)
    parts = (Markup('<section id="{}"><h2>{}</h2>{}</section>').format(_anchor(s), s.title, s.body) for s in sections)
    return Template(_text(files, "page.html")).substitute(
        title=escape(f"likewise · {name}"),
        policy=_policy(styles=(css, ""), scripts=(plotly, js)),
        css=css,
        head=head,
        contents=links,
        sections=joined(parts),
        charts=_charts_json(sections),
        styled=_styled(plotly),
        plotly=plotly,
        js=js,
    )


def _styled(plotly: str) -> Markup:
    """Empty elements with the ids of the style elements that plotly adds for maps where there are none of that id.

    The page has no maps, and its policy would stop these elements.
    """
    found = re.findall(r'getElementById\("([0-9a-f]{64})"\)', plotly)
    return joined(Markup('<template id="{}"></template>').format(name) for name in dict.fromkeys(found))


def _policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """The Content-Security-Policy: the page runs these scripts and no other, and fetches nothing.

    plotly makes an empty style element and fills it by script, hence an empty text among the styles.
    """

    def sources(texts: Iterable[str]) -> str:
        return " ".join(f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)

    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; media-src data:; "
        f"style-src {sources(styles)}; script-src {sources(scripts)}"
    )


def _text(files: resources.abc.Traversable, name: str) -> str:
    return files.joinpath(name).read_text(encoding="utf-8")


def _anchor(section: Section) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in section.title.lower()).strip("-")


def _head_html(contents: Contents) -> Markup:
    evaluation = contents.evaluation
    recognition = evaluation.recognition if evaluation else None
    title = headline(evaluation) if evaluation else None
    notes = [caveat(evaluation), *evaluation.get("notes", [])] if evaluation else []
    if recognition is not None:
        title, notes[0] = recognition_headline(recognition), recognition_caveat(recognition)
    name = (contents.config.get("source") or {}).get("name") or contents.folder.name
    lines = [Markup("<h1>{}</h1>").format(title or name)]
    lines += [Markup('<p class="caveat">{}</p>').format(note) for note in notes if note]
    lines.append(Markup("<p>{}</p>").format(learned_from(contents)))
    facts = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*fact) for fact in summary_facts(contents)]
    return joined(lines) + (Markup("<dl>{}</dl>").format(joined(facts)) if facts else "")


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
