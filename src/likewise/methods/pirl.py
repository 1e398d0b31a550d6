"""PIRL: a picture and its shuffled patches are the same; other pictures, from a memory bank, are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_momentum, check_positive, check_whole
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.errors import UserError
from likewise.losses import info_nce
from likewise.methods.base import Method, TrainingContext
from likewise.modules.memory_bank import MemoryBank, fill_memory_bank
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import generator_for
from likewise.views.pretext import Grid, mosaic, random_orders, shuffled


class PIRL(Method):
    """Misra & van der Maaten 2019, Self-Supervised Learning of Pretext-Invariant Representations, arXiv:1912.01991.

    The anchor is the image's row in the bank, a moving average of its embeddings `f`. Its shuffled patches, `g`, and
    the image itself, `f`, are each to find it among rows of other images: with InfoNCE, as in the authors' code.

    Args:
        encoder: view or patch of any size -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are compared.
        temperature: divides the cosine similarities.
        bank_momentum: of an image's row in the bank, in [0, 1].
        negatives: rows of other images, drawn anew for each step.
        balance: the paper's lambda: weight of the patches' term; that of the image's is the rest.
        fill: begin with what the untrained encoder says of the images, instead of random rows.
        grid, gap, jitter: of the patches: see `likewise.views.pretext.Grid`. The paper's are patches of 64 px anywhere
            in 3x3 cells of 85.

    Raises:
        UserError: for a number out of its range; while training, for images too small for the patches.
    """

    family = "pretext-invariant"
    modality = "image"
    paper = "1912.01991"
    when_to_use = "contrast on what a jigsaw keeps: parts, not their places; no large batch, a row for every image"

    bank: MemoryBank

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float = 0.07,
        bank_momentum: float = 0.5,
        negatives: int = 32000,
        balance: float = 0.5,
        fill: bool = False,
        grid: int = 3,
        gap: float = 21 / 64,
        jitter: float = 10.5 / 64,
    ) -> None:
        super().__init__(encoder)
        check_whole(projection_dim=projection_dim, negatives=negatives)
        check_positive(temperature=temperature)
        check_momentum(bank_momentum=bank_momentum, balance=balance)
        self.grid = Grid(grid, gap, jitter)
        self.f = nn.Linear(self.dim, projection_dim)
        self.each_patch = nn.Linear(self.dim, projection_dim)
        self.all_patches = nn.Linear(self.grid.patches * projection_dim, projection_dim)
        self.projection_dim, self.temperature, self.momentum = projection_dim, temperature, bank_momentum
        self.negatives, self.balance, self.fill = negatives, balance, fill

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        if context.batch_size >= context.samples:
            raise UserError(
                f"batch_size must be below the {context.samples} samples, for negatives, got {context.batch_size}"
            )
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
        # Both strong, as in the paper: colours that both had would tell that they are the same.
        patches = self.grid.cut(self.views(batch.samples, generator), generator)
        orders = random_orders(len(patches), self.grid.patches, generator).to(patches.device)
        return self.views(batch.samples, generator), shuffled(patches, orders), batch.indices

    def objective(self, image: Any, patches: Any, indices: Tensor) -> dict[str, Tensor]:
        f, g = self.embed(image), self.g(patches)
        generator = generator_for(self.training_context.seed, self.global_step)  # the same in every process
        row, others = self.bank.vectors[indices], self.bank.others(gather(indices), self.negatives, generator)
        self.track(f, row)  # not g: patches find their image, but lie nearest to other patches
        of_patches, of_image = (info_nce(z, row, others, temperature=self.temperature, in_batch=False) for z in (g, f))
        loss = self.balance * of_patches + (1 - self.balance) * of_image
        return {"loss": loss, "bank_freshness": self.bank.update(indices, f, momentum=self.momentum)}

    def embed(self, view: Any) -> Tensor:
        return self.f(self.encode(view))

    def g(self, patches: Float[Tensor, "n k c p p"]) -> Float[Tensor, "n d"]:
        """The embedding of patches in the order in which they come."""
        return self.all_patches(self.each_patch(self.encode(patches.flatten(0, 1))).reshape(len(patches), -1))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(1 + self.negatives)}

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        patches = self.grid.cut(view, generator)
        patches = shuffled(patches, random_orders(len(patches), self.grid.patches, generator).to(patches.device))
        f, g = (nn.functional.normalize(z.float(), dim=1) for z in (self.embed(view), self.g(patches)))
        found = (g @ f.T).argmax(1).tolist()
        shown = self.views.picture(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        words = [f"found picture {of + 1} {'✓' if of == own else '✗'}" for own, of in enumerate(found)]
        caption = "Below each picture its shuffled patches, and which of these pictures their embedding is nearest to."
        rows = [FigureRow("picture", self.views.picture(view)), FigureRow("its patches", mosaic(shown), words)]
        return [Figure("Whose patches are these?", caption, rows)]
