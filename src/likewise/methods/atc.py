"""ATC: find, from one moment of a film, the moment a little later, among those of the batch."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from likewise.checks import check_int, check_interval, require
from likewise.data.loader import Batch
from likewise.data.sampling import LaterSampling, with_later
from likewise.data.source import Source
from likewise.distributed import gather
from likewise.losses import curl
from likewise.methods.base import Method
from likewise.modules.ema import EMA
from likewise.modules.heads import mlp
from likewise.runs.figures import Figure, FigureRow

MOST_SHOWN = 8  # pairs on the page


class ATC(Method):
    """Stooke et al. 2021, Decoupling Representation Learning from Reinforcement Learning, arXiv:2009.08319.

    Augmented temporal contrast: an anchor, and a positive that comes `delta` samples later, each in a random view. A
    residual predictor goes from the anchor's code towards the positive's, which is that of a momentum encoder;
    similarities are bilinear. Samples are in the order of time: frames in a folder by their names, or rows of an array.
    No pair crosses from one folder to another. Of films that follow each other in an array, a few pairs cross.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the codes.
        hidden_dim: width of the predictor's hidden layer.
        delta: how many samples later the positive is, 1 or more.
        key_momentum: of the momentum encoder, in [0, 1].

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    modality = "image"
    paper = "2009.08319"
    when_to_use = "frames in the order of time, as of a film or an agent: what lasts from one moment to the next"
    min_batch_size = 4  # two pairs
    compares_augmentations = False
    deployed_role = "online"
    inseparable = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 256,
        hidden_dim: int = 512,
        delta: int = 3,
        key_momentum: float = 0.99,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, hidden_dim=hidden_dim, delta=delta)
        check_interval(0, 1, key_momentum=key_momentum)
        self.projector = nn.Sequential(nn.Linear(self.dim, projection_dim), nn.LayerNorm(projection_dim))
        self.predictor = mlp(projection_dim, hidden_dim, projection_dim, norm=False)
        self.weight = nn.Parameter(torch.eye(projection_dim) / projection_dim**0.5)
        self.keys = EMA(self.encoder, self.projector)
        self.delta, self.key_momentum = delta, key_momentum
        self.drawn: LaterSampling | None = None

    def sampling(self, source: Source, *, batch_size: int, seed: int) -> LaterSampling:
        firsts = with_later(source.ids, self.delta)
        require(len(firsts) >= 2, "delta", "smaller than the films, which have fewer samples", self.delta)
        rule = f"at most twice the {len(firsts):,} samples that have one of their folder {self.delta} later"
        remedy = "take a smaller --batch-size or --delta"
        require(2 <= batch_size // 2 <= len(firsts), "batch_size", rule, batch_size, remedy)
        self.drawn = LaterSampling(len(source), firsts, delta=self.delta, batch_size=batch_size, seed=seed)
        return self.drawn

    @property
    def notes(self) -> list[str]:
        if self.drawn is None:
            return []
        return [f"each step has {self.drawn.pairs:,} pairs of samples, of which one comes {self.delta} later"]

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (self.views(batch.samples, generator),)

    def objective(self, view: Any) -> Tensor:
        anchors, positives = view[0::2], view[1::2]
        self.keys.update(self.encoder, self.projector, momentum=self.key_momentum)
        codes, keys = gather(self.embed(anchors)), gather(self.keys(positives))
        self.track(codes, keys)
        return curl(codes + self.predictor(codes), keys, self.weight)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(batch_size // 2)}

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        """Some pairs, in views as the steps have them."""
        read = self.training_context.read
        if not hasattr(self.views, "picture") or self.drawn is None or read is None:
            return []
        indices = self.drawn.indices(0)[: 2 * MOST_SHOWN]
        (view,) = self.make_views(Batch(move_data_to_device(read(indices), self.device), indices), generator)
        pictures = self.views.picture(view)
        rows = [FigureRow("anchor", pictures[0::2]), FigureRow("positive", pictures[1::2])]
        caption = f"Below each anchor is its positive, which comes {self.delta} samples later."
        return [Figure("Pairs", caption, rows)]
