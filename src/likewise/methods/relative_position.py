"""Relative position: classify where a patch lies relative to another."""

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
from likewise.views.pretext import Grid, mosaic, some_grey, standardize, without_colours

CENTRE = 4
AROUND = [0, 1, 2, 3, 5, 6, 7, 8]  # of 3x3 patches; place i is what a head must answer for the i-th of them


class RelativePosition(Method):
    """Doersch et al. 2015, Unsupervised Visual Representation Learning by Context Prediction, arXiv:1505.05192.

    The loss is the cross-entropy over eight positions around the centre. Nine patches of an image are encoded for eight
    pairs: the central patch with each of its neighbours.

    Args:
        encoder: patch of any size -> `(n, encoder.dim)`.
        hidden_dim: width of the head's hidden layer, which sees both embeddings.
        gap: space between patches, in widths of a patch, 0 or more: see `likewise.views.pretext.Grid`.
        jitter: largest random shift of a patch, in widths of a patch, at most half the gap.
        drop_colours: keep only one colour channel of each patch, against chromatic aberration.
        grey: share of the images whose patches are grey, against the same, in [0, 1].
        standardize: give every channel of every patch mean 0 and deviation 1, so that brightness and colours don't tell
            neighbours.

    Raises:
        UserError: for a number out of its range; while training, for images too small for the patches.
    """

    family = "predictive"
    modality = "image"
    paper = "1505.05192"
    compares_augmentations = False
    any_size = False  # smaller views are too small for their patches
    when_to_use = "photographs of objects whose parts have typical places"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 4096,
        gap: float = 0.5,
        jitter: float = 7 / 96,
        drop_colours: bool = True,
        grey: float = 0.0,
        standardize: bool = False,
    ) -> None:
        super().__init__(encoder)
        check_int(hidden_dim=hidden_dim)
        check_interval(0, 1, grey=grey)
        self.grid = Grid(3, gap, jitter)
        self.drop_colours, self.grey, self.standardize = drop_colours, grey, standardize
        self.head = mlp(2 * self.dim, hidden_dim, len(AROUND))

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        # Weak views: strong crops would leave patches of a small part.
        view = some_grey(self.views.weak(batch.samples, generator), self.grey, generator)
        return (self.prepared(self.grid.cut(view, generator), generator),)

    def prepared(self, patches: Float[Tensor, "n 9 c p p"], generator: torch.Generator) -> Float[Tensor, "n 9 c p p"]:
        """Patches as they are encoded."""
        patches = standardize(patches) if self.standardize else patches
        return without_colours(patches, generator) if self.drop_colours else patches

    def objective(self, patches: Any) -> dict[str, Tensor]:
        places = torch.arange(len(AROUND), device=patches.device).repeat(len(patches))
        return classification_metrics(self.scores(patches).flatten(0, 1), places)

    def scores(self, patches: Float[Tensor, "n 9 c p p"]) -> Float[Tensor, "n 8 8"]:
        """For each patch around the centre, the logits of the eight positions."""
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
            return "patches touch, so that continued edges reveal the position: set --gap 0.5 and --jitter 0.07"
        if not self.drop_colours and self.grey < 0.5 and getattr(self.views, "channels", 1) == 3:
            return "chromatic aberration may reveal the position of patches in full colour: set --drop-colours true"
        return None

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        patches = self.grid.cut(view, generator)
        predictions = self.scores(self.prepared(patches, generator)).argmax(2)
        pictures = self.views.picture(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
        guess = torch.full_like(pictures, 224)
        guess[:, CENTRE] = pictures[:, CENTRE]
        rows = torch.arange(len(guess), device=guess.device)[:, None]
        guess[rows, torch.tensor(AROUND, device=guess.device)[predictions]] = pictures[:, AROUND]
        right = (predictions == torch.arange(len(AROUND), device=predictions.device)).sum(1).tolist()
        caption = (
            "The patches around the centre, and each of them at the position predicted from it and the centre alone. "
            "Grey positions were predicted for no patch; of several patches at one position one is shown."
        )
        return [
            Figure(
                "Where does each patch belong?",
                caption,
                [
                    FigureRow("picture", self.views.picture(view)),
                    FigureRow("its patches", mosaic(pictures)),
                    FigureRow("as placed", mosaic(guess), [f"{hits} of {len(AROUND)}" for hits in right]),
                ],
            )
        ]
