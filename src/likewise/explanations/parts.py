"""What of a sample can be hidden from an encoder: cells of a picture, tokens of a text, spans of a recording."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.views.audio import AudioViews
from likewise.views.image import ImageViews
from likewise.views.resample import background
from likewise.views.text import TextViews
from likewise.views.token_tasks import ordinary

FEWEST_CELLS, MOST_CELLS = 4, 10  # of a picture, in a row
CELL = 4  # px: a smaller one says little
SPANS = 20  # of a recording


class HideableParts(ABC):
    """The parts of one sample.

    Attributes:
        shape: (rows, columns) of a picture, (tokens,) of a text, (spans,) of a recording.
        names: of the parts, where they have names.
    """

    shape: tuple[int, ...]
    names: list[str] | None = None

    def __len__(self) -> int:
        return math.prod(self.shape)

    @abstractmethod
    def hide(self, hidden: Bool[Tensor, "m parts"]) -> Any:
        """A view of m samples: the sample, each time without the parts that are True."""

    @abstractmethod
    def from_places(self, values: Float[Tensor, " places"], shape: tuple[int, ...]) -> Float[Tensor, " parts"]:
        """Values of an encoder's places, laid out in `shape`, for these parts."""


class PictureCells(HideableParts):
    """Cells of a grid over a picture. What is hidden becomes the background: the median of the picture's edge."""

    def __init__(self, view: Float[Tensor, "1 c h w"]) -> None:
        self.view = view
        self.background = background(view)
        rows, columns = (min(max(side // CELL, FEWEST_CELLS), MOST_CELLS, side) for side in view.shape[2:])
        self.shape = (rows, columns)

    def hide(self, hidden: Bool[Tensor, "m parts"]) -> Float[Tensor, "m c h w"]:
        cells = hidden.to(self.view.device).float().view(-1, 1, *self.shape)
        covered = F.interpolate(cells, size=self.view.shape[2:], mode="nearest") > 0
        return torch.where(covered, self.background, self.view)

    def sums(self, values: Float[Tensor, "c h w"]) -> Float[Tensor, " parts"]:
        """Values of the picture's numbers, added up in each cell."""
        row, column = (torch.arange(n) * parts // n for n, parts in zip(values.shape[1:], self.shape, strict=True))
        found = torch.zeros(self.shape, dtype=values.dtype)
        return found.index_put_((row[:, None], column), values.sum(0), accumulate=True).flatten()

    def from_places(self, values: Float[Tensor, " places"], shape: tuple[int, ...]) -> Float[Tensor, " parts"]:
        grid = values.view(1, 1, *shape)
        return F.interpolate(grid, size=self.shape, mode="bilinear", align_corners=False).flatten()


class TextTokens(HideableParts):
    """Tokens that are not special. The others move up where some are hidden, as in a text without them."""

    def __init__(self, view: Int[Tensor, "1 t"], views: TextViews) -> None:
        self.view = view
        self.pad = views.special.pad
        self.places = ordinary(view, views.special)[0].nonzero()[:, 0]
        self.shape = (len(self.places),)
        self.names = token_names(view[0, self.places], views)

    def hide(self, hidden: Bool[Tensor, "m parts"]) -> Int[Tensor, "m t"]:
        kept = torch.ones(len(hidden), self.view.shape[1], dtype=torch.bool, device=self.view.device)
        kept[:, self.places] = ~hidden.to(self.view.device)
        order = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        moved = self.view.expand(len(hidden), -1).gather(1, order)
        at = torch.arange(moved.shape[1], device=moved.device)
        return moved.masked_fill(at >= kept.sum(1, keepdim=True), self.pad)

    def from_places(self, values: Float[Tensor, " places"], shape: tuple[int, ...]) -> Float[Tensor, " parts"]:
        return values[self.places.to(values.device)]


class RecordingSpans(HideableParts):
    """Spans of time, equally long. What is hidden becomes silence."""

    def __init__(self, view: Float[Tensor, "1 samples"]) -> None:
        self.view = view
        self.shape = (min(SPANS, view.shape[1]),)

    def hide(self, hidden: Bool[Tensor, "m parts"]) -> Float[Tensor, "m samples"]:
        samples = self.view.shape[1]
        span = torch.arange(samples, device=self.view.device) * len(self) // samples
        return torch.where(hidden.to(self.view.device)[:, span], 0.0, self.view)

    def from_places(self, values: Float[Tensor, " places"], shape: tuple[int, ...]) -> Float[Tensor, " parts"]:
        return F.interpolate(values[None, None], size=len(self), mode="linear", align_corners=False).flatten()


def parts_of(views: Any, view: Any) -> HideableParts:
    """The parts of one sample.

    Args:
        views: of its modality.
        view: of this sample alone.

    Raises:
        UserError: for views of your own, or a text without tokens.
    """
    if isinstance(views, ImageViews):
        return PictureCells(view)
    if isinstance(views, AudioViews):
        return RecordingSpans(view)
    if not isinstance(views, TextViews):
        raise UserError(f"explain takes samples with the views of likewise, got {type(views).__name__}")
    tokens = TextTokens(view, views)
    if len(tokens) == 0:
        raise UserError("a text to explain must have a token that is not special, got none")
    return tokens


def token_names(ids: Int[Tensor, " t"], views: TextViews) -> list[str]:
    """What each token says; special ones by their name."""
    special = {getattr(views.special, role): f"[{role.upper()}]" for role in ("cls", "sep", "pad")}
    said = views.decode(ids[:, None])
    return [special.get(token, text) for token, text in zip(ids.tolist(), said, strict=True)]
