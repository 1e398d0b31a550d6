"""Masks of images of any size, by a network for letter-boxed ones or tiles, as PNG files."""

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

from likewise.atomic import write_atomically
from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.evaluation.annotated_tables import class_colours
from likewise.evaluation.blended_masks import MOST_PIXELS, BlendedMask, scores_at
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.letterboxed import predict_letterboxed
from likewise.evaluation.tiled import predict_tiled
from likewise.own_files import png_info


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
    tile: int | None,
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
        tile: the side of the squares that they are cut into; None: they are letter-boxed.
        size, channels: of the views.
        compute: where and how; so many images, or tiles of one, are predicted at once.
    """

    @torch.inference_mode()
    def scores(view: Tensor) -> Tensor:
        return compute.forward(network, view).cpu()

    how: dict[str, Any] = {"size": size, "channels": channels, "compute": compute}
    if tile is not None:
        for file, blended in predict_tiled(scores, BlendedMask, views, folder, files, tile=tile, **how):
            yield PredictedMask(file, None, blended) if isinstance(blended, str) else PredictedMask(file, blended[0])
        return
    for file, found in predict_letterboxed(scores, views, folder, files, **how):
        if isinstance(found, str):
            yield PredictedMask(file, None, found)
        else:
            picture, of_classes = found
            yield PredictedMask(file, mask_of(of_classes, picture))


def mask_of(scores: Float[Tensor, "classes i j"], picture: Letterboxed) -> UInt8[np.ndarray, "h w"]:
    """The mask of an image by the scores of the square that it lies in."""
    width, height = picture.size
    shrink = min(1.0, (MOST_PIXELS / (width * height)) ** 0.5)
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    y, x = (torch.arange(rows) + 0.5) * (height / rows), (torch.arange(columns) + 0.5) * (width / columns)
    mask = scores_at(scores, y, x, picture).argmax(0).to(torch.uint8).numpy()
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
