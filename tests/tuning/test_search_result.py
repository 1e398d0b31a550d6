"""What a search says of itself: the sentence, the file, the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likewise.errors import UserError
from likewise.tuning.page import write_search_page
from likewise.tuning.ranges import SearchChoice, SearchInterval
from likewise.tuning.result import SearchResult

SPACE = {"lr": SearchInterval(1e-5, 1e-1, log=True), "augment": SearchChoice(("mild", "strong"))}


def trial(number: int, value: float | None, *, state: str = "finished", **values: Any) -> dict[str, Any]:
    return {
        "number": number,
        "state": state,
        "value": value,
        "values": values,
        "reason": "the loss became NaN" if state == "failed" else "",
        "epochs": 3,
        "seconds": 6.0,
        "curve": [] if state == "failed" else [[1, 0.5]],
    }


def result(*trials: dict[str, Any], **more: Any) -> SearchResult:
    return SearchResult(
        likewise="0",
        command="likewise tune digits --over lr=1e-5:1e-1:log augment=mild,strong",
        data="digits:train",
        name="digits:train",
        method="simclr",
        recipe=None,
        over=["lr=1e-5:1e-1:log", "augment=mild,strong"],
        fixed={},
        objective={"kind": "probe", "what": "accuracy", "probe": "digits:train"},
        seed=0,
        epochs=3,
        default={"lr": 1e-3, "augment": "strong"},
        trials=list(trials),
        importance=None,
        minutes=0.3,
        **more,
    )


DEFAULT, BETTER = trial(0, 0.8), trial(1, 0.9, lr=0.01, augment="mild")
CONFIRMED = {"best": 1, "seeds": [7, 8], "best_values": [0.9, 0.9], "default_values": [0.8, 0.8], "failed": []}


def test_the_sentence_says_no_more_than_the_figures() -> None:
    assert result().conclusion() == "no trial has finished: there is no best recipe"
    one = result(DEFAULT, BETTER).conclusion()
    assert one.startswith("trial 1 is better than the default recipe by +10.0 %, probe 90.0 % against 80.0 %")
    assert "by chance" in one
    assert "not better than the default recipe" in result(DEFAULT, trial(1, 0.7, lr=0.1)).conclusion()
    assert (
        "the default recipe failed: the loss became NaN" in result(trial(0, None, state="failed"), BETTER).conclusion()
    )
    sure = result(DEFAULT, BETTER, confirmed={**CONFIRMED, "mean": 0.1, "low": 0.05, "high": 0.15})
    assert sure.conclusion() == (
        "trial 1 is better than the default recipe by +10.0 % (+5.0 % to +15.0 %, 95 % interval, 2 other seeds)"
    )
    chance = result(DEFAULT, BETTER, confirmed={**CONFIRMED, "mean": 0.01, "low": -0.05, "high": 0.07})
    assert "not better than the default recipe beyond chance" in chance.conclusion()
    worse = result(DEFAULT, BETTER, confirmed={**CONFIRMED, "mean": -0.1, "low": -0.15, "high": -0.05})
    assert "worse than the default recipe" in worse.conclusion()
    other = result(DEFAULT, BETTER, confirmed={**CONFIRMED, "best": 5, "mean": 0.1, "low": 0.05, "high": 0.15})
    assert "--confirm" in other.conclusion()  # what was confirmed is no longer best


def test_equal_trials_leave_the_default_the_best() -> None:
    best = result(DEFAULT, trial(1, 0.8, lr=0.1)).best
    assert best is not None
    assert best["number"] == 0


def test_the_file_is_checked(tmp_path: Path) -> None:
    result(DEFAULT, BETTER).save(tmp_path)
    assert SearchResult.load(tmp_path).best == BETTER
    result(DEFAULT, {**BETTER, "number": -1}).save(tmp_path)
    with pytest.raises(UserError, match=r"trials\[1\].number"):
        SearchResult.load(tmp_path)


def test_the_page_shows_all_trials_and_escapes_them(tmp_path: Path) -> None:
    ended = trial(2, None, state="pruned", lr=0.05, augment="strong")
    failed = trial(3, None, state="failed", lr=0.09, augment="mild") | {"reason": "<script>alert(1)</script>"}
    found = result(DEFAULT, BETTER, ended, failed)
    found["importance"] = {"lr": 0.9, "augment": 0.1}
    page = write_search_page(found, SPACE, tmp_path).read_text(encoding="utf-8")
    assert "<h1>Trial 1 is better than the default recipe by +10.0 %, probe 90.0 % against 80.0 %.</h1>" in page
    assert '<p class="caveat">With one training each: the best of several is so by chance, too' in page
    assert "<td>ended early</td>" in page
    assert "pruned" not in page.partition('id="data"')[0]
    for heading in ("Trials", "What the values do", "The best recipe", "What it cost", "All trials"):
        assert f"<h2>{heading}</h2>" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "2 finished, 1 ended early, 1 failed" in page
    assert '"type":"log"' in page
    assert "--recipe" in page
    assert "0 (default)" in page


def test_a_search_of_nothing_has_a_page(tmp_path: Path) -> None:
    assert "no trial has finished" in write_search_page(result(), SPACE, tmp_path).read_text(encoding="utf-8").lower()
