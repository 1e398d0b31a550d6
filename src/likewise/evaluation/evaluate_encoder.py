"""What a pretrained encoder is worth with few labels, beside everything it should be compared with."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from likewise.data.source import Source
from likewise.errors import UserError, nearest
from likewise.evaluation import few_labels as bench
from likewise.evaluation import knn, linear, supervised
from likewise.evaluation.features import Baseline, raw_features
from likewise.evaluation.few_labels import DEFAULT_PROTOCOLS, DETERMINISTIC, PROTOCOLS, FewLabelEvaluation
from likewise.evaluation.inputs import EvaluationViews, LabelCount, Machine, Progress
from likewise.evaluation.labels import check_label_counts, draw_labels, shared_labels
from likewise.evaluation.measures import CONFIDENCE, summarise
from likewise.evaluation.reinitialize import reinitialize


def evaluate_encoder(
    encoder: nn.Module,
    views: EvaluationViews,
    train: Source,
    test: Source,
    *,
    labels_per_class: Sequence[LabelCount] = (1, 10, 100, "all"),
    seeds: int = 5,
    protocols: Sequence[str] = DEFAULT_PROTOCOLS,
    steps: int | None = None,
    make_encoder: Callable[[], nn.Module] | None = None,
    raw: Baseline | None = None,
    batch_size: int = 128,
    device: torch.device | str = "cpu",
    autocast: bool = False,
    channels_last: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure every way of using few labels, on labels drawn anew for each seed.

    All ways of a seed see the same labels, and those for more labels include those for fewer. The test split
    is only measured on: it chooses no step, no rate and no regularisation. The ways:

    - `scratch`: the same architecture, newly initialised, trained on weak views of the labelled samples.
    - `frozen`: logistic regression on the encoder's standardised features.
    - `fine-tuned`: encoder and head trained on weak views, from the frozen way's head (arXiv:2202.10054).
    - `untrained`: the frozen way on a newly initialised encoder.
    - `raw-knn`, `raw-logistic`: nearest neighbours, and logistic regression, on raw features.
    - `frozen-knn`: nearest neighbours on the encoder's features (arXiv:1805.01978).

    Args:
        encoder: pretrained, view -> (n, dim), knowing its `dim`; it is copied, never changed.
        views: the modality's `clean` and `weak` views.
        train, test: labelled sources; classes are matched by name.
        labels_per_class: how many labels of each class the ways may see, in the order of the result.
        seeds: number of label draws (and initialisations).
        protocols: among those above, in the order of the result.
        steps: optimisation steps of `scratch`, half as many for `fine-tuned`; None: `budget(labels)`.
        make_encoder: builds the untrained architecture; None re-initialises a copy of `encoder` (`reinitialize`).
        raw: raw features (n, d), d up to some thousands; None: the clean view, pooled if large.
        batch: samples at a time, at most.
        device, autocast, channels_last: where, in bfloat16 or not, in which layout.
        progress: called with (samples worked through, of how many, what is being done).

    Returns:
        The contents of `evaluation.json` but for "command". Accuracies are in [0, 1]. A way that would give the same
        result for every seed (all labels, nothing random) has one trial. A trial's "confusion" holds the non-zero
        entries of its matrix, each [true, predicted, count]; the "epoch" of its "curve" is, for the ways that fit a
        linear model, an iteration of the solver. Reproducible to the bit on a CPU, but for the seconds.

    Raises:
        UserError: for an argument or data that cannot be evaluated.
    """
    if isinstance(seeds, bool) or seeds < 1:
        raise UserError(f"seeds: got {seeds}; give a whole number from 1")
    if batch_size < 1:
        raise UserError(f"batch: got {batch_size}; give a whole number from 1")
    if steps is not None and steps < 1:
        raise UserError(f"steps: got {steps}; give a whole number from 1")
    if not protocols:
        raise UserError(f"protocols: got none; give some of {', '.join(PROTOCOLS)}")
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise UserError(
                f"protocols: unknown protocol '{protocol}'{nearest(protocol, PROTOCOLS)}; "
                f"known are {', '.join(PROTOCOLS)}"
            )
    counts = list(dict.fromkeys(labels_per_class))
    protocols = list(dict.fromkeys(protocols))
    classes, train_labels, test_labels = shared_labels(train, test)
    check_label_counts(counts, train_labels, classes, train.name)

    machine = Machine(torch.device(device), batch_size, autocast, channels_last)
    pretrained = machine.place(copy.deepcopy(encoder)).requires_grad_(True).eval()
    raw = raw or Baseline("raw views", raw_features(views, machine))
    shared = FewLabelEvaluation(
        pretrained=pretrained,
        make_encoder=make_encoder or partial(reinitialize, pretrained),
        views=views,
        raw=raw,
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        classes=len(classes),
        draws={(s, k): draw_labels(train_labels, k, s) for s in range(seeds) for k in counts},
        steps=steps,
        machine=machine,
        progress=progress or (lambda done, total, doing: None),
    )
    plan = [
        (protocol, count, seed)
        for seed in range(seeds)
        for count in counts
        for protocol in protocols
        if not (seed and count == "all" and protocol in DETERMINISTIC)
    ]
    trials = sorted(
        shared.run(plan),
        key=lambda t: (protocols.index(t["protocol"]), counts.index(t["labels_per_class"]), t["seed"]),
    )
    frequencies = torch.bincount(test_labels, minlength=len(classes))
    return {
        "train": train.name,
        "test": test.name,
        "classes": classes,
        "samples": {"train": len(train), "test": len(test)},
        "seeds": seeds,
        "labels_per_class": counts,
        "protocols": protocols,
        "raw": raw.name,
        "chance": 1 / len(classes),
        "majority": int(frequencies.max()) / len(test),
        "trials": trials,
        "summary": summarise(trials),
        "settings": _settings(steps, machine),
    }


def _settings(steps: int | None, machine: Machine) -> dict[str, Any]:
    """What the ways were given besides data: enough to repeat them, and to judge whether they were fair."""
    return {
        "confidence": CONFIDENCE,
        "device": str(machine.device),
        "autocast": machine.autocast,
        "channels_last": machine.channels_last,
        "batch": machine.batch_size,
        "curve_samples": bench.CURVE_SAMPLES,
        "reference_samples": bench.REFERENCE_SAMPLES,
        "training": {
            "optimizer": "adamw",
            "schedule": "linear warm-up, cosine to zero",
            "weight_decay": supervised.WEIGHT_DECAY,
            "steps": steps or f"max({supervised.FEWEST_STEPS}, {supervised.STEPS_PER_ROOT}·√labels)",
            "scratch": dataclasses.asdict(supervised.SCRATCH),
            "batch": f"min(labels, {machine.batch_size}, max({supervised.SMALLEST_BATCH}, labels/8))",
            "fine-tuned": {
                "encoder": f"min({supervised.FINE_TUNED_HEAD}, {supervised.FINE_TUNED_PER_ROOT:.3g}·√labels)",
                "head": supervised.FINE_TUNED_HEAD,
                "part_of_steps": supervised.FINE_TUNED_PART,
            },
        },
        "linear": {
            "solver": "L-BFGS",
            "iterations": linear.ITERATIONS,
            "prior_variances": list(linear.VARIANCES),
            "prior_variance_of_few": linear.FEW_VARIANCE,
            "folds": linear.FOLDS,
        },
        "knn": {"similarity": "cosine", "neighbours": list(knn.NEIGHBOURS), "temperature": knn.TEMPERATURE},
    }
