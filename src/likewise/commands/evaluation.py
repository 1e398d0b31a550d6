"""An evaluation from two sources to its result: few labels where there are labels, and what each modality adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from likewise.errors import UserError
from likewise.evaluation import DEFAULT_PROTOCOLS, ComputeSettings, evaluate_encoder
from likewise.evaluation.labels import check_label_counts, shared_labels
from likewise.modalities import EvaluationInputs, encoder_for, modality_of
from likewise.registry import MODALITIES
from likewise.training.callbacks.progress import progress_bar
from likewise.training.machine import device_name

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.source import Source
    from likewise.evaluation.features import RawFeatures

USUAL_COUNTS = (1, 10, 100)


class Judged(NamedTuple):
    """What is judged: an encoder, its views, and what builds the encoder anew."""

    encoder: nn.Module
    views: Any
    build: Callable[[], nn.Module] | None
    modality: str


def evaluate_on(
    judged: Judged,
    train: Source | None,
    test: Source,
    *,
    folder: Path,
    learned: Source | None,
    labels_per_class: Sequence[int | Literal["all"]] | None,
    seeds: int,
    protocols: Sequence[str] | None,
    steps: int | None,
    autocast: bool,
    unlabelled: UserError | None,
    progress: bool,
) -> dict[str, Any]:
    """What `likewise evaluate` finds; see there. What can be looked at is written into `folder`.

    Args:
        learned: what baselines may learn from: `train`, or, without it, what the encoder learned from.
        unlabelled: why there are no labels to draw from, where that is known.

    Raises:
        UserError: when nothing can be measured: no labels, and nothing that the samples say without them.
    """
    encoder, views = encoder_for(test.modality, judged.encoder, judged.views)
    compute = ComputeSettings(torch.device(device_name()), autocast=autocast, channels_last=True)
    known = test.modality in MODALITIES and judged.modality in MODALITIES
    result: dict[str, Any] = {"test": test.name, "samples": {"test": len(test)}}
    # The label of a pair says nothing about either half.
    single = test.modality != "pair" and (train is None or train.modality != "pair")
    labelled = single and train is not None and bool(train.classes) and bool(test.classes)
    with progress_bar(show=progress) as say:
        if labelled:
            assert train is not None
            baseline: RawFeatures | None = None
            if known:
                baseline = modality_of(test.modality).baseline(views, compute, train)
            result = evaluate_encoder(
                encoder,
                views,
                train,
                test,
                make_encoder=judged.build and _tower_builder(judged, test.modality),
                labels_per_class=label_counts(train, test, labels_per_class, seeds),
                seeds=seeds,
                protocols=protocols or DEFAULT_PROTOCOLS,
                steps=steps,
                raw=baseline,
                device=device_name(),
                autocast=autocast,
                channels_last=True,
                progress=say,
            )
        tables = []
        if known:
            device = compute.place(judged.encoder).eval()
            inputs = EvaluationInputs(device, judged.views, learned, test, judged.build, compute, folder)
            tables = [table.as_dict() for table in modality_of(judged.modality).measure(inputs)]
        if tables:
            result["tables"] = tables
    if not labelled and not tables:
        if train is not None and single:
            shared_labels(train, test)  # says what is missing
        raise unlabelled or UserError(
            f"{test.name} has no labels, and there is nothing else to measure the encoder by: name labelled data with "
            "--train and --test"
        )
    return result


def _tower_builder(judged: Judged, modality: str) -> Callable[[], nn.Module]:
    build = judged.build
    assert build is not None
    return lambda: encoder_for(modality, build(), judged.views)[0]


def label_counts(
    train: Source, test: Source, counts: Sequence[int | Literal["all"]] | None, seeds: int
) -> Sequence[int | Literal["all"]]:
    """How many labels to draw, checked: the usual counts that there are, and all, if nothing is asked for."""
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, got {seeds}")
    classes, labels, _ = shared_labels(train, test)
    if counts is None:
        fewest = int(labels.bincount(minlength=len(classes)).min())
        counts = [*(count for count in USUAL_COUNTS if count <= fewest), "all"]
    check_label_counts(list(counts), labels, classes, train.name)
    return counts
