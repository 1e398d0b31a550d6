"""Whole training steps of SimCLR beside lightly's, tuned, and beside the network alone.

    python -m benchmarks.speed [--sizes 96 28] [--steps 16] [--rounds 3] [--json FILE]

ResNet-18, bfloat16, channels last, a batch of 256, all threads. A step is timed from the end of the one before it to
its own end, so that whatever delays it is in it: reading, augmentation, both passes, the loss, the optimizer. The first
two are left out; the median of the others counts.

- likewise: `likewise.training.fit`, as `likewise pretrain --encoder resnet18` runs it;
- lightly: `SimCLRTransform(gaussian_blur=0)` on PIL images, a worker for each core, `NTXentLoss`, SGD; autocast and
  channels last added;
- network alone: encoder and projector on two views that are ready, their gradients and SGD.

The three take turns; ratios are medians over the rounds, each of one round.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from torch import nn

from benchmarks import lightly_simclr
from benchmarks.proof import workplace
from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.encoders import image_encoder
from likewise.modalities.build import build_training
from likewise.modules.heads import projector
from likewise.training.fit import fit, training_context_of
from likewise.training.machine import channels_last, device_name
from likewise.training.recipe import Recipe

BATCH, FIRST = 256, 2
CHANNELS = {96: 3, 28: 1}


class Times(L.Callback):
    """The seconds of steps; ends the training when there are enough."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.ends.append(time.perf_counter())
        trainer.should_stop = len(self.ends) > FIRST + self.steps

    def seconds(self) -> float:
        return seconds_of(self.ends)


def seconds_of(ends: list[float]) -> float:
    return median(after - before for before, after in zip(ends[FIRST:], ends[FIRST + 1 :], strict=False))


def ours(source: Source, steps: int) -> float:
    recipe = Recipe(encoder="resnet18", batch_size=BATCH, epochs=1 + (FIRST + steps) * BATCH // len(source) + 1)
    recipe, source, method, _ = build_training(source, recipe, kept=None)
    method.prepare(training_context_of(method, source, recipe, seed=0))
    times = Times(steps)
    with workplace() as folder:
        fit(method, source, recipe, folder, precision="bf16-mixed", progress=False, callbacks=[times])
    return times.seconds()


def lightly(source: Source, steps: int, views: Any) -> float:
    encoder = image_encoder("resnet18", channels=views.channels, size=views.size)
    ends: list[float] = []
    lightly_simclr.train(
        source, views, encoder, epochs=1_000, seed=0, bfloat16=True, ends=ends, steps=FIRST + steps + 1
    )
    return seconds_of(ends)


def bare(source: Source, steps: int, views: Any) -> float:
    device = device_name()
    encoder = image_encoder("resnet18", channels=views.channels, size=views.size)
    network = channels_last(nn.Sequential(encoder, projector(encoder.dim, 128))).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    view = torch.randn(2 * BATCH, views.channels, views.size, views.size, device=device)
    view = view.contiguous(memory_format=torch.channels_last)
    ends = []
    for _ in range(FIRST + steps + 1):
        with torch.autocast(device, torch.bfloat16):
            loss = network(view).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    return seconds_of(ends)


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps of SimCLR beside lightly's and the network alone.")
    parser.add_argument("--sizes", type=int, nargs="+", choices=CHANNELS, default=list(CHANNELS), metavar="PIXELS")
    parser.add_argument("--steps", type=int, default=16, help="that are timed, each time (16)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the seconds there")
    arguments = parser.parse_args()
    kept: dict[int, list[dict[str, float]]] = {}
    for size in arguments.sizes:
        images = torch.randint(0, 256, (4 * BATCH, CHANNELS[size], size, size), dtype=torch.uint8)
        source = open_source(images)
        views = build_training(source, Recipe(encoder="resnet18", batch_size=BATCH), kept=None).method.views
        ways: dict[str, Callable[[], float]] = {
            "likewise": lambda: ours(source, arguments.steps),  # noqa: B023
            "lightly": lambda: lightly(source, arguments.steps, views),  # noqa: B023
            "network alone": lambda: bare(source, arguments.steps, views),  # noqa: B023
        }
        rounds = kept[size] = []
        for _ in range(arguments.rounds):
            rounds.append({name: way() for name, way in ways.items()})
        print(f"{size} px, {CHANNELS[size]} channels, batch {BATCH}")
        for name in ways:
            print(f"  {name:<16}{BATCH / median(each[name] for each in rounds):8.1f} images/s")
        for other, what in (("lightly", "times as fast as lightly"), ("network alone", "of the network alone")):
            ratio = median(each[other] / each["likewise"] for each in rounds)
            print(f"  {ratio:.2f} {what}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
