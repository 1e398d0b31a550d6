"""Boxes of things: torchvision's FCOS (arXiv:1904.01355) on the maps of an encoder, and its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from likewise.errors import UserError
from likewise.evaluation.detection_measures import MOST_BOXES, Detections
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.random_parts import mirrors, part_of_boxes, parts_of_images, random_parts
from likewise.evaluation.supervised import Rates, minimize, shuffled

# Chosen beforehand; no evaluation tunes them.
CHANNELS, CONVOLUTIONS = 64, 2
SCALES, LEAST_PLACES = 3, 4
"""How many maps there are at most, each half as large as the one before, and places in a row of the last."""
LEAST_SCORE = 0.05
OF_DENSE = "backbone.dense."
"""What the names of the encoder's weights begin with."""


class Pyramid(nn.Module):
    """Maps at a few scales, each the mean of the one before, from the joined maps of an encoder.

    A pyramid from a single map serves as well as one of several depths (ViTDet, arXiv:2203.16527), and a Vision
    Transformer has no other.

    Args:
        dense: view -> maps `(n, dim, i, j)`, such as `likewise.evaluation.segmenter.DenseEncoder`.
        dim: of these.
        scales: how many maps.
        learns: whether `dense` is trained; else it stays in evaluation mode.
        compute: how it is run.
    """

    out_channels = CHANNELS

    def __init__(self, dense: nn.Module, dim: int, scales: int, *, learns: bool, compute: ComputeSettings) -> None:
        super().__init__()
        self.dense, self.scales, self.learns, self.compute = dense, scales, learns, compute
        self.standardize = nn.BatchNorm2d(dim)
        self.project = nn.Conv2d(dim, CHANNELS, 1)

    def forward(self, view: Float[Tensor, "n c h w"]) -> dict[str, Float[Tensor, "n d _ _"]]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learns):
            maps = self.compute.forward(self.dense, view)
        found = [self.project(self.standardize(maps))]
        while len(found) < self.scales:
            found.append(F.avg_pool2d(found[-1], 2))
        return {str(scale): each for scale, each in enumerate(found)}


def detector(
    dense: nn.Module, view: Float[Tensor, "n c h w"], classes: int, *, learns: bool, compute: ComputeSettings
) -> FCOS:
    """An FCOS with a new head, drawn from torch's global generators; `view` tells the size of images and of maps."""
    with torch.no_grad():
        maps = compute.forward(dense.eval(), view[:1])
    channels, size = view.shape[1:3]
    rows = [maps.shape[2]]
    while len(rows) < SCALES and min(maps.shape[2:]) // 2 ** len(rows) >= LEAST_PLACES:
        rows.append(rows[-1] // 2)
    return FCOS(
        Pyramid(dense, maps.shape[1], len(rows), learns=learns, compute=compute),
        classes,
        # Views have their size and are normalized.
        min_size=size,
        max_size=size,
        size_divisible=1,
        image_mean=[0.0] * channels,
        image_std=[1.0] * channels,
        anchor_generator=AnchorGenerator(tuple((size // each,) for each in rows), ((1.0,),) * len(rows)),
        head=FCOSHead(CHANNELS, 1, classes, CONVOLUTIONS),
        score_thresh=LEAST_SCORE,
        detections_per_img=MOST_BOXES,
    )


def own_weights(network: FCOS) -> dict[str, Tensor]:
    """All weights but those of the encoder, by name, not copied."""
    return {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith(OF_DENSE) and value.is_floating_point()  # not how often a norm was trained
    }


def train_detector(
    network: FCOS,
    views: EvaluationViews,
    read: Callable[[Int[Tensor, " b"]], tuple[UInt8[Tensor, "b c h w"], Sequence[tuple[Tensor, Tensor]]]],
    count: int,
    *,
    rates: Rates,
    steps: int,
    batch_size: int,
    seed: int,
    compute: ComputeSettings,
) -> None:
    """Minimise the losses of FCOS on random parts of the images; see `minimize`.

    `read` gives some of the `count` images, and the boxes `(k, 4)` and labels `(k,)` of each.
    """
    pyramid: Any = network.backbone
    generator = torch.Generator().manual_seed(seed)
    mirror = mirrors(views)
    order = shuffled(count, batch_size, generator)

    def loss(step: int) -> Tensor:
        chosen = next(order)
        images, annotated = read(chosen)
        parts = random_parts(len(images), generator, mirror=mirror)
        targets = []
        for (boxes, labels), part in zip(annotated, parts, strict=True):
            placed, there = part_of_boxes(boxes, part, images.shape[3])
            targets.append({"boxes": placed[there].to(compute.device), "labels": labels[there].to(compute.device)})
        network.train()
        pyramid.dense.train(pyramid.learns and len(chosen) > 1)  # one image alone has no statistics of a batch
        view = views.clean(parts_of_images(images, parts).to(compute.device))
        losses: dict[str, Tensor] = network(list(view), targets)
        return torch.stack(list(losses.values())).sum()

    own = [(module, rates.head) for module in (pyramid.standardize, pyramid.project, network.head)]
    minimize(loss, [(pyramid.dense, rates.encoder), *own], steps=steps)
    network.eval()


@torch.inference_mode()
def detections(network: FCOS, view: Float[Tensor, "n c h w"]) -> list[Detections]:
    """The boxes in each image, the surest first, in pixels of the view, on the CPU."""
    found: list[dict[str, Tensor]] = network.eval()(list(view))
    return [Detections(each["boxes"].cpu(), each["labels"].cpu(), each["scores"].cpu()) for each in found]


def load_own_weights(network: FCOS, arrays: Mapping[str, np.ndarray], where: object) -> None:
    """Load what `own_weights` gave.

    Raises:
        UserError: for weights of another network.
    """
    there = own_weights(network)
    if {name: tuple(value.shape) for name, value in there.items()} != {n: a.shape for n, a in arrays.items()}:
        raise UserError(f"{where} has the weights of another detector than its encoder and classes ask for: fit again")
    with torch.no_grad():
        for name, value in there.items():
            value.copy_(torch.from_numpy(arrays[name]))
