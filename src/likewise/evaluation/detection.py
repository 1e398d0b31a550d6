"""Detection with few annotated images: boxes of things, beside everything that they should be compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn
from torchvision.models.detection import FCOS

from likewise.checks import check_int
from likewise.data.annotations.annotation import Box
from likewise.evaluation.annotated import (
    SEEDS,
    TYPICAL_IMAGES,
    AnnotatedData,
    AnnotatedEvaluation,
    annotated_protocols,
    annotated_values,
    check_has_places,
    image_counts,
)
from likewise.evaluation.detection_errors import SHOWN_SCORE, count_errors, surest
from likewise.evaluation.detection_measures import MOST_BOXES, Detections, box_scores
from likewise.evaluation.detector import CHANNELS, LEAST_SCORE, SCALES, detections, detector, train_detector
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.measures import CONFIDENCE
from likewise.evaluation.protocols import PROTOCOLS
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.seeds import trial_seed
from likewise.evaluation.supervised import Rates
from likewise.runs.counts import nearest_to_typical

DETECTION_PROTOCOLS = ("scratch", "frozen", "fine-tuned", "as-given", "untrained")
"""In the order of tables; each is one of `likewise.evaluation.PROTOCOLS`."""
TRAINED = ("scratch", "fine-tuned")
"""Those that train the encoder, too."""
MEASURES = {"ap": "average precision", "ap50": "AP50", "ap75": "AP75", "ar": "average recall"}

# Chosen beforehand; no evaluation tunes them.
STEPS = 160
BATCH_IMAGES = 8
HEAD_RATE = 2e-3
ENCODER_RATES = {"scratch": 2e-3, "fine-tuned": 2e-4}


class DetectionData(AnnotatedData):
    """Some images with boxes."""

    def boxes(self, place: int) -> list[Box]:
        """Those of one image, their classes numbered as in the evaluation."""
        numbers = self.numbers.tolist()
        found = self.source.boxes(int(self.indices[place]))
        return [box._replace(label=numbers[box.label]) for box in found]

    def targets(self, places: Int[Tensor, " m"]) -> list[tuple[Tensor, Tensor]]:
        """Boxes `(k, 4)` and labels `(k,)` of each image, without those around crowds, which are no single thing."""
        found = []
        for place in places.tolist():
            boxes = [box for box in self.boxes(place) if not box.crowd]
            edges = torch.tensor([box[:4] for box in boxes], dtype=torch.float32).view(-1, 4)
            found.append((edges, torch.tensor([box.label for box in boxes], dtype=torch.int64)))
        return found


class DetectionPictures(NamedTuple):
    """What some test images look like, and what protocols found in them with the first seed."""

    ids: list[str]
    images: UInt8[Tensor, "m c h w"]
    truth: list[list[Box]]
    predicted: dict[str, list[Detections]]
    """The surest boxes of each image, by protocol."""
    labelled: LabelCount


class DetectionResult(NamedTuple):
    """The value of "detection" in `evaluation.json`, and pictures."""

    values: dict[str, Any]
    pictures: DetectionPictures


def evaluate_detection(
    encoder: nn.Module,
    views: EvaluationViews,
    train: DetectionData,
    test: DetectionData,
    classes: list[str],
    *,
    labelled: Sequence[LabelCount] | None = None,
    seeds: int = SEEDS,
    protocols: Sequence[str] | None = None,
    steps: int | None = None,
    make_encoder: Callable[[], nn.Module] | None = None,
    given: nn.Module | None = None,
    compute: ComputeSettings | None = None,
    progress: Progress | None = None,
) -> DetectionResult:
    """Measure how well boxes of things are found by detectors that learn from some annotated images.

    All protocols of a seed learn from the same images, and larger draws include the smaller ones. Boxes are measured at
    the size of the views. The test part is only measured on.

    Args:
        encoder: pretrained, with `features(view)` of places and `grid(view)`; it is copied, never changed.
        views: the `clean` ones; their `weak_ops` say whether mirrored images are usual.
        train, test: annotated images.
        classes: the names of things.
        labelled: how many annotated images a protocol may learn from; None: 1, 5, 20, and all.
        seeds: number of draws, at least 1.
        protocols: some of `DETECTION_PROTOCOLS`; None: all, `as-given` only with `given`.
        steps: of the optimizer; None: `STEPS`.
        make_encoder: builds the untrained architecture; None: a copy of `encoder` with new weights.
        given: the encoder as it was before the training, where that went on from known weights.
        compute: where and how networks are run.
        progress: called with (trials done, of how many, what is being done).

    Raises:
        UserError: for an argument or data that cannot be evaluated.
    """
    check_int(seeds=seeds, steps=steps)
    names = check_detection_protocols(protocols, given=given is not None)
    check_has_places(encoder)
    counts = image_counts(labelled, len(train.chosen), train.source.name)
    typical = nearest_to_typical(counts, TYPICAL_IMAGES)
    compute = compute or ComputeSettings(torch.device("cpu"))
    evaluation = DetectionEvaluation(
        encoders={"frozen": copy.deepcopy(encoder)} | ({} if given is None else {"as-given": copy.deepcopy(given)}),
        make_encoder=make_encoder or partial(reinitialize, encoder),
        views=views,
        train=train,
        test=test,
        classes=len(classes),
        draws={(s, k): train.draw(k, s) for s in range(seeds) for k in counts},
        steps=steps,
        compute=compute,
        progress=progress or (lambda done, total, text: None),
    )
    trials, predicted = evaluation.run(names, counts, seeds, typical)
    details = {name: PROTOCOLS[name]().details("colours") for name in names}
    values = annotated_values(evaluation, classes, details, counts, seeds, trials, MEASURES) | {
        "boxes": sum(not box.crowd for boxes in evaluation.truth for box in boxes),
        "settings": _settings(steps, compute),
    }
    return DetectionResult(values, evaluation.pictures(predicted, typical))


def check_detection_protocols(names: Sequence[str] | None, *, given: bool) -> list[str]:
    """See `chosen_protocols`."""
    return annotated_protocols(names, DETECTION_PROTOCOLS, "detection", given=given)


class DetectionEvaluation(AnnotatedEvaluation[DetectionData, list[Detections]]):
    """What the trials of one evaluation share; see `AnnotatedEvaluation`."""

    def __init__(self, **shared: Any) -> None:
        super().__init__(**shared)
        self.truth = [self.test.boxes(place) for place in range(len(self.test))]
        self.show(torch.tensor([bool(boxes) for boxes in self.truth]))

    def predicted(self, name: str, seed: int, count: LabelCount) -> list[Detections]:
        network = self.fitted(name, seed, count)
        found = []
        for some in torch.arange(len(self.test)).split(self.compute.batch_size):
            found += detections(network, self.views.clean(self.test.images(some).to(self.compute.device)))
        return found

    def measured(self, predicted: list[Detections]) -> dict[str, Any]:
        errors = count_errors(self.truth, [surest(each) for each in predicted])
        return box_scores(self.truth, predicted, self.classes)._asdict() | {"errors": errors}

    def some(self, predicted: list[Detections], places: Int[Tensor, " m"]) -> list[Detections]:
        return [predicted[place] for place in places.tolist()]

    def fitted(self, name: str, seed: int, count: LabelCount) -> FCOS:
        """What a protocol has learned from a draw, in evaluation mode."""
        learns = name in TRAINED
        network = self.new_detector(self.dense_to_train(name) if learns else self.dense(name, seed), learns=learns)
        drawn = self.draws[seed, count]
        train_detector(
            network,
            self.views,
            lambda some: (self.train.images(drawn[some]), self.train.targets(drawn[some])),
            len(drawn),
            rates=Rates(ENCODER_RATES.get(name, 0.0), HEAD_RATE),
            steps=self.steps_of(name),
            batch_size=min(BATCH_IMAGES, len(drawn)),
            seed=trial_seed(seed, name, count),
            compute=self.compute,
        )
        return network

    def new_detector(self, dense: nn.Module, *, learns: bool) -> FCOS:
        """One on the maps of `dense`, with a head that has learned nothing."""
        network = detector(dense, self.a_view(), self.classes, learns=learns, compute=self.compute)
        return self.compute.place(network)

    def steps_of(self, name: str) -> int:
        """Optimisation steps of a protocol: of all the same."""
        return self.steps or STEPS

    def pictures(self, predicted: dict[str, list[Detections]], count: LabelCount) -> DetectionPictures:
        """Some test images with all that there is to see of them."""
        return DetectionPictures(
            [self.test.source.ids[i] for i in self.test.indices[self.shown].tolist()],
            self.test.images(self.shown),
            [self.truth[place] for place in self.shown.tolist()],
            {name: [surest(each) for each in found] for name, found in predicted.items()},
            count,
        )


def _settings(steps: int | None, compute: ComputeSettings) -> dict[str, Any]:
    """What the protocols were given besides data."""
    return {
        "confidence": CONFIDENCE,
        "device": str(compute.device),
        "autocast": compute.autocast,
        "features": "all maps of the encoder of at most 32 places in a row, joined at the size of the finest",
        "detector": {
            "name": "FCOS",
            "channels": CHANNELS,
            "scales": SCALES,
            "least_score": LEAST_SCORE,
            "most_boxes": MOST_BOXES,
        },
        "supervised": {
            "optimizer": "adamw",
            "schedule": "linear warm-up, cosine to zero",
            "steps": steps or STEPS,
            "batch_size": BATCH_IMAGES,
            "lr": {"head": HEAD_RATE, "encoder": ENCODER_RATES},
        },
        "shown_score": SHOWN_SCORE,
    }
