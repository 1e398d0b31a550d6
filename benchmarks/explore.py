"""How long `likewise explore` takes for many samples, and what its neighbours miss.

    python -m benchmarks.explore [--samples 1000000] [--queries 1000] [--json FILE]

The samples are the digits of scikit-learn, turned, moved and with noise, so that no two are equal; the encoder is a
ResNet-8 of five epochs. Measured are: the embedding, the map with its clusters and faults, both kept for the next
start; the start after that; the answers of the page to a client; and the memory of the process. Of the neighbours that
outliers and near copies are found by, which are approximate above 100,000 samples, the share of the exact ten is taken
on --queries samples.
"""

from __future__ import annotations

import argparse
import json
import resource
import urllib.request
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

import likewise as lw
from benchmarks.proof import workplace
from likewise.cleaning.neighbours import NEAREST, neighbours
from likewise.evaluation.knn import unit

PART = 50_000
REQUESTS = 20


def many_digits(path: Path, count: int) -> None:
    """Write digits of 8 x 8 pixels, uint8 `(count, 8, 8)`, each turned and moved by chance, with noise."""
    digits = load_digits().images / 16
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 8, 8))
    for start in range(0, count, PART):
        random = np.random.default_rng(start)
        some = digits[random.integers(len(digits), size=min(PART, count - start))]
        angle = float(random.uniform(-15, 15))
        some = ndimage.rotate(some, angle, axes=(1, 2), reshape=False, order=1)
        some = np.roll(some, tuple(random.integers(-1, 2, 2)), axis=(1, 2))
        some = some + 0.1 * random.standard_normal(some.shape)
        images[start : start + len(some)] = (255 * some.clip(0, 1)).astype(np.uint8)
    images.flush()


def recall(features: np.ndarray, queries: int) -> float:
    """The share of the exact nearest neighbours that `clean` and `explore` find."""
    points = unit(torch.from_numpy(features))
    found = neighbours(points, lambda _: None).positions
    chosen = torch.from_numpy(np.random.default_rng(0).choice(len(points), queries, replace=False))
    shares = []
    for some in chosen.split(100):
        similarities = points[some] @ points.T
        similarities[torch.arange(len(some)), some] = -torch.inf
        exact = similarities.topk(NEAREST).indices
        shares.append((exact[:, :, None] == found[some][:, None, :]).any(2).float().mean(1))
    return float(torch.cat(shares).mean())


def seconds_of(address: str, path: str) -> float:
    began = perf_counter()
    with urllib.request.urlopen(address + path) as answer:
        answer.read()
    return perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000, help="for the recall of the neighbours (1,000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the figures there")
    asked = parser.parse_args()
    kept: dict[str, Any] = {"samples": asked.samples}

    def told(name: str, value: float, unit: str) -> None:
        kept[name] = value
        print(f"{name:<44}{value:12,.3f} {unit}", flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(kept, indent=1) + "\n")

    with workplace() as folder:
        data = folder / "digits.npy"
        many_digits(data, asked.samples)
        run = lw.pretrain("digits", encoder="resnet8", epochs=5, out=folder / "run", progress=False)
        for name in ("first start", "next start"):
            began = perf_counter()
            explorer = lw.explore(run, data, progress=False)
            told(name, perf_counter() - began, "s")
            if name == "first start":
                explorer.close()
        for path in (
            "scene",
            "values/places",
            "samples?at=7",
            "samples/7/picture/0",
            "find/like?place=7",
            "find/words?q=77",
        ):
            told(f"GET /{path}", median(seconds_of(explorer.address, path) for _ in range(REQUESTS)), "s")
        explorer.close()
        told("memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, "MiB")
        features = lw.embed(run, data, progress=False).vectors
        told(f"recall of {NEAREST} neighbours", recall(np.asarray(features), asked.queries), "")


if __name__ == "__main__":
    main()
