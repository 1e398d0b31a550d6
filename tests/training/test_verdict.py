"""The verdict on histories that healthy and broken trainings leave."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.runs.verdict import Verdict
from likewise.training.verdict import HALVES, diagnose, diverged

CHANCE = {"loss": 5.54, "top1": 1 / 255, "top5": 5 / 255}
FIRST = {"loss": 5.5, "top1": 0.02, "spread": 0.82, "effective_rank": 78.0, "alignment": 1.25, "weight_norm": 56.0}
"""What an untrained network shows."""
LEARNED = {"loss": 4.5, "top1": 0.11, "spread": 0.98, "effective_rank": 24.0, "alignment": 0.53, "weight_norm": 57.0}


def history(last: dict[str, float], *, steps: int = 60, rate: float = 1e-3) -> list[dict[str, Any]]:
    """A training that goes from the untrained network to `last`, and stays; every fifth step is measured."""
    rows = []
    for step in range(steps):
        share = min(1.0, 2 * step / steps)
        figures = {name: (1 - share) * FIRST[name] + share * last[name] for name in last}
        if "spread" in figures and "alignment" in figures:
            figures["pair_distance"] = figures["alignment"] / (2 * figures["spread"] ** 2)
        rows.append({"step": step, "lr": rate, "loss": figures["loss"]} | (figures if step % 5 in (0, 4) else {}))
    return rows


def test_a_training_that_learns() -> None:
    verdict = diagnose(history(LEARNED), CHANCE, 10)
    assert verdict.kind == "learning"
    assert not verdict.alarm
    assert "28% as far apart as two samples (93% untrained)" in str(verdict)
    assert "found 11.0% of the time (chance 0.4%)" in str(verdict)
    assert (verdict.step, verdict.epoch) == (60, 6.0)


def test_of_pairs_it_is_said_that_they_have_halves() -> None:
    learning, stuck = (diagnose(history(LEARNED | more), CHANCE, 10, of=HALVES) for more in ({}, {"alignment": 1.85}))
    assert learning.message == (
        "It is learning: the two halves of a pair are 28% as far apart as halves of two pairs (93% untrained), "
        "the other half is found 11.0% of the time (chance 0.4%)."
    )
    assert stuck.kind == "stuck"
    assert "the halves share too little" in stuck.causes
    assert "view" not in str(stuck)


@pytest.mark.parametrize(
    ("kind", "changes", "figure"),
    [
        ("stuck", {"alignment": 1.85, "loss": 3.6}, "96% as far apart as two samples, 93% before any training"),
        ("stuck", {"alignment": 1.25, "spread": 0.82, "loss": 5.54}, "chance 5.54"),
        ("collapsed-to-a-point", {"spread": 0.01, "alignment": 0.0}, "from 0.82 to"),
        ("collapsed-to-few-dimensions", {"effective_rank": 0.5}, "from 78 to"),
        ("diverging", {"weight_norm": 600.0}, "weights have grown to 10.7 times"),
        ("diverging", {"loss": 600.0}, "the loss went from 5.5 to"),
        ("diverging", {"weight_norm": 600.0, "spread": 0.01}, "weights have grown"),
    ],
)
def test_trainings_that_go_wrong(kind: str, changes: dict[str, float], figure: str) -> None:
    verdict = diagnose(history(LEARNED | changes), CHANCE, 10)
    assert verdict.kind == kind
    assert verdict.alarm
    assert figure in verdict.message
    assert verdict.causes
    assert "Try: " in str(verdict)


def test_a_loss_that_never_moves_is_named_after_two_epochs() -> None:
    rows = history(FIRST | {"loss": 5.5}, steps=20)
    assert diagnose(rows, CHANCE, 20).kind == "too-early"
    verdict = diagnose(rows, CHANCE, 10)
    assert verdict.kind == "stuck"
    assert "for 2 epochs the loss has stayed at 5.5 (chance 5.54)" in verdict.message


def test_a_rate_that_still_rises_is_waited_for_but_not_for_ever() -> None:
    def warming(steps: int) -> list[dict[str, Any]]:
        return [row | {"lr": 1e-5 * row["step"]} for row in history(LEARNED | {"alignment": 1.9}, steps=steps)]

    assert diagnose(warming(150), CHANCE, 10).kind == "too-early"
    assert diagnose(warming(250), CHANCE, 10).kind == "stuck"


def test_easy_pairs_are_no_alarm() -> None:
    near = {"pair_distance": 0.02, "top1": 0.99}
    rows = [row | (near if "top1" in row else {}) for row in history(LEARNED)]
    assert diagnose(rows, CHANCE, 10).kind == "learning"


def test_views_that_come_nearer_slowly_are_waited_for() -> None:
    rows = [row | ({"pair_distance": 1.0 - 0.0015 * row["step"]} if "top1" in row else {}) for row in history(LEARNED)]
    assert diagnose(rows, CHANCE, 10).kind == "too-early"
    still = [row | ({"pair_distance": 0.91} if row["step"] > 5 and "top1" in row else {}) for row in rows]
    assert diagnose(still, CHANCE, 10).kind == "stuck"


def test_a_memory_that_fills_lets_the_loss_rise_to_chance() -> None:
    rows = history(LEARNED | {"loss": 8.0})
    assert diagnose([row | {"loss": row["loss"] - 5.4} for row in rows], {"loss": 8.3}, 10).kind == "learning"


def test_one_code_for_all_is_said() -> None:
    rows = [
        row | ({"code_entropy": 0.9 if row["step"] == 0 else 0.0} if "top1" in row else {})
        for row in history(LEARNED | {"spread": 0.01})
    ]
    assert "Nearly all samples get the same code" in diagnose(rows, CHANCE, 10).message


def test_without_embeddings_the_loss_is_what_there_is() -> None:
    falling = [{"step": step, "loss": 1.4 - 0.01 * step} for step in range(40)]
    assert diagnose(falling, {}, 10).kind == "learning"
    assert "the loss went from 1.4 to 1.02" in diagnose(falling, {}, 10).message


def test_nothing_is_too_early() -> None:
    assert diagnose([], {}, 10).kind == "too-early"
    assert diagnose([{"step": 0, **FIRST}], CHANCE, 10).kind == "too-early"


def test_a_loss_that_is_no_number() -> None:
    rows = history(LEARNED)
    assert diagnose([*rows, {"step": 60, "loss": math.nan}], CHANCE, 10).kind == "diverging"
    assert "at step 12 the loss or a weight became NaN or infinite" in str(diverged(12, 10))


@pytest.mark.parametrize(
    ("known", "kind", "figures"),
    [
        (False, "not-yet-useful", ("not yet useful features", "61.0% of the time, 64.0% untrained")),
        (True, "forgetting", ("The training forgets", "61.0% of the time, 64.0% with the weights as given")),
    ],
)
def test_features_that_are_worth_less_than_before(known: bool, kind: str, figures: tuple[str, str]) -> None:
    rows = history(LEARNED)
    assert diagnose(rows, CHANCE, 10, known_weights=known).kind == "learning"

    def probed(*values: float) -> list[dict[str, float]]:
        at = {0: values[0], len(rows) // 2: values[1], len(rows) - 1: values[2]}
        return [row | ({"probe": at[place]} if place in at else {}) for place, row in enumerate(rows)]

    worse = diagnose(probed(0.64, 0.60, 0.62), CHANCE, 10, known_weights=known)
    assert worse.kind == kind
    assert all(words in worse.message for words in figures)
    assert worse.alarm
    assert diagnose(probed(0.64, 0.66, 0.62), CHANCE, 10, known_weights=known).kind == "learning"
    assert diagnose(probed(0.64, 0.60, 0.62)[:20], CHANCE, 10, known_weights=known).kind != kind, "too early to tell"


def test_features_are_not_said_to_lag_behind_a_task_that_is_not_learned() -> None:
    rows = history(LEARNED | {"loss": 5.6})
    rows[0]["probe"], rows[-1]["probe"] = 0.64, 0.60
    verdict = diagnose(rows, CHANCE, 10)
    assert verdict.kind == "too-early"
    assert "It learns its task" not in verdict.message


KINDS = {"learning", "too-early", "stuck", "collapsed-to-a-point", "collapsed-to-few-dimensions", "diverging"}
NUMBERS = st.one_of(st.floats(), st.just(0.0), st.floats(0, 10))
ROWS = st.lists(st.dictionaries(st.sampled_from([*FIRST, "pair_distance", "lr", "code_entropy"]), NUMBERS), max_size=80)


@given(rows=ROWS, chance=st.dictionaries(st.sampled_from(["loss", "top1"]), NUMBERS), epoch=st.integers(0, 30))
def test_any_history_has_a_verdict(rows: list[dict[str, float]], chance: dict[str, float], epoch: int) -> None:
    verdict = diagnose([{"step": step, **row} for step, row in enumerate(rows)], chance, epoch)
    assert verdict.kind in KINDS
    assert str(verdict)
    assert verdict.alarm == bool(verdict.causes) == bool(verdict.remedy)
    assert Verdict(**verdict.to_dict()) == verdict


@given(scale=st.floats(0.1, 100), seed=st.integers(0, 9))
def test_the_scale_of_a_loss_does_not_matter(scale: float, seed: int) -> None:
    kinds = [LEARNED, LEARNED | {"alignment": 1.9}, FIRST, LEARNED | {"spread": 0.01}, LEARNED | {"loss": 900.0}]
    rows = history(kinds[seed % 5])
    scaled = [row | {"loss": row["loss"] * scale} for row in rows]
    assert diagnose(scaled, {}, 10).kind == diagnose(rows, {}, 10).kind


def test_a_loss_that_is_not_below_chance_is_not_called_learning() -> None:
    verdict = diagnose(history(LEARNED | {"loss": 5.6}), CHANCE, 10)
    assert verdict.kind == "too-early"
    assert "the loss is 5.6, not below chance (5.54)" in verdict.message


def test_a_remedy_names_the_method_in_use() -> None:
    verdict = diagnose(history(LEARNED | {"spread": 0.01, "alignment": 0.0}), CHANCE, 10, method="simclr")
    assert verdict.kind == "collapsed-to-a-point"
    assert "`likewise methods simclr`" in verdict.remedy
    assert "--method simclr" not in str(verdict)
