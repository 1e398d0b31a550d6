"""How far the weights of two processes are from those of one, after the same training in float32.

    python -m benchmarks.processes [--methods simclr byol barlow-twins] [--epochs 2] [--seeds 3]

The samples and views of a step are the same, and so is the loss of the joined batch; sums are rounded differently, and
training multiplies what differs. In float64 the tests find 1e-6 of the norm. The digits of scikit-learn, each method's
own recipe, one thread a process. The distance is that of all weights of the encoder, without BatchNorm's running
statistics, as a share of their norm; medians over the seeds. Beside it is the distance of trainings with other seeds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.proof import workplace

METHODS = ("simclr", "byol", "barlow-twins")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{'':<16}{'two processes':>16}{'another seed':>16}")
    for method in asked.methods:
        with workplace() as folder:
            trained = [
                [weights(folder, method, asked.epochs, seed, devices) for devices in (1, 2)]
                for seed in range(asked.seeds)
            ]
        apart = median(distance(one, two) for one, two in trained)
        others = median(distance(trained[0][0], one) for one, _ in trained[1:]) if asked.seeds > 1 else float("nan")
        print(f"{method:<16}{apart:>16.2%}{others:>16.2%}", flush=True)


def weights(folder: Path, method: str, epochs: int, seed: int, devices: int) -> Tensor:
    """All weights of a trained encoder, in one row, float64."""
    out = folder / f"{seed}-{devices}"
    words = f"pretrain digits --method {method} --epochs {epochs} --seed {seed} --devices {devices} --threads 1"
    more = ["--precision", "32-true", "--out", str(out), "--no-progress", "--json"]
    more += ["--strategy", "ddp"] if devices > 1 else []
    subprocess.run(
        [sys.executable, "-m", "likewise.cli", *words.split(), *more],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    kept = load_file(out / "encoder.safetensors")
    learned = [value.double().flatten() for name, value in kept.items() if "running_" not in name and value.ndim]
    return torch.cat(learned)


def distance(one: Tensor, two: Tensor) -> float:
    return float((one - two).norm() / one.norm())


if __name__ == "__main__":
    main()
