"""Batched views against torchvision's transforms (v2), applied sample by sample as a worker does.

    python -m benchmarks.views [--threads 1] [--rounds 7]

Both make one strong random view of the same images, from bytes to normalised floats, with the same operations
at the same strengths. All three take turns in every round; printed are medians over the rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from likewise.views import ImageViews, preset
from likewise.views.colour import Brightness, ColorJitter, Contrast, Grayscale
from likewise.views.filters import Blur, Erasing, GaussianNoise
from likewise.views.operation import Operation
from likewise.views.spatial import HorizontalFlip, Perspective, RandomResizedCrop, Rotation, Shear

SETTINGS = [(28, 1, 512), (96, 3, 256), (224, 3, 64)]  # pixels, channels, batch


def of_torchvision(views: ImageViews) -> v2.Transform:
    """torchvision's transforms that do what these views do, for one sample."""
    bilinear = InterpolationMode.BILINEAR

    def on_image(op: Operation) -> list[v2.Transform]:
        match op:
            case RandomResizedCrop():
                return [v2.RandomResizedCrop(views.size, op.scale, op.ratio, antialias=True)]
            case HorizontalFlip():
                return [v2.RandomHorizontalFlip(op.p)]
            case Rotation():
                return [v2.RandomRotation(op.degrees, bilinear)]
            case Shear():
                both = (-op.degrees, op.degrees)
                return [v2.RandomAffine(0, shear=(*both, *both), interpolation=bilinear)]
            case Perspective():
                return [v2.RandomPerspective(op.distortion, op.p, bilinear)]
            case Contrast():
                return [v2.ColorJitter(contrast=op.strength)]
            case Brightness():
                return [v2.ColorJitter(brightness=op.strength)]
            case ColorJitter():
                jitter = v2.ColorJitter(op.brightness, op.contrast, op.saturation, op.hue)
                return [v2.RandomApply([jitter], op.p)]
            case Grayscale():
                return [v2.RandomGrayscale(op.p)]
            case Blur():
                kernel = 2 * int(op.kernel * views.size / 2) + 1
                return [v2.RandomApply([v2.GaussianBlur(kernel, op.sigma)], op.p)]
            case _:
                return []

    def on_floats(op: Operation) -> list[v2.Transform]:
        match op:
            case GaussianNoise():
                return [v2.RandomApply([v2.GaussianNoise(sigma=op.std)], op.p)]
            case Erasing():
                return [v2.RandomErasing(op.p, op.scale, op.ratio)]
            case _:
                return []

    return v2.Compose(
        [
            *(transform for op in views.ops for transform in on_image(op)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            *(transform for op in views.ops for transform in on_floats(op)),
            v2.Normalize(views.mean, views.std),
        ]
    )


def pictures(n: int, channels: int, size: int) -> Tensor:
    """Smooth random images: noise enlarged, so that no operation meets a special case."""
    coarse = torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    return functional.resize(coarse, [size, size]).mul(255).round().byte()


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = perf_counter()
    run()
    return perf_counter() - start


def measure(size: int, channels: int, batch: int, rounds: int) -> dict[str, float]:
    """Median seconds of a view of the whole batch, for each way of making it."""
    raw = pictures(batch, channels, size)
    views = ImageViews(preset("strong", size=size, channels=channels), size=size, channels=channels)
    generator = torch.Generator().manual_seed(0)
    transform = of_torchvision(views)
    images = [functional.to_pil_image(one) for one in raw]
    protocols: dict[str, Callable[[], object]] = {
        "likewise": lambda: views(raw, generator),
        "tensor": lambda: torch.stack([transform(one) for one in raw]),
        "PIL": lambda: torch.stack([transform(one) for one in images]),
    }
    times: dict[str, list[float]] = {protocol: [] for protocol in protocols}
    for _ in range(rounds + 1):
        for protocol, run in protocols.items():
            times[protocol].append(seconds(run))
    return {protocol: median(taken[1:]) for protocol, taken in times.items()}  # the first round warms up


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"one strong view, images/s (times as slow as likewise); {given.threads} thread(s)")
    print(f"{'pixels':>6} {'batch':>5} {'likewise':>10} {'v2 on tensors':>18} {'v2 on PIL':>18}")
    for size, channels, batch in SETTINGS:
        taken = measure(size, channels, batch, given.rounds)
        others = [
            f"{batch / taken[protocol]:10,.0f} ({taken[protocol] / taken['likewise']:4.1f}x)"
            for protocol in ("tensor", "PIL")
        ]
        print(f"{size:>6} {batch:>5} {batch / taken['likewise']:>10,.0f} {others[0]:>18} {others[1]:>18}")


if __name__ == "__main__":
    main()
