"""What a person can see of a training: the similarities of eight fixed pairs, from noise to two diagonals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likewise.atomic import write_atomically
from likewise.methods.base import Method, generator_for

PAIRS = 8
STAGES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)  # shares of the training: most of the change is early


def similarity(method: Method, first: Any, second: Any) -> Float[Tensor, "m m"]:
    """Cosine similarities of the embeddings of `first`, then `second`, as the method compares them.

    BatchNorm takes the statistics of this batch, as in training; its running statistics stay as they were.
    """
    kept = {name: value.clone() for name, value in method.named_buffers()}
    training = method.training
    method.train()
    with torch.no_grad():
        z = F.normalize(method.embed(torch.cat([first, second])).float(), dim=1)
        for name, value in method.named_buffers():
            value.copy_(kept[name])
    method.train(training)
    return (z @ z.T).cpu()


class Snapshots(L.Callback):
    """Write `snapshots.npz` (`steps`, `epochs`, `similarity`) and `pairs.npz` (the pictures of the pairs).

    Args:
        folder: the run's.
        batch: eight samples, the same throughout the training.
        steps, steps_per_epoch: the whole training's.
    """

    def __init__(self, folder: Path, batch: Any, *, steps: int, steps_per_epoch: int) -> None:
        self.path = folder / "snapshots.npz"
        self.pairs = folder / "pairs.npz"
        self.batch = batch
        self.steps_per_epoch = steps_per_epoch
        self.at = {round(stage * steps) for stage in STAGES}
        self.taken: dict[int, np.ndarray] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.path.exists():
            with np.load(self.path, allow_pickle=False) as file:
                self.taken = {
                    int(step): matrix
                    for step, matrix in zip(file["steps"], file["similarity"], strict=True)
                    if step <= trainer.global_step
                }
        if trainer.global_step in self.at and trainer.global_step not in self.taken:
            self._take(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step in self.at:
            self._take(trainer, pl_module)

    def _take(self, trainer: L.Trainer, method: L.LightningModule) -> None:
        assert isinstance(method, Method)
        batch = method.transfer_batch_to_device(self.batch, method.device, 0)
        generator = generator_for(method.course.seed, 1 << 40)  # no training step's key
        first, second = method.views(batch, generator), method.views(batch, generator)
        self.taken[trainer.global_step] = similarity(method, first, second).numpy()
        if not trainer.is_global_zero:
            return
        steps = sorted(self.taken)
        arrays: dict[str, Any] = {
            "steps": np.array(steps),
            "epochs": np.array(steps) / self.steps_per_epoch,
            "similarity": np.stack([self.taken[step] for step in steps]),
        }
        write_atomically(self.path, lambda file: np.savez(file, **arrays))
        picture: Callable[[Any], Tensor] | None = getattr(method.views, "picture", None)
        if picture and not self.pairs.exists():
            shown: dict[str, Any] = {"first": picture(first).cpu().numpy(), "second": picture(second).cpu().numpy()}
            write_atomically(self.pairs, lambda file: np.savez(file, **shown))
