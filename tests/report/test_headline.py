"""The headline states what the numbers support, also when they speak against the encoder."""

from __future__ import annotations

from typing import Any

import pytest
from fake_run import protocol_details

from likewise.report.headline import (
    caveat,
    format_number,
    headline,
    less_than_untrained,
    protocol_name,
    typical_count,
)
from likewise.runs.evaluation import Evaluation


def row(protocol: str, mean: float, half: float | None = 0.01, count: int | str = 10) -> dict[str, Any]:
    low, high, seeds = (None, None, 1) if half is None else (mean - half, mean + half, 5)
    return {"protocol": protocol, "labels_per_class": count, "mean": mean, "low": low, "high": high, "seeds": seeds}


def evaluation(*rows: dict[str, Any], raw: str = "pixels") -> Evaluation:
    protocols = list(dict.fromkeys(r["protocol"] for r in rows))
    counts = list(dict.fromkeys(r["labels_per_class"] for r in rows))
    return Evaluation(
        {
            "protocols": protocols,
            "protocol_details": protocol_details(protocols, raw),
            "labels_per_class": counts,
            "summary": list(rows),
            "trials": [],
            "majority": 0.11,
        }
    )


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [row("scratch", 0.61), row("frozen", 0.87)],
            "With 10 labels per class the frozen encoder is right 87 % of the time, training from scratch 61 %.",
        ),
        (
            [row("scratch", 0.80), row("frozen", 0.74)],
            "With 10 labels per class pretraining did not help: the frozen encoder is right 74 % of the time, "
            "training from scratch 80 %.",
        ),
        (
            [row("scratch", 0.741), row("frozen", 0.745)],
            "With 10 labels per class there is no clear difference: the frozen encoder is right "
            "74.5 % of the time, training from scratch 74.1 %, and their 95 % intervals overlap.",
        ),
        (
            [row("scratch", 0.6, None), row("frozen", 0.9, None)],
            "With 10 labels per class the frozen encoder is right 90 % of the time, "
            "training from scratch 60 %: one trial each, which is too few to distinguish them.",
        ),
        (
            [row("scratch", 0.968, 0.004, "all"), row("frozen", 0.951, None, "all")],
            "With all labels pretraining did not help: the frozen encoder is right 95.1 % of the time, "
            "training from scratch 96.8 %.",
        ),
        (
            [row("scratch", 0.968, 0.004, "all"), row("frozen", 0.97, None, "all")],
            "With all labels there is no clear difference: the frozen encoder is right 97.0 % of the time, "
            "training from scratch 96.8 %, and the 95 % interval of its 5 seeds contains both.",
        ),
        (
            [row("fine-tuned", 0.9, count=1)],
            "With 1 label per class the fine-tuned encoder is right 90 % of the time, "
            "always predicting the most frequent class 11 %.",
        ),
        ([row("scratch", 0.9), row("raw-knn", 0.8)], None),
    ],
)
def test_answer(rows: list[dict[str, Any]], sentence: str | None) -> None:
    said = headline(evaluation(*rows))
    assert (said and said.replace("\u00a0", " ")) == sentence


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (
            0.01,
            0.05,
            "With 10 labels per class the frozen encoder is right 74 % of the time, training from scratch 71 %, "
            "a difference of +3.0 ± 2.0 points.",
        ),
        (
            -0.01,
            0.07,
            "With 10 labels per class there is no clear difference: the frozen encoder is right 74 % of the time, "
            "training from scratch 71 %, a difference of +3.0 ± 4.0 points.",
        ),
        (
            -0.05,
            -0.01,
            "With 10 labels per class pretraining did not help: the frozen encoder is right 71 % of the time, "
            "training from scratch 74 %, a difference of \N{MINUS SIGN}3.0 ± 2.0 points.",
        ),
    ],
)
def test_the_headline_rests_on_paired_differences(low: float, high: float, sentence: str) -> None:
    """Although the intervals of the means overlap."""
    mean = (low + high) / 2
    frozen, scratch = (0.74, 0.71) if mean > 0 else (0.71, 0.74)
    found = evaluation(row("scratch", scratch, 0.1), row("frozen", frozen, 0.1))
    paired = {"labels_per_class": 10, "mean": mean, "low": low, "high": high, "seeds": 5}
    found["differences"] = [{"protocol": "frozen", "versus": "scratch"} | paired]
    said = headline(found)
    assert said is not None
    assert said.replace("\u00a0", " ") == sentence
    found["protocols"].append("raw-knn")
    found["summary"].append(row("raw-knn", frozen - 0.01, 0.1))
    found["differences"].append({"protocol": "frozen", "versus": "raw-knn"} | paired)
    told = caveat(found)
    assert (told is None) == (low > 0)
    assert told is None or ("does better" in told) == (high < 0)


def test_an_encoder_that_is_worth_less_than_before() -> None:
    frozen, untrained, given = row("frozen", 0.70), row("untrained", 0.72), row("as-given", 0.75)

    def differences(versus: str, mean: float, low: float, high: float) -> list[dict[str, Any]]:
        row = {"protocol": "frozen", "versus": versus, "labels_per_class": 10}
        return [row | {"mean": mean, "low": low, "high": high}]

    found = evaluation(frozen, untrained)
    assert less_than_untrained(found) is None
    found["differences"] = differences("untrained", -0.02, -0.05, 0.01)
    assert less_than_untrained(found) == (
        "It learned its task, not yet useful features: with 10 labels per class the frozen encoder is 2.0 ± 3.0 points "
        "below an untrained one. Try more --epochs, another --augment or --method."
    )
    found["differences"] = differences("untrained", 0.02, 0.01, 0.03)
    assert less_than_untrained(found) is None
    found = evaluation(frozen, untrained, given)
    found["differences"] = differences("untrained", 0.02, 0.01, 0.03) + differences("as-given", -0.05, -0.06, -0.04)
    assert less_than_untrained(found) == (
        "The training has forgotten: with 10 labels per class the frozen encoder is 5.0 ± 1.0 points below the weights "
        "as given. Try a smaller --encoder-lr or fewer --epochs."
    )
    found["differences"] = differences("as-given", -0.05, -0.11, 0.01)
    assert less_than_untrained(found) is None, "that is within the interval"


@pytest.mark.parametrize(
    ("counts", "typical"), [([1, 5, 10, 50], 10), ([1, 20, "all"], 20), (["all", 2], 2), (["all"], "all")]
)
def test_the_headline_does_not_choose_the_most_flattering_column(counts: list[int | str], typical: int | str) -> None:
    assert typical_count(evaluation(*(row("frozen", 0.9, count=count) for count in counts))) == typical


def test_a_baseline_that_is_as_good_is_named() -> None:
    frozen = row("frozen", 0.8)
    assert caveat(evaluation(frozen, row("raw-knn", 0.7))) is None
    better = caveat(evaluation(frozen, row("raw-knn", 0.85), row("untrained", 0.3)))
    assert better == "Nearest neighbours on pixels does better: 85.0\u00a0% against 80.0\u00a0% of the frozen encoder."
    close = caveat(evaluation(frozen, row("untrained", 0.79)))
    assert close == "Untrained encoder is not clearly worse: 79.0\u00a0% against 80.0\u00a0% of the frozen encoder."


def test_the_caveat_speaks_of_the_encoder_that_the_answer_speaks_of() -> None:
    rows = [row("frozen", 0.8), row("fine-tuned", 0.9), row("raw-knn", 0.85)]
    assert "the frozen encoder" in str(headline(evaluation(*rows)))
    said = caveat(evaluation(*rows))
    assert said == "Nearest neighbours on pixels does better: 85.0\u00a0% against 80.0\u00a0% of the frozen encoder."


def test_neighbours_among_frozen_features_need_pretraining() -> None:
    assert caveat(evaluation(row("frozen", 0.8), row("frozen-knn", 0.9))) is None


def test_means_are_compared_where_there_is_no_interval() -> None:
    exact = row("frozen", 0.95, None, "all")
    assert caveat(evaluation(exact, row("raw-knn", 0.94, None, "all"))) is None
    said = caveat(evaluation(exact, row("raw-knn", 0.96, None, "all")))
    assert said == (
        "Nearest neighbours on pixels does better: "
        "96.0\u00a0% against 95.0\u00a0% of the frozen encoder, one trial each."
    )
    said = caveat(evaluation(exact, row("untrained", 0.945, 0.01, "all")))
    assert said == "Untrained encoder is not clearly worse: 94.5\u00a0% against 95.0\u00a0% of the frozen encoder."


def test_what_raw_features_are_is_said() -> None:
    rows = [row("frozen", 0.8), row("raw-logistic", 0.85), row("raw-knn", 0.7)]
    assert protocol_name("raw-knn", evaluation(*rows)) == "nearest neighbours on pixels"
    found = evaluation(*rows, raw="TF-IDF")
    assert protocol_name("raw-knn", found) == "nearest neighbours on TF-IDF"
    assert str(caveat(found)).startswith("Logistic regression on TF-IDF does better: 85.0")


def test_labels_come_from_the_file() -> None:
    found = evaluation(row("frozen", 0.8))
    found["protocol_details"] |= {"own": {"label": "A <new> one"}, "svm": {"label": "SVM"}}
    assert protocol_name("own", found) == "a <new> one"
    assert protocol_name("svm", found) == "SVM"
    assert protocol_name("unknown", found) == "unknown"


def test_without_labels_the_first_table_speaks() -> None:
    recall: dict[str, Any] = {
        "title": "finding one by the other",
        "caption": "",
        "head": ["looked up", "by", "recall@1", "median rank"],
        "units": ["", "", "%", ""],
        "rows": [
            ["image → text", "encoder", 0.432, 3.0],
            ["image → text", "chance", 0.008, 60.0],
            ["text → image", "encoder", 0.5, 2.0],
        ],
    }
    perplexity: dict[str, Any] = {
        "title": "next token",
        "caption": "",
        "head": ["model", "perplexity"],
        "units": ["", ""],
        "rows": [["encoder", 41.27], ["one token", None], ["two tokens", 1203.4]],
    }
    said = headline(Evaluation({"tables": [recall, perplexity]}))
    assert said is not None
    assert said.replace("\u00a0", " ") == (
        "Finding one by the other, image → text: recall@1 43.2 % (encoder), 0.8 % (chance)."
    )
    said = headline(Evaluation({"tables": [perplexity]}))
    assert said == "Next token: perplexity 41.3 (encoder), 1,203 (two tokens)."
    assert caveat(Evaluation({"tables": [perplexity]})) is None
    both = evaluation(row("frozen", 0.9, count=1))
    both["tables"] = [recall]
    assert str(headline(both)).startswith("With 1 label per class")
    assert headline(Evaluation({"tables": [perplexity | {"rows": []}]})) is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4333, "%", "43.3"),
        (1, "%", "100.0"),
        (12345, "", "12,345"),
        (2.0, "", "2"),
        (0.55123, "", "0.551"),
        (99.96, "", "100"),
        (41.27, "", "41.3"),
        (-0.25, "", "-0.25"),
        (float("inf"), "", "inf"),
        (float("nan"), "%", "nan"),
    ],
)
def test_figures_are_short(value: float, unit: str, text: str) -> None:
    assert format_number(value, unit) == text
