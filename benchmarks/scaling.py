"""How the cost of a training step grows with the number of samples, the batch and the size of the images.

    python -m benchmarks.scaling [--samples 1000 … 10000000] [--batches 64 … 4096] [--sizes 32 … 224] [--steps 8]
                                 [--encoder resnet8] [--json FILE]

SimCLR on colour images of zeros in a sparse file, memory-mapped as the cache of decoded images is. Two of the three
stay at their middle: 10,000 samples, batch 256, 32 px. Each row is a process of its own, so that its peak of resident
memory is its own; pages of the file that were read count in it. Steps are timed as in `benchmarks.speed`: from end to
end, without the first two, median. The exponent is the slope of log seconds over log size.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.proof import workplace
from benchmarks.speed import FIRST, Times
from likewise.data.open import open_source
from likewise.modalities.build import build_training
from likewise.training.fit import fit
from likewise.training.recipe import Recipe

MIDDLE = {"samples": 10_000, "batch": 256, "size": 32}
CHANNELS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Step time and memory as samples, batch and image size grow.")
    parser.add_argument("--samples", type=int, nargs="*", default=[10**n for n in range(3, 8)])
    parser.add_argument("--batches", type=int, nargs="*", default=[64, 256, 1024, 4096])
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 96, 128, 224])
    parser.add_argument("--steps", type=int, default=8, help="that are timed (8)")
    parser.add_argument("--encoder", default="resnet8")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the rows there")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(**arguments.one)))
        return
    kept = {}
    for what, values in (("samples", arguments.samples), ("batch", arguments.batches), ("size", arguments.sizes)):
        print(f"{what:>12}{'images/s':>12}{'ms a step':>12}{'MiB':>8}", flush=True)
        rows = kept[what] = []
        for value in values:
            setting = MIDDLE | {what: value, "steps": arguments.steps, "encoder": arguments.encoder}
            row = in_process(setting)
            rows.append(row)
            speed = row["batch"] / row["seconds"]
            print(f"{value:>12,}{speed:>12,.0f}{1000 * row['seconds']:>12,.0f}{row['mebibytes']:>8,.0f}", flush=True)
        if len(rows) > 1:
            print(f"{'exponent':>12}{'':>12}{exponent(what, rows):>12.2f}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(kept, indent=1) + "\n")


def in_process(setting: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--one", json.dumps(setting)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(samples: int, batch: int, size: int, steps: int, encoder: str) -> dict[str, Any]:
    batch = min(batch, samples)
    times = Times(steps)
    with workplace() as folder:
        pixels = np.memmap(folder / "pixels", np.uint8, "w+", shape=(samples, CHANNELS, size, size))
        epochs = 1 + (FIRST + steps + 1) * batch // samples
        recipe = Recipe(encoder=encoder, batch_size=batch, epochs=epochs, size=size)
        recipe, source, method, _ = build_training(open_source(pixels), recipe, kept=None)
        fit(method, source, recipe, folder, progress=False, callbacks=[times])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"samples": samples, "batch": batch, "size": size, "seconds": times.seconds(), "mebibytes": peak}


def exponent(what: str, rows: list[dict[str, Any]]) -> float:
    x = [math.log(row[what]) for row in rows]
    y = [math.log(row["seconds"]) for row in rows]
    return float(np.polyfit(x, y, 1)[0])


if __name__ == "__main__":
    main()
