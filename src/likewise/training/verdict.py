"""The verdict on a training, from what it has logged: does it learn?

Every threshold is a ratio to the value of the untrained network at the first step, or has an absolute meaning. The
comments name the values measured in healthy and in broken trainings, between which the thresholds lie.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from likewise.runs.verdict import Verdict

RECENT = 3  # rows of which the recent value is the median: one batch is noisy

GROWTH = 3.0
"""Largest growth of the encoder's weights in a thousand steps; later it may rise with the root of the steps, as
normalized layers drift at a constant learning rate. Healthy: 1.05 in a hundred steps; with lr 100: 10 in five steps."""
EXPLOSION = 10.0
"""Ratio of the loss to its first value. A loss that starts low, with an empty queue, rises to chance and no further."""
POINT = 0.2
"""Spread, as a share of the untrained network's. Healthy: DINO 0.28 at its lowest, others above 0.6; BYOL without its
predictor 0.14 and SwAV without balanced codes 0.18 after two epochs of ten steps, then falling further."""
FEW = 0.05
"""Effective rank, as a share of the untrained network's ..."""
FEW_DIMENSIONS = 4.0
"""... and in dimensions: both must be below, so that embeddings that begin with few dimensions raise no alarm."""
ONE_CODE = 0.1
"""Entropy of how prototypes are used, as a share of its largest value."""
NEARER = 0.85
"""Distance of two views of a sample, in distances of two samples, as a share of the untrained network's. After fifty
steps healthy trainings are at 0.3 to 0.7; SimCLR whose targets are the rows themselves stays at 0.95."""
STILL = 0.97
"""The same distance in the second half of the training as a share of the first half's: below it, views come nearer.
MoCo, whose second view is encoded by a momentum encoder, comes below `NEARER` only after a hundred steps."""
FOUND = 0.5
"""Share of pairs found above which views are near from the start, as without augmentation, and can't come nearer."""
FLAT = 1e-3
"""Relative change of the loss below which it is constant: batches alone make a larger difference."""
FLAT_STEPS = 10
COLLAPSE_STEPS = 10
ENOUGH_STEPS = 50  # before "stuck" is reported: healthy BYOL has brought views no nearer after twenty
ENOUGH_WARMUP = 200  # steps after which a rising learning rate does not explain a lack of progress


class PairNouns(NamedTuple):
    """The nouns for what the embeddings are of, in messages."""

    both: str
    strangers: str
    one: str
    plural: str
    whole: str


VIEWS = PairNouns("two views of a sample", "two samples", "view", "views", "a sample")
HALVES = PairNouns("the two halves of a pair", "halves of two pairs", "half", "halves", "a pair")
ENCODERS = PairNouns(
    "the embeddings of student and teacher for a sample", "those for two samples", "embedding", "embeddings", "a sample"
)


def diagnose(
    rows: Sequence[Mapping[str, Any]],
    chance: Mapping[str, float],
    steps_per_epoch: int,
    *,
    of: PairNouns = VIEWS,
    method: str = "",
    known_weights: bool = False,
) -> Verdict:
    """The verdict on a training so far.

    Args:
        rows: of the history, in the order of their steps: "step", counted from 0, and what was measured in it.
            Measurements may be absent, or not finite.
        chance: the figures where nothing is learned, as far as they are known.
        steps_per_epoch: of the training.
        of: what the embeddings are of.
        method: the name of the method in use, for remedies; "" where it is not known.
        known_weights: whether the training went on from weights that were known.
    """
    measured = _Measurements(rows, chance, max(1, steps_per_epoch), of, method, known_weights)
    checks = (_check_divergence, _check_collapse, _check_stuck, _check_forgetting)
    problem = next((finding for check in checks if (finding := check(measured))), None)
    kind, message, causes, remedy = problem or _describe_progress(measured)
    return Verdict(kind, message, causes, remedy, measured.steps, round(measured.steps / measured.steps_per_epoch, 4))


def diverged(step: int, steps_per_epoch: int) -> Verdict:
    """The verdict on a training whose loss or weights are NaN or infinite."""
    message = f"The training is diverging: at step {step} the loss or a weight became NaN or infinite."
    return Verdict("diverging", message, *_OF_DIVERGING, step, round(step / max(1, steps_per_epoch), 4))


_Finding = tuple[str, str, tuple[str, ...], str]  # kind, message, causes, remedy

_OF_DIVERGING = (
    ("the learning rate is too high", "the gradients have outliers"),
    "a tenth of the --lr, --grad-clip 1, or a longer --warmup-epochs",
)


class _Measurements:
    """The logged figures, with their first and recent values."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        chance: Mapping[str, float],
        steps_per_epoch: int,
        of: PairNouns,
        method: str,
        known_weights: bool,
    ) -> None:
        self.rows, self.chance, self.steps_per_epoch, self.of = rows, chance, steps_per_epoch, of
        self.method, self.known_weights = method, known_weights
        self.steps = int(rows[-1].get("step", len(rows) - 1)) + 1 if rows else 0
        self.epochs = self.steps / steps_per_epoch

    def series(self, name: str) -> list[float]:
        """Finite values, oldest first."""
        values = [float(row[name]) for row in self.rows if name in row]
        return [value for value in values if math.isfinite(value)]

    def first_and_recent(self, name: str) -> tuple[float, float] | None:
        """The untrained network's value and the median of the recent ones; None without both."""
        return _first_and_recent(self.series(name))

    @property
    def views_approach(self) -> bool:
        """Whether views of a sample were nearer in the second half of the training than in the first."""
        values = self.series("pair_distance")[1:]
        half = len(values) // 2
        return half > 0 and median(values[half:]) < STILL * median(values[:half])

    @property
    def is_warming_up(self) -> bool:
        """Whether the learning rate still rises, within the first `ENOUGH_WARMUP` steps."""
        rates = self.series("lr")
        return len(rates) > 1 and rates[-1] > rates[-2] and self.steps < ENOUGH_WARMUP


def _first_and_recent(values: list[float]) -> tuple[float, float] | None:
    return (values[0], median(values[1:][-RECENT:])) if len(values) > 1 else None


def _check_divergence(measured: _Measurements) -> _Finding | None:
    loss, weights = measured.first_and_recent("loss"), measured.first_and_recent("weight_norm")
    last = [float(row["loss"]) for row in measured.rows if "loss" in row][-1:]
    if last and not math.isfinite(last[0]):
        message = f"The training is diverging: at step {measured.steps} the loss is {last[0]}."
    elif weights and weights[0] > 0 and weights[1] > GROWTH * weights[0] * max(1.0, math.sqrt(measured.steps / 1000)):
        message = (
            f"The training is diverging: in {measured.steps:,} steps the encoder's weights have grown "
            f"to {weights[1] / weights[0]:,.3g} times their size."
        )
    elif loss and loss[1] > max(EXPLOSION * max(abs(loss[0]), 0.1), 2 * measured.chance.get("loss", 0.0)):
        message = f"The training is diverging: the loss went from {loss[0]:.3g} to {loss[1]:.3g}."
    else:
        return None
    return ("diverging", message, *_OF_DIVERGING)


def _check_collapse(measured: _Measurements) -> _Finding | None:
    spread, rank = measured.first_and_recent("spread"), measured.first_and_recent("effective_rank")
    if measured.steps < COLLAPSE_STEPS:
        return None
    if spread and spread[1] < POINT * spread[0]:
        codes = measured.first_and_recent("code_entropy")
        one = " Nearly all samples get the same code." if codes and codes[1] < ONE_CODE else ""
        return (
            "collapsed-to-a-point",
            f"The embeddings have collapsed to a point: their spread fell from {spread[0]:.2g} to {spread[1]:.2g} "
            f"(1 is as spread as can be, 0 a single point).{one}",
            (
                "nothing in the objective holds samples apart: no negatives, predictor, stopped gradient, centring or "
                "balanced codes",
                "the learning rate is too high",
            ),
            f"the method's own defaults (`likewise methods{f' {measured.method}' if measured.method else ''}`), a "
            "smaller --lr, or a larger --batch-size",
        )
    if rank and rank[1] < min(FEW_DIMENSIONS, FEW * rank[0]):
        return (
            "collapsed-to-few-dimensions",
            f"The embeddings have collapsed to few dimensions: their effective rank fell from {rank[0]:.3g} to "
            f"{rank[1]:.3g}.",
            (
                "nothing in the objective keeps dimensions apart: too few prototypes, unbalanced codes, a weak "
                "decorrelation",
                "the views share too little, and only what is trivial is left in common",
            ),
            "a smaller --lr, --augment mild, or a larger --batch-size",
        )
    return None


def _check_stuck(measured: _Measurements) -> _Finding | None:
    losses, distance = measured.series("loss"), measured.first_and_recent("pair_distance")
    moved = max(losses) - min(losses) if losses else math.inf
    at_chance = ""
    if (level := measured.chance.get("loss")) is not None and losses:
        at_chance = f" (chance {level:.4g})"
    if losses and measured.steps >= FLAT_STEPS and measured.epochs >= 2 and moved <= FLAT * max(abs(losses[0]), 0.01):
        return (
            "stuck",
            f"The training is stuck: for {measured.epochs:.3g} epochs the loss has stayed at "
            f"{losses[-1]:.4g}{at_chance}.",
            (
                "the loss does not depend on the embeddings, or its gradient does not reach the encoder: similarities "
                "all equal, uninformative targets, a detached tensor",
                "the learning rate is far too small",
            ),
            "a --lr ten times as high; in an objective of your own, look at its targets and at gradient_norm",
        )
    top1 = measured.first_and_recent("top1")
    if (
        measured.steps < ENOUGH_STEPS
        or measured.is_warming_up
        or measured.views_approach
        or distance is None
        or distance[1] < NEARER * distance[0]
        or (top1 and top1[1] >= FOUND)
    ):
        return None
    ends = _first_and_recent(losses)
    loss = f" The loss went from {ends[0]:.4g} to {ends[1]:.4g}{at_chance}." if ends else ""
    of = measured.of
    return (
        "stuck",
        f"The training is stuck: {of.both} are {distance[1]:.0%} as far apart as {of.strangers}, "
        f"{distance[0]:.0%} before any training.{loss}",
        (
            f"the objective does not ask for what {of.plural} of {of.whole} share: targets that are the rows "
            f"themselves and not their other {of.plural}, or {of.plural} that were paired wrongly",
            f"the {of.plural} share too little",
            "the learning rate is far too small or too high",
        ),
        "--augment mild, a --lr three times as high or low; in an objective of your own, look at its targets",
    )


def _probe_that_fell(measured: _Measurements) -> tuple[float, float] | None:
    """The probe before any training and recently, if it is lower now and that can be told."""
    probe = measured.first_and_recent("probe")
    return probe if probe and measured.steps >= ENOUGH_STEPS and probe[1] < probe[0] else None


def _check_forgetting(measured: _Measurements) -> _Finding | None:
    probe = _probe_that_fell(measured) if measured.known_weights else None
    if probe is None:
        return None
    return (
        "forgetting",
        f"The training forgets: nearest neighbours on the probe are right {probe[1]:.1%} of the time, {probe[0]:.1%} "
        "with the weights as given.",
        ("the encoder's learning rate is too high for what it knows", "the training is too long for so little data"),
        "a tenth of the --encoder-lr, a smaller --layer-decay, a longer --freeze-epochs, or fewer --epochs",
    )


def _describe_progress(measured: _Measurements) -> _Finding:
    distance, top1, loss = (measured.first_and_recent(name) for name in ("pair_distance", "top1", "loss"))
    parts = []
    if distance and top1:
        of = measured.of
        parts.append(f"{of.both} are {distance[1]:.0%} as far apart as {of.strangers} ({distance[0]:.0%} untrained)")
        guessed = f" (chance {measured.chance['top1']:.1%})" if "top1" in measured.chance else ""
        parts.append(f"the other {of.one} is found {top1[1]:.1%} of the time{guessed}")
    elif loss:
        parts.append(f"the loss went from {loss[0]:.4g} to {loss[1]:.4g}")
    figures = ", ".join(parts)
    level = measured.chance.get("loss")
    if loss and level is not None and loss[1] >= level and measured.steps >= COLLAPSE_STEPS:
        above = f"the loss is {loss[1]:.4g}, not below chance ({level:.4g})"
        start = (
            "Too early to say whether it learns" if measured.steps < ENOUGH_STEPS else "Nothing shows that it learns"
        )
        return ("too-early", f"{start}: {', '.join([above, *parts])}.", (), "")
    near = distance is not None and distance[1] < NEARER * distance[0]
    if near or (top1 and top1[1] >= FOUND) or (not distance and loss and loss[1] < loss[0] - FLAT * abs(loss[0])):
        if probe := _probe_that_fell(measured):
            return (
                "not-yet-useful",
                "It learns its task, not yet useful features: nearest neighbours on the probe are right "
                f"{probe[1]:.1%} of the time, {probe[0]:.1%} untrained.",
                (
                    "the training is still short",
                    "the views drop what the labels are about, or keep what gives a sample away",
                ),
                "more --epochs, another --augment (`likewise views` shows it), or another --method",
            )
        return ("learning", f"It is learning: {figures}.", (), "")
    return ("too-early", f"Too early to say whether it learns{': ' * bool(figures)}{figures}.", (), "")
