"""What the temperature of the contrastive loss and the strength of augmentation do to the embeddings.

    python -m benchmarks.temperature [--data digits] [--root FOLDER] [--samples N] [--epochs 20] [--seeds 3]
                                     [--temperatures 0.05 0.1 0.2 0.5 1 2] [--augments none mild strong]
                                     [--encoder resnet8] [--json FILE] [--picture STEM]

A SimCLR learns from the training part of a named set (`digits`; `fashion-mnist` with --root, the folder of its idx
files) for each temperature, strength and seed. Of each encoder three figures are measured on the test part (Wang & Liu
2021, arXiv:2012.09740): uniformity, the logarithm of the mean Gaussian potential of two embeddings (lower is more
uniform); tolerance, the mean cosine of two samples of one class (they are not told to be of one); and the accuracy of a
vote of 20 nearest neighbours among the training samples. `--picture STEM` draws STEM-accuracy.svg,
STEM-uniformity.svg and STEM-tolerance.svg, by temperature, a line for each strength; intervals are 95 % Student-t
intervals over the seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import workplace
from likewise.data.open import open_source
from likewise.evaluation.knn import NEIGHBORS, nearest_neighbors, vote
from likewise.evaluation.measures import interval
from likewise.losses import uniformity

FIGURES = {"accuracy": "accuracy, %", "uniformity": "uniformity", "tolerance": "tolerance"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="a named set (digits)")
    parser.add_argument("--root", type=Path, help="the folder with the files of the named set")
    parser.add_argument("--samples", type=int, help="learn from so many, evenly spread (all)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (3)")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.5, 1.0, 2.0])
    parser.add_argument("--augments", nargs="+", default=["none", "mild", "strong"])
    parser.add_argument("--encoder", default="resnet8")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also keep the results there; what it holds is not run again"
    )
    parser.add_argument("--picture", metavar="STEM", help="also draw the figures there")
    asked = parser.parse_args()
    train, test = (open_source(f"{asked.data}:{part}", root=asked.root, progress=False) for part in ("train", "test"))
    places = torch.linspace(0, len(train) - 1, min(asked.samples or len(train), len(train))).round().long()
    images, labels = train.read(places), train.labels()[places]
    found: list[dict[str, Any]] = []
    if asked.json and asked.json.is_file():
        found = json.loads(asked.json.read_text())
    for augment in asked.augments:
        for temperature in asked.temperatures:
            for seed in range(asked.seeds):
                row = {"augment": augment, "temperature": temperature, "seed": seed}
                if any(row.items() <= each.items() for each in found):
                    continue
                with workplace() as folder:
                    run = lw.pretrain(
                        images,
                        method="simclr",
                        encoder=asked.encoder,
                        augment=augment,
                        temperature=temperature,
                        epochs=asked.epochs,
                        seed=seed,
                        out=folder / "run",
                        progress=False,
                    )
                    learned, tested = (embedded(run, each) for each in (images, test.read(torch.arange(len(test)))))
                found.append(row | measured(learned, labels, tested, test.labels()))
                print(one_line(found[-1]), flush=True)
                if asked.json:
                    asked.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n| augment | temperature | {' | '.join(FIGURES.values())} |\n| --- | --- |{' --- |' * len(FIGURES)}")
    for augment in asked.augments:
        for temperature in asked.temperatures:
            cells = [told(*summary(found, augment, temperature, name), name) for name in FIGURES]
            print(f"| {augment} | {temperature:g} | {' | '.join(cells)} |")
    if asked.picture:
        for name, title in FIGURES.items():
            draw_figure(Path(f"{asked.picture}-{name}.svg"), found, asked, name, title)


def one_line(row: dict[str, Any]) -> str:
    values = (f"{value:.4g}" if isinstance(value, float) else value for value in row.values())
    return " ".join(f"{name} {value}" for name, value in zip(row, values, strict=True))


def embedded(run: Any, images: Tensor) -> Tensor:
    """Embeddings of unit length."""
    return F.normalize(torch.as_tensor(np.asarray(run.encode(images))).float(), dim=1)


def measured(learned: Tensor, labels: Tensor, tested: Tensor, truth: Tensor) -> dict[str, float]:
    """Accuracy, uniformity and tolerance of the test samples."""
    similarities, positions = nearest_neighbors(tested, learned, NEIGHBORS[-1])
    predicted = vote(similarities, labels[positions], int(labels.max()) + 1)
    same = truth[:, None] == truth[None]
    same.fill_diagonal_(False)
    return {
        "accuracy": float((predicted == truth).float().mean()),
        "uniformity": float(uniformity(tested)),
        "tolerance": float((tested @ tested.T)[same].mean()),
    }


def summary(found: list[dict[str, Any]], augment: str, temperature: float, name: str) -> tuple[float, float]:
    """Mean over the seeds, and half the interval; of an accuracy in %."""
    rows = [row[name] for row in found if (row["augment"], row["temperature"]) == (augment, temperature)]
    mean, _, high = interval([100 * row for row in rows] if name == "accuracy" else rows)
    return mean, 0.0 if high is None else high - mean


def told(mean: float, half: float, name: str) -> str:
    return f"{mean:.1f} ± {half:.1f}" if name == "accuracy" else f"{mean:.2f} ± {half:.2f}"


def draw_figure(path: Path, found: list[dict[str, Any]], asked: argparse.Namespace, name: str, title: str) -> None:
    lines, values = {}, list[float]()
    for augment in asked.augments:
        points = [summary(found, augment, temperature, name) for temperature in asked.temperatures]
        means, halves = [mean for mean, _ in points], [half for _, half in points]
        lines[augment] = Line(asked.temperatures, means, halves)
        values += [end for mean, half in points for end in (mean - half, mean + half)]
    step = {"accuracy": 2.0, "uniformity": 0.5, "tolerance": 0.1}[name]
    least, most = step * np.floor(min(values) / step), step * np.ceil(max(values) / step)
    ticks = {float(value): f"{value:.10g}" for value in np.round(np.arange(least, most + step / 2, step), 6)}
    temperatures = {value: f"{value:g}" for value in asked.temperatures}
    draw(path, lines, Axis("temperature", temperatures, log=True), Axis(title, ticks))


if __name__ == "__main__":
    main()
