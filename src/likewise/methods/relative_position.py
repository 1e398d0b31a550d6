"""Relative position: of two patches, say on which side of the one the other lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_whole
from likewise.data.loader import Batch
from likewise.methods.base import Method
from likewise.modules.classification import classification_chance, classification_metrics
from likewise.modules.heads import mlp
from likewise.runs.figures import Figure, FigureRow
from likewise.views.pretext import Grid, mosaic, without_colours

CENTRE = 4
AROUND = [0, 1, 2, 3, 5, 6, 7, 8]  # of 3x3 patches; place i is what a head must answer for the i-th of them


class RelativePosition(Method):
    """Doersch et al. 2015, Unsupervised Visual Representation Learning by Context Prediction, arXiv:1505.05192.

    Nine patches are encoded for eight pairs: the one in the centre with each of its neighbours.

    Args:
        encoder: patch of any size -> `(n, encoder.dim)`.
        hidden_dim: width of the layer that sees both embeddings.
        gap, jitter: between patches, and of each, in widths of a patch: see `likewise.views.pretext.Grid`.
        drop_colours: keep one channel of each patch only, against chromatic aberration.

    Raises:
        UserError: for a number out of its range; while training, for images too small for the patches.
    """

    family = "predictive"
    modality = "image"
    paper = "1505.05192"
    when_to_use = "photographs of objects, whose parts have their places"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 4096,
        gap: float = 0.5,
        jitter: float = 7 / 96,
        drop_colours: bool = True,
    ) -> None:
        super().__init__(encoder)
        check_whole(hidden_dim=hidden_dim)
        self.grid = Grid(3, gap, jitter)
        self.drop_colours = drop_colours
        self.head = mlp(2 * self.dim, hidden_dim, len(AROUND))

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        # Light views: the patches of a strong one would be parts of a part.
        patches = self.grid.cut(self.views.weak(batch.samples, generator), generator)
        return (without_colours(patches, generator) if self.drop_colours else patches,)

    def objective(self, patches: Any) -> dict[str, Tensor]:
        places = torch.arange(len(AROUND), device=patches.device).repeat(len(patches))
        return classification_metrics(self.scores(patches).flatten(0, 1), places)

    def scores(self, patches: Float[Tensor, "n 9 c p p"]) -> Float[Tensor, "n 8 8"]:
        """For each patch around the centre, scores of the eight places that it may have."""
        z = self.encode(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        around = z[:, AROUND]
        pairs = torch.cat([z[:, [CENTRE]].expand_as(around), around], dim=2)
        return self.head(pairs.flatten(0, 1)).unflatten(0, around.shape[:2])

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(len(AROUND))

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if figures.get("accuracy", 0.0) < 2 / len(AROUND):
            return None
        if self.grid.touching:
            return "patches touch, so that edges that go on tell the place: set --gap 0.5 and --jitter 0.07"
        if not self.drop_colours and getattr(self.views, "channels", 1) == 3:
            return "a lens's colour fringes may tell the place of patches in full colour: set --drop-colours true"
        return None

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        patches = self.grid.cut(view, generator)
        answers = self.scores(without_colours(patches, generator) if self.drop_colours else patches).argmax(2)
        shown = self.views.picture(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        guess = torch.full_like(shown, 224)
        guess[:, CENTRE] = shown[:, CENTRE]
        rows = torch.arange(len(guess), device=guess.device)[:, None]
        guess[rows, torch.tensor(AROUND, device=guess.device)[answers]] = shown[:, AROUND]
        right = (answers == torch.arange(len(AROUND), device=answers.device)).sum(1).tolist()
        caption = (
            "The patches around the centre, and each of them where the centre and it alone made the network believe it "
            "lies; grey places were named for none, of several patches at one place one is shown."
        )
        return [
            Figure(
                "Where does each patch belong?",
                caption,
                [
                    FigureRow("picture", self.views.picture(view)),
                    FigureRow("its patches", mosaic(shown)),
                    FigureRow("as placed", mosaic(guess), [f"{hits} of {len(AROUND)}" for hits in right]),
                ],
            )
        ]
