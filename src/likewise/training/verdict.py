"""Is it learning? The verdict on a training, from what a training has logged.

Every threshold is a ratio to what the untrained network showed at the first step, or has an absolute meaning.
Measured healthy and broken trainings that they lie between are named beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from likewise.runs.verdict import Verdict

RECENT = 3  # measured rows that "now" is the median of: one batch is noisy

GROWTH = 3.0
"""The encoder's weights may grow so much in a thousand steps, and with the root of the steps after that, which is how
fast normalised layers drift at a constant rate. Healthy: 1.05 in a hundred steps; a rate of 100: 10 in five steps."""
EXPLOSION = 10.0
"""A loss so many times its first value. One that starts low, against an empty queue, rises to chance and no further."""
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
MoCo, whose second view is seen by a slow copy, comes below `NEARER` only after a hundred steps."""
FOUND = 0.5
"""Pairs found: where so many are, as without augmentation, views are near from the start and can't come much nearer."""
FLAT = 1e-3
"""A loss that has moved by no more than this part of itself: batches alone make more difference."""
FLAT_STEPS = 10
COLLAPSE_STEPS = 10
ENOUGH_STEPS = 50  # before "stuck" is said: BYOL, healthy, has brought views no nearer after twenty
ENOUGH_WARMUP = 200  # steps after which a rate that still rises is no excuse


class PairNouns(NamedTuple):
    """What belongs together, in words."""

    both: str
    strangers: str
    one: str
    plural: str
    whole: str


VIEWS = PairNouns("two views of a sample", "two samples", "view", "views", "a sample")
HALVES = PairNouns("the two halves of a pair", "halves of two pairs", "half", "halves", "a pair")


def diagnose(
    rows: Sequence[Mapping[str, Any]], chance: Mapping[str, float], steps_per_epoch: int, *, of: PairNouns = VIEWS
) -> Verdict:
    """The verdict on a training so far.

    Args:
        rows: of the history, in the order of their steps: "step", counted from 0, and what was measured in it. Any
            measurement may lack, or be no number.
        chance: what the figures would be if nothing was learned, as far as that is known.
        steps_per_epoch: of the training.
        of: what the embeddings were of.
    """
    past = _Past(rows, chance, max(1, steps_per_epoch), of)
    found = next((said for ask in (_diverging, _collapsed, _stuck) if (said := ask(past))), None)
    kind, message, causes, remedy = found or _healthy(past)
    return Verdict(kind, message, causes, remedy, past.steps, round(past.steps / past.steps_per_epoch, 4))


def diverged(step: int, steps_per_epoch: int) -> Verdict:
    """The verdict on a training whose loss or weights are no numbers any more."""
    message = f"The training is diverging: at step {step} the loss or a weight became NaN or infinite."
    return Verdict("diverging", message, *_OF_DIVERGING, step, round(step / max(1, steps_per_epoch), 4))


_Said = tuple[str, str, tuple[str, ...], str]

_OF_DIVERGING = (
    ("the learning rate is too high", "the gradients have outliers"),
    "a tenth of the --lr, --grad-clip 1, or a longer --warmup-epochs",
)


class _Past:
    """The history, asked for first and recent values."""

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], chance: Mapping[str, float], steps_per_epoch: int, of: PairNouns
    ) -> None:
        self.rows, self.chance, self.steps_per_epoch, self.of = rows, chance, steps_per_epoch, of
        self.steps = int(rows[-1].get("step", len(rows) - 1)) + 1 if rows else 0
        self.epochs = self.steps / steps_per_epoch

    def series(self, name: str) -> list[float]:
        """Finite values, oldest first."""
        values = [float(row[name]) for row in self.rows if name in row]
        return [value for value in values if math.isfinite(value)]

    def first_and_now(self, name: str) -> tuple[float, float] | None:
        """A value of the untrained network, and the median of the recent ones; None where there are not both."""
        return _ends(self.series(name))

    @property
    def approaching(self) -> bool:
        """Whether views of a sample were nearer in the second half of the training than in the first."""
        values = self.series("pair_distance")[1:]
        half = len(values) // 2
        return half > 0 and median(values[half:]) < STILL * median(values[:half])

    @property
    def warming_up(self) -> bool:
        """Whether the rate still rises, and not for long yet."""
        rates = self.series("lr")
        return len(rates) > 1 and rates[-1] > rates[-2] and self.steps < ENOUGH_WARMUP


def _ends(values: list[float]) -> tuple[float, float] | None:
    return (values[0], median(values[1:][-RECENT:])) if len(values) > 1 else None


def _diverging(past: _Past) -> _Said | None:
    loss, weights = past.first_and_now("loss"), past.first_and_now("weight_norm")
    last = [float(row["loss"]) for row in past.rows if "loss" in row][-1:]
    if last and not math.isfinite(last[0]):
        message = f"The training is diverging: at step {past.steps} the loss is {last[0]}."
    elif weights and weights[0] > 0 and weights[1] > GROWTH * weights[0] * max(1.0, math.sqrt(past.steps / 1000)):
        message = (
            f"The training is diverging: in {past.steps:,} steps the encoder's weights have grown "
            f"to {weights[1] / weights[0]:,.3g} times their size."
        )
    elif loss and loss[1] > max(EXPLOSION * max(abs(loss[0]), 0.1), 2 * past.chance.get("loss", 0.0)):
        message = f"The training is diverging: the loss went from {loss[0]:.3g} to {loss[1]:.3g}."
    else:
        return None
    return ("diverging", message, *_OF_DIVERGING)


def _collapsed(past: _Past) -> _Said | None:
    spread, rank = past.first_and_now("spread"), past.first_and_now("effective_rank")
    if past.steps < COLLAPSE_STEPS:
        return None
    if spread and spread[1] < POINT * spread[0]:
        codes = past.first_and_now("code_entropy")
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
            "a method's own defaults (`likewise methods`), a smaller --lr, or --method simclr, which can't collapse",
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


def _stuck(past: _Past) -> _Said | None:
    losses, distance = past.series("loss"), past.first_and_now("pair_distance")
    moved = max(losses) - min(losses) if losses else math.inf
    at_chance = ""
    if (level := past.chance.get("loss")) is not None and losses:
        at_chance = f" (guessing gives {level:.4g})"
    if losses and past.steps >= FLAT_STEPS and past.epochs >= 2 and moved <= FLAT * max(abs(losses[0]), 0.01):
        return (
            "stuck",
            f"The training is stuck: for {past.epochs:.3g} epochs the loss has stayed at {losses[-1]:.4g}{at_chance}.",
            (
                "the loss does not depend on the embeddings, or its gradient does not reach the encoder: similarities "
                "all equal, targets that say nothing, a detached tensor",
                "the learning rate is far too small",
            ),
            "a --lr ten times as high; in an objective of your own, look at its targets and at gradient_norm",
        )
    found = past.first_and_now("top1")
    if (
        past.steps < ENOUGH_STEPS
        or past.warming_up
        or past.approaching
        or distance is None
        or distance[1] < NEARER * distance[0]
        or (found and found[1] >= FOUND)
    ):
        return None
    ends = _ends(losses)
    loss = f" The loss went from {ends[0]:.4g} to {ends[1]:.4g}{at_chance}." if ends else ""
    of = past.of
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


def _healthy(past: _Past) -> _Said:
    distance, found, loss = (past.first_and_now(name) for name in ("pair_distance", "top1", "loss"))
    parts = []
    if distance and found:
        of = past.of
        parts.append(f"{of.both} are {distance[1]:.0%} as far apart as {of.strangers} ({distance[0]:.0%} untrained)")
        level = f" (chance {past.chance['top1']:.1%})" if "top1" in past.chance else ""
        parts.append(f"the other {of.one} is found {found[1]:.1%} of the time{level}")
    elif loss:
        parts.append(f"the loss went from {loss[0]:.4g} to {loss[1]:.4g}")
    figures = ", ".join(parts)
    near = distance is not None and distance[1] < NEARER * distance[0]
    if near or (found and found[1] >= FOUND) or (not distance and loss and loss[1] < loss[0] - FLAT * abs(loss[0])):
        return ("learning", f"It is learning: {figures}.", (), "")
    return ("too-early", f"Too early to say whether it learns{': ' * bool(figures)}{figures}.", (), "")
