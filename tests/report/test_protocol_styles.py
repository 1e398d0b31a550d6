"""Protocols look as the evaluation's file says, and only as page.css and plotly allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import fake_run, protocol_details

from likewise.evaluation import PROTOCOLS
from likewise.report.charts import DASHES, LINE_COLOURS, MARKERS, protocol_style
from likewise.report.contents import read_contents
from likewise.report.story import _page_colours
from likewise.runs.evaluation import Evaluation


def test_every_protocol_keeps_its_own_style() -> None:
    found = Evaluation({"protocol_details": protocol_details(PROTOCOLS, "pixels")})
    styles = [protocol_style(name, found) for name in PROTOCOLS]
    assert styles == [tuple(protocol.style) for protocol in PROTOCOLS.values()]
    assert len(set(styles)) == len(PROTOCOLS)


def test_page_css_has_the_colours_of_lines() -> None:
    assert set(LINE_COLOURS) <= set(_page_colours())


@pytest.mark.parametrize("style", [{}, {"color": "--blue;background:url(//x)", "dash": ["dot"], "marker": 3}])
def test_a_style_that_is_none_is_replaced(style: dict[str, Any]) -> None:
    found = Evaluation({"protocol_details": {"own": {"label": "Own", "style": style}}})
    assert protocol_style("own", found) == (LINE_COLOURS[0], DASHES[0], MARKERS[0])
    assert protocol_style("unknown", found) == (LINE_COLOURS[0], DASHES[0], MARKERS[0])


@pytest.mark.parametrize("details", [[], {"frozen": "blue"}, {"frozen": {"style": "blue"}}])
def test_details_of_another_form_are_unreadable(tmp_path: Path, details: Any) -> None:
    folder = fake_run(tmp_path, parts=("config", "evaluation"))
    facts = json.loads((folder / "evaluation.json").read_text()) | {"protocol_details": details}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    assert read_contents(folder).unreadable == [
        "evaluation.json: ValueError: protocol_details must hold a label and a style for each protocol"
    ]
