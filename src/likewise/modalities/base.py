"""What a modality is: all that likewise must know of one kind of samples, in one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import nn

from likewise.data.files import File
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Source
from likewise.evaluation import ComputeSettings
from likewise.evaluation.features import RawFeatures, raw_features
from likewise.runs.table import Table

if TYPE_CHECKING:
    from likewise.methods.base import Views
    from likewise.training.recipe import Recipe


class TrainingSetup(NamedTuple):
    """What a training needs, as the samples decide it."""

    recipe: Recipe
    """With every value that the samples decide filled in."""
    source: Source
    """The samples, read as the recipe says."""
    views: Views
    build_encoder: Callable[[], nn.Module]
    """The encoder with fresh random weights."""


class EvaluationInputs(NamedTuple):
    """What a modality may measure an encoder with, beside the accuracy with few labels."""

    encoder: nn.Module
    """The whole of it, on the compute's device, in evaluation mode."""
    views: Any
    train: Source | None
    """Samples that baselines may learn from."""
    test: Source
    build_encoder: Callable[[], nn.Module] | None
    """Builds the encoder anew, untrained, where that is known."""
    compute: ComputeSettings
    folder: Path
    """Of the run, for what can be looked at."""

    def encoders(self) -> dict[str, nn.Module]:
        """The encoder and, where it can be built, an untrained one, by what a table calls them."""
        found = {"encoder": self.encoder}
        if self.build_encoder is not None:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                found["untrained"] = self.compute.place(self.build_encoder()).eval()
        return found


class Modality(ABC):
    """One kind of samples: how data of it is opened, and its views, encoders, baselines and measures.

    A modality is a subclass without state and one line in `likewise.registry`. It must say how its data is opened, what
    a training needs, and how the views and the encoder of a run are built again; everything else has a default. Its
    views have its name as their `modality`.
    """

    name: ClassVar[str]
    """As the registry and `--modality` have it."""
    nouns: ClassVar[tuple[str, str]]
    """What people call one sample, and several: ("recording", "recordings")."""
    accepts: ClassVar[str]
    """What data it takes, for messages."""
    default_method: ClassVar[str] = "simclr"
    """By which method its samples are learned from where none is named."""
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Of the files that a folder of such samples holds, in lower case; labels are their first subfolders."""
    column_names: ClassVar[tuple[str, ...]] = ()
    """Usual names of a table's column that holds paths of such samples, as a part of pairs (see `open_files`)."""
    smaller_encoders: ClassVar[Mapping[str, str]] = {}
    """A smaller encoder for a usual one, where time is short."""
    recipe_fields: ClassVar[tuple[str, ...]] = ()
    read_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of a recipe that only samples of this modality have."""
    view_fields: ClassVar[tuple[str, ...]] = ()
    """Those of its augmentation that only samples of this modality have: no other training takes them over."""
    pair_augment: ClassVar[str | None] = None
    """The strength of augmentation as a part of pairs; None: the recipe's."""

    @abstractmethod
    def open_source(self, request: Request) -> Source | None:
        """The source of data of this modality; None for any other data.

        Raises:
            UserError: for data of this modality that cannot be read.
        """

    def usual_method(self, source: Source, recipe: Recipe) -> tuple[str, str]:
        """By which method these samples are learned from where none is named, and what the samples are."""
        return self.default_method, f"{self.name} samples"

    def recognises(self, path: Path) -> bool:
        """Whether a file that has another ending than `suffixes`, or none, is such a sample by its content."""
        return False

    def may_hold(self, folder: Path) -> bool:
        """Whether a folder that has such files may be one of such samples, where nobody has said what it holds."""
        return True

    def open_dataset(self, request: Request) -> Source | None:
        """The source of a dataset object of another library that no modality has taken as its own, or None."""
        return None

    def open_files(self, folder: Path, files: list[File], name: str, request: Request) -> tuple[Source, list[int]]:
        """The samples in these files, and the place of the first sample of each file that could be read.

        A modality with `column_names` has it, to be a part of pairs. The source's `skipped` lists the other files.
        """
        raise NotImplementedError

    @abstractmethod
    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        """What a training on these samples needs.

        Args:
            accelerated: whether it runs on a GPU, so that the usual encoder and batch can be larger.
            run_folder: of a run that was begun: what it has learned of its data (a tokenizer) is used again.

        Raises:
            UserError: for a recipe that does not fit the samples.
        """

    def pack(self, views: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Views as plain values, and the text files by name that a run folder keeps beside them."""
        return views.config(), {}

    @abstractmethod
    def unpack(self, config: dict[str, Any], folder: Path) -> Any:
        """The views that `pack` turned into `config` and files in `folder`."""

    @abstractmethod
    def encoder(self, **config: Any) -> nn.Module:
        """The architecture whose `config` this is, with random weights."""

    def read_options(self, views: Any) -> dict[str, Any]:
        """The fields of `ReadOptions` with which later samples are read to fit these views."""
        return {}

    def adapt_read_options(self, read_options: ReadOptions, data: Any) -> ReadOptions:
        """How `data` is read for an encoder of this modality, where that may differ from how its own data was."""
        return read_options

    def baseline(self, views: Any, compute: ComputeSettings, train: Source) -> RawFeatures:
        """Features without any training on labels to compare with; `train`: samples that they may learn from."""
        return RawFeatures("raw", raw_features(views, compute))

    def measure(self, inputs: EvaluationInputs) -> list[Table]:
        """Tables of what can be measured beside the accuracy with few labels."""
        return []


def default_batch_size(samples: int, *, accelerated: bool) -> int:
    """Samples a step where the recipe does not say: on a CPU twice the steps are worth more than twice the negatives,
    and photographs stay below 2 GiB of memory.
    """
    return min(256 if accelerated else 128, samples)
