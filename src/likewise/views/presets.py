"""Operations by strength: how much may change before a picture means something else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from likewise.checks import check_choice
from likewise.views.colour import Brightness, ColorJitter, Contrast, Grayscale
from likewise.views.filters import Blur, Erasing, GaussianNoise
from likewise.views.operation import Operation
from likewise.views.spatial import (
    HorizontalFlip,
    Perspective,
    RandomResizedCrop,
    Rotation,
    Shear,
)

STRENGTHS = ("strong", "mild", "none")
PRESETS = (*STRENGTHS, "photo", "photo-mild", "symbol", "symbol-mild")
"""Of images: a strength, or the kind of pictures, with its strength if that is mild."""

# Both tables: (strength, from so many pixels on) -> operations.

# Photographs may be mirrored and recoloured. The strong ones are SimCLR's (arXiv:2002.05709): appendix A
# for large images; for small ones appendix B.9, half the colour and no blur.
PHOTOS: dict[tuple[str, int], tuple[Operation, ...]] = {
    ("strong", 160): (
        RandomResizedCrop(scale=(0.08, 1.0)),
        HorizontalFlip(),
        ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, p=0.8),
        Grayscale(p=0.2),
        Blur(sigma=(0.1, 2.0), p=0.5),
    ),
    ("strong", 48): (
        RandomResizedCrop(scale=(0.2, 1.0)),
        HorizontalFlip(),
        ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1, p=0.8),
        Grayscale(p=0.2),
        Blur(sigma=(0.1, 2.0), p=0.5),
    ),
    ("strong", 0): (
        RandomResizedCrop(scale=(0.2, 1.0)),
        HorizontalFlip(),
        ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=0.8),
        Grayscale(p=0.2),
    ),
    ("mild", 0): (
        RandomResizedCrop(scale=(0.5, 1.0)),
        HorizontalFlip(),
        ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, p=0.8),
    ),
}

PLACED_SHARE = 0.15  # of the variance of pixels in the mean image
FEWEST_TO_COMPARE, COMPARED_SIZE = 64, 32  # images, and pixels of them
MIRRORED_GROWS = 1.15
SMALL_SYMBOL = 20  # px; below, a symbol is a few strokes of single pixels

# Digits, logos, letters, clothes: a mirrored or recoloured one is another one. What may change is where it
# lies, how it leans, how strong the ink is, and that a part of it is missing.
SYMBOLS: dict[tuple[str, int], tuple[Operation, ...]] = {
    ("strong", SMALL_SYMBOL): (
        RandomResizedCrop(scale=(0.4, 1.0)),
        Rotation(degrees=15),
        Shear(degrees=10),
        Perspective(distortion=0.2, p=0.5),
        Brightness(strength=0.4),
        Contrast(strength=0.4),
        GaussianNoise(std=0.05, p=0.5),
        Erasing(p=0.25),
    ),
    ("strong", 0): (
        RandomResizedCrop(scale=(0.5, 1.0)),
        Rotation(degrees=15),
        Shear(degrees=15),
        Perspective(distortion=0.2, p=0.5),
        Brightness(strength=0.4),
        Contrast(strength=0.4),
        GaussianNoise(std=0.1, p=0.5),
        Erasing(p=0.25),
    ),
    ("mild", 0): (
        RandomResizedCrop(scale=(0.7, 1.0)),
        Rotation(degrees=10),
        Shear(degrees=5),
        Brightness(strength=0.2),
        Contrast(strength=0.2),
    ),
}


def preset(name: str, *, size: int, channels: int, symbols: bool | None = None) -> tuple[Operation, ...]:
    """The operations that one of `PRESETS` stands for, for images of `size` x `size` pixels.

    `symbols`: what a name without a kind stands for: whether the pictures must not be mirrored or recoloured (digits,
    logos, letters); by default those with one channel. Where there are not three channels, what mixes colours is left
    out. Raises `UserError` for an unknown name.
    """
    check_choice(PRESETS, augment=name)
    if name == "none":
        return ()
    kind, _, strength = name.partition("-")
    if kind in STRENGTHS:
        kind, strength = "symbol" if (channels == 1 if symbols is None else symbols) else "photo", kind
    table, strength = SYMBOLS if kind == "symbol" else PHOTOS, strength or "strong"
    least = max(pixels for of, pixels in table if of == strength and pixels <= size)
    return table[strength, least] if channels == 3 else tuple(_without_colours(table[strength, least]))


def _without_colours(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Those that mean something for channels that are no red, green and blue."""
    for operation in operations:
        if isinstance(operation, ColorJitter):
            yield dataclasses.replace(operation, saturation=0, hue=0)
        elif not isinstance(operation, Grayscale):
            yield operation


def drawn(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether pictures are drawings (clip art, logos, screenshots) rather than photographs.

    Drawings have flat areas: half of their pixels and more equal their right neighbour to the bit. In photographs the
    sensor's noise lets that happen to few.
    """
    equal = (images[..., 1:] == images[..., :-1]).all(dim=1)
    return bool(equal.float().mean(dim=(1, 2)).median() > 0.5)


def mirrored_alike(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether mirrored images could be of the same kind, as those of clothes and landscapes, not of digits and letters.

    A mirrored image is then about as near to the others as it is itself: the distance to the nearest one, by pixels,
    grows by less than 15 % in the median, a bound between those of clothes and of handwritten digits. False of fewer
    than 64 images, which say too little.
    """
    if len(images) < FEWEST_TO_COMPARE:
        return False
    pixels = images.float()
    if max(pixels.shape[2:]) > COMPARED_SIZE:
        pixels = F.adaptive_avg_pool2d(pixels, COMPARED_SIZE)
    rows, mirrored = pixels.flatten(1), pixels.flip(-1).flatten(1)
    nearest = [torch.cdist(these, rows).fill_diagonal_(math.inf).amin(1) + 1 for these in (rows, mirrored)]
    return bool((nearest[1] / nearest[0]).median() < MIRRORED_GROWS)


def placed_alike(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether each image shows one thing in the same place, as those of clothes and digits do, not drawings and scenes.

    Their mean image then has much of their variance: 0.30 of Fashion-MNIST's, 0.29 of MNIST's and 0.48 of the digits',
    0.05 of clip art's. False of fewer than 64 images, which say too little.
    """
    if len(images) < FEWEST_TO_COMPARE:
        return False
    pixels = images.float()
    centred = pixels - pixels.mean((0, 2, 3), keepdim=True)
    return bool(centred.mean(0).square().mean() > PLACED_SHARE * centred.square().mean())


def light(operations: Iterable[Operation], size: int) -> tuple[Operation, ...]:
    """What keeps every label, for supervised training with few of them, fitting what `operations` allow.

    A slight crop, and the mirroring where there is any. Symbols of a few pixels get all of their own operations, which
    keep what they mean: from scratch 8 px digits gain more from these, 28 px clothes more from the slight crop, and
    training from scratch is to be compared at its best.
    """
    operations = tuple(operations)
    flips = [operation for operation in operations if isinstance(operation, HorizontalFlip)]
    if size < SMALL_SYMBOL and not flips:
        return operations
    return (RandomResizedCrop(scale=(0.7, 1.0)), *flips) if operations else ()


def parts(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The same operations on small parts of the picture, smaller than any crop among them.

    From a third of the smallest crop's area to all of it: beside SwAV's crops of 0.14 to 1 its own 0.05 to 0.14
    (arXiv:2006.09882). Where nothing crops, a tenth to three tenths of the picture.
    """
    operations = tuple(operations)
    crops = [op for op in operations if isinstance(op, RandomResizedCrop)] or [RandomResizedCrop(scale=(0.3, 1.0))]
    least = min(crops, key=lambda crop: crop.scale[0])
    smallest = least.scale[0]
    others = [op for op in operations if not isinstance(op, RandomResizedCrop)]
    return (dataclasses.replace(least, scale=(smallest / 3, smallest)), *others)
