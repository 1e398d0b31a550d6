"""What a person can see of a training: the similarities of eight fixed pairs, from noise to two diagonals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likewise.methods.base import Method
from likewise.runs.pairs import Pairs
from likewise.runs.snapshots import Snapshots
from likewise.seeding import generator_for

PAIRS = 8
STAGES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)  # shares of the training: most of the change is early


def similarity(method: Method, samples: Any, key: tuple[int, ...]) -> Float[Tensor, "m m"]:
    """Cosine similarities of the matched embeddings of `samples`, the first ones, then their partners.

    BatchNorm takes the statistics of this batch, as in training; its running statistics stay as they were. Views, and
    chance inside the networks (dropout), are a function of `key`.
    """
    kept = {name: value.clone() for name, value in method.named_buffers()}
    training = method.training
    method.train()
    generator = generator_for(*key)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(generator.initial_seed())
        z = F.normalize(torch.cat(method.embed_pairs(samples, generator)).float(), dim=1)
        for name, value in method.named_buffers():
            value.copy_(kept[name])
    method.train(training)
    return (z @ z.T).cpu()


class SnapshotRecorder(L.Callback):
    """Keep the `Snapshots` of a training in the run, and the `Pairs` that they are of, where these show anything.

    Args:
        folder: the run's.
        batch: eight samples, the same throughout the training.
        steps, steps_per_epoch: the whole training's.
    """

    def __init__(self, folder: Path, batch: Any, *, steps: int, steps_per_epoch: int) -> None:
        self.folder = folder
        self.batch = batch
        self.steps_per_epoch = steps_per_epoch
        self.at = {round(stage * steps) for stage in STAGES}
        self.taken: dict[int, np.ndarray] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (self.folder / Snapshots.FILE).exists():
            before = Snapshots.load(self.folder)
            taken = zip(before.steps.tolist(), before.similarity, strict=True)
            self.taken = {step: matrix for step, matrix in taken if step <= trainer.global_step}
        if trainer.global_step in self.at and trainer.global_step not in self.taken:
            self._take(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step in self.at:
            self._take(trainer, pl_module)

    def _take(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        assert isinstance(method, Method)
        batch = method.transfer_batch_to_device(self.batch, method.device, 0)
        key = (method.training_context.seed, 1 << 40)  # no training step's
        self.taken[trainer.global_step] = similarity(method, batch, key).numpy()
        if not trainer.is_global_zero:
            return
        steps = sorted(self.taken)
        Snapshots(
            steps=np.array(steps),
            epochs=np.array(steps) / self.steps_per_epoch,
            similarity=np.stack([self.taken[step] for step in steps]),
        ).save(self.folder)
        if not (self.folder / Pairs.FILE).exists() and (pairs := Pairs.of(method.views, batch, generator_for(*key))):
            pairs.save(self.folder)
