"""What each modality brings to the spine: a module for each, asked by name; nothing else in the spine knows them.

A module has
    `prepare(source, recipe, *, accelerated, kept)`: what a training needs: see `Prepared`;
    `pack(views)` and `unpack(config, folder)`: views as plain values and files of the run folder, and back;
    `encoder(**config)`: the architecture with fresh weights;
    `read_options(views)`: how later samples must be read to be taken by these views;
    `baseline(views, compute, train)`: raw features to compare with, and what they are called;
    `examine(examined)`: tables of what can be measured beside the accuracy with few labels: see `Examined`.

A source of a modality of your own needs no module here when its views and encoder are given from Python.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likewise.errors import UserError

if TYPE_CHECKING:
    from torch import Generator, nn

    from likewise.data.source import Source
    from likewise.evaluation import ComputeSettings
    from likewise.methods.base import Views
    from likewise.training.recipe import Recipe

MODALITIES = ("image", "text", "audio", "pair")


class Prepared(NamedTuple):
    """The recipe with what the samples decide filled in, the samples as they are read, the views, the encoder."""

    recipe: Recipe
    source: Source
    views: Views
    build: Callable[[], nn.Module]


class Examined(NamedTuple):
    """What a modality may measure in ways of its own."""

    encoder: nn.Module
    """The whole of it, on `compute.device`, in evaluation mode."""
    views: Any
    train: Source | None
    """Samples that baselines may learn from."""
    test: Source
    build: Callable[[], nn.Module] | None
    """Builds the encoder anew, untrained, where that is known."""
    compute: ComputeSettings
    folder: Path
    """Of the run, for what can be looked at."""

    def encoders(self) -> dict[str, nn.Module]:
        """The encoder and, where it can be built, an untrained one, by what a table calls them."""
        found = {"encoder": self.encoder}
        if self.build is not None:
            import torch

            with torch.random.fork_rng():
                torch.manual_seed(0)
                found["untrained"] = self.compute.place(self.build()).eval()
        return found


def modality_of(name: str) -> Any:
    """The module of a modality.

    Raises:
        UserError: for one without views and encoders of its own.
    """
    if name not in MODALITIES:
        raise UserError(f"modality '{name}' has no views and encoders of its own: pass views= and encoder=")
    return importlib.import_module(f"likewise.modalities.{name}")


def prepare(source: Source, recipe: Recipe, *, accelerated: bool, kept: Path | None = None) -> Prepared:
    """What a training on these samples needs.

    Args:
        kept: the folder of a run that was begun: what it has learned of its data (a tokenizer) is used again.

    Raises:
        UserError: for a modality without views and encoders of its own, or a recipe that does not fit the samples.
    """
    return modality_of(source.modality).prepare(source, recipe, accelerated=accelerated, kept=kept)


class FirstPart:
    """The views that an evaluation uses, of the first part of every sample."""

    def __init__(self, views: Any) -> None:
        self.views = views

    def clean(self, batch: Any) -> Any:
        return self.views.clean(batch.parts[0])

    def weak(self, batch: Any, generator: Generator) -> Any:
        return self.views.weak(batch.parts[0], generator)


def tower_of(encoder: nn.Module, views: Any, modality: str) -> tuple[nn.Module, Any]:
    """The part of an encoder, and of its views, that takes samples of a modality; all of it where it has no parts.

    Of samples in parts, an encoder without parts of its own takes the first.

    Raises:
        UserError: when the encoder has parts, none of them for this modality.
    """
    parts = getattr(views, "parts", None)
    if parts is None:
        return encoder, views
    kinds = getattr(encoder, "modalities", None)
    if kinds is None:
        return encoder, FirstPart(parts[0]) if modality == "pair" else parts[0]
    if modality == "pair":
        return encoder, views
    if modality not in kinds:
        raise UserError(f"the encoder takes {' and '.join(kinds)}, not {modality}")
    towers: Any = encoder.towers
    return towers[kinds.index(modality)], parts[kinds.index(modality)]


def kinds_of(source: Any) -> list[str]:
    """The modality of a source; of pairs, that of each part."""
    if source.modality != "pair":
        return [source.modality]
    from likewise.data.pairs import halves_of

    return [half.modality for half in halves_of(source)]
