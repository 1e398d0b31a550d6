"""Diagnostics: figures of the embeddings that the objective compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likewise.distributed import gather, world_size
from likewise.errors import UserError
from likewise.losses import alignment, effective_rank, pair_matching, spread, uniformity
from likewise.methods.base import Method

ROWS = 256  # of a batch are measured: enough for these figures, and their cost is that of a small matrix product
SELDOM = 5  # logged steps to one that is measured: singular values cost as much as a step of a small encoder


def measure(
    first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"], *, cross_modal: bool = False
) -> dict[str, Tensor]:
    """Figures of matched embeddings, scalars, from at most `ROWS` rows.

    Args:
        first: `(n, dim)`.
        second: `(n, dim)`; row i belongs to row i of `first`.
        cross_modal: whether the two are of different kinds, and only compared with each other.

    Returns:
        `top1`, `top5`: of pair matching, in [0, 1] (see `likewise.losses.pair_matching`). `spread`: mean standard
            deviation
        of the dimensions of unit embeddings times √dim: 0 for a point, 1 for uniform directions. `effective_rank`:
            RankMe,
        from 1 to min(n, dim) (arXiv:2210.02885). `alignment`, `uniformity`: arXiv:2005.10242. `pair_distance`:
            alignment as
        a share of the mean squared distance of views of any two samples: 1 where views of one sample are no nearer than
        those of others. Unlike alignment it does not fall in a collapse.
    """
    first, second = first[:ROWS].float(), second[:ROWS].float()
    matching, aligned = pair_matching(first, second, cross_modal=cross_modal), alignment(first, second)
    apart = 2 - 2 * F.normalize(first, dim=1).mean(0) @ F.normalize(second, dim=1).mean(0)
    return {
        "top1": matching["top1"],
        "top5": matching["top5"],
        "spread": spread(first).mean() * first.shape[1] ** 0.5,
        "effective_rank": effective_rank(first),
        "alignment": aligned,
        "uniformity": uniformity(first),
        "pair_distance": aligned / apart.clamp_min(1e-12),
    }


def matching_chance(batch_size: int, *, cross_modal: bool = False) -> dict[str, float]:
    """`top1` and `top5` of uninformed embeddings."""
    others = min(batch_size, ROWS) if cross_modal else 2 * min(batch_size, ROWS) - 1
    return {"top1": 1 / others, "top5": min(1.0, 5 / others)}


@torch.no_grad()
def total_norm(tensors: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Euclidean norm of all elements together; 0 where there are none."""
    return torch.stack(torch._foreach_norm(list(tensors))).float().norm() if tensors else torch.zeros(())


class Diagnostics(L.Callback):
    """Logs the figures of the tracked embeddings, and the norms of gradient and encoder.

    The first step, with the untrained network, is always measured: later ones are compared with it.

    Args:
        every: steps between two rows of the history.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._norms: dict[str, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        assert isinstance(pl_module, Method)
        if self._due(trainer.global_step, pl_module):
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            weights = list(pl_module.encoder.parameters())
            self._norms = {"gradient_norm": total_norm(gradients), "weight_norm": total_norm(weights)}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        assert isinstance(pl_module, Method)
        pl_module.log("lr", trainer.optimizers[0].param_groups[0]["lr"])
        step = trainer.global_step - 1
        if not self._due(step, pl_module):
            return
        figures = {"loss": outputs["loss"].detach()}
        if pl_module.tracked is not None:
            figures |= measure(*self._joined(pl_module), cross_modal=pl_module.cross_modal)
        # Lightning's own log would repeat them in every row until they are measured again.
        for logger in trainer.loggers:
            logger.log_metrics({name: float(value) for name, value in (figures | self._norms).items()}, step=step)

    def _due(self, step: int, method: Method) -> bool:
        """Whether the step, counted from 0, is measured: the first, some, and the last of each epoch."""
        done = step + 1
        return step == 0 or done % (SELDOM * self.every) == 0 or done % method.training_context.steps_per_epoch == 0

    @staticmethod
    @torch.no_grad()
    def _joined(method: Method) -> tuple[Tensor, Tensor]:
        """The tracked embeddings of all processes, also where the objective compares only its own."""
        assert method.tracked is not None
        first, second = (z[:ROWS] for z in method.tracked)
        if len(first) * world_size() == method.training_context.batch_size:
            first, second = gather(first), gather(second)
        return first, second


class Diverged(UserError):
    """The loss or a weight has become NaN or infinite."""


class StopAtNaN(L.Callback):
    """Stop a training whose loss becomes NaN or infinite, and never let a checkpoint hold its weights.

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
            raise Diverged(self._message(trainer.global_step, "a weight became NaN or infinite"))

    def check(self, pl_module: L.LightningModule) -> None:
        if self._bad is not None and (step := int(self._bad)) >= 0:
            raise Diverged(self._message(step, "the loss became NaN or infinite"))

    def _message(self, step: int, what: str) -> str:
        return (
            f"the training is diverging: {what} at step {step}: the last good checkpoint is kept; "
            "try a smaller --lr, or --grad-clip 1"
        )
