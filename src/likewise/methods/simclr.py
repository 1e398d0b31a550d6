"""SimCLR: contrast two augmented views of each sample with the other samples of the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_choice, check_int, check_interval, check_non_negative, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import dcl, dcl_w, hcl, nt_xent, nt_xent_hardest, sup_con
from likewise.methods.base import Method, TrainingContext
from likewise.modules.heads import projector
from likewise.modules.temperature import Temperature

LOSSES = ("nt-xent", "dcl", "dcl-w", "hcl", "hardest", "sup-con")


class SimCLR(Method):
    """Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations, arXiv:2002.05709.

    The loss is NT-Xent (see `likewise.losses.nt_xent`) of the projections of two views of each sample.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the projections.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        projection_norm: whether BatchNorm without an offset follows the projector, as in the authors' code.
        loss: `nt-xent`, the paper's; `dcl` or `dcl-w`, decoupled (arXiv:2110.06848); `hcl`, with hard negatives
            weighted up (arXiv:2010.04592); `hardest`, with the hardest negatives only; `sup-con`, with all samples of a
            class as positives, which needs labels (arXiv:2004.11362).
        beta: of `hcl`: concentration on hard negatives, 0 or more.
        tau_plus: of `hcl`: probability that a negative has the class of its anchor, in [0, 1).
        negatives: of `hardest`: number of negatives of each view, from 1 to 2 batch_size - 2.

    Raises:
        UserError: for an unknown loss, or a number out of its range.
    """

    family = "contrastive"
    paper = "2002.05709"
    when_to_use = "a first choice for images: simple and strong; needs batches of 256 or more"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float | str = 0.5,
        projection_norm: bool = False,
        loss: str = "nt-xent",
        beta: float = 1.0,
        tau_plus: float = 0.1,
        negatives: int = 64,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, negatives=negatives)
        check_choice(LOSSES, loss=loss)
        check_non_negative(beta=beta)
        check_interval(0, 1, closed="left", tau_plus=tau_plus)
        self.projector = projector(self.dim, projection_dim, last_norm=projection_norm)
        self.temperature = Temperature(temperature)
        self.negatives = negatives if loss == "hardest" else None
        self.supervised = loss == "sup-con"
        self.positive_below = loss not in ("dcl", "dcl-w")
        self.compare: Any = {
            "nt-xent": nt_xent,
            "dcl": dcl,
            "dcl-w": dcl_w,
            "hcl": partial(hcl, beta=beta, tau_plus=tau_plus),
            "hardest": partial(nt_xent_hardest, k=negatives),
            "sup-con": sup_con,
        }[loss]

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        if self.negatives is not None:
            most = 2 * context.batch_size - 2
            require(self.negatives <= most, "negatives", f"at most 2 batch_size - 2 = {most}", self.negatives)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        views = super().make_views(batch, generator)
        return (*views, batch.labels) if self.supervised else views

    def objective(self, first: Any, second: Any, labels: Tensor | None = None) -> Tensor:
        z1, z2 = map(gather, self.embed(torch.cat([first, second])).chunk(2))
        self.track(z1, z2)
        known = {} if labels is None else {"labels": gather(labels)}
        return self.compare(z1, z2, temperature=self.temperature(self.progress), **known)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        others = 2 * batch_size - 2 + self.positive_below if self.negatives is None else self.negatives + 1
        return {"loss": math.log(others)}
