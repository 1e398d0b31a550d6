"""The part of an encoder of pairs that takes samples of one modality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Generator, nn

from likewise.encoders.pair import PairEncoder
from likewise.errors import UserError
from likewise.views.pair import PairViews

if TYPE_CHECKING:
    from likewise.modalities.run import Run


class FirstPartViews:
    """The views that an evaluation uses, of the first part of every sample."""

    def __init__(self, views: Any) -> None:
        self.views = views

    def clean(self, batch: Any) -> Any:
        return self.views.clean(batch.parts[0])

    def weak(self, batch: Any, generator: Generator) -> Any:
        return self.views.weak(batch.parts[0], generator)


def halves_for(encoder: nn.Module, views: Any) -> list[tuple[nn.Module, Any]]:
    """The encoder and the views of each of the first two parts of samples in parts."""
    towers = encoder.towers if isinstance(encoder, PairEncoder) else [encoder] * 2
    return [(towers[i], views.parts[i]) for i in range(2)]


def encoder_for(modality: str, encoder: nn.Module, views: Any) -> tuple[nn.Module, Any]:
    """The encoder and the views for samples of a modality: of an encoder of pairs, its tower for them.

    Of samples in parts, an encoder that is not one of pairs takes the first part.

    Raises:
        UserError: when the encoder has towers, none of them for this modality.
    """
    if not isinstance(views, PairViews):
        return encoder, views
    if not isinstance(encoder, PairEncoder):
        return encoder, FirstPartViews(views.parts[0]) if modality == "pair" else views.parts[0]
    if modality == "pair":
        return encoder, views
    if modality not in encoder.modalities:
        raise UserError(f"the encoder takes {' and '.join(encoder.modalities)}, not {modality}")
    place = encoder.modalities.index(modality)
    return encoder.towers[place], views.parts[place]


def views_of_whole(modality: str, run: Run, views: Any) -> Any:
    """The views for samples of a modality that show all of them: of pairs both parts, whichever the encoder takes."""
    return views if modality == run.modality else encoder_for(modality, run.encoder, views)[1]
