"""The ways of using labels, side by side on the same draws of labels."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.features import Baseline, FeatureTable, Featuriser, encoder_features, rows
from likewise.evaluation.inputs import EvaluationViews, LabelCount, Machine, Progress
from likewise.evaluation.knn import choose_k, knn_classify
from likewise.evaluation.linear import ITERATIONS, apply, choose_variance, fit_linear
from likewise.evaluation.measures import class_accuracies, confusion_matrix, entries
from likewise.evaluation.supervised import (
    FINE_TUNED_PART,
    SCRATCH,
    LabelledSubset,
    Rates,
    budget,
    fine_tuning_rates,
    predict,
    supervised_batch_size,
    train_classifier,
)

DEFAULT_PROTOCOLS = ("scratch", "frozen", "fine-tuned", "untrained", "raw-knn", "raw-logistic")
PROTOCOLS = (*DEFAULT_PROTOCOLS, "frozen-knn")

DETERMINISTIC = frozenset({"frozen", "frozen-knn", "raw-knn", "raw-logistic"})
"""Ways whose only chance is the draw of the labels: with all labels, every seed gives the same result."""

CURVE_POINTS = 10
CURVE_SAMPLES = 256
"""Learning curves are measured on no more than this many labelled and test samples, results on all."""

REFERENCE_SAMPLES = 4096
"""Features are standardised over no more than this many training samples, their labels unseen."""


@dataclass(frozen=True)
class ProtocolResult:
    """What a way made of one draw of labels."""

    predicted: Int[Tensor, " test"]
    loss: float | None = None
    curve: list[dict[str, float]] | None = None


@dataclass
class FewLabelEvaluation:
    """What the trials of one evaluation share: the data, the draws of labels, and features computed once."""

    pretrained: nn.Module
    make_encoder: Callable[[], nn.Module]
    views: EvaluationViews
    raw: Baseline
    train: Source
    test: Source
    train_labels: Int[Tensor, " train"]
    test_labels: Int[Tensor, " test"]
    classes: int
    draws: dict[tuple[int, LabelCount], Tensor]
    steps: int | None
    machine: Machine
    progress: Progress

    def __post_init__(self) -> None:
        self.curve_test = spaced(len(self.test), CURVE_SAMPLES)
        self.fitted = lru_cache(lambda seed, count: self.regression(self.frozen_table, seed, count))
        self.untrained_table = lru_cache(1)(self._untrained_table)
        self.protocols: dict[str, Callable[[int, LabelCount], ProtocolResult]] = {
            "scratch": self.scratch,
            "frozen": lambda seed, count: self.frozen(seed, count)[1],
            "fine-tuned": self.fine_tuned,
            "untrained": lambda seed, count: self.regression(self.untrained_table(seed), seed, count)[1],
            "raw-knn": lambda seed, count: self.neighbours(self.raw_table, seed, count),
            "raw-logistic": lambda seed, count: self.regression(self.raw_table, seed, count)[1],
            "frozen-knn": lambda seed, count: self.neighbours(self.frozen_table, seed, count),
        }

    def run(self, plan: list[tuple[str, LabelCount, int]]) -> Iterator[dict[str, Any]]:
        """The trials of `plan`, each a (way, labels per class, seed)."""
        self.done, self.total = 0, sum(self.cost(protocol, seed, count) for protocol, count, seed in plan)
        for protocol, count, seed in plan:
            self.doing = f"{protocol}, {count} label{'s' * (count != 1)} per class, seed {seed}"
            self.report(0)
            started = time.perf_counter()
            with seeded(seed_of(seed, protocol, count), self.machine.device):
                outcome = self.protocols[protocol](seed, count)
            confusion = confusion_matrix(self.test_labels, outcome.predicted, self.classes)
            yield {
                "protocol": protocol,
                "labels_per_class": count,
                "seed": seed,
                "accuracy": int(confusion.diagonal().sum()) / len(self.test),
                "loss": outcome.loss,
                "per_class": class_accuracies(confusion),
                "confusion": entries(confusion),
                "curve": outcome.curve,
                "seconds": time.perf_counter() - started,
            }
            self.done += self.cost(protocol, seed, count)
        self.doing = "done"
        self.report(0)

    def cost(self, protocol: str, seed: int, count: LabelCount) -> int:
        """Samples that a trial works through, roughly: what the progress counts."""
        labels = len(self.draws[seed, count])
        steps = self.training_steps(protocol, labels)
        return steps * supervised_batch_size(labels, self.machine.batch_size) if steps else len(self.test)

    def training_steps(self, protocol: str, labels: int) -> int:
        """Optimisation steps of a way that trains an encoder, 0 for the others."""
        steps = self.steps or budget(labels)
        return {"scratch": steps, "fine-tuned": max(1, round(FINE_TUNED_PART * steps))}.get(protocol, 0)

    def report(self, samples: int) -> None:
        self.progress(self.done + samples, self.total, self.doing)

    def scratch(self, seed: int, count: LabelCount) -> ProtocolResult:
        encoder = self.machine.place(self.make_encoder()).requires_grad_(True)
        head = nn.Linear(encoder.dim, self.classes)  # type: ignore[arg-type]
        return self.training("scratch", encoder, head, SCRATCH, seed, count)

    def fine_tuned(self, seed: int, count: LabelCount) -> ProtocolResult:
        encoder = copy.deepcopy(self.pretrained).requires_grad_(True)
        head = self.frozen_table.unfold(self.frozen(seed, count)[0])
        rates = fine_tuning_rates(len(self.draws[seed, count]))
        return self.training("fine-tuned", encoder, head, rates, seed, count)

    def training(
        self, protocol: str, encoder: nn.Module, head: nn.Linear, rates: Rates, seed: int, count: LabelCount
    ) -> ProtocolResult:
        """Train both modules on the drawn labels and measure them."""
        drawn = self.draws[seed, count]
        labels, samples = self.train_labels[drawn], LabelledSubset(self.train, drawn)
        steps, batch = (
            self.training_steps(protocol, len(drawn)),
            supervised_batch_size(len(drawn), self.machine.batch_size),
        )
        head = head.to(self.machine.device)
        curve: list[dict[str, float]] = []

        def logits(of: LabelledSubset) -> Float[Tensor, "n classes"]:
            return predict(encoder, head, self.views, of, self.machine)

        seen = LabelledSubset(self.train, drawn[:CURVE_SAMPLES]) if len(drawn) > CURVE_SAMPLES else samples

        def watch(step: int) -> None:
            epoch = round(step * batch / len(drawn), 3)
            curve.append(
                curve_point(
                    epoch,
                    (logits(seen), labels[:CURVE_SAMPLES]),
                    (logits(self.curve_samples), self.test_labels[self.curve_test]),
                )
            )
            self.report(step * batch)

        train_classifier(
            encoder,
            head,
            self.views,
            samples,
            labels,
            rates=rates,
            steps=steps,
            batch_size=batch,
            seed=seed_of(seed, protocol, count),
            machine=self.machine,
            points=curve_points(steps),
            watch=watch,
        )
        return self.outcome(logits(self.test_samples), curve)

    def frozen(self, seed: int, count: LabelCount) -> tuple[nn.Linear, ProtocolResult]:
        """The head on frozen features, from which fine-tuning starts; with all labels one serves every seed."""
        return self.fitted(0 if count == "all" else seed, count)

    def regression(self, table: FeatureTable, seed: int, count: LabelCount) -> tuple[nn.Linear, ProtocolResult]:
        """Logistic regression on features, its regularisation cross-validated on the drawn labels."""
        drawn = self.draws[seed, count]
        labels, (features, test) = self.train_labels[drawn], table.drawn(drawn)
        shown, asked = rows(features, torch.arange(min(CURVE_SAMPLES, len(labels)))), rows(test, self.curve_test)
        curve: list[dict[str, float]] = []

        def watch(iteration: int, head: nn.Linear) -> None:
            with torch.inference_mode():
                curve.append(
                    curve_point(
                        float(iteration),
                        (apply(head, shown), labels[:CURVE_SAMPLES]),
                        (apply(head, asked), self.test_labels[self.curve_test]),
                    )
                )

        head = fit_linear(
            features,
            labels,
            self.classes,
            variance=choose_variance(features, labels, self.classes),
            points=curve_points(ITERATIONS),
            watch=watch,
        )
        with torch.inference_mode():
            return head, self.outcome(apply(head, test), curve)

    def neighbours(self, table: FeatureTable, seed: int, count: LabelCount) -> ProtocolResult:
        """Nearest neighbours among the drawn samples, their number chosen by leaving one of these out."""
        drawn = self.draws[seed, count]
        labels, features = self.train_labels[drawn], table.train(drawn)
        k = choose_k(features, labels, self.classes)
        return ProtocolResult(knn_classify(table.test, features, labels, self.classes, k=k))

    def outcome(self, logits: Float[Tensor, "test classes"], curve: list[dict[str, float]]) -> ProtocolResult:
        return ProtocolResult(logits.argmax(1), float(F.cross_entropy(logits, self.test_labels)), curve)

    @cached_property
    def test_samples(self) -> LabelledSubset:
        return LabelledSubset(self.test, torch.arange(len(self.test)))

    @cached_property
    def curve_samples(self) -> LabelledSubset:
        return LabelledSubset(self.test, self.curve_test)

    @cached_property
    def frozen_table(self) -> FeatureTable:
        return self.table(encoder_features(self.pretrained, self.views, self.machine), self.draws.values())

    @cached_property
    def raw_table(self) -> FeatureTable:
        return self.table(self.raw.featurise, self.draws.values(), one_scale=True)

    def _untrained_table(self, seed: int) -> FeatureTable:
        with seeded(seed_of(seed, "untrained", 0), self.machine.device):
            encoder = self.machine.place(self.make_encoder()).eval()
        needed = [drawn for (s, _), drawn in self.draws.items() if s == seed]
        return self.table(encoder_features(encoder, self.views, self.machine), needed)

    def table(self, featurise: Featuriser, draws: Iterable[Tensor], *, one_scale: bool = False) -> FeatureTable:
        return FeatureTable(
            featurise,
            self.train,
            self.test,
            needed=torch.cat(list(draws)),
            reference=spaced(len(self.train), REFERENCE_SAMPLES),
            batch_size=self.machine.batch_size,
            one_scale=one_scale,
        )


def curve_point(
    epoch: float,
    train: tuple[Float[Tensor, "n classes"], Int[Tensor, " n"]],
    test: tuple[Float[Tensor, "m classes"], Int[Tensor, " m"]],
) -> dict[str, float]:
    """Loss and accuracy of both (logits, labels)."""
    point = {"epoch": epoch}
    for name, (logits, labels) in (("train", train), ("test", test)):
        point[f"{name}_loss"] = float(F.cross_entropy(logits, labels))
        point[f"{name}_accuracy"] = float((logits.argmax(1) == labels).double().mean())
    return point


def curve_points(steps: int) -> frozenset[int]:
    """The steps, from 0 to the last, at which a learning curve is measured: about evenly spaced."""
    return frozenset(round(i * steps / CURVE_POINTS) for i in range(CURVE_POINTS + 1))


def spaced(length: int, most: int) -> Int[Tensor, " n"]:
    """At most `most` indices, evenly spaced, so that a source sorted by class gives some of each."""
    return torch.arange(min(length, most)) * length // min(length, most)


def seed_of(seed: int, protocol: str, count: LabelCount) -> int:
    """The seed of everything random in one trial."""
    words = [seed, crc32(protocol.encode()), 0 if count == "all" else count]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Initialisation and dropout draw from torch's global generators: seeded inside, as they were outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
