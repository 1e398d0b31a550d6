"""Masks of images of any size, by a network for letter-boxed ones, as PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from likewise.atomic import write_atomically
from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.evaluation.annotated_tables import class_colours
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.letterboxed import predict_letterboxed
from likewise.own_files import png_info

MOST_PIXELS = 2**22
"""Of a mask between whose places is interpolated; a larger one is enlarged from that size."""


class PredictedMask(NamedTuple):
    """The mask of one image, or why there is none."""

    file: File
    mask: UInt8[np.ndarray, "h w"] | None
    reason: str = ""


def predicted_masks(
    network: Callable[[Tensor], Tensor],
    views: EvaluationViews,
    folder: Path,
    files: Sequence[File],
    *,
    size: int,
    channels: int,
    compute: ComputeSettings,
) -> Iterator[PredictedMask]:
    """The class of each pixel of images, at their own sizes, upright.

    Args:
        network: view -> logits of the classes at places.
        views: the `clean` ones.
        folder: that the files are in.
        files: the images.
        size, channels: of the views.
        compute: where and how; so many images are read at once.
    """

    @torch.inference_mode()
    def scores(view: Tensor) -> Tensor:
        return compute.forward(network, view).cpu()

    how: dict[str, Any] = {"size": size, "channels": channels, "compute": compute}
    for file, found in predict_letterboxed(scores, views, folder, files, **how):
        if isinstance(found, str):
            yield PredictedMask(file, None, found)
        else:
            picture, of_classes = found
            yield PredictedMask(file, mask_of(of_classes, picture, size))


def mask_of(scores: Float[Tensor, "classes i j"], picture: Letterboxed, size: int) -> UInt8[np.ndarray, "h w"]:
    """The mask of an image by the scores of the square that it lies in."""
    left, top, wide, high = picture.frame
    width, height = picture.size
    shrink = min(1.0, (MOST_PIXELS / (width * height)) ** 0.5)
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    # The pixels of the image from the edges of its frame, as `interpolate` places them.
    y = (top + (torch.arange(rows) + 0.5) * high / rows) / size * 2 - 1
    x = (left + (torch.arange(columns) + 0.5) * wide / columns) / size * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    found = F.grid_sample(scores[None].float(), grid, padding_mode="border", align_corners=False)
    mask = found[0].argmax(0).to(torch.uint8).numpy()
    if shrink == 1:
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def write_mask(path: Path, mask: UInt8[np.ndarray, "h w"], classes: int) -> None:
    """A PNG whose numbers are the classes, shown in their colours; replaced atomically."""
    drawn = Image.fromarray(mask)
    drawn.putpalette(class_colours(classes).flatten().tolist())
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", pnginfo=png_info())
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def mask_names(files: Sequence[File]) -> list[str]:
    """What the mask of each file is called: its name with .png; with both endings where two would be the same."""
    stems = [file.id.rpartition(".")[0] or file.id for file in files]
    counts: dict[str, Any] = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    return [f"{stem if counts[stem] == 1 else file.id}.png" for stem, file in zip(stems, files, strict=True)]
