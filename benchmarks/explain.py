"""Whether the maps of `likewise explain` are true to the encoder.

    python -m benchmarks.explain [--data digits] [--root FOLDER] [--encoder NAME] [--epochs 20] [--seeds 3]
                                 [--pairs 40] [--json FILE]

For each seed an encoder learns from the training part of labelled images, texts or recordings (`digits`;
`fashion-mnist` with --root, the folder of its idx files; a folder or a table, of which a fifth is held out), and pairs
of test samples of one class are explained: the largest difference between the sum over places and the cosine, the areas
under the deletion and the insertion curve beside those of random orders, and the rank correlation of the maps with
those of an encoder of which the last stage is untrained, the last two, and so on to all of them. Where the samples are
images, an encoder then learns from ten pictures of the set, each with a corner of a random colour, which alone tells
samples apart: how often the part that counts most is in the corner, beside an encoder with random weights. Intervals
are 95 % Student-t intervals over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import likewise as lw
from benchmarks.proof import workplace
from likewise.data.arrays import ArraySource
from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.evaluation.measures import interval

ENCODERS = {"image": "resnet8", "text": "bert-tiny", "audio": "mel-resnet8"}
COPIES, FRESH = 64, 20  # of each picture, and samples that are explained
NOISE = [{"noise": {"std": 0.1, "p": 1.0}}]
AREAS = ("deletion", "random_deletion", "insertion", "random_insertion")

Figures = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="labelled samples (digits)")
    parser.add_argument("--root", type=Path, help="the folder with the files of the named set")
    parser.add_argument("--encoder", help="of the runs (resnet8, bert-tiny or mel-resnet8)")
    parser.add_argument("--epochs", type=int, default=20, help="of the runs (20)")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (3)")
    parser.add_argument("--pairs", type=int, default=40, help="pairs that are explained (40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the figures there")
    asked = parser.parse_args()
    figures: Figures = defaultdict(list)
    for seed in range(asked.seeds):
        with workplace() as folder:
            test = open_source(f"{asked.data}:test", root=asked.root, progress=False)
            found = of_pairs(asked, test, folder, seed)
            if test.modality == "image":
                found |= of_corners(asked, folder, seed)
        for name, value in found.items():
            figures[name].append(value)
        print(f"seed {seed}: " + ", ".join(f"{name} {value:.3g}" for name, value in found.items()), flush=True)
    print("\n| measure | mean |\n| --- | --- |")
    for name, values in figures.items():
        mean, _, high = interval(values)
        half = "" if high is None else f" ± {high - mean:.3g}"
        print(f"| {name} | {mean:.3g}{half} |")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def of_pairs(asked: argparse.Namespace, test: Source, folder: Path, seed: int) -> dict[str, float]:
    """Figures of maps of two samples of one class."""
    run = lw.pretrain(
        f"{asked.data}:train",
        encoder=asked.encoder or ENCODERS[test.modality],
        epochs=asked.epochs,
        root=asked.root,
        seed=seed,
        out=folder / "run",
        progress=False,
    )
    labels, random = test.labels().numpy(), np.random.default_rng(seed)
    found: Figures = defaultdict(list)
    for first in random.choice(len(labels), asked.pairs, replace=False):
        same = np.flatnonzero(labels == labels[first])
        second = random.choice(same[same != first])
        ids = test.ids[first], test.ids[second]
        where: dict[str, Any] = {"data": f"{asked.data}:test", "root": asked.root, "cascade": True, "progress": False}
        said = [lw.explain(run, *ids, **where).to_json()]
        if test.modality != "audio":
            said.append(lw.explain(run, *ids, by="gradients", **where).to_json())
        for matches in said[0]["matches"]:
            if matches["by"] == "places":
                found["largest error of the sum"].append(abs(np.sum(matches["values"]) - said[0]["similarity"]))
        maps = [one for each in said for sample in each["samples"] for one in sample["maps"]]
        for one in maps:
            for area in AREAS:
                found[f"{one['by']}: {area.replace('_', ' ')} area"].append(one["curves"]["areas"][area])
            stages = len(one["cascade"]) - 1
            for count, value in enumerate(one["cascade"][1:], 1):
                found[f"{one['by']}: correlation after {count} of {stages} stages"].append(value)
    return {name: float((np.max if name.startswith("largest") else np.mean)(values)) for name, values in found.items()}


def of_corners(asked: argparse.Namespace, folder: Path, seed: int) -> dict[str, float]:
    """How often the planted corner is what counts most."""
    source = open_source(f"{asked.data}:train", root=asked.root, progress=False)
    pictures = one_of_each(source)
    train, fresh = (cornered(pictures, count, seed=seed, part=part) for part, count in enumerate((COPIES, FRESH // 10)))
    how: dict[str, Any] = {
        "encoder": asked.encoder or ENCODERS["image"],
        "augment": NOISE,
        "seed": seed,
        "progress": False,
    }
    run = lw.pretrain(train, epochs=asked.epochs, out=folder / "corners", **how)
    found: Figures = defaultdict(list)
    for name, encoder in (("trained", run.encoder), ("untrained", None)):
        if encoder is None:
            torch.manual_seed(seed)
            run.keep(run.build_encoder(), run.views)
        for place in range(len(fresh)):
            said = lw.explain(run, str(place), data=fresh, progress=False).to_json()
            for one in said["samples"][0]["maps"]:
                rows, columns = one["shape"]
                row, column = divmod(int(np.argmax(one["values"])), columns)
                inside = (row + 1) / rows > 3 / 4 and (column + 1) / columns > 3 / 4
                found[f"{one['by']}: the corner counts most, {name}"].append(float(inside))
    return {name: float(np.mean(values)) for name, values in found.items()}


def one_of_each(source: Source) -> np.ndarray:
    """The first picture of each class, grey `(classes, h, w)`, 16 pixels or larger."""
    first = [int(np.flatnonzero(source.labels().numpy() == label)[0]) for label in range(len(source.classes))]
    pictures = source.read(torch.tensor(first)).float().mean(1).numpy()
    factor = -(-16 // pictures.shape[1])
    return pictures.repeat(factor, 1).repeat(factor, 2)


def cornered(pictures: np.ndarray, copies: int, *, seed: int, part: int) -> ArraySource:
    """Copies of pictures, each with a corner of a random colour."""
    pixels = np.repeat(np.repeat(pictures[:, None], 3, axis=1), copies, axis=0).astype(np.uint8)
    side = pixels.shape[-1] // 4
    colours = np.random.default_rng([seed, part]).integers(0, 256, (len(pixels), 3, 1, 1), dtype=np.uint8)
    pixels[:, :, -side:, -side:] = colours
    return ArraySource(pixels, name="corners")


if __name__ == "__main__":
    main()
