"""Whether the probabilities of a classifier can be trusted: those of `likewise fit` on samples that it has not seen.

    python -m benchmarks.calibration [--data digits] [--root FOLDER] [--run RUN] [--epochs 20] [--labels 100]
                                     [--seeds 5] [--picture FILE.svg]

An encoder learns from the training part of a named set, or is that of a run. For each seed, as many of its samples as
--labels says get labels, drawn at random; `fit` makes a classifier, and `predict` answers the test part. Predictions
are put into ten bins of about as many predictions each, by their probability; the expected calibration error is the
mean distance of probability and accuracy over bins (equal mass, not the 15 bins of equal width of `fit`). Before: with
the temperature taken back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import add_named_set, embedded, workplace
from likewise.evaluation.measures import interval
from likewise.tasks.linear_head import LinearHead, softmax

BINS = 10


def binned(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and accuracy of bins of about as many predictions each."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    return np.array([confidence[part].mean() for part in parts]), np.array([right[part].mean() for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_named_set(parser)
    parser.add_argument("--labels", type=int, default=100, help="how many samples have labels (100)")
    parser.add_argument("--seeds", type=int, default=5, help="draws of labels (5)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw the reliability diagram there")
    asked = parser.parse_args()
    kinds = ("before", "after")
    confidences: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    rights: list[np.ndarray] = []
    errors: dict[str, list[float]] = {kind: [] for kind in kinds}
    with workplace() as folder:
        run, train, test = embedded(asked, folder)
        for seed in range(asked.seeds):
            chosen = np.random.default_rng(seed).permutation(len(train))[: asked.labels]
            labels = {train.ids[i]: train.labels[i] for i in chosen.tolist()}
            made = lw.fit(
                run,
                f"{asked.data}:train",
                labels=labels,
                seed=seed,
                root=asked.root,
                out=folder / f"classifier-{seed}",
                progress=False,
            )
            scores = LinearHead(**made.arrays).scores(test.vectors)
            truth = np.array([made.classes.index(name) if name in made.classes else -1 for name in test.labels])
            right = scores.argmax(1) == truth
            rights.append(right)
            for kind in kinds:
                confidence = softmax(scores / (made.info["temperature"] if kind == "after" else 1.0)).max(1)
                confidences[kind].append(confidence)
                said, found = binned(confidence, right)
                errors[kind].append(float(np.abs(said - found).mean()))
            print(
                f"seed {seed}: accuracy {right.mean():.3f}, temperature {made.info['temperature']:.2f}, "
                f"calibration error {errors['before'][-1]:.3f} -> {errors['after'][-1]:.3f}",
                flush=True,
            )
    for kind in kinds:
        mean, _, high = interval(errors[kind])
        print(f"{kind}: {mean:.3f}" + ("" if high is None else f" ± {high - mean:.3f}"))
    if asked.picture:
        lines = {"perfect": Line([0.3, 1.0], [0.3, 1.0], dashed=True)}
        for kind, name in zip(kinds, ("no temperature", "as fit leaves it"), strict=True):
            said, found = binned(np.concatenate(confidences[kind]), np.concatenate(rights))
            lines[name] = Line(said.tolist(), found.tolist())
        ticks = {value / 10: f"{value * 10}" for value in range(3, 11)}
        draw(asked.picture, lines, Axis("probability, %", ticks), Axis("of these right, %", ticks))


if __name__ == "__main__":
    main()
