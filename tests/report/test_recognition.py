"""The page and the headline of speech recognition, also of an evaluation.json from elsewhere."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from likewise.evaluation.labelled_samples import differences_by_measure, summary_by_measure
from likewise.evaluation.recognition import MEASURES
from likewise.report.page import write_page
from likewise.report.recognition_headline import (
    more_errors_than_untrained,
    recognition_caveat,
    recognition_headline,
)
from likewise.runs.evaluation import Evaluation
from likewise.runs.recognition import Recognition, typical_recordings

RATES = {"scratch": 0.8, "frozen": 0.4, "untrained": 0.6, "raw-ctc": 0.5}


def recognition(rates: dict[str, float] = RATES, *, seeds: int = 3, spread: float = 0.01) -> Recognition:
    """Error rates as an evaluation gives them: of 10 recordings a tenth more than of 100."""
    trials = [
        {"protocol": name, "labelled": count, "seed": seed, "cer": rate + more + seed * spread, "wer": rate + 0.3}
        for name, rate in rates.items()
        for count, more in ((10, 0.1), (100, 0.0))
        for seed in range(seeds)
    ]
    pairs = [("frozen", name) for name in rates if name != "frozen"]
    return Recognition(
        recordings={"train": 120, "test": 30},
        left_out=[["a.wav", "no transcript"]],
        seeds=seeds,
        labelled=[10, 100],
        protocols=list(rates),
        protocol_details={
            name: {"label": f"{name.capitalize()} encoder", "pretrained": name == "frozen"} for name in rates
        },
        baseline={"transcript": "a", "cer": 0.9, "wer": 1.0},
        trials=trials,
        summary=summary_by_measure(trials, MEASURES),
        differences=differences_by_measure(trials, pairs, MEASURES),
        examples={
            "labelled": 100,
            "recordings": [{"id": "<b>.wav", "reference": "<script>x", "hypotheses": {"frozen": "<i>", "scratch": ""}}],
        },
    )


def written(folder: Path, held: dict[str, Any]) -> Path:
    (folder / "evaluation.json").write_text(json.dumps({"test": "speech:test", "recognition": held}))
    return folder


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            recognition(),
            "With 100 transcripts the frozen encoder gets 41 % of the characters wrong, training from scratch 81 %, a "
            "difference of −40.0 ± 0.0 points.",
        ),
        (
            recognition(RATES | {"scratch": 0.3}),
            "With 100 transcripts the frozen encoder gets 41 % of the characters wrong, training from scratch 31 %, a "
            "difference of +10.0 ± 0.0 points: pretraining did not help.",
        ),
        (
            recognition(seeds=1),
            "With 100 transcripts the frozen encoder gets 40 % of the characters wrong, training from scratch 80 %: "
            "one trial each, which is too few to distinguish them.",
        ),
        (
            recognition({"frozen": 0.4}),
            "With 100 transcripts the frozen encoder gets 41 % of the characters wrong, always giving the commonest "
            "transcript 90 %.",
        ),
    ],
)  # fmt: skip
def test_the_headline_says_what_the_differences_support(found: Recognition, sentence: str) -> None:
    said = recognition_headline(found)
    assert said is not None
    assert said.replace("\u00a0", " ") == sentence


def test_no_headline_without_an_encoder() -> None:
    assert recognition_headline(recognition({"scratch": 0.4})) is None
    assert recognition_caveat(recognition({"scratch": 0.4})) is None


def test_what_needs_no_pretraining_and_is_no_worse_is_told() -> None:
    assert recognition_caveat(recognition()) is None
    said = recognition_caveat(recognition(RATES | {"raw-ctc": 0.3}))
    assert said is not None
    assert said.startswith("Raw-ctc encoder makes fewer errors: 31.0")
    constant = recognition_caveat(recognition(RATES | {"frozen": 0.95}))
    assert constant is not None
    assert "commonest transcript is no worse" in constant


def test_no_encoder_is_called_useful_that_is_worse_than_untrained() -> None:
    assert more_errors_than_untrained(recognition()) is None
    said = more_errors_than_untrained(recognition(RATES | {"untrained": 0.3}))
    assert said == (
        "It learned its task, not yet useful features: with 100 transcripts the frozen encoder makes 10.0 ± 0.0 points "
        "more character errors than an untrained one. Try more --epochs, another --augment or --method."
    )
    forgotten = more_errors_than_untrained(recognition(RATES | {"as-given": 0.3}))
    assert forgotten is not None
    assert forgotten.startswith("The training has forgotten: ")


def test_the_number_of_recordings_that_is_told_of_is_a_fixed_rule() -> None:
    assert typical_recordings([10, 100, "all"]) == 100
    assert typical_recordings([5, 20]) == 20
    assert typical_recordings(["all"]) == "all"


def test_the_page_has_tables_a_chart_and_examples(tmp_path: Path) -> None:
    page = write_page(written(tmp_path, recognition())).read_text()
    for text in ("Character error rate", "Word error rate", "frozen − untrained", "1 recording is left out"):
        assert text in page
    assert 'id="recognition"' in page
    assert "commonest transcript" in page
    assert "&lt;b&gt;.wav" in page
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert "<i>" not in page


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("summary", 0, "mean"), "x", "recognition.summary[0].mean must be a finite number"),
        (("summary", 0, "mean"), -1, "recognition.summary[0].mean must be a finite number from 0"),
        (("summary", 0, "low"), None, "recognition.summary[0] must have low and high, or neither"),
        (("summary", 0, "measure"), "per", "recognition.summary[0].measure must be 'cer' or 'wer'"),
        (("labelled", 0), 0, "recognition.labelled[0] must be a whole number or 'all'"),
        (("examples", "recordings", 0, "hypotheses"), {"frozen": 1}, "hypotheses.frozen must be text"),
        (("baseline",), None, "recognition.baseline must be an object"),
        (("protocol_details",), {"frozen": {"style": 1}}, "must hold a label and a style"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(place: tuple[Any, ...], value: Any, message: str, tmp_path: Path) -> None:
    held: Any = copy.deepcopy(dict(recognition()))
    Evaluation.load(written(tmp_path, held))
    parent = held
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    with pytest.raises(ValueError, match=re.escape(message)):
        Evaluation.load(written(tmp_path, held))


def test_a_page_is_made_of_any_results_that_are_declared(tmp_path: Path) -> None:
    """Rows may lack: of a measure, of a protocol, all of them."""
    held = dict(recognition())
    for rows in ([row for row in held["summary"] if row["measure"] == "wer"], held["summary"][:1], []):
        page = write_page(written(tmp_path, held | {"summary": rows, "differences": []})).read_text()
        assert ("Speech recognition</h2>" in page) == bool(rows)
