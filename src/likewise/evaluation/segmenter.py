"""A class for each pixel: the maps of an encoder, a linear head on their places, and the training of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.annotations.annotation import IGNORE
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.random_parts import mirrors, parts_of_images, parts_of_masks, random_parts
from likewise.evaluation.segmentation_decoder import MapDecoder
from likewise.evaluation.supervised import Rates, minimize, shuffled

OBJECT_PLACES = 12
"""In a row of the map that objects are found in, at least: 14 of 16 px in an image of 224 px."""
KNOWN_SHARE = 0.5
"""Of the pixels of a place that must have a class."""


class DenseEncoder(nn.Module):
    """All maps of an encoder, joined at the size of the finest one (hypercolumns, arXiv:1411.5752)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        maps = self.maps(view)
        return torch.cat([resized(each, maps[0].shape[2:]) for each in maps], dim=1)

    def maps(self, view: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Of several depths, the finest first."""
        encoder: Any = self.encoder
        if hasattr(encoder, "feature_maps"):
            return encoder.feature_maps(view)
        return [encoder.features(view).transpose(1, 2).unflatten(2, tuple(encoder.grid(view)))]


class Colours(nn.Module):
    """The mean colour of each place: what features must be better than."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c i j"]:
        return F.adaptive_avg_pool2d(view, min(self.places, view.shape[2]))


class Segmenter(nn.Module):
    """Logits of the classes at each place."""

    def __init__(self, dense: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.dense, self.head = dense, head

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes i j"]:
        return self.head(self.dense(view).movedim(1, 3)).movedim(3, 1)


class DecodedSegmenter(nn.Module):
    """Logits of the classes at each place, decoded from the maps of an encoder that is not trained."""

    def __init__(self, dense: DenseEncoder, head: MapDecoder) -> None:
        super().__init__()
        self.dense, self.head = dense, head

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes i j"]:
        with torch.no_grad():
            maps = self.dense.maps(view)
        return self.head(maps)

    def train(self, mode: bool = True) -> DecodedSegmenter:
        super().train(mode)
        self.dense.eval()
        return self


def resized(maps: Float[Tensor, "n d i j"], size: torch.Size | tuple[int, ...]) -> Float[Tensor, "n d h w"]:
    """Maps at another size, between their places by bilinear interpolation."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps.float(), tuple(size), mode="bilinear", align_corners=False)


def place_labels(masks: Int[Tensor, "n h w"], places: tuple[int, int], classes: int) -> Int[Tensor, "n i j"]:
    """The commonest class of the pixels of each place, of equal ones the first; `IGNORE` where few have a class."""
    shares = torch.stack([F.adaptive_avg_pool2d((masks == c).float(), places) for c in range(classes)], dim=1)
    return torch.where(shares.sum(1) >= KNOWN_SHARE, shares.argmax(1), IGNORE)


def some_places(known: Bool[Tensor, "n i j"], of_each: int, generator: torch.Generator) -> Bool[Tensor, "n i j"]:
    """Of the places of each image that are known, `of_each` at most, drawn at random."""
    order = torch.rand(known.shape, generator=generator).flatten(1).masked_fill(~known.flatten(1), 2.0)
    best = order.argsort(dim=1)[:, :of_each]
    chosen = torch.zeros_like(order, dtype=torch.bool).scatter_(1, best, True)
    return chosen.view(known.shape) & known


def moved(
    images: UInt8[Tensor, "n c h w"], masks: Int[Tensor, "n h w"], generator: torch.Generator, *, mirror: bool
) -> tuple[UInt8[Tensor, "n c h w"], Int[Tensor, "n h w"]]:
    """A random part of each image and the same part of its mask, as large as before, with `mirror` perhaps mirrored."""
    parts = random_parts(len(images), generator, mirror=mirror)
    return parts_of_images(images, parts), parts_of_masks(masks, parts)


def train_segmenter(
    segmenter: Segmenter | DecodedSegmenter,
    views: EvaluationViews,
    read: Callable[[Int[Tensor, " b"]], tuple[Tensor, Tensor]],
    count: int,
    *,
    rates: Rates,
    steps: int,
    batch_size: int,
    seed: int,
    compute: ComputeSettings,
    callback: Callable[[int], None],
) -> None:
    """Minimise the cross-entropy of the pixels that have a class, on random parts of the images.

    `read` gives some of the `count` images and their masks. See `minimize`.
    """
    generator = torch.Generator().manual_seed(seed)
    mirror = mirrors(views)
    order = shuffled(count, batch_size, generator)

    def loss(step: int) -> Tensor:
        callback(step)
        chosen = next(order)
        pictures, truth = moved(*read(chosen), generator, mirror=mirror)
        segmenter.train(len(chosen) > 1)  # one image alone has no statistics of a batch
        logits = compute.forward(segmenter, views.clean(pictures.to(compute.device)))
        truth = truth.to(compute.device)
        return F.cross_entropy(resized(logits, truth.shape[1:]), truth, ignore_index=IGNORE)  # NaN where none is known

    minimize(loss, [(segmenter.dense, rates.encoder), (segmenter.head, rates.head)], steps=steps)
    segmenter.eval()


def object_map(dense: nn.Module, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
    """The deepest map that is fine enough to tell objects apart, or else the finest."""
    maps = dense.maps(view) if isinstance(dense, DenseEncoder) else [dense(view)]
    return next((each for each in reversed(maps) if each.shape[2] >= OBJECT_PLACES), maps[0])


def pca_colours(maps: Float[Tensor, "n d i j"], size: int) -> UInt8[Tensor, "n 3 {size} {size}"]:
    """Features as colours: their first three principal components as red, green and blue, over all images."""
    rows = maps.movedim(1, 3).flatten(0, 2).double()
    rows = (rows - rows.mean(0)) / rows.std(0).clamp_min(1e-6)
    _, directions = torch.linalg.eigh(rows.T @ rows)
    chosen = directions[:, -3:].flip(1)
    if chosen.shape[1] < 3:
        chosen = torch.cat([chosen, chosen.new_zeros(len(chosen), 3 - chosen.shape[1])], dim=1)
    signs = chosen.gather(0, chosen.abs().argmax(0, keepdim=True)).sign()
    parts = rows @ (chosen * signs)
    low, high = parts.quantile(0.01, 0), parts.quantile(0.99, 0)
    parts = ((parts - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    colours = parts.float().unflatten(0, (len(maps), *maps.shape[2:])).movedim(3, 1)
    return F.interpolate(colours, (size, size), mode="nearest").mul(255).round().to(torch.uint8)
