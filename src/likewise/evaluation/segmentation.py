"""Semantic segmentation with few annotated images, beside everything it should be compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Integer, UInt8
from torch import Tensor, nn

from likewise.checks import check_int
from likewise.data.annotations.annotation import BACKGROUND, IGNORE
from likewise.errors import UserError
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
from likewise.evaluation.features import evenly_spaced, standardization
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.knn import TEMPERATURE, nearest_neighbors, votes
from likewise.evaluation.linear import FEW_LABELS_VARIANCE, fit_linear
from likewise.evaluation.measures import CONFIDENCE
from likewise.evaluation.object_discovery import (
    correct_localization,
    object_box,
    object_boxes,
    places_inside,
    whole_box,
)
from likewise.evaluation.protocols import PROTOCOLS, LineStyle
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.segmentation_decoder import MapDecoder
from likewise.evaluation.segmentation_measures import (
    boundary_radius,
    boundary_scores,
    class_ious,
    mean_of_known,
    pixel_confusion,
)
from likewise.evaluation.segmenter import (
    Colours,
    DecodedSegmenter,
    DenseEncoder,
    Segmenter,
    object_map,
    pca_colours,
    place_labels,
    resized,
    some_places,
    train_segmenter,
)
from likewise.evaluation.supervised import FINE_TUNED_HEAD, SCRATCH, Rates
from likewise.runs.counts import nearest_to_typical

DECODER = "frozen-decoder"
SEGMENTATION_PROTOCOLS = (
    "scratch", "frozen", DECODER, "fine-tuned", "frozen-knn", "as-given", "untrained", "raw-logistic",
)  # fmt: skip
"""In the order of tables; each but the decoder is one of `likewise.evaluation.PROTOCOLS`."""
DISCOVERING = ("frozen", "as-given", "untrained", "raw-logistic")
"""Those whose features also find objects without any annotation."""
TRAINED = ("scratch", "fine-tuned")
"""Those that train the encoder, too."""
MEASURES = {"miou": "mean intersection over union", "boundary_f": "boundary F score"}
AT_ONCE = 64
"""Masks that are measured at once."""
MOST_COUNTED = 1_000
"""Masks that say which class is the commonest."""

# Chosen beforehand; no evaluation tunes them.
STEPS, PART_OF_STEPS = 240, 0.5
BATCH_IMAGES = 8
FINE_TUNING_RATE = 2e-4
MOST_PLACES = 10_000
"""That a linear head learns from."""
MOST_NEIGHBORS, NEIGHBORS = 2_000, 20
"""Places that vote may be among, and how many vote for one."""
RAW_PLACES = 24


class SegmentationData(AnnotatedData):
    """Some images with masks."""

    def masks(self, places: Int[Tensor, " m"]) -> Integer[Tensor, "m h w"]:
        return self.numbers[self.source.masks(self.indices[places])]


class SegmentationPictures(NamedTuple):
    """What some test images look like, and what protocols made of them with the first seed."""

    ids: list[str]
    images: UInt8[Tensor, "m c h w"]
    truth: Integer[Tensor, "m h w"]
    predicted: dict[str, Integer[Tensor, "m h w"]]
    labelled: LabelCount
    colours: dict[str, UInt8[Tensor, "m 3 h w"]]
    """Principal components of the features of encoders, by protocol."""


class SegmentationResult(NamedTuple):
    """The value of "segmentation" in `evaluation.json`, and pictures."""

    values: dict[str, Any]
    pictures: SegmentationPictures


def same_classes(
    train: Sequence[str], test: Sequence[str]
) -> tuple[list[str], Int[Tensor, " 256"], Int[Tensor, " 256"]]:
    """The classes of two sources by their names, those of `train` first, and what values of masks are among these.

    Raises:
        UserError: where no class is in both.
    """
    classes = list(dict.fromkeys([*train, *test]))
    if not set(train) & set(test):
        raise UserError(
            f"train and test must have classes in common, got {', '.join(train[:5])} and {', '.join(test[:5])}"
        )

    def numbers(names: Sequence[str]) -> Int[Tensor, " 256"]:
        found = torch.full((256,), IGNORE)
        found[: len(names)] = torch.tensor([classes.index(name) for name in names])
        return found

    return classes, numbers(train), numbers(test)


def evaluate_segmentation(
    encoder: nn.Module,
    views: EvaluationViews,
    train: SegmentationData,
    test: SegmentationData,
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
) -> SegmentationResult:
    """Measure how well classes of pixels are predicted by protocols that learn from some annotated images.

    All protocols of a seed learn from the same images, and larger draws include the smaller ones. Predictions are
    measured at the size of the views. The test part is only measured on.

    Args:
        encoder: pretrained, with `features(view)` of places and `grid(view)`; it is copied, never changed.
        views: the `clean` ones; their `weak_ops` say whether mirrored images are usual.
        train, test: annotated images.
        classes: their names.
        labelled: how many annotated images a protocol may learn from; None: `USUAL_IMAGES`, and all.
        seeds: number of draws, at least 1.
        protocols: some of `SEGMENTATION_PROTOCOLS`; None: all, `as-given` only with `given`.
        steps: of the optimizer from scratch, half as many for fine-tuning; None: `STEPS`.
        make_encoder: builds the untrained architecture; None: a copy of `encoder` with new weights.
        given: the encoder as it was before the training, where that went on from known weights.
        compute: where and how networks are run.
        progress: called with (trials done, of how many, what is being done).

    Raises:
        UserError: for an argument or data that cannot be evaluated.
    """
    check_int(seeds=seeds, steps=steps)
    names = check_segmentation_protocols(protocols, given=given is not None)
    check_has_places(encoder)
    counts = image_counts(labelled, len(train.chosen), train.source.name)
    typical = nearest_to_typical(counts, TYPICAL_IMAGES)
    compute = compute or ComputeSettings(torch.device("cpu"))
    evaluation = SegmentationEvaluation(
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
    details = {name: protocol_details(name) for name in names}
    values = annotated_values(evaluation, classes, details, counts, seeds, trials, MEASURES) | {
        "baseline": evaluation.constant(classes),
        "settings": _settings(steps, compute, train.source.size),
    }
    if classes[0] == BACKGROUND and any(name in names for name in DISCOVERING):
        values["discovery"] = evaluation.discovery(names, seeds)
    return SegmentationResult(values, evaluation.pictures(predicted, typical))


def check_segmentation_protocols(names: Sequence[str] | None, *, given: bool) -> list[str]:
    """See `chosen_protocols`."""
    return annotated_protocols(names, SEGMENTATION_PROTOCOLS, "segmentation", given=given)


def protocol_details(name: str) -> dict[str, Any]:
    """What tables need of a protocol."""
    if name == DECODER:
        style = LineStyle("--sky", "solid", "square")
        return {"label": "Decoder on the frozen encoder", "style": style._asdict(), "pretrained": True}
    return PROTOCOLS[name]().details("colours")


class PlaceTable(NamedTuple):
    """Features of places that have a class, standardized, on the CPU."""

    features: Float[Tensor, "m d"]
    labels: Int[Tensor, " m"]
    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]


class SegmentationEvaluation(AnnotatedEvaluation[SegmentationData, Integer[Tensor, "n h w"]]):
    """What the trials of one evaluation share; see `AnnotatedEvaluation`."""

    def __init__(self, **shared: Any) -> None:
        super().__init__(**shared)
        test = self.test
        self.truth = torch.cat([test.masks(some).to(torch.uint8) for some in torch.arange(len(test)).split(AT_ONCE)])
        self.show(torch.tensor([len(mask[mask != IGNORE].unique()) > 1 for mask in self.truth]))
        self.radius = boundary_radius(*self.truth.shape[1:])
        self._heads: dict[tuple[int, LabelCount], nn.Linear] = {}

    def measured(self, predicted: Integer[Tensor, "n h w"]) -> dict[str, Any]:
        """The measures of predictions of the test images."""
        parts = zip(self.truth.split(AT_ONCE), predicted.split(AT_ONCE), strict=True)
        confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)
        for truth, guess in parts:
            confusion += pixel_confusion(truth, guess, self.classes)
        ious = class_ious(confusion)
        scores = boundary_scores(self.truth, predicted, self.classes, self.radius)
        return {"miou": mean_of_known(ious), "boundary_f": mean_of_known(scores), "iou": ious, "f": scores}

    def constant(self, classes: list[str]) -> dict[str, Any]:
        """The measures of predicting the commonest class of the training images everywhere."""
        counts = torch.zeros(self.classes, dtype=torch.int64)
        for some in evenly_spaced(len(self.train), MOST_COUNTED).split(AT_ONCE):
            masks = self.train.masks(some)
            counts += masks[masks != IGNORE].bincount(minlength=self.classes)
        commonest = int(counts.argmax())
        found = self.measured(torch.full_like(self.truth, commonest))
        return {"class": classes[commonest], "miou": found["miou"], "boundary_f": found["boundary_f"]}

    def predicted(self, name: str, seed: int, count: LabelCount) -> Integer[Tensor, "n h w"]:
        """What a protocol predicts after learning from a draw."""
        if name != "frozen-knn":
            return self._predict(self.fitted(name, seed, count))
        dense = self.dense(name, seed)
        table = self.places(dense, seed, count, MOST_NEIGHBORS)

        def vote(maps: Float[Tensor, "n d i j"]) -> Float[Tensor, "n classes i j"]:
            rows = (maps.movedim(1, 3).flatten(0, 2).cpu() - table.mean) / table.scale
            similarities, positions = nearest_neighbors(rows, table.features, min(NEIGHBORS, len(table.features)))
            found = votes(similarities, table.labels[positions], self.classes)
            shares = found / found.sum(1, keepdim=True)
            return shares.unflatten(0, (len(maps), *maps.shape[2:])).movedim(3, 1)

        return self._predict(dense, vote)

    def some(self, predicted: Integer[Tensor, "n h w"], places: Int[Tensor, " m"]) -> Integer[Tensor, "m h w"]:
        return predicted[places]

    def fitted(self, name: str, seed: int, count: LabelCount) -> Segmenter | DecodedSegmenter:
        """What a protocol has learned from a draw, in evaluation mode."""
        if name == DECODER:
            return self._decoded(seed, count)
        if name in TRAINED:
            return self._trained(name, seed, count)
        return Segmenter(self.dense(name, seed), self._fit_head(name, seed, count)).eval()

    def _fit_head(self, name: str, seed: int, count: LabelCount) -> nn.Linear:
        """Logistic regression on places, for features as they are."""
        table = self.places(self.dense(name, seed), seed, count, MOST_PLACES)
        head = fit_linear(table.features, table.labels, self.classes, variance=FEW_LABELS_VARIANCE)
        with torch.no_grad():
            head.weight.div_(table.scale)
            head.bias.sub_(head.weight @ table.mean)
        head = head.requires_grad_(False).to(self.compute.device)
        if name == "frozen":
            self._heads[seed, count] = head
        return head

    def _trained(self, name: str, seed: int, count: LabelCount) -> Segmenter:
        """Encoder and head trained together: from new weights, or from the pretrained ones and the head of `frozen`."""
        if name == "scratch":
            dense, rates = self.dense_to_train(name), SCRATCH
            with torch.no_grad():
                dim = self.compute.forward(dense.eval(), self.a_view()).shape[1]
            head = nn.Linear(dim, self.classes).to(self.compute.device)
        else:
            if (seed, count) not in self._heads:
                with seeded(trial_seed(seed, "frozen", count), self.compute.device):
                    self._fit_head("frozen", seed, count)
            dense = self.dense_to_train(name)
            head, rates = copy.deepcopy(self._heads[seed, count]), Rates(FINE_TUNING_RATE, FINE_TUNED_HEAD)
        segmenter = Segmenter(dense, head.requires_grad_(True))
        self._train(segmenter, rates, name, seed, count)
        return segmenter

    def _decoded(self, seed: int, count: LabelCount) -> DecodedSegmenter:
        """A decoder trained on the maps of the frozen encoder."""
        dense = DenseEncoder(self.encoders["frozen"])
        table = self.places(dense, seed, count, MOST_PLACES)
        with torch.no_grad():
            first = self.views.clean(self.train.images(torch.tensor([0])).to(self.compute.device))
            widths = [each.shape[1] for each in dense.maps(first)]
        head = MapDecoder(table.mean.split(widths), table.scale.split(widths), self.classes)
        segmenter = DecodedSegmenter(dense, head)
        self.compute.place(segmenter)
        self._train(segmenter, Rates(0.0, FINE_TUNED_HEAD), DECODER, seed, count)
        return segmenter

    def _train(
        self, segmenter: Segmenter | DecodedSegmenter, rates: Rates, name: str, seed: int, count: LabelCount
    ) -> None:
        """Train a protocol on the images of a draw."""
        drawn = self.draws[seed, count]
        train_segmenter(
            segmenter,
            self.views,
            lambda some: (self.train.images(drawn[some]), self.train.masks(drawn[some])),
            len(drawn),
            rates=rates,
            steps=self.steps_of(name),
            batch_size=min(BATCH_IMAGES, len(drawn)),
            seed=trial_seed(seed, name, count),
            compute=self.compute,
            callback=lambda step: None,
        )

    def steps_of(self, name: str) -> int:
        """Optimisation steps of a protocol that is trained by them."""
        steps = self.steps or STEPS
        return max(1, round(PART_OF_STEPS * steps)) if name == "fine-tuned" else steps

    def dense(self, name: str, seed: int) -> nn.Module:
        return Colours(RAW_PLACES) if name == "raw-logistic" else super().dense(name, seed)

    @torch.no_grad()
    def places(self, dense: nn.Module, seed: int, count: LabelCount, most: int) -> PlaceTable:
        """Places of the drawn images that have a class, at most `most`, drawn at random."""
        drawn = self.draws[seed, count]
        generator = torch.Generator().manual_seed(trial_seed(seed, "places", count))
        of_each = -(-2 * most // len(drawn))
        features, labels = [], []
        for some in drawn.split(self.compute.batch_size):
            view = self.views.clean(self.train.images(some).to(self.compute.device))
            maps = self.compute.forward(dense, view).cpu()
            truth = place_labels(self.train.masks(some), (maps.shape[2], maps.shape[3]), self.classes)
            chosen = some_places(truth != IGNORE, of_each, generator)
            features.append(maps.movedim(1, 3)[chosen])
            labels.append(truth[chosen])
        found, known = torch.cat(features), torch.cat(labels)
        if not len(known):
            raise UserError(f"{self.train.source.name}: no place of the {count} annotated images has a known class")
        if not found.isfinite().all():
            raise UserError("features must be finite, got others: the weights are damaged, or their training diverged")
        if len(known) > most:
            chosen = torch.randperm(len(known), generator=generator)[:most]
            found, known = found[chosen], known[chosen]
        mean, scale = standardization(found)
        return PlaceTable((found - mean) / scale, known, mean, scale)

    @torch.inference_mode()
    def _predict(
        self, network: nn.Module, scores: Callable[[Tensor], Tensor] = lambda maps: maps
    ) -> Integer[Tensor, "n h w"]:
        """The class of each pixel of the test images, by what `scores` makes of the network's maps."""
        found = []
        for some in torch.arange(len(self.test)).split(self.compute.batch_size):
            view = self.views.clean(self.test.images(some).to(self.compute.device))
            maps = scores(self.compute.forward(network.eval(), view))
            found.append(resized(maps, self.truth.shape[1:]).argmax(1).to(torch.uint8).cpu())
        return torch.cat(found)

    def discovery(self, names: Sequence[str], seeds: int) -> dict[str, Any]:
        """CorLoc of boxes that features alone find in the test images, by protocol, seed by seed where these differ."""
        frames = [self.test.source.frames[i] for i in self.test.indices.tolist()]
        truth = [object_boxes(mask) for mask in self.truth]
        found = {
            name: [self._localized(name, seed, frames, truth) for seed in range(seeds if name == "untrained" else 1)]
            for name in DISCOVERING
            if name in names
        }
        whole = correct_localization([whole_box(frame) for frame in frames], truth)
        return {"images": sum(map(bool, truth)), "corloc": found, "whole_image": whole}

    def _localized(self, name: str, seed: int, frames: list[Any], truth: list[Any]) -> float | None:
        dense, size = self.dense(name, seed).eval(), self.truth.shape[1]
        boxes = []
        for some in torch.arange(len(self.test)).split(self.compute.batch_size):
            with torch.inference_mode():
                view = self.views.clean(self.test.images(some).to(self.compute.device))
                maps = self.compute.forward(partial(object_map, dense), view).cpu()
            for features, place in zip(maps, some.tolist(), strict=True):
                shape = features.shape[1], features.shape[2]
                box = object_box(features, places_inside(frames[place], size, shape))
                across, down = size / shape[1], size / shape[0]
                boxes.append((box[0] * across, box[1] * down, box[2] * across, box[3] * down))
        return correct_localization(boxes, truth)

    def pictures(self, predicted: dict[str, Tensor], count: LabelCount) -> SegmentationPictures:
        """Some test images with all that there is to see of them."""
        images = self.test.images(self.shown)
        colours = {}
        for name in ("untrained", "as-given", "frozen"):
            if name == "as-given" and name not in self.encoders:
                continue
            with torch.inference_mode():
                dense = self.dense(name, 0).eval()
                maps = self.compute.forward(dense, self.views.clean(images.to(self.compute.device))).cpu()
            colours[name] = pca_colours(maps, self.truth.shape[1])
        return SegmentationPictures(
            [self.test.source.ids[i] for i in self.test.indices[self.shown].tolist()],
            images,
            self.truth[self.shown],
            predicted,
            count,
            colours,
        )


def _settings(steps: int | None, compute: ComputeSettings, size: int) -> dict[str, Any]:
    """What the protocols were given besides data."""
    return {
        "confidence": CONFIDENCE,
        "device": str(compute.device),
        "autocast": compute.autocast,
        "features": "all maps of the encoder of at most 32 places in a row, joined at the size of the finest",
        "linear": {"solver": "L-BFGS", "prior_variance": FEW_LABELS_VARIANCE, "places": MOST_PLACES},
        "knn": {
            "similarity": "cosine",
            "neighbors": NEIGHBORS,
            "temperature": TEMPERATURE,
            "places": MOST_NEIGHBORS,
        },
        "supervised": {
            "optimizer": "adamw",
            "schedule": "linear warm-up, cosine to zero",
            "steps": steps or STEPS,
            "part_of_steps_fine_tuned": PART_OF_STEPS,
            "batch_size": BATCH_IMAGES,
            "lr": {
                "scratch": SCRATCH.encoder,
                "fine_tuned_encoder": FINE_TUNING_RATE,
                "fine_tuned_head": FINE_TUNED_HEAD,
                "decoder": FINE_TUNED_HEAD,
            },
        },
        "boundary_radius": boundary_radius(size, size),
    }
