"""Is it learning? Figures of the embeddings that the objective just compared."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from likewise.errors import UserError
from likewise.losses import pair_matching
from likewise.methods.base import Method


class Diagnostics(L.Callback):
    """Log the pair-matching task beside the loss, every so many steps."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, Method)
        pl_module.log("rate", trainer.optimizers[0].param_groups[0]["lr"])
        if pl_module.observed is not None and trainer.global_step % self.every == 0:
            matching = pair_matching(*pl_module.observed)
            pl_module.log_dict({name: matching[name] for name in ("top1", "top5")})


class StopAtNaN(L.Callback):
    """Stop a training whose loss is no longer a number, and never let a checkpoint hold its weights.

    The first bad step is kept on the device and looked at only now and then: asking at every step would make a
    GPU wait for the processor.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._bad: Tensor | None = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        step = trainer.global_step
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if self._bad is None:
            self._bad = torch.full((), -1, device=loss.device)
        self._bad = torch.where((self._bad < 0) & ~torch.isfinite(loss), step, self._bad)
        if step % self.every == 0 or loss.device.type == "cpu":
            self.check(pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.check(pl_module)
        if not all(torch.isfinite(p).all() for p in pl_module.parameters()):
            raise UserError(self._message(trainer.global_step, "a weight became NaN or infinite"))

    def check(self, pl_module: L.LightningModule) -> None:
        if self._bad is not None and (step := int(self._bad)) >= 0:
            raise UserError(self._message(step, "the loss became NaN or infinite"))

    def _message(self, step: int, what: str) -> str:
        return f"{what} at step {step}: the last good checkpoint is kept; try a smaller --rate, or --clip 1"
