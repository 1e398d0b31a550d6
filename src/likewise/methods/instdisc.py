"""Instance discrimination: each sample is a class of its own, represented by its row in a memory bank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_choice, check_int, check_interval, check_non_negative
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import info_nce, nce
from likewise.methods.base import Method, TrainingContext
from likewise.modules.memory_bank import MemoryBank, fill_memory_bank
from likewise.modules.temperature import Temperature
from likewise.seeding import generator_for

LOSSES = ("nce", "softmax")


class InstDisc(Method):
    """Wu et al. 2018, Unsupervised Feature Learning via Non-Parametric Instance Discrimination, arXiv:1805.01978.

    The logits of an embedding are its cosines with the rows of all samples over T. The loss estimates or computes the
    cross-entropy with the sample's own row.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the rows of the memory bank.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        bank_momentum: momentum of a sample's row, in [0, 1].
        loss: `nce`, noise-contrastive estimation; `softmax`, the exact cross-entropy over all samples, for up to some
            100,000.
        noise: of `nce`: noise samples a step, drawn from the whole bank and shared by the batch.
        fill: fill the bank with the embeddings of the untrained encoder instead of random rows, which saves epochs when
            there are few.
        proximal: weight λ of the squared distance to the sample's row, which stabilizes training; 0 or more.

    Raises:
        UserError: for an unknown loss, or a number out of its range.
    """

    family = "contrastive"
    paper = "1805.01978"
    when_to_use = "one view a sample and no second network: the cheapest step; for many epochs on little data"

    bank: MemoryBank
    log_normalizer: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float | str = 0.07,
        bank_momentum: float = 0.5,
        loss: str = "nce",
        noise: int = 4096,
        fill: bool = False,
        proximal: float = 0.0,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, noise=noise)
        check_interval(0, 1, bank_momentum=bank_momentum)
        check_non_negative(proximal=proximal)
        check_choice(LOSSES, loss=loss)
        self.projector = nn.Linear(self.dim, projection_dim)
        self.temperature = Temperature(temperature)
        self.loss, self.noise, self.fill, self.proximal = loss, noise, fill, proximal
        self.bank_momentum, self.projection_dim = bank_momentum, projection_dim
        if loss == "nce":
            self.register_buffer("log_normalizer", torch.tensor(math.nan))  # until there is a batch

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        self.bank = MemoryBank(context.samples, self.projection_dim, seed=context.seed)

    def begin_epoch(self, epoch: int) -> None:
        if epoch == 0 and self.fill:
            fill_memory_bank(
                self.bank,
                self.embed_samples,
                samples=self.training_context.samples,
                batch_size=self.training_context.batch_size,
            )

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return self.views(batch.samples, generator), batch.indices

    def objective(self, view: Any, indices: Tensor) -> dict[str, Tensor]:
        z = F.normalize(self.embed(view).to(self.bank.vectors.dtype), dim=1)
        row = self.bank.vectors[indices]
        self.track(z, row)
        contrast = self.nce(z, row) if self.loss == "nce" else self.softmax(z, row, indices)
        loss = contrast + self.proximal * (z - row).square().sum(1).mean()
        return {"loss": loss, "bank_freshness": self.bank.update(indices, z, momentum=self.bank_momentum)}

    def nce(self, z: Tensor, row: Tensor) -> Tensor:
        """NCE against uniform noise; the normalizer Z of the softmax is estimated once, from the first batch."""
        log_samples, temperature = math.log(self.training_context.samples), self.temperature(self.progress)
        generator = generator_for(self.training_context.seed, self.global_step)
        noise = torch.randint(self.training_context.samples, (self.noise,), generator=generator).to(z.device)
        with torch.autocast(z.device.type, enabled=False):
            positive = (z * row).sum(1) / temperature
            negatives = z @ self.bank.vectors[noise].T / temperature
        of_rows = gather(negatives.detach().logsumexp(1))
        estimate = of_rows.logsumexp(0) - math.log(len(of_rows) * self.noise) + log_samples
        self.log_normalizer.copy_(torch.where(self.log_normalizer.isnan(), estimate, self.log_normalizer))
        return nce(positive - self.log_normalizer, negatives - self.log_normalizer, log_noise=-log_samples)

    def softmax(self, z: Tensor, row: Tensor, indices: Tensor) -> Tensor:
        """The exact cross-entropy: the batch's rows and all others are the whole bank, each row once."""
        others = torch.ones(len(self.bank.vectors), dtype=torch.bool, device=z.device).index_fill(0, indices, False)
        rest = self.bank.vectors[others]
        return info_nce(z, row, rest if len(rest) else None, temperature=self.temperature(self.progress))

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        if self.loss == "nce":  # the model's density is the noise's
            return {"loss": math.log1p(self.noise) + self.noise * math.log1p(1 / self.noise)}
        return {"loss": math.log(self.training_context.samples)} if self.training_context.samples else {}
