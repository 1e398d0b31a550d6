"""The objective of a search: its figure after each epoch of a training, and at the end."""

from __future__ import annotations

import math
from typing import Any

import lightning as L

from likewise.errors import UserError
from likewise.methods.base import Method
from likewise.runs.folder import RunFolder
from likewise.training.label_free import lidar_in_place
from likewise.tuning.trials import Report

PROBE, LIDAR, RANKME = "probe", "lidar", "rankme"
OBJECTIVES = {
    PROBE: "accuracy of a vote of nearest neighbours among labelled training samples",
    LIDAR: "LiDAR of the last embeddings (arXiv:2312.04000), without labels",
    RANKME: "effective rank of the last embeddings, RankMe (arXiv:2210.02885), without labels",
}
LOGGED = {PROBE: "probe", RANKME: "effective_rank"}
"""The columns of a run's history that are objectives."""


class Pruned(Exception):
    """A trial is not worth its rest.

    Args:
        epochs: that were trained.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(f"ended after {epochs} epochs")
        self.epochs = epochs


class TrialWatch(L.Callback):
    """Reports the objective after each epoch, and ends the training where the answer is that.

    Args:
        objective: a name of `OBJECTIVES`.
        report: what is called with the epochs that are done and the figure.
        own_labels: whether the labels of a probe are those of the training data.

    Raises:
        UserError: when the training begins, where it learns from the labels that it would be judged by.
    """

    def __init__(self, objective: str, report: Report, *, own_labels: bool = False) -> None:
        self.objective, self.report, self.own_labels = objective, report, own_labels

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.objective == PROBE and self.own_labels and getattr(pl_module, "supervised", False):
            raise UserError(
                "objective probe needs labels that are not learned from, this training learns from those of its data: "
                "name others with --probe, or take --objective lidar"
            )

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, Method)
        epochs, rest = divmod(trainer.global_step, pl_module.training_context.steps_per_epoch)
        if rest:
            return
        value = self._figure(trainer, pl_module)
        if value is not None and self.report(epochs, value):
            raise Pruned(epochs)

    def _figure(self, trainer: L.Trainer, method: Method) -> float | None:
        if self.objective == LIDAR:
            context = method.training_context
            assert context.read is not None
            found = lidar_in_place(method, context.read, context.samples)
            return None if found is None else found["value"]
        latest: dict[str, float] = getattr(trainer.loggers[0], "latest", {})
        return latest.get(LOGGED[self.objective])


def objective_of(run: RunFolder, objective: str) -> float | None:
    """The objective of a finished run; None where it could not be measured."""
    if objective == LIDAR:
        return (run.config.get("lidar") or {}).get("value")
    column = run.history.column(LOGGED[objective])
    return next((value for value in reversed(column) if math.isfinite(value)), None)
