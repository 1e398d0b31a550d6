"""What evaluations on annotated images share: their data, draws, encoders and trials."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor, nn

from likewise.data.annotations.source import AnnotatedImages
from likewise.data.source import Subset
from likewise.errors import UserError
from likewise.evaluation.features import evenly_spaced
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.labelled_samples import (
    chosen_protocols,
    differences_by_measure,
    draw_samples,
    sample_counts,
    summary_by_measure,
)
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.segmenter import DenseEncoder

SEEDS = 3
USUAL_IMAGES = (1, 5, 20)
TYPICAL_IMAGES = 20
"""The number of annotated images that pictures are of, or the one nearest to it."""
EXAMPLES = 8
"""Test images that are shown."""


@dataclass(frozen=True, eq=False)
class AnnotatedData:
    """Some annotated images, and what their classes are called in the evaluation.

    Its samples, which are learned from and tested on, are the images or their tiles. What people count is images: all
    tiles of one are drawn together.
    """

    source: AnnotatedImages
    chosen: Int[Tensor, " m"]
    """The images, as places in `source.wholes`."""
    numbers: Int[Tensor, " 256"]
    """The class in the evaluation of each class of the source."""

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def indices(self) -> Int[Tensor, " n"]:
        """The samples, as places in the source."""
        return self.source.samples_of(self.chosen)

    @property
    def wholes(self) -> Subset:
        """The images as a source."""
        return Subset(self.source.wholes, self.chosen, name=self.source.name)

    def draw(self, count: LabelCount, seed: int) -> Int[Tensor, " n"]:
        """Places of the samples of so many images, drawn at random: see `draw_samples`."""
        tiles = self.source.image_of.bincount()[self.chosen]
        of_image = torch.arange(len(self)).split(tiles.tolist())
        return torch.cat([of_image[place] for place in draw_samples(len(self.chosen), count, seed).tolist()])

    def images(self, places: Int[Tensor, " m"]) -> UInt8[Tensor, "m c h w"]:
        return self.source.read(self.indices[places])


Data = TypeVar("Data", bound=AnnotatedData)
Predicted = TypeVar("Predicted")


class AnnotatedEvaluation(ABC, Generic[Data, Predicted]):
    """What the trials of one evaluation share: each learns from some annotated images, and predicts the test images.

    Args:
        encoders: those with known weights by protocol, "frozen" and perhaps "as-given".
        make_encoder: builds the architecture with new weights, from torch's global generators.
        views: the `clean` ones; their `weak_ops` say whether mirrored images are usual.
        train, test: annotated images.
        classes: how many there are.
        draws: by (seed, number of images): places of samples in `train`.
        steps: of the optimizer; None: the usual number.
        compute: where and how networks are run.
        progress: called with (trials done, of how many, what is being done).
    """

    def __init__(
        self,
        *,
        encoders: dict[str, nn.Module],
        make_encoder: Callable[[], nn.Module],
        views: EvaluationViews,
        train: Data,
        test: Data,
        classes: int,
        draws: dict[tuple[int, LabelCount], Int[Tensor, " _"]],
        steps: int | None,
        compute: ComputeSettings,
        progress: Progress,
    ) -> None:
        self.encoders = {name: compute.place(encoder).eval() for name, encoder in encoders.items()}
        self.make_encoder, self.views, self.train, self.test, self.classes = make_encoder, views, train, test, classes
        self.draws, self.steps, self.compute, self.progress = draws, steps, compute, progress
        self.shown = evenly_spaced(len(test), EXAMPLES)
        """Places of the test samples that pictures are of: see `show`."""
        self._untrained: tuple[int, nn.Module] | None = None

    def show(self, has_something: Bool[Tensor, " n"]) -> None:
        """Of tiles, let pictures be of those with something in them, as far as there are any: most may be empty."""
        places = has_something.nonzero()[:, 0]
        if self.test.source.tile is not None and len(places):
            self.shown = places[evenly_spaced(len(places), EXAMPLES)]

    @abstractmethod
    def predicted(self, name: str, seed: int, count: LabelCount) -> Predicted:
        """What a protocol predicts of the test images after learning from a draw."""

    @abstractmethod
    def measured(self, predicted: Predicted) -> dict[str, Any]:
        """The measures of predictions of the test images."""

    @abstractmethod
    def some(self, predicted: Predicted, places: Int[Tensor, " m"]) -> Predicted:
        """The predictions of some test samples."""

    @abstractmethod
    def fitted(self, name: str, seed: int, count: LabelCount) -> nn.Module:
        """What a protocol has learned from a draw, in evaluation mode."""

    @abstractmethod
    def steps_of(self, name: str) -> int:
        """Optimisation steps of a protocol that is trained by them."""

    def run(
        self, names: Sequence[str], counts: Sequence[LabelCount], seeds: int, typical: LabelCount
    ) -> tuple[list[dict[str, Any]], dict[str, Predicted]]:
        """All trials, and what each protocol predicted of `shown` with seed 0 and `typical` images."""
        plan = [(name, seed, count) for name in names for seed in range(seeds) for count in counts]
        trials, predicted = [], {}
        for done, (name, seed, count) in enumerate(plan):
            doing = f"{name}, {count} image{'s' * (count != 1)}, seed {seed}"
            self.progress(done, len(plan), doing)
            started = time.perf_counter()
            with seeded(trial_seed(seed, name, count), self.compute.device):
                found = self.predicted(name, seed, count)
            if seed == 0 and count == typical:
                predicted[name] = self.some(found, self.shown)
            trials.append(
                {"protocol": name, "labelled": count, "seed": seed}
                | self.measured(found)
                | {"seconds": time.perf_counter() - started}
            )
        self.progress(len(plan), len(plan), "done")
        return trials, predicted

    def dense(self, name: str, seed: int) -> nn.Module:
        """The network of maps of a protocol that does not train it, in evaluation mode; the last untrained is kept."""
        if name == "untrained":
            if self._untrained is None or self._untrained[0] != seed:
                with seeded(trial_seed(seed, name, 0), self.compute.device):
                    self._untrained = seed, self.compute.place(self.make_encoder()).eval()
            return DenseEncoder(self._untrained[1])
        return DenseEncoder(self.encoders["as-given" if name == "as-given" else "frozen"])

    def dense_to_train(self, name: str) -> DenseEncoder:
        """The network of maps of a protocol that trains it: with new weights, or a copy of the pretrained ones."""
        new = name == "scratch"
        encoder = self.compute.place(self.make_encoder()) if new else copy.deepcopy(self.encoders["frozen"])
        return DenseEncoder(encoder.requires_grad_(True))

    def a_view(self) -> Tensor:
        """A view of one image, on the device."""
        return self.views.clean(self.train.images(torch.tensor([0])).to(self.compute.device))


def check_has_places(encoder: nn.Module) -> None:
    """Raise `UserError` for an encoder without features of places."""
    if not (hasattr(encoder, "feature_maps") or hasattr(encoder, "features")):
        raise UserError(f"encoder must have features of places (see Encoder), got {type(encoder).__name__} without any")


def image_counts(asked: Sequence[LabelCount] | None, there: int, name: str) -> list[LabelCount]:
    """See `sample_counts`."""
    return sample_counts(asked, there, name, usual=USUAL_IMAGES, samples="annotated images")


def annotated_protocols(names: Sequence[str] | None, known: Sequence[str], task: str, *, given: bool) -> list[str]:
    """See `chosen_protocols`."""
    return chosen_protocols(names, known, of=f"of {task}", given=given)


def annotated_values(
    evaluation: AnnotatedEvaluation[Any, Any],
    classes: list[str],
    details: dict[str, dict[str, Any]],
    counts: Sequence[LabelCount],
    seeds: int,
    trials: Sequence[dict[str, Any]],
    measures: Mapping[str, str],
) -> dict[str, Any]:
    """What `evaluation.json` says of trials, whatever they measure; `details` are those of each protocol."""
    pairs = [(a, b) for a in details for b in details if details[a]["pretrained"] and not details[b]["pretrained"]]
    train, test = evaluation.train, evaluation.test
    tiled: dict[str, Any] = {}
    if train.source.tile is not None:
        tiled = {"tile": train.source.tile, "tiles": {"train": len(train), "test": len(test)}}
    return {
        "images": {"train": len(train.chosen), "test": len(test.chosen)},
        "classes": classes,
        "size": train.source.size,
        **tiled,
        "seeds": seeds,
        "labelled": list(counts),
        "protocols": list(details),
        "protocol_details": details,
        "trials": list(trials),
        "summary": summary_by_measure(trials, measures),
        "differences": differences_by_measure(trials, pairs, measures),
    }
