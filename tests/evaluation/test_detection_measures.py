"""COCO's measures against a reference that goes box by box in float64, and on cases made by hand; kinds of errors."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import torch

from likewise.data.annotations.annotation import Box
from likewise.evaluation.detection_errors import count_errors, surest
from likewise.evaluation.detection_measures import Detections, box_scores

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
Truth = list[list[Box]]


def found(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    """Each row is left, top, right, bottom, label and score."""
    table = torch.tensor(rows, dtype=torch.float64).view(-1, 6)
    return Detections(table[:, :4], table[:, 4].long(), table[:, 5])


def thing(left: float, top: float, right: float, bottom: float, label: int, crowd: bool = False) -> Box:
    return Box(float(left), float(top), float(right), float(bottom), label, crowd)


def overlap(one: tuple[float, ...], true: Box) -> float:
    """Intersection over union; with a crowd, over the predicted box."""
    wide = min(one[2], true.right) - max(one[0], true.left)
    high = min(one[3], true.bottom) - max(one[1], true.top)
    both = max(0.0, wide) * max(0.0, high)
    own = (one[2] - one[0]) * (one[3] - one[1])
    its = (true.right - true.left) * (true.bottom - true.top)
    return both / (own if true.crowd else own + its - both)


def matched(truth: list[Box], rows: list[tuple[float, ...]], threshold: float) -> list[tuple[float, bool, bool]]:
    """(score, is right, counts nowhere) of the boxes of one class in one image, the surest first."""
    order = sorted(range(len(rows)), key=lambda i: -rows[i][5])[:100]
    things = [box for box in truth if not box.crowd] + [box for box in truth if box.crowd]
    taken = [False] * len(things)
    said = []
    for row in (rows[i] for i in order):
        best, chosen = min(threshold, 1 - 1e-10), None
        for number, other in enumerate(things):
            if taken[number] and not other.crowd:
                continue
            if chosen is not None and not things[chosen].crowd and other.crowd:
                break
            if overlap(row, other) >= best:
                best, chosen = overlap(row, other), number
        if chosen is not None:
            taken[chosen] = True
        said.append((row[5], chosen is not None, chosen is not None and things[chosen].crowd))
    return said


def naive_scores(truth: Truth, predicted: list[Detections], classes: int) -> list[tuple[float, float, float, float]]:
    """Of each class AP, AP50, AP75 and AR, or -1 each."""
    scores = []
    for label in range(classes):
        of_class = [[box for box in boxes if box.label == label] for boxes in truth]
        rows = [
            [(*edges, kind, score) for edges, kind, score in zip(*(part.tolist() for part in each), strict=True)]
            for each in predicted
        ]
        rows = [[row for row in some if row[4] == label] for some in rows]
        positives = sum(not box.crowd for boxes in of_class for box in boxes)
        precisions, recalls = [], []
        for threshold in THRESHOLDS:
            said = [each for some in zip(of_class, rows, strict=True) for each in matched(*some, threshold)]
            said.sort(key=lambda each: -each[0])  # stable
            right = wrong = 0
            curve = []
            for _, is_right, ignored in said:
                if not ignored:
                    right, wrong = right + is_right, wrong + (not is_right)
                curve.append((right / max(positives, 1), right / max(right + wrong, 1e-16)))
            at = [max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]
            precisions.append(fmean(at))
            recalls.append(curve[-1][0] if curve else 0.0)
        scores.append(
            (fmean(precisions), precisions[0], precisions[5], fmean(recalls)) if positives else (-1.0, -1.0, -1.0, -1.0)
        )
    return scores


def check(truth: Truth, predicted: list[Detections], classes: int) -> None:
    got = box_scores(truth, predicted, classes)
    wanted = naive_scores(truth, predicted, classes)
    known = [row for row in wanted if row[0] >= 0]
    assert got.by_class == pytest.approx([row[0] if row[0] >= 0 else None for row in wanted], abs=1e-12)
    means = [fmean(column) for column in zip(*known, strict=True)] if known else [0.0] * 4
    assert list(got[:4]) == pytest.approx(means, abs=1e-12)


def random_box(random: np.random.Generator) -> tuple[float, float, float, float]:
    left, top = random.integers(0, 40, 2)
    wide, high = random.integers(4, 20, 2)
    return float(left), float(top), float(left + wide), float(top + high)


@pytest.mark.parametrize("seed", range(4))
def test_as_box_by_box(seed: int) -> None:
    """Crowds, scores that are equal, classes without boxes, images without either."""
    random = np.random.default_rng(seed)
    truth: Truth = []
    predicted = []
    for _ in range(12):
        boxes = [
            Box(*random_box(random), int(random.integers(3)), bool(random.random() < 0.15))
            for _ in range(random.integers(0, 5))
        ]
        rows = [
            (*(edge + random.integers(-2, 3) for edge in box[:4]), box.label, round(float(random.random()), 1))
            for box in boxes
            for _ in range(random.integers(0, 3))
        ]
        rows += [(*random_box(random), int(random.integers(4)), round(float(random.random()), 1)) for _ in range(3)]
        truth.append(boxes)
        predicted.append(found(*rows))
    check(truth, predicted, 5)
    check(truth, [found()] * len(truth), 5)


def test_by_hand() -> None:
    one = [[thing(0, 0, 10, 10, 0), thing(20, 0, 30, 10, 0)]]
    # The first is right up to 0.8, the second is nowhere, the third is right at all thresholds.
    scores = box_scores(one, [found((0, 0, 10, 8, 0, 0.9), (50, 50, 60, 60, 0, 0.8), (20, 0, 30, 10, 0, 0.7))], 1)
    both = (51 * 1 + 50 * 2 / 3) / 101  # of thresholds up to 0.8
    other = 51 / 3 / 101  # 1 of 3 at recalls up to a half
    assert scores.ap50 == pytest.approx(both)
    assert scores.ap == pytest.approx((7 * both + 3 * other) / 10)
    assert scores.ar == pytest.approx(0.7 * 1 + 0.3 * 0.5)
    assert scores.by_class == pytest.approx([scores.ap])


def test_no_prediction_and_no_truth() -> None:
    assert box_scores([[thing(0, 0, 5, 5, 1)]], [found()], 2) == (0.0, 0.0, 0.0, 0.0, [None, 0.0])
    assert box_scores([[]], [found((0, 0, 5, 5, 0, 0.9))], 2) == (0.0, 0.0, 0.0, 0.0, [None, None])
    assert box_scores([[thing(0, 0, 5, 5, 0, True)]], [found((0, 0, 5, 5, 0, 0.9))], 1).by_class == [None]


def test_of_equal_scores_the_first_image_counts_first() -> None:
    truth = [[thing(0, 0, 9, 9, 0)], [thing(0, 0, 9, 9, 0)]]
    right, wrong = found((0, 0, 9, 9, 0, 0.5)), found((20, 20, 29, 29, 0, 0.5))
    assert box_scores(truth, [right, wrong], 1).ap == pytest.approx(51 / 101)
    assert box_scores(truth, [wrong, right], 1).ap == pytest.approx(51 / 101 / 2)


def test_of_many_boxes_the_hundred_surest_count() -> None:
    truth = [[thing(0, 0, 9, 9, 0)]]
    rows = [(20.0, 20.0, 29.0, 29.0, 0, 0.9)] * 100
    assert box_scores(truth, [found(*rows, (0, 0, 9, 9, 0, 0.8))], 1).ar == 0
    assert box_scores(truth, [found(*rows[1:], (0, 0, 9, 9, 0, 0.8))], 1).ar == 1


def test_kinds_of_errors() -> None:
    truth = [[thing(0, 0, 10, 10, 0), thing(20, 0, 30, 10, 1), thing(40, 0, 80, 40, 1, True), thing(0, 50, 10, 60, 0)]]
    rows = [
        (0, 0, 10, 9, 0, 0.9),  # right
        (0, 0, 10, 10, 0, 0.8),  # twice
        (20, 0, 30, 10, 0, 0.7),  # class
        (20, 0, 30, 30, 1, 0.7),  # place
        (20, 0, 30, 30, 0, 0.6),  # place and class
        (45, 5, 55, 15, 1, 0.6),  # in the crowd: right
        (90, 90, 99, 99, 1, 0.5),  # nothing
        (0, 50, 10, 60, 0, 0.4),  # not sure enough
    ]
    said = count_errors(truth, [surest(found(*rows))])
    assert said == {"right": 2, "class": 1, "place": 1, "both": 1, "twice": 1, "nothing": 1, "missed": 2}
    assert count_errors([[]], [found()]) == dict.fromkeys(said, 0)
