"""How many draws of labels an evaluation has when it is given time instead of a number."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from evaluation_inputs import evaluate

from likewise.evaluation import until_clear
from likewise.evaluation.until_clear import MOST_SEEDS, UntilClear, main_difference

PAIR = ("frozen", "scratch")


def trials(differences: list[float], *, count: int = 10, seconds: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"protocol": name, "labels_per_class": count, "seed": seed, "accuracy": accuracy, "seconds": seconds}
        for seed, difference in enumerate(differences)
        for name, accuracy in (("frozen", 0.5 + difference), ("scratch", 0.5))
    ]


def test_it_goes_on_until_the_main_difference_is_known_to_two_points() -> None:
    goes_on = UntilClear(PAIR, seconds=1e6)
    assert goes_on(trials([0.1]))  # one draw says nothing
    assert goes_on(trials([0.10, 0.14, 0.18]))
    assert not goes_on(trials([0.100, 0.102, 0.104]))
    assert goes_on.width(trials([0.0, 0.1])) == pytest.approx(2 * 12.7062 * 0.05, rel=1e-4)  # Student's t, 1 freedom


def test_the_typical_number_of_labels_decides() -> None:
    clear, unclear = [0.1, 0.1, 0.1], [0.0, 0.2, 0.4]
    assert not UntilClear(PAIR, seconds=1e6)(trials(clear, count=10) + trials(unclear, count=1))
    assert UntilClear(PAIR, seconds=1e6)(trials(clear, count=1) + trials(unclear, count=10))


def test_it_stops_when_another_draw_takes_longer_than_there_is_time() -> None:
    unclear = [0.0, 0.2, 0.4]
    assert UntilClear(PAIR, seconds=1e6)(trials(unclear, seconds=10.0))
    assert not UntilClear(PAIR, seconds=15.0)(trials(unclear, seconds=10.0))  # a draw is two trials
    many = [0.4 * (seed % 2) for seed in range(MOST_SEEDS)]
    assert not UntilClear(PAIR, seconds=1e6)(trials(many))


def test_the_main_difference_is_of_what_was_learned_and_what_was_not() -> None:
    assert main_difference(["fine-tuned", "frozen", "raw-knn", "scratch"]) == PAIR
    assert main_difference(["raw-knn", "fine-tuned"]) == ("fine-tuned", "raw-knn")
    assert main_difference(["scratch", "untrained"]) is None
    assert main_difference(["frozen"]) is None


def test_added_draws_are_those_that_a_larger_number_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(result: dict[str, Any]) -> dict[str, Any]:
        result = copy.deepcopy(result)
        for row in [*result["trials"], *result["summary"]]:
            del row["seconds"]
        return result

    how: dict[str, Any] = {"protocols": ("scratch", "frozen"), "labels_per_class": (3,)}
    monkeypatch.setattr(until_clear.UntilClear, "__call__", lambda self, trials: len(trials) < 2 * 4)
    added = evaluate(seeds=2, minutes=1.0, **how)
    assert added["seeds"] == 4
    assert same(added) == same(evaluate(seeds=4, **how))
    assert evaluate(seeds=2, **how)["seeds"] == 2


def test_what_no_draw_can_change_is_not_repeated() -> None:
    """With all labels, a frozen encoder and raw features have no randomness: time would change nothing."""
    result = evaluate(seeds=2, minutes=0.05, protocols=("frozen", "raw-logistic"), labels_per_class=("all",))
    assert (result["seeds"], len(result["trials"])) == (2, 2)
