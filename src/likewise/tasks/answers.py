"""What a head answers: a class, several labels, or a number, each with its probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from likewise.tasks.fitted_head import share
from likewise.tasks.linear_head import Features, LinearHead, sigmoid, softmax
from likewise.tasks.targets import labels_in

Labels = str | list[str] | float


class Answers(NamedTuple):
    """Of some samples, in their order."""

    labels: list[Any]
    """Of each sample a class, the list of its labels, or a number."""
    probabilities: list[Any]
    """Of each sample that of its class, or the list of those of its labels; empty of numbers."""
    abstained: Bool[np.ndarray, " n"]


class AnswerRule(NamedTuple):
    """How scores become answers."""

    task: str
    classes: list[str]
    temperature: float
    threshold: float | None
    thresholds: list[float] | None

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> AnswerRule:
        """The rule of a classifier, which its file says among other things."""
        return cls(**{name: info[name] for name in cls._fields})

    def answers(self, head: LinearHead, features: Features) -> Answers:
        scores = head.scores(features).astype(np.float64)
        if self.task == "regression":
            return Answers(_plain(scores[:, 0]), [], np.zeros(len(scores), dtype=bool))
        if self.task == "multilabel":
            probability = sigmoid(scores / self.temperature)
            given = probability >= np.array(self.thresholds or [0.5] * len(self.classes))
            labels = [[self.classes[i] for i in row.nonzero()[0]] for row in given]
            return Answers(
                labels, [_plain(row[its]) for row, its in zip(probability, given, strict=True)], given.sum(1) == 0
            )
        probability = softmax(scores / self.temperature)
        best = probability.argmax(1)
        most = probability[np.arange(len(best)), best]
        abstained = np.asarray(most < (self.threshold or 0.0))
        return Answers([self.classes[i] for i in best], _plain(most), abstained)


class AnswerCounts:
    """How many samples were answered, and how many rightly where that is known; added up part by part."""

    def __init__(self, task: str, classes: list[str]) -> None:
        self.task, self.classes = task, set(classes)
        self.samples = self.abstained = self.labelled = self.right = self.answered = self.right_answered = 0
        self.hits = self.there = self.said = 0
        self.unknown: set[str] = set()
        self.by_label: dict[str, int] = {}
        self._errors: list[float] = []
        self._truths: list[float] = []

    def add(self, answers: Answers, words: list[str | None] | None) -> None:
        """Count the answers for some samples, whose labels are `words` where there are any."""
        self.samples += len(answers.labels)
        self.abstained += int(answers.abstained.sum())
        for label in answers.labels if self.task != "regression" else ():
            for name in label if self.task == "multilabel" else [label]:
                self.by_label[name] = self.by_label.get(name, 0) + 1
        for label, word, abstained in zip(answers.labels, words or [], answers.abstained, strict=False):
            if word is not None:
                self._compare(label, word, bool(abstained))

    def _compare(self, label: Any, word: str, abstained: bool) -> None:
        if self.task == "regression":
            try:
                truth = float(word)
            except ValueError:
                self.unknown.add(word)
                return
            self.labelled += 1
            self._errors.append(abs(truth - label))
            self._truths.append(truth)
            return
        names = labels_in(word) if self.task == "multilabel" else [word]
        self.unknown |= set(names) - self.classes
        self.labelled += 1
        right = set(names) == set(label if self.task == "multilabel" else [label])
        self.right += right
        if self.task == "multilabel":
            self.hits += len(set(names) & set(label))
            self.there, self.said = self.there + len(names), self.said + len(label)
        elif not abstained:
            self.answered += 1
            self.right_answered += right

    def measured(self) -> dict[str, Any] | None:
        """How far the answers agree with the labels; None where no sample has one."""
        if not self.labelled:
            return None
        found: dict[str, Any] = {"samples": self.labelled, "unknown_classes": sorted(self.unknown)}
        if self.task == "regression":
            truths, errors = np.array(self._truths), np.array(self._errors)
            spread = float(np.square(truths - truths.mean()).sum())
            r2 = 1 - float(np.square(errors).sum()) / spread if spread > 0 else None
            return found | {"r2": r2, "mean_absolute_error": float(errors.mean())}
        if self.task == "multilabel":
            exact, total = share(self.right, self.labelled), self.there + self.said
            return found | {"exact_match": exact, "micro_f1": 2 * self.hits / total if total else 1.0}
        found |= {"accuracy": share(self.right, self.labelled)}
        if self.answered < self.labelled:
            answered = share(self.right_answered, self.answered) if self.answered else None
            found |= {"coverage": self.answered / self.labelled, "accuracy_of_answers": answered}
        return found


def _plain(values: Float[np.ndarray, " n"]) -> list[float]:
    """Numbers with as many digits as are worth writing."""
    return [float(f"{value:.7g}") for value in values]
