"""What each protocol does, and what it takes to add one."""

import json
import re

import numpy as np
import pytest
import torch
from evaluation_inputs import Telltale, digits, evaluate, noise
from PIL import Image
from rich.console import Console

from likewise.evaluation import DEFAULT_PROTOCOLS, PROTOCOLS, few_labels
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.protocols import EvaluationProtocol, LineStyle, ProtocolResult
from likewise.report.page import write_page
from likewise.report.story import story_png
from likewise.runs.evaluation_table import render_table


def test_an_encoder_that_carries_the_label_beats_scratch_and_chance():
    accuracy = {
        s["protocol"]: s["mean"]
        for s in evaluate(
            Telltale(), protocols=("scratch", "frozen", "fine-tuned", "frozen-knn"), labels_per_class=[1]
        )["summary"]
    }
    assert accuracy["frozen"] == accuracy["fine-tuned"] == accuracy["frozen-knn"] == 1
    assert accuracy["scratch"] < 0.6


def test_noise_is_worth_chance():
    train, test = noise(200, 0, "noise:train"), noise(400, 1, "noise:test")
    for row in evaluate(train=train, test=test, protocols=list(PROTOCOLS), labels_per_class=[10], seeds=3)["summary"]:
        assert row["mean"] == pytest.approx(0.25, abs=0.08), row["protocol"]


def test_frozen_features_are_computed_once():
    class Counting(Telltale):
        seen = 0

        def forward(self, view):
            Counting.seen += len(view)
            return super().forward(view)

    evaluate(Counting(), protocols=("frozen", "frozen-knn"), labels_per_class=(1, 3, 5), seeds=4)
    assert Counting.seen == 80 + 60


def test_the_head_on_all_labels_is_fitted_once(monkeypatch):
    fits = []
    monkeypatch.setattr(few_labels, "choose_variance", lambda features, *_: fits.append(len(features)) or 1.0)
    evaluate(protocols=("frozen", "fine-tuned"), labels_per_class=(1, "all"), seeds=3)
    assert sorted(fits) == [4, 4, 4, 80]


def test_raw_features_can_be_given():
    def first_pixel(source, indices):
        return torch.nn.functional.one_hot((source.read(indices)[:, 0, 0, 0] // 20).long(), 10).float()

    raw = RawFeatures("the first pixel", first_pixel)
    result = evaluate(protocols=("raw-knn", "raw-logistic"), raw=raw, labels_per_class=[1])
    assert result["raw"] == "the first pixel"
    assert [row["mean"] for row in result["summary"]] == [1, 1]


@pytest.mark.slow
def test_digits_are_learnt_from_all_their_labels():
    train, test = digits()
    result = evaluate(
        train=train, test=test, labels_per_class=["all"], seeds=1, steps=None, protocols=DEFAULT_PROTOCOLS
    )
    accuracy = {row["protocol"]: row["mean"] for row in result["summary"]}
    assert accuracy["scratch"] > 0.93
    assert accuracy["raw-knn"] > 0.95
    assert accuracy["raw-logistic"] > 0.93


def purple_pixels(path):
    """Pixels of a picture in page.css's --purple."""
    with Image.open(path) as image:
        return int((np.abs(np.asarray(image.convert("RGB")).astype(int) - (160, 71, 138)).max(axis=-1) < 6).sum())


class NearestMean(EvaluationProtocol):
    """The class whose labelled samples have the nearest mean of raw features."""

    name = "raw-mean"
    label = "Nearest class mean of {raw}"
    style = LineStyle("--purple", "solid", "diamond")
    deterministic = True

    def run(self, evaluation, seed, count):
        drawn = evaluation.draws[seed, count]
        features, labels = evaluation.raw_features.train(drawn), evaluation.train_labels[drawn]
        means = torch.stack([features[labels == label].mean(0) for label in range(evaluation.classes)])
        return ProtocolResult(torch.cdist(evaluation.raw_features.test, means).argmin(1))


def test_a_protocol_of_one_class_and_one_line_is_measured_and_shown_everywhere(monkeypatch, tmp_path):
    monkeypatch.setitem(PROTOCOLS, "raw-mean", NearestMean)
    result = evaluate(protocols=["frozen", "raw-mean"])
    assert [row["labels_per_class"] for row in result["summary"] if row["protocol"] == "raw-mean"] == [1, 3]
    label = "Nearest class mean of raw views"

    console = Console(width=120)
    with console.capture() as screen:
        console.print(render_table(result))
    assert label in screen.get()

    (tmp_path / "evaluation.json").write_text(json.dumps(result))
    page = write_page(tmp_path).read_text(encoding="utf-8")
    assert re.search(rf'<th scope="row"><svg [^>]*><g stroke="var\(--purple\)".*</svg> {label}</th>', page)
    assert f"<span>{label[0].lower()}{label[1:]}</span>" in page  # a button of the confusion matrices
    data = json.loads(re.search(r'"application/json"[^>]*>(.*?)</script>', page)[1])
    charts = {chart["name"]: chart for chart in data}
    line = charts["labels"]["variants"][""]["data"][1]
    assert line["name"] == f"{label[0].lower()}{label[1:]}"
    assert line["line"] == {"color": "--purple", "dash": "solid", "width": 2.0}
    assert line["marker"]["symbol"] == "diamond"
    assert len(line["x"]) == 2

    assert purple_pixels(story_png(tmp_path, tmp_path / "story.png")) > 100
    (tmp_path / "evaluation.json").write_text(json.dumps(result | {"protocols": ["frozen"]}))
    assert purple_pixels(story_png(tmp_path, tmp_path / "story.png")) == 0
