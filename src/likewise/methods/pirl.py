"""PIRL: an image and its shuffled patches have the same embedding; negatives come from a memory bank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, check_interval, check_positive, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.methods.base import Method, TrainingContext
from likewise.modules.memory_bank import MemoryBank, fill_memory_bank
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import generator_for
from likewise.views.pretext import Grid, mosaic, random_orders, shuffled


class PIRL(Method):
    """Misra & van der Maaten 2019, Self-Supervised Learning of Pretext-Invariant Representations, arXiv:1912.01991.

    The target is the image's row in the bank, a moving average of its embeddings f. The embedding g of its shuffled
    patches and the embedding f of the image itself are each contrasted with rows of other images, with InfoNCE. The
    paper and the authors' configuration have NCE, a binary classification of each row, instead. The loss is
    `balance` InfoNCE(g) + (1 - `balance`) InfoNCE(f).

    Args:
        encoder: view or patch of any size -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings.
        temperature: T of the similarities, above 0.
        bank_momentum: momentum of an image's row, in [0, 1].
        negatives: rows of other images, drawn for each step.
        balance: weight of the patches' term (the paper's lambda), in [0, 1].
        fill: fill the bank with the embeddings of the untrained encoder instead of random rows.
        grid: rows, and columns, of patches, from 2 to 16.
        gap: space between patches, in widths of a patch; see `likewise.views.pretext.Grid`. The paper cuts patches of
            64 px from cells of 85 px.
        jitter: largest random shift of a patch, in widths of a patch, at most half the gap.

    Raises:
        UserError: for a number out of its range; while training, for images too small for the patches.
    """

    family = "pretext-invariant"
    modality = "image"
    paper = "1912.01991"
    compares_augmentations = False
    any_size = False  # smaller views are too small for their patches
    when_to_use = "contrastive learning with a jigsaw: invariant to the places of parts; small batches"

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
        check_int(projection_dim=projection_dim, negatives=negatives)
        check_positive(temperature=temperature)
        check_interval(0, 1, bank_momentum=bank_momentum, balance=balance)
        self.grid = Grid(grid, gap, jitter)
        self.f = nn.Linear(self.dim, projection_dim)
        self.each_patch = nn.Linear(self.dim, projection_dim)
        self.all_patches = nn.Linear(self.grid.patches * projection_dim, projection_dim)
        self.projection_dim, self.temperature, self.momentum = projection_dim, temperature, bank_momentum
        self.negatives, self.balance, self.fill = negatives, balance, fill

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        leaves_some = context.batch_size < context.samples
        require(leaves_some, "batch_size", f"below the {context.samples} samples, for negatives", context.batch_size)
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
        # Two strong views, as in the paper: colours shared by both would give the match away.
        patches = self.grid.cut(self.views(batch.samples, generator), generator)
        orders = random_orders(len(patches), self.grid.patches, generator).to(patches.device)
        return self.views(batch.samples, generator), shuffled(patches, orders), batch.indices

    def objective(self, image: Any, patches: Any, indices: Tensor) -> dict[str, Tensor]:
        f, g = self.embed(image), self.g(patches)
        generator = generator_for(self.training_context.seed, self.global_step)  # the same in every process
        row, others = self.bank.vectors[indices], self.bank.others(gather(indices), self.negatives, generator)
        self.track(f, row)  # not g, which lies nearest to the g of other images
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
        nearest = (g @ f.T).argmax(1).tolist()
        pictures = self.views.picture(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        marks = [f"found picture {of + 1} {'✓' if of == own else '✗'}" for own, of in enumerate(nearest)]
        caption = "Below each picture its shuffled patches, and which of these pictures their embedding is nearest to."
        rows = [FigureRow("picture", self.views.picture(view)), FigureRow("its patches", mosaic(pictures), marks)]
        return [Figure("Retrieval by patches", caption, rows)]
