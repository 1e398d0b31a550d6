"""MAE's encoder on the visible patches alone, against the same encoder on all of them.

    python -m benchmarks.mae [--threads 1] [--rounds 7]

A step is forward and backward through vit_tiny, patches of 8 px. Both take turns in every round; printed are medians
over the rounds. The target: at 75 % masking and from 96 px on at least 2.5x as fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

from likewise.encoders import image_encoder
from likewise.encoders.vit import encode_visible, vision_transformer
from likewise.seeding import generator_for
from likewise.views.pretext import random_orders

SETTINGS = [(64, 64), (96, 32)]  # pixels, batch
MASKING = (0.0, 0.5, 0.75)


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = perf_counter()
    run()
    return perf_counter() - start


def measure(size: int, batch: int, rounds: int) -> dict[float, float]:
    """Median seconds of the encoder's step at each share of hidden patches."""
    torch.manual_seed(0)
    vit = vision_transformer(image_encoder("vit_tiny", channels=3, size=size).train())
    patches = vit.patch_embed.num_patches
    view = torch.randn(batch, 3, size, size)
    order = random_orders(batch, patches, generator_for(0))

    def step(mask_ratio: float) -> None:
        encode_visible(vit, view, order[:, : patches - round(patches * mask_ratio)]).square().mean().backward()

    times: dict[float, list[float]] = {mask_ratio: [] for mask_ratio in MASKING}
    for _ in range(rounds + 1):
        for mask_ratio in MASKING:
            times[mask_ratio].append(seconds(lambda mask_ratio=mask_ratio: step(mask_ratio)))
    return {mask_ratio: median(taken[1:]) for mask_ratio, taken in times.items()}  # the first round warms up


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"the encoder's step, images/s (times as fast as without masking); {given.threads} thread(s)")
    print(f"{'pixels':>6} {'batch':>5}" + "".join(f"{f'{mask_ratio:.0%} hidden':>20}" for mask_ratio in MASKING))
    for size, batch in SETTINGS:
        taken = measure(size, batch, given.rounds)
        speeds = (f"{batch / s:11,.0f} ({taken[0.0] / s:4.1f}x)" for s in taken.values())
        print(f"{size:>6} {batch:>5}" + "".join(f"{speed:>20}" for speed in speeds))


if __name__ == "__main__":
    main()
