"""What the trials of one evaluation share, and the three classifiers that protocols fit on a draw of labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.curves import CURVE_SAMPLES, curve_point, curve_steps
from likewise.evaluation.features import (
    REFERENCE_SAMPLES,
    FeatureTable,
    Featurizer,
    RawFeatures,
    encoder_features,
    evenly_spaced,
    rows,
)
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews, LabelCount, Progress
from likewise.evaluation.knn import choose_k, knn_classify
from likewise.evaluation.linear import ITERATIONS, apply, choose_variance, fit_linear
from likewise.evaluation.measures import balanced_accuracy, class_accuracies, confusion_matrix, entries, macro_f1
from likewise.evaluation.protocols import EvaluationProtocol, ProtocolResult
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.supervised import LabelledSubset, Rates, predict, supervised_batch_size, train_classifier


@dataclass
class FewLabelEvaluation:
    """The data, the draws of labels, and the features, which are computed once."""

    pretrained: nn.Module
    """The encoder, on `compute.device`, in evaluation mode. Protocols copy it to train it."""
    given: nn.Module | None
    """The encoder with the known weights that its training went on from, likewise; None where it went on from none."""
    make_encoder: Callable[[], nn.Module]
    """Builds the same architecture with new weights, from torch's global generators."""
    views: EvaluationViews
    raw: RawFeatures
    train: Source
    test: Source
    train_labels: Int[Tensor, " train"]
    test_labels: Int[Tensor, " test"]
    classes: int
    draws: dict[tuple[int, LabelCount], Int[Tensor, " _"]]
    """By (seed, labels per class): indices of the training samples whose labels a trial may use."""
    steps: int | None
    compute: ComputeSettings
    progress: Progress

    def __post_init__(self) -> None:
        self.curve_test = evenly_spaced(len(self.test), CURVE_SAMPLES)
        self._fit_frozen = lru_cache(lambda seed, count: self.logistic_regression(self.frozen_features, seed, count))

    def run(self, plan: list[tuple[EvaluationProtocol, LabelCount, int]]) -> Iterator[dict[str, Any]]:
        """The trials of `plan`, each a (protocol, labels per class, seed): entries of the result's "trials"."""
        costs = [protocol.cost(self, seed, count) for protocol, count, seed in plan]
        self.done, self.total = 0, sum(costs)
        for (protocol, count, seed), cost in zip(plan, costs, strict=True):
            self.doing = f"{protocol.name}, {count} label{'s' * (count != 1)} per class, seed {seed}"
            self.report(0)
            started = time.perf_counter()
            with seeded(trial_seed(seed, protocol.name, count), self.compute.device):
                result = protocol.run(self, seed, count)
            confusion = confusion_matrix(self.test_labels, result.predicted, self.classes)
            yield {
                "protocol": protocol.name,
                "labels_per_class": count,
                "seed": seed,
                "accuracy": int(confusion.diagonal().sum()) / len(self.test),
                "balanced_accuracy": balanced_accuracy(confusion),
                "macro_f1": macro_f1(confusion),
                "loss": result.loss,
                "per_class": class_accuracies(confusion),
                "confusion": entries(confusion),
                "curve": result.curve,
                "seconds": time.perf_counter() - started,
            }
            self.done += cost
        self.doing = "done"
        self.report(0)

    def report(self, samples: int) -> None:
        """Show the progress: the trials that are done, and `samples` of the one that runs."""
        self.progress(self.done + samples, self.total, self.doing)

    def logistic_regression(
        self, features: FeatureTable, seed: int, count: LabelCount
    ) -> tuple[nn.Linear, ProtocolResult]:
        """Logistic regression on the drawn labels, its regularisation cross-validated on them."""
        drawn = self.draws[seed, count]
        labels, (train, test) = self.train_labels[drawn], features.drawn(drawn)
        curve_train = rows(train, torch.arange(min(CURVE_SAMPLES, len(labels))))
        curve_test = rows(test, self.curve_test)
        curve: list[dict[str, float]] = []

        def measure(iteration: int, head: nn.Linear) -> None:
            with torch.inference_mode():
                train_logits, test_logits = apply(head, curve_train), apply(head, curve_test)
            curve.append(self.curve_point(float(iteration), train_logits, labels, test_logits))

        head = fit_linear(
            train,
            labels,
            self.classes,
            variance=choose_variance(train, labels, self.classes),
            callback_steps=curve_steps(ITERATIONS),
            callback=measure,
        )
        with torch.inference_mode():
            return head, self.result(apply(head, test), curve)

    def frozen_classifier(self, seed: int, count: LabelCount) -> tuple[nn.Linear, ProtocolResult]:
        """Logistic regression on the encoder's features, fitted once; with all labels one serves every seed."""
        return self._fit_frozen(0 if count == "all" else seed, count)

    def nearest_neighbors(self, features: FeatureTable, seed: int, count: LabelCount) -> ProtocolResult:
        """Nearest neighbours among the drawn samples, k chosen by leave-one-out accuracy on them."""
        drawn = self.draws[seed, count]
        labels, train = self.train_labels[drawn], features.train(drawn)
        k = choose_k(train, labels, self.classes)
        return ProtocolResult(knn_classify(features.test, train, labels, self.classes, k=k))

    def train_encoder(
        self, encoder: nn.Module, head: nn.Linear, drawn: Int[Tensor, " n"], *, rates: Rates, steps: int, seed: int
    ) -> ProtocolResult:
        """Supervised training of encoder and head on the drawn labels; both are changed in place."""
        labels, subset = self.train_labels[drawn], LabelledSubset(self.train, drawn)
        batch_size = self.training_batch_size(len(drawn))
        head = head.to(self.compute.device)
        curve_train = LabelledSubset(self.train, drawn[:CURVE_SAMPLES]) if len(drawn) > CURVE_SAMPLES else subset
        curve: list[dict[str, float]] = []

        def logits(of: LabelledSubset) -> Float[Tensor, "n classes"]:
            return predict(encoder, head, self.views, of, self.compute)

        def measure(step: int) -> None:
            epoch = round(step * batch_size / len(drawn), 3)
            curve.append(self.curve_point(epoch, logits(curve_train), labels, logits(self.curve_samples)))
            self.report(step * batch_size)

        train_classifier(
            encoder,
            head,
            self.views,
            subset,
            labels,
            rates=rates,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            compute=self.compute,
            callback_steps=curve_steps(steps),
            callback=measure,
        )
        return self.result(logits(self.test_samples), curve)

    def training_batch_size(self, labels: int) -> int:
        """Samples a step of a supervised training on this many labels."""
        return supervised_batch_size(labels, self.compute.batch_size)

    def curve_point(
        self,
        epoch: float,
        train_logits: Float[Tensor, "n classes"],
        labels: Int[Tensor, " drawn"],
        test_logits: Float[Tensor, "m classes"],
    ) -> dict[str, float]:
        """A point of a learning curve, from logits of its training and test samples."""
        test_labels = self.test_labels[self.curve_test]
        return curve_point(epoch, (train_logits, labels[:CURVE_SAMPLES]), (test_logits, test_labels))

    def result(self, logits: Float[Tensor, "test classes"], curve: list[dict[str, float]]) -> ProtocolResult:
        """The result of a protocol that has logits of the test split."""
        return ProtocolResult(logits.argmax(1), float(F.cross_entropy(logits, self.test_labels)), curve)

    @cached_property
    def test_samples(self) -> LabelledSubset:
        return LabelledSubset(self.test, torch.arange(len(self.test)))

    @cached_property
    def curve_samples(self) -> LabelledSubset:
        return LabelledSubset(self.test, self.curve_test)

    @cached_property
    def frozen_features(self) -> FeatureTable:
        """Features of the pretrained encoder."""
        return self.feature_table(encoder_features(self.pretrained, self.views, self.compute), self.draws.values())

    @cached_property
    def raw_features(self) -> FeatureTable:
        """Raw features, all dimensions scaled by the same factor."""
        return self.feature_table(self.raw.featurize, self.draws.values(), one_scale=True)

    def feature_table(
        self, featurize: Featurizer, draws: Iterable[Int[Tensor, " _"]], *, one_scale: bool = False
    ) -> FeatureTable:
        """Features of the test split and of all training samples in `draws`."""
        return FeatureTable(
            featurize,
            self.train,
            self.test,
            needed=torch.cat(list(draws)),
            reference=evenly_spaced(len(self.train), REFERENCE_SAMPLES),
            batch_size=self.compute.batch_size,
            one_scale=one_scale,
        )
