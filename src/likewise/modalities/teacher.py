"""The encoder of a run as a teacher: it takes the views that another encoder is trained on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import require
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.modalities.run import Run, open_run
from likewise.modalities.towers import encoder_for
from likewise.views.image import ImageViews

COMPARED = 4  # samples
NEAR = 1e-3  # of numbers of deviation 1
REMEDY = "`likewise distill RUN` takes them from the teacher"


class Renormalized(nn.Module):
    """An encoder of images that were normalized in another way than it is used to.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        given: the views that normalize.
        wanted: those that the encoder has learned from.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, encoder: nn.Module, given: ImageViews, wanted: ImageViews) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim: int = encoder.dim  # type: ignore[assignment]
        mean, std, its_mean, its_std = (
            torch.tensor(each)[:, None, None] for each in (given.mean, given.std, wanted.mean, wanted.std)
        )
        self.register_buffer("factor", std / its_std)
        self.register_buffer("offset", (mean - its_mean) / its_std)

    def forward(self, view: Tensor) -> Tensor:
        return self.encoder(view * self.factor + self.offset)


def teacher_for(path: str | None, views: Any, source: Source) -> nn.Module:
    """The encoder of a finished run, for the views of a training; of an encoder of pairs, the half that takes them.

    Raises:
        UserError: for no run, one that is not finished, or one whose encoder takes other samples, or prepares them in
            another way.
    """
    if path is None:
        raise UserError("distill needs a teacher: `likewise distill RUN --encoder NAME`, or --teacher RUN")
    run = open_run(path)
    encoder, its_views = encoder_of(run, source)
    if isinstance(views, ImageViews) and isinstance(its_views, ImageViews):
        for name in ("size", "channels"):
            wanted, got = getattr(its_views, name), getattr(views, name)
            require(got == wanted, name, f"{wanted}, as the teacher {run.path} takes", got, REMEDY)
        if (views.mean, views.std) != (its_views.mean, its_views.std):
            encoder = Renormalized(encoder, views, its_views)
    elif not _same(views, its_views, source):
        raise UserError(
            f"the samples of {source.name} are prepared in another way than those of the teacher {run.path}: {REMEDY}"
        )
    return encoder


def encoder_of(run: Run, source: Source) -> tuple[nn.Module, Any]:
    """The encoder of a run for samples such as those of a source, and its views.

    Raises:
        UserError: when the encoder does not take them.
    """
    encoder, views = encoder_for(source.modality, run.encoder, run.views)
    its = getattr(views, "modality", source.modality)
    if source.parts or its != source.modality:
        kind = "pairs" if source.parts else source.modality
        raise UserError(
            f"data must be {its} samples, as the teacher {run.path} takes, got {source.name}, which is {kind}"
        )
    return encoder, views


def _same(views: Any, others: Any, source: Source) -> bool:
    """Whether two kinds of views prepare some samples alike."""
    some = source.read(torch.arange(min(COMPARED, len(source))))
    one, other = views.clean(some), others.clean(some)
    return one.shape == other.shape and torch.allclose(one.float(), other.float(), atol=NEAR)
