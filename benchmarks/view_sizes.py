"""Whether small views first, or another batch, teach more in the same time.

    python -m benchmarks.view_sizes [--place FOLDER] [--fewest 100] [--size 64] [--epochs 8] [--seeds 2]
                                    [--ways start_size=32 batch_size=64 start_size=32,batch_size=64 ...]
                                    [--encoder resnet8] [--method simclr] [--json FILE]

Pictures of a folder whose subfolders are classes with at least so many files; those of Debian's `openclipart-png` if
none is named. A fifth is held out. The usual training has `--epochs` passes over the others; each other way has as many
passes as take it the same time of the processor, as steps of each way were measured, with one thread. Time of the
processor, since other programs that run beside it do not change it much. The accuracy is that of a vote of the 20
nearest neighbours, of the held-out pictures among those that were learned from, and its mean over the classes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L
import torch

import likewise
from benchmarks.proof import CLIPART, FEWEST, NO_CATEGORY, workplace
from likewise.data.open import open_source
from likewise.data.sampling import order
from likewise.data.source import Source, Subset
from likewise.evaluation.knn import knn_classify

HELD_OUT = 5  # one of so many
NEIGHBORS = 20
TRIAL_STEPS = 24
USUAL_BATCH = 128


class ProcessorClock(L.Callback):
    """Seconds of the processor of each step, by the size of its views."""

    def __init__(self) -> None:
        self.steps: dict[int, list[float]] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.began = self.before = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        now, sizes = time.process_time(), pl_module.training_context.sizes
        size = 0 if sizes is None else sizes.at(trainer.global_step - 1)
        self.steps.setdefault(size, []).append(now - self.before)
        self.before = now

    @property
    def seconds(self) -> float:
        return self.before - self.began

    def per_step(self) -> float:
        """The mean; the first step of each size, which prepares the others, counts as they do."""
        each = self.steps.values()
        return sum(len(times) * fmean(times[1:] or times) for times in each) / sum(map(len, each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--place", type=Path, default=CLIPART, help="a folder with a subfolder for each class")
    parser.add_argument("--fewest", type=int, default=FEWEST, help="files of a class that counts")
    parser.add_argument("--size", type=int, default=64, help="px, of the pictures (64)")
    parser.add_argument("--epochs", type=int, default=8, help="of the usual training (8)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each way (2)")
    parser.add_argument("--ways", nargs="+", default=["start_size=32", "batch_size=64"], metavar="NAME=VALUE")
    parser.add_argument("--encoder", default="resnet8")
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    train, held_out = parts(asked.place, asked.fewest, asked.size)
    count = len(train.labels().unique())
    print(f"{asked.place}: {len(train):,} pictures of {count} classes, {len(held_out):,} held out", flush=True)
    print(f"{asked.size} px, {asked.method}, {asked.encoder}", flush=True)
    usual = {"method": asked.method, "encoder": asked.encoder, "batch_size": USUAL_BATCH, "size": asked.size}
    ways = {"usual": usual} | {way: usual | values(way) for way in asked.ways}
    budget = 0.0
    epochs = {}
    for way, how in ways.items():
        seconds = seconds_per_epoch(train, how)
        budget = budget or asked.epochs * seconds
        epochs[way] = max(1, round(budget / seconds))
        print(f"{way:<32}{seconds:7.1f} s an epoch, {epochs[way]} epochs", flush=True)
    rows: list[dict[str, Any]] = []
    for seed in range(asked.seeds):
        for way, how in ways.items():
            clock = ProcessorClock()
            with workplace() as folder:
                run = trained(train, folder, clock, **how, epochs=epochs[way], seed=seed)
                found = judged(run, train, held_out)
            rows.append({"way": way, "seed": seed, "epochs": epochs[way], "seconds": clock.seconds} | found)
            print(told(rows[-1]), flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"\n{'way':<32}{'epochs':>8}{'seconds':>9}{'accuracy':>10}{'of classes':>12}")
    for way in ways:
        own = [row for row in rows if row["way"] == way]
        means = {name: fmean(row[name] for row in own) for name in ("seconds", "accuracy", "of classes")}
        figures = f"{means['seconds']:>9.0f}{means['accuracy']:>10.1f}{means['of classes']:>12.1f}"
        print(f"{way:<32}{epochs[way]:>8}{figures}")


def parts(place: Path, fewest: int, size: int) -> tuple[Source, Source]:
    """The pictures that are learned from, and those that are held out."""
    whole = open_source(str(place), modality="image", size=size, channels=3, progress=False)
    labels = whole.labels()
    counts = labels[labels >= 0].bincount(minlength=len(whole.classes)).tolist()
    named = enumerate(whole.classes)
    chosen = [label for label, name in named if counts[label] >= fewest and name not in NO_CATEGORY]
    places = torch.isin(labels, torch.tensor(chosen)).nonzero()[:, 0]
    mixed = places[order(len(places), seed=0, epoch=0)]
    held = len(mixed) // HELD_OUT
    return Subset(whole, mixed[held:].sort().values), Subset(whole, mixed[:held].sort().values)


def values(way: str) -> dict[str, Any]:
    """`start_size=32,batch_size=64` as arguments of a training."""
    return {name: int(value) for name, _, value in (each.partition("=") for each in way.split(","))}


def trained(data: Source, folder: Path, clock: ProcessorClock, **how: Any) -> likewise.Run:
    return likewise.pretrain(data, out=folder / "run", threads=1, progress=False, callbacks=[clock], **how)


def seconds_per_epoch(train: Source, how: dict[str, Any]) -> float:
    """Of the processor, from some steps."""
    batch, clock = how["batch_size"], ProcessorClock()
    some = Subset(train, torch.arange(min(len(train), TRIAL_STEPS * batch)))
    with workplace() as folder:
        trained(some, folder, clock, **how, epochs=-(-TRIAL_STEPS * batch // len(some)))
    return len(train) // batch * clock.per_step()


def judged(run: likewise.Run, train: Source, held_out: Source) -> dict[str, float]:
    """Accuracies in %."""
    bank, queries = (torch.as_tensor(run.encode(part)) for part in (train, held_out))
    truth, classes = held_out.labels(), len(train.classes)
    right = knn_classify(queries, bank, train.labels(), classes, k=NEIGHBORS) == truth
    of_classes = [right[truth == label].double().mean() for label in truth.unique()]
    return {"accuracy": 100 * float(right.double().mean()), "of classes": 100 * float(torch.stack(of_classes).mean())}


def told(row: dict[str, Any]) -> str:
    return (
        f"{row['way']:<32} seed {row['seed']}: {row['epochs']} epochs, {row['seconds']:.0f} s, "
        f"accuracy {row['accuracy']:.1f}, of classes {row['of classes']:.1f}"
    )


if __name__ == "__main__":
    main()
