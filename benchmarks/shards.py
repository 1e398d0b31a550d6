"""Whole training steps of SimCLR from shards beside those from the decoded cache.

    python -m benchmarks.shards [--images 20000] [--pixels 256] [--size 96] [--steps 16] [--rounds 3]

JPEGs are generated with a seed and packed with `likewise pack`. ResNet-18, a batch of 256, bfloat16. They take turns;
the ratio is the median over the rounds, each of one round. Memory is the most that the process itself held, after the
first steps from shards; it is to be the same for four times the images.

- cache: the folder of the same files, decoded once before;
- shards: decoded by processes ahead of the training.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import likewise as lw
from benchmarks.speed import BATCH, FIRST, Times
from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.modalities.build import build_training
from likewise.training.fit import fit, training_context_of
from likewise.training.machine import peak_memory
from likewise.training.recipe import Recipe


def generate(folder: Path, count: int, pixels: int) -> None:
    """Smooth noise with detail, which compresses about as photographs do."""
    folder.mkdir()
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((pixels, pixels))
        fine = random.normal(0, 12, (pixels, pixels, 1))
        image = Image.fromarray((np.asarray(coarse) + fine).clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:06d}.jpg", quality=90)


def seconds_of_step(source: Source, steps: int, batch: int) -> float:
    epochs = 2 + (FIRST + steps) * batch // len(source)
    recipe = Recipe(encoder="resnet18", batch_size=batch, epochs=epochs)
    recipe, source, method, _ = build_training(source, recipe, kept=None)
    method.prepare(training_context_of(method, source, recipe, seed=0))
    times = Times(steps)
    with TemporaryDirectory(prefix="likewise-") as folder:
        fit(method, source, recipe, Path(folder), precision="bf16-mixed", progress=False, callbacks=[times])
    return times.seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps from shards beside those from the decoded cache.")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--pixels", type=int, default=256, help="height and width of the files (256)")
    parser.add_argument("--size", type=int, default=96, help="of the samples (96)")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--steps", type=int, default=16, help="that are timed, each time (16)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the seconds there")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="likewise-") as folder:
        os.environ["LIKEWISE_CACHE"] = f"{folder}/cache"
        files, shards = Path(folder, "files"), Path(folder, "shards")
        generate(files, arguments.images, arguments.pixels)
        lw.pack(files, out=shards, progress=False)
        from_shards = open_source(shards, size=arguments.size, progress=False)
        from_cache, memory, rounds = None, None, list[dict[str, float]]()
        for _ in range(arguments.rounds):
            row = {"shards": seconds_of_step(from_shards, arguments.steps, arguments.batch)}
            memory = memory or peak_memory()
            from_cache = from_cache or open_source(files, size=arguments.size, progress=False)
            row["cache"] = seconds_of_step(from_cache, arguments.steps, arguments.batch)
            rounds.append(row)
    print(
        f"{arguments.images:,} JPEGs of {arguments.pixels} px, samples of {arguments.size} px, batch {arguments.batch}"
    )
    for name in ("shards", "cache"):
        print(f"  {name:<8}{arguments.batch / median(each[name] for each in rounds):8.1f} images/s")
    print(f"  {median(each['cache'] / each['shards'] for each in rounds):.2f} of the rate from the cache")
    print(f"  {(memory or 0) / 1e6:,.0f} MB at most, from shards")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rounds": rounds, "memory": memory}, indent=1) + "\n")


if __name__ == "__main__":
    main()
