"""What `likewise suggest` gains over labels that are drawn at random.

    python -m benchmarks.suggest [--data digits] [--root FOLDER] [--run RUN] [--epochs N] [--seeds 5] [--json FILE]
                                [--picture FILE]

An encoder learns from the training part of a named set (`digits`; `fashion-mnist` with --root, the folder of its idx
files), or is that of a run. Labels are added in rounds up to 10, 20, 40, 80 and 160, each round chosen with the labels
so far. A logistic regression on the frozen features learns from them and is tested on the test part. Strategies of a
seed are compared with the random choice of that seed; intervals are 95 % Student-t intervals over seeds. The encoder is
one for all seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import add_named_set, embedded, workplace
from likewise.commands.suggest import ENOUGH
from likewise.evaluation.measures import interval
from likewise.tasks.cross_validation import choose_variance
from likewise.tasks.linear_head import Classification, apply, softmax, standardisation
from likewise.tasks.selection import margin_doubt, typical_samples, uncertain_samples

COUNTS = (10, 20, 40, 80, 160)
POOL = 10_000  # samples to choose from, at most: those are drawn by the seed

Choice = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], np.ndarray]
"""(features, labels, labelled, budget, seed) -> places."""


def head_of(features: np.ndarray, labels: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Scores of the classes that there are, by a logistic regression."""
    known, targets = np.unique(labels, return_inverse=True)
    task = Classification()
    weights = task.fit(features, targets, choose_variance(task, features, targets, seed)) if len(known) > 1 else None

    def scores(others: np.ndarray) -> np.ndarray:
        found = np.full((len(others), int(known.max()) + 1), -np.inf)
        found[:, known] = 0 if weights is None else apply(weights, others)
        return found

    return scores


def at_random(features: np.ndarray, labels: np.ndarray, labelled: np.ndarray, budget: int, seed: int) -> np.ndarray:
    free = np.random.default_rng(seed).permutation(len(features))
    return free[~labelled[free]][:budget]


def typical(features: np.ndarray, labels: np.ndarray, labelled: np.ndarray, budget: int, seed: int) -> np.ndarray:
    return typical_samples(features, labelled, budget, seed)


def uncertain(features: np.ndarray, labels: np.ndarray, labelled: np.ndarray, budget: int, seed: int) -> np.ndarray:
    """The first round has no labels to learn from: it is a random one."""
    if not labelled.any():
        return at_random(features, labels, labelled, budget, seed)
    mean, scale = standardisation(features)
    standard = (features - mean) / scale
    scores = head_of(standard[labelled], labels[labelled], seed)(standard)
    doubt = margin_doubt(softmax(np.where(np.isinf(scores), -1e9, scores)))
    return uncertain_samples(features, doubt, labelled, budget, seed)


def suggested(features: np.ndarray, labels: np.ndarray, labelled: np.ndarray, budget: int, seed: int) -> np.ndarray:
    """As the command chooses."""
    enough = labelled.sum() >= ENOUGH * max(1, len(np.unique(labels[labelled])))
    return (uncertain if enough and labelled.any() else typical)(features, labels, labelled, budget, seed)


CHOICES: dict[str, Choice] = {
    "random": at_random,
    "typical": typical,
    "uncertain": uncertain,
    "suggest": suggested,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_named_set(parser)
    parser.add_argument("--seeds", type=int, default=5, help="repetitions (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the accuracies there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw them there")
    asked = parser.parse_args()
    with workplace() as folder:
        _, train, test = embedded(asked, folder)
    number = {name: i for i, name in enumerate(train.classes)}
    labels, truth = (np.array([number[name] for name in part.labels]) for part in (train, test))
    accuracies: dict[str, list[list[float]]] = {name: [] for name in CHOICES}
    for seed in range(asked.seeds):
        pool = np.random.default_rng(seed).permutation(len(labels))[:POOL]
        features, its = train.vectors[pool], labels[pool]
        mean, scale = standardisation(features)
        for name, choose in CHOICES.items():
            labelled, found = np.zeros(len(pool), dtype=bool), []
            for count in COUNTS:
                labelled[choose(features, its, labelled, count - int(labelled.sum()), seed)] = True
                scores = head_of((features[labelled] - mean) / scale, its[labelled], seed)
                found.append(float((scores((test.vectors - mean) / scale).argmax(1) == truth).mean()))
            accuracies[name].append(found)
            print(f"seed {seed}, {name}: {' '.join(f'{100 * one:.1f}' for one in found)}", flush=True)
    print(f"\n| labels | {' | '.join(map(str, COUNTS))} |\n| --- |{' --- |' * len(COUNTS)}")
    for name, rows in accuracies.items():
        values = [interval([row[i] for row in rows]) for i in range(len(COUNTS))]
        print(f"| {name} | {' | '.join(shown(*value) for value in values)} |")
    for name in list(CHOICES)[1:]:
        gains = [
            interval([row[i] - other[i] for row, other in zip(accuracies[name], accuracies["random"], strict=True)])
            for i in range(len(COUNTS))
        ]
        print(f"| {name} − random | {' | '.join(shown(*gain, sign='+') for gain in gains)} |")
    if asked.picture:
        picture(asked.picture, accuracies)
    if asked.json:
        asked.json.write_text(json.dumps({"counts": COUNTS, "accuracies": accuracies}, indent=1) + "\n")


def picture(path: Path, accuracies: dict[str, list[list[float]]]) -> None:
    """The accuracies by number of labels."""
    lines = {}
    for name in ("suggest", "uncertain", "random"):
        found = [interval([100 * row[i] for row in accuracies[name]]) for i in range(len(COUNTS))]
        halves = [0.0 if high is None else high - mean for mean, _, high in found]
        lines[name] = Line(COUNTS, [mean for mean, _, _ in found], halves)
    draw(
        path,
        lines,
        Axis("labels", {count: str(count) for count in COUNTS}, log=True),
        Axis("accuracy, %", {value: str(value) for value in range(50, 101, 10)}),
    )


def shown(mean: float, low: float | None, high: float | None, sign: str = "") -> str:
    half = "" if low is None or high is None else f" ± {50 * (high - low):.1f}"
    return f"{100 * mean:{sign}.1f}{half}"


if __name__ == "__main__":
    main()
