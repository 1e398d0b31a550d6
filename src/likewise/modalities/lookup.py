"""From a name, a source or read options to the modality that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.errors import UserError
from likewise.registry import MODALITIES, load_modality

if TYPE_CHECKING:
    from likewise.data.read_options import ReadOptions
    from likewise.data.source import Source
    from likewise.modalities.base import Modality, TrainingSetup
    from likewise.training.recipe import Recipe


def modality_of(name: str) -> Modality:
    """The registered modality of this name.

    Raises:
        UserError: for one that is not registered: its views and encoder come from Python.
    """
    if name not in MODALITIES:
        raise UserError(f"modality '{name}' has no views and encoders of its own: pass views= and encoder=")
    return load_modality(name)


def part_modalities(source: Source) -> list[str]:
    """The modality of a source; of pairs, that of each part."""
    return [part.modality for part in source.parts] or [source.modality]


def setup(source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None) -> TrainingSetup:
    """What a training on these samples needs: see `Modality.setup`.

    Raises:
        UserError: for a modality that is not registered, or a recipe that does not fit the samples.
    """
    return modality_of(source.modality).setup(source, recipe, accelerated=accelerated, run_folder=run_folder)


def adapt_read_options(read_options: ReadOptions, data: Any) -> ReadOptions:
    """How `data` is read for an encoder whose own data is read so: see `Modality.adapt_read_options`."""
    if read_options.modality is None:
        return read_options
    return modality_of(read_options.modality).adapt_read_options(read_options, data)
