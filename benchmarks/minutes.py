"""What some minutes of training are worth: features beside pixels, an untrained encoder and training from scratch.

    python -m benchmarks.minutes [--data fashion-mnist] [--root FOLDER] [--minutes 5 | --epochs N] [--seeds 3]
                                 [--method simclr] [--recipe NAME] [--held-out N] [--peer] [--json FILE]

Each training seed is `likewise pretrain DATA --minutes M --seed S`; or with as many epochs as fit into the minutes of
an idle machine, where other programs run. Frozen features of the test images are judged by

- kNN: 20 nearest neighbours by cosine among all training images;
- linear: logistic regression with all training labels;
- frozen and scratch: with 10 and 50 labels a class, the same draws for both.

Intervals are 95 % over the training seeds. `--held-out N` holds N training images out, judges on them and never reads
the test images: choices are made there.

`--peer` also trains lightly's SimCLR for one epoch with a ResNet-18 in bfloat16, and gives likewise a sixth of the time
that this took.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import likewise
from benchmarks import lightly_simclr
from benchmarks.proof import workplace
from likewise.data.open import open_source
from likewise.data.sampling import order
from likewise.data.source import Source, Subset
from likewise.data.splits import splits
from likewise.encoders import image_encoder
from likewise.evaluation.features import encode, raw_features, stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.knn import knn_classify
from likewise.evaluation.measures import interval
from likewise.modalities.lookup import setup
from likewise.training.machine import device_name
from likewise.training.recipe import Recipe

NEIGHBORS = 20
FEW = (10, 50)  # labels a class
DRAWS = 3  # of few labels, each with its own training from scratch
PEER_ENCODER = "resnet18"
SHARE = 6  # of the peer's time, what likewise gets


class Judge:
    """What features are worth on images whose labels chose nothing."""

    def __init__(self, train: Source, test: Source) -> None:
        self.train, self.test = train, test
        self.views = setup(train, Recipe(), accelerated=device_name() != "cpu")[2]
        self.compute = ComputeSettings(torch.device(device_name()), 256, True, True)

    def knn(self, encoder: Any = None) -> float:
        """Of an encoder's features, or of pixels."""
        if encoder is None:
            featurize = raw_features(self.views, self.compute)
            bank, queries = (torch.cat(list(stream(featurize, part))) for part in (self.train, self.test))
        else:
            placed = self.compute.place(encoder).eval()
            bank, queries = (
                encode(placed, self.views, part, torch.arange(len(part)), compute=self.compute).float()
                for part in (self.train, self.test)
            )
        labels, truth = self.train.labels(), self.test.labels()
        classes = int(labels.max()) + 1
        predicted = knn_classify(queries, bank, labels, classes, k=NEIGHBORS)
        return float((predicted == truth).double().mean())

    def of_run(self, run: likewise.Run) -> dict[str, float]:
        data = {"train": self.train, "test": self.test, "progress": False}
        every = likewise.evaluate(run, labels_per_class=("all",), seeds=1, protocols=("frozen", "raw-logistic"), **data)
        few = likewise.evaluate(run, labels_per_class=FEW, seeds=DRAWS, protocols=("frozen", "scratch"), **data)
        rows = {(row["protocol"], row["labels_per_class"]): row["mean"] for row in (*every["summary"], *few["summary"])}
        return {
            "kNN": self.knn(run.encoder),
            "linear": rows["frozen", "all"],
            "linear on pixels": rows["raw-logistic", "all"],
            **{f"{protocol} {count}": rows[protocol, count] for count in FEW for protocol in ("frozen", "scratch")},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="What some minutes of training are worth.")
    parser.add_argument("--data", default="fashion-mnist", help="labelled images that can be split (fashion-mnist)")
    parser.add_argument("--root", type=Path, help="where the data set's files are")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training (5)")
    parser.add_argument("--epochs", type=int, help="instead of minutes")
    parser.add_argument("--seeds", type=int, default=3, help="trainings (3)")
    parser.add_argument("--method", help="instead of the usual one")
    parser.add_argument("--recipe", help="instead of the method's")
    parser.add_argument("--held-out", type=int, metavar="N", help="judge on so many training images")
    parser.add_argument("--peer", action="store_true", help="lightly's SimCLR, and a sixth of its time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    arguments = parser.parse_args()

    parts = splits(arguments.data)
    train = open_source(parts["train"], root=arguments.root)
    if arguments.held_out:
        mixed = order(len(train), seed=0, epoch=0)
        test: Source = Subset(train, mixed[: arguments.held_out].sort().values, name="held-out")
        train = Subset(train, mixed[arguments.held_out :].sort().values, name="train")
    else:
        test = open_source(parts["test"], root=arguments.root)
    judge = Judge(train, test)
    print(f"{arguments.data}: {len(train):,} images, judged on {len(test):,}; accuracy in %", flush=True)
    rows: list[dict[str, Any]] = []

    def add(name: str, **figures: float) -> None:
        rows.append({"name": name, **figures})
        print(f"{name:<28}" + "  ".join(f"{key} {value:.1f}" for key, value in figures.items()), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")

    def trained(folder: Path, seed: int, data: Source, **more: Any) -> tuple[likewise.Run, float]:
        chosen = {"method": arguments.method, "recipe": arguments.recipe}
        began = time.perf_counter()
        run = likewise.pretrain(data, seed=seed, out=folder / "run", progress=False, **chosen, **more)
        return run, time.perf_counter() - began

    budget = {"epochs": arguments.epochs} if arguments.epochs else {"minutes": arguments.minutes}
    add("pixels", kNN=100 * judge.knn())
    each: list[dict[str, float]] = []
    for seed in range(arguments.seeds):
        with workplace() as folder:
            run, seconds = trained(folder, seed, train, **budget)
            each.append({name: 100 * value for name, value in judge.of_run(run).items()})
            recipe = run.config["recipe"]
            what = f"{recipe['method']} {recipe['encoder']}, seed {seed}"
            add(what, **each[-1], epochs=recipe["epochs"], seconds=seconds)
    for figure in each[0]:
        mean, low, high = interval([one[figure] for one in each])
        half = "" if low is None or high is None else f" ± {(high - low) / 2:.1f}"
        print(f"  {figure:<20}{mean:.1f}{half}", flush=True)

    if arguments.peer:
        peer = lightly_simclr.train(
            train,
            judge.views,
            image_encoder(PEER_ENCODER, channels=judge.views.channels, size=judge.views.size),
            epochs=1,
            seed=0,
            bfloat16=True,
        )
        add("lightly, one epoch", kNN=100 * judge.knn(peer.encoder), seconds=peer.seconds)
        with workplace() as folder:
            run, seconds = trained(folder, 0, train, minutes=peer.seconds / SHARE / 60)
            add("likewise, in a sixth", kNN=100 * judge.knn(run.encoder), seconds=seconds)


if __name__ == "__main__":
    main()
