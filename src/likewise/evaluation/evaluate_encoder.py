"""The accuracy of a pretrained encoder with few labels, beside everything it should be compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from likewise.checks import check_int
from likewise.data.source import Source, labelled_part
from likewise.errors import UserError, nearest
from likewise.evaluation.curves import CURVE_SAMPLES
from likewise.evaluation.features import REFERENCE_SAMPLES, RawFeatures, raw_features
from likewise.evaluation.few_labels import FewLabelEvaluation
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.labels import MOST_SEEDS, check_label_counts, draw_labels, label_notes, shared_labels
from likewise.evaluation.measures import CONFIDENCE, paired_differences, summarize
from likewise.evaluation.protocols import DEFAULT_PROTOCOLS, PROTOCOLS, EvaluationProtocol
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.until_clear import UntilClear, main_difference
from likewise.runs.counts import nearest_to_typical

UNEVEN_FROM = 1.5
"""Times as many test samples of the largest class as of the smallest, above which classes are uneven."""

MOST_STEPS = 10**9


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
    given: nn.Module | None = None,
    raw: RawFeatures | None = None,
    batch_size: int = 128,
    device: torch.device | str = "cpu",
    autocast: bool = False,
    channels_last: bool = False,
    progress: Progress | None = None,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Measure the accuracy of several protocols, on labels drawn anew for each seed.

    All protocols of a seed use the same labels, and larger draws include the smaller ones. The test split is only
    measured on: it chooses no step, no learning rate and no regularisation.

    Args:
        encoder: pretrained, view -> (n, dim), with its `dim` as an attribute; it is copied, never changed.
        views: the modality's `clean` and `weak` views.
        train, test: labelled sources; classes are matched by name. Samples without a label are left out: "notes" of the
            result says how many.
        labels_per_class: how many labels of each class a protocol may use, in the order of the result.
        seeds: number of draws of labels (and of initialisations), at least 1.
        protocols: names in `likewise.evaluation.PROTOCOLS`, whose classes say what each does; in the order of the
            result. Of the default ones, those that need `given` are left out without it.
        steps: optimisation steps of `scratch`, half as many for `fine-tuned`, at least 1; None: `budget(labels)`.
        make_encoder: builds the untrained architecture; None: a copy of `encoder` with new weights (`reinitialize`).
        given: the encoder as it was before the training, where that went on from known weights.
        raw: raw features (n, d), d up to some thousands; None: the clean view, pooled if large.
        batch_size: samples at a time, at most; at least 1.
        device, autocast, channels_last: where networks run, whether in bfloat16, and in which memory layout.
        progress: called with (samples processed, of how many, what is being done).
        minutes: draws are added to `seeds` until the interval of the main difference (frozen against scratch, with
            about 10 labels per class) is narrower than 2 points, or these minutes are over; None adds none.

    Returns:
        The contents of `evaluation.json` but for "command". Accuracies are in [0, 1]. A protocol that gives the same
        result for every seed (all labels, nothing else random) has one trial. A trial's "confusion" holds the non-zero
        entries of its matrix, each [true, predicted, count]; the "epoch" of its "curve" is an iteration of the solver
        for logistic regression. "protocol_details" says of each protocol what tables and charts need: its label, line
        style, and whether it uses the pretrained encoder. "differences" compares protocols that do with those that do
        not, seed by seed (see `paired_differences`); "uneven": whether classes are, so that "balanced_accuracy" and
        "macro_f1" tell more. Reproducible to the bit on a CPU with the same number of
        threads ("settings" has it), but for the seconds.

    Raises:
        UserError: for an argument or data that cannot be evaluated.
    """
    _check_numbers(seeds, batch_size, steps)
    chosen = _protocols(protocols, given=given is not None)
    counts = list(dict.fromkeys(labels_per_class))
    classes, train_labels, test_labels = shared_labels(train, test)
    check_label_counts(counts, train_labels, classes, train.name)
    notes = label_notes(counts, (train.name, train_labels), (test.name, test_labels), classes)
    train, test = labelled_part(train), labelled_part(test)
    train_labels, test_labels = train_labels[train_labels >= 0], test_labels[test_labels >= 0]

    compute = ComputeSettings(torch.device(device), batch_size, autocast, channels_last)
    pretrained = compute.place(copy.deepcopy(encoder)).requires_grad_(True).eval()
    raw = raw or RawFeatures("raw views", raw_features(views, compute))
    evaluation = FewLabelEvaluation(
        pretrained=pretrained,
        given=None if given is None else compute.place(copy.deepcopy(given)).eval(),
        make_encoder=make_encoder or partial(reinitialize, pretrained),
        views=views,
        raw=raw,
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        classes=len(classes),
        draws={},
        steps=steps,
        compute=compute,
        progress=progress or (lambda done, total, text: None),
    )
    names = list(chosen)
    trials: list[dict[str, Any]] = []
    pair = main_difference(names)
    goes_on = None
    if minutes is not None and pair is not None and _is_random(pair, counts):
        goes_on = UntilClear(pair, 60 * minutes)
    drawn = range(seeds)
    while drawn:
        evaluation.draws |= {(s, k): draw_labels(train_labels, k, s) for s in drawn for k in counts}
        plan = [
            (protocol, count, seed)
            for seed in drawn
            for count in counts
            for protocol in chosen.values()
            if not (seed and count == "all" and protocol.deterministic)
        ]
        trials += evaluation.run(plan)
        drawn = range(drawn.stop, drawn.stop + (goes_on is not None and goes_on(trials)))
    seeds = drawn.stop
    trials.sort(key=lambda t: (names.index(t["protocol"]), counts.index(t["labels_per_class"]), t["seed"]))
    frequencies = torch.bincount(test_labels, minlength=len(classes))
    return {
        "train": train.name,
        "test": test.name,
        "classes": classes,
        "samples": {"train": len(train), "test": len(test)},
        "seeds": seeds,
        "labels_per_class": counts,
        "protocols": names,
        "protocol_details": {name: protocol.details(raw.name) for name, protocol in chosen.items()},
        "raw": raw.name,
        "chance": 1 / len(classes),
        "majority": int(frequencies.max()) / len(test),
        "trials": trials,
        "summary": summarize(trials),
        "differences": paired_differences(trials, [(a, b) for a in names for b in names if _compared(chosen, a, b)]),
        "uneven": bool(frequencies.max() > UNEVEN_FROM * frequencies[frequencies > 0].min()),
        "settings": _settings(evaluation, chosen.values()),
    } | ({"notes": notes} if notes else {})


def _is_random(pair: tuple[str, str], counts: Sequence[LabelCount]) -> bool:
    """Whether another draw of labels can change the difference of two protocols with the typical number of labels."""
    return nearest_to_typical(counts) != "all" or not all(PROTOCOLS[name].deterministic for name in pair)


def _compared(protocols: dict[str, EvaluationProtocol], one: str, other: str) -> bool:
    """Whether one protocol uses what the training has learned, and the other does not."""
    return protocols[one].pretrained and not protocols[other].pretrained


def check_evaluation(protocols: Sequence[str], steps: int | None, *, given: bool) -> None:
    """Raise `UserError` for a protocol that can't be run, or no step: before a training, not after it.

    Args:
        given: whether the training goes on from known weights.
    """
    _protocols(protocols, given=given)
    check_int(steps=steps)
    check_int(1, MOST_STEPS, steps=steps)


def _check_numbers(seeds: int, batch_size: int, steps: int | None) -> None:
    if isinstance(seeds, bool):
        raise UserError(f"seeds must be a whole number of at least 1, got {seeds}")
    check_int(seeds=seeds, batch_size=batch_size, steps=steps)
    check_int(1, MOST_SEEDS, seeds=seeds)
    check_int(1, MOST_STEPS, steps=steps)


def _protocols(names: Sequence[str], *, given: bool) -> dict[str, EvaluationProtocol]:
    """An instance of each protocol, by name, for one evaluation.

    Raises:
        UserError: for no name, or an unknown one.
    """
    known = ", ".join(PROTOCOLS)
    if not names:
        raise UserError(f"protocols must be some of {known}, got none")
    for name in names:
        if name not in PROTOCOLS:
            raise UserError(f"protocols must be some of {known}, got '{name}'{nearest(name, PROTOCOLS)}")
    lacking = [name for name in names if PROTOCOLS[name].needs_given and not given]
    if lacking and names is not DEFAULT_PROTOCOLS:
        raise UserError(
            f"{lacking[0]} needs a run that went on from known weights: `likewise pretrain DATA --weights …`"
        )
    return {name: PROTOCOLS[name]() for name in dict.fromkeys(names) if name not in lacking}


def _settings(evaluation: FewLabelEvaluation, protocols: Iterable[EvaluationProtocol]) -> dict[str, Any]:
    """What the protocols were given besides data: enough to repeat them, and to see whether they were fair."""
    compute = evaluation.compute
    settings: dict[str, Any] = {
        "confidence": CONFIDENCE,
        "device": str(compute.device),
        "threads": torch.get_num_threads(),
        "autocast": compute.autocast,
        "channels_last": compute.channels_last,
        "batch_size": compute.batch_size,
        "curve_samples": CURVE_SAMPLES,
        "reference_samples": REFERENCE_SAMPLES,
    }
    for protocol in protocols:
        settings |= protocol.settings(evaluation)
    return settings
