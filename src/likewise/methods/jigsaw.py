"""Jigsaw: classify the permutation in which the tiles of an image were shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, check_interval
from likewise.data.loader import Batch
from likewise.methods.base import Method
from likewise.modules.classification import classification_chance, classification_metrics
from likewise.modules.heads import mlp
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import draw_rows
from likewise.views.pretext import Grid, mosaic, permutation_set, shuffled, some_grey, standardize


class Jigsaw(Method):
    """Noroozi & Favaro 2016, Unsupervised Learning of … Representations by Solving Jigsaw Puzzles, arXiv:1603.09246.

    The loss is the cross-entropy over the permutations. Each tile is encoded alone; only the head, which sees their
    embeddings side by side, can compare them.

    Args:
        encoder: tile of any size -> `(n, encoder.dim)`.
        permutations: number of permutations: see `likewise.views.pretext.permutation_set`.
        hidden_dim: width of the head's hidden layer, which sees all tiles.
        grid: rows, and columns, of tiles: 2 or 3.
        gap: space between tiles, in widths of a tile, 0 or more; see `likewise.views.pretext.Grid`. The paper cuts
            tiles of 64 px from cells of 75 px.
        jitter: largest random shift of a tile, in widths of a tile, at most half the gap.
        grey: share of the images whose tiles are grey, against chromatic aberration, in [0, 1].

    Raises:
        UserError: for a number out of its range; while training, for images too small for the tiles.
    """

    family = "predictive"
    modality = "image"
    paper = "1603.09246"
    compares_augmentations = False
    any_size = False  # smaller views are too small for their patches
    when_to_use = "photographs of objects with parts; more permutations make it harder"
    min_batch_size = 2

    permutations: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        permutations: int = 1000,
        hidden_dim: int = 4096,
        grid: int = 3,
        gap: float = 11 / 64,
        jitter: float = 5.5 / 64,
        grey: float = 0.0,
    ) -> None:
        super().__init__(encoder)
        check_int(hidden_dim=hidden_dim)
        check_interval(0, 1, grey=grey)
        self.grid = Grid(grid, gap, jitter)
        self.grey = grey
        # A copy in every checkpoint: they are what the head's predictions mean.
        self.register_buffer("permutations", permutation_set(self.grid.patches, permutations).clone())
        self.head = mlp(self.grid.patches * self.dim, hidden_dim, permutations)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        # Weak views: strong crops would leave tiles of a small part.
        view = some_grey(self.views.weak(batch.samples, generator), self.grey, generator)
        tiles = self.grid.cut(view, generator)
        return self.shuffle(tiles, generator)

    def shuffle(self, tiles: Float[Tensor, "n k c p p"], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Tiles in the order of a random permutation, and which one it is."""
        drawn = draw_rows(
            lambda n, whole: torch.randint(len(self.permutations), (n,), generator=whole), len(tiles), generator
        ).to(tiles.device)
        return shuffled(tiles, self.permutations[drawn]), drawn

    def objective(self, tiles: Any, drawn: Tensor) -> dict[str, Tensor]:
        return classification_metrics(self.scores(tiles), drawn)

    def scores(self, tiles: Float[Tensor, "n k c p p"]) -> Float[Tensor, "n permutations"]:
        """The logits of the permutations."""
        z = self.encode(standardize(tiles).flatten(0, 1))
        return self.head(z.reshape(len(tiles), -1))

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(len(self.permutations))

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if not self.grid.touching or figures.get("accuracy", 0.0) < 2 / len(self.permutations):
            return None
        return "tiles touch, so that continued edges solve the puzzle: set --gap 0.17 and --jitter 0.085"

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        tiles, drawn = self.shuffle(self.grid.cut(view, generator), generator)
        predictions = self.scores(tiles).argmax(1)
        pictures = self.views.picture(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])
        marks = ["✓" if right else "✗" for right in (predictions == drawn).tolist()]
        caption = f"Tiles in one of {len(self.permutations)} orders, and put back by the predicted order."
        return [
            Figure(
                "Predicted order of tiles",
                caption,
                [
                    FigureRow("picture", self.views.picture(view)),
                    FigureRow("shuffled", mosaic(pictures)),
                    FigureRow("put back", mosaic(shuffled(pictures, self.permutations[predictions].argsort(1))), marks),
                ],
            )
        ]
