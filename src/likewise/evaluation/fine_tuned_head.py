"""An encoder and a head for use, trained together on all labels, with what cross-validation says of them.

As the protocol `fine-tuned` of an evaluation: supervised training from the head of the frozen encoder.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.protocols.fine_tuned import PART_OF_STEPS
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.supervised import (
    LabelledSubset,
    budget,
    fine_tuning_rates,
    predict,
    supervised_batch_size,
    train_classifier,
)
from likewise.tasks.cross_validation import HeldOut, choose_variance, make_folds, splits_of
from likewise.tasks.fitted_head import FittedHead, calibrated
from likewise.tasks.linear_head import Classification, Features, LinearHead, standardisation

FOLDS = 3
"""Of the cross-validation: each is a training."""
LARGEST_BATCH = 128
PROTOCOL = "fine-tuned"


class FineTunedHead(NamedTuple):
    """A fine-tuned encoder with its head."""

    encoder: nn.Module
    """On the CPU, in evaluation mode."""
    fitted: FittedHead
    steps: int
    """Of the training on all labels."""


class _Training(NamedTuple):
    """What the trainings of the folds share."""

    encoder: nn.Module
    views: EvaluationViews
    source: Source
    features: Features
    """Of the frozen encoder."""
    targets: Int[np.ndarray, " n"]
    variance: float
    balanced: bool
    seed: int
    compute: ComputeSettings

    def run(self, chosen: Int[np.ndarray, " m"], which: LabelCount) -> tuple[nn.Module, nn.Linear, int]:
        """Encoder and head after a training on some samples, and how many steps it took. `which`: of the seed."""
        encoder = self.compute.place(copy.deepcopy(self.encoder)).requires_grad_(True)
        head = self._frozen_head(chosen).to(self.compute.device)
        labels = torch.from_numpy(self.targets[chosen])
        steps = max(1, round(PART_OF_STEPS * budget(len(chosen))))
        seed = trial_seed(self.seed, PROTOCOL, which)
        with seeded(seed, self.compute.device):
            train_classifier(
                encoder,
                head,
                self.views,
                LabelledSubset(self.source, torch.from_numpy(chosen)),
                labels,
                rates=fine_tuning_rates(len(chosen)),
                steps=steps,
                batch_size=supervised_batch_size(len(chosen), LARGEST_BATCH),
                seed=seed,
                compute=self.compute,
                callback_steps=frozenset(),
                callback=lambda _: None,
                class_weights=class_weights(labels, len(head.bias)) if self.balanced else None,
            )
        return encoder, head, steps

    def _frozen_head(self, chosen: Int[np.ndarray, " m"]) -> nn.Linear:
        """The head of the frozen encoder on these samples, for features as they are."""
        some, task, classes = self.features[chosen], Classification(), int(self.targets.max()) + 1
        mean, scale = standardisation(some)
        weight, bias = task.fit((some - mean) / scale, self.targets[chosen], self.variance, balanced=self.balanced)
        head = nn.utils.skip_init(nn.Linear, some.shape[1], classes)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight / scale))
            head.bias.copy_(torch.from_numpy(bias) - head.weight @ torch.from_numpy(mean))
        return head


def fit_fine_tuned(
    encoder: nn.Module,
    views: EvaluationViews,
    source: Source,
    features: Features,
    targets: Int[np.ndarray, " n"],
    *,
    seed: int,
    groups: Int[np.ndarray, " n"] | None = None,
    balanced: bool = False,
    coverage: float | None = None,
    accuracy: float | None = None,
    compute: ComputeSettings,
    progress: Progress,
) -> FineTunedHead:
    """Train a copy of an encoder with a head on labelled samples; cross-validate it by `FOLDS` other trainings.

    Args:
        encoder: view -> `(n, dim)`; it is not changed.
        views: its views: `weak` to learn from, `clean` to answer.
        source: the labelled samples.
        features: of the encoder, of these samples.
        targets: the class of each.
        seed: of folds, order and views.
        groups: pieces of one thing, which go to one fold together.
        balanced: whether all classes count the same.
        coverage, accuracy: see `likewise.tasks.fitted_head.fit_head`.
        compute: where and how.
        progress: called with (trainings done, of how many, text).

    Raises:
        UserError: where no threshold reaches the accuracy, or there is nothing to choose one by.
    """
    task = Classification()
    mean, scale = standardisation(features)
    variance = choose_variance(task, (features - mean) / scale, targets, seed, groups=groups, balanced=balanced)
    training = _Training(encoder, views, source, features, targets, variance, balanced, seed, compute)
    folds = make_folds(len(targets), seed, classes=targets, groups=groups, folds=FOLDS)
    splits = list(splits_of(folds))
    parts: list[Float[np.ndarray, "held classes"]] = []
    for place, (inside, outside) in enumerate(splits):
        progress(place, len(splits) + 1, "fine-tuning, cross-validation")
        tuned, head, _ = training.run(inside, place + 1)
        held_out = LabelledSubset(source, torch.from_numpy(outside))
        parts.append(predict(tuned, head, views, held_out, compute).numpy())
    held = None
    if splits:
        places = np.concatenate([outside for _, outside in splits])
        held = HeldOut(places, np.concatenate(parts), folds[places])
    progress(len(splits), len(splits) + 1, "fine-tuning, all labels")
    tuned, head, steps = training.run(np.arange(len(targets)), "all")
    linear = _linear_head(head.cpu())
    fitted = calibrated(task, linear, held, targets, variance=variance, coverage=coverage, accuracy=accuracy)
    return FineTunedHead(tuned.cpu().eval(), fitted, steps)


def class_weights(labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, " classes"]:
    """Weights of samples by class, of mean 1 over the samples, so that all classes count the same."""
    counts = labels.bincount(minlength=classes).float()
    return len(labels) / (counts.clamp(min=1) * int((counts > 0).sum()))


def _linear_head(head: nn.Linear) -> LinearHead:
    """A trained head on features as they are."""
    weight, bias = (each.detach().numpy() for each in (head.weight, head.bias))
    dim = weight.shape[1]
    return LinearHead(weight, bias, np.zeros(dim, dtype=np.float32), np.ones(dim, dtype=np.float32))
