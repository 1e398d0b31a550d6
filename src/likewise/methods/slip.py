"""SLIP: CLIP between the halves of a pair, and SimCLR between two views of one half."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative, check_positive
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.pair import two_towers
from likewise.losses import clip_loss, nt_xent
from likewise.methods.pair_base import PairMethod
from likewise.modules.heads import mlp
from likewise.modules.multi_crop import encode_crops, two_views
from likewise.modules.temperature import Temperature


class SLIP(PairMethod):
    """Mu et al. 2021, SLIP: Self-supervision meets Language-Image Pre-training, arXiv:2112.12750.

    The loss is `clip_loss` + `weight` `nt_xent`. SimCLR's two views are of the first half that is an image, or of the
    first half if none is. A projector of their own follows that tower's encoder, before the map into the joint space.
    CLIP sees images cropped to half their area or more and not changed otherwise.

    Args:
        encoder: one with two towers, as `likewise.encoders.pair.PairEncoder`.
        temperature: T of CLIP: a number above 0, FIRST:LAST or learned:START (see `Temperature`); the paper's is
            learned.
        weight: of SimCLR's loss, 0 or more.
        view_temperature: T of SimCLR, above 0.
        projection_dim: length of SimCLR's projections.
        hidden_dim: width of the projector's two hidden layers.

    Raises:
        UserError: for an encoder without two towers, or a number out of its range.
    """

    paper = "2112.12750"
    when_to_use = "like CLIP where pairs are few: the image encoder also learns from images alone"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        temperature: float | str = "learned:0.07",
        weight: float = 1.0,
        view_temperature: float = 0.1,
        projection_dim: int = 256,
        hidden_dim: int = 4096,
    ) -> None:
        super().__init__(encoder)
        check_non_negative(weight=weight)
        check_positive(view_temperature=view_temperature)
        check_int(projection_dim=projection_dim, hidden_dim=hidden_dim)
        modalities = getattr(encoder, "modalities", [])
        self.viewed = modalities.index("image") if "image" in modalities else 0
        image_dim: int = two_towers(encoder)[self.viewed].encoder.dim  # type: ignore[assignment]
        self.projector = mlp(image_dim, hidden_dim, hidden_dim, projection_dim)
        self.temperature = Temperature(temperature)
        self.weight, self.view_temperature = weight, view_temperature

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        views: Any = self.views.parts  # type: ignore[attr-defined]
        # Captions tell apart what strong views would make alike, such as colours and sides.
        halves = [
            getattr(each, "captioned", each)(half, generator)
            for each, half in zip(views, batch.samples.parts, strict=True)
        ]
        return *halves, *two_views(views[self.viewed], batch.samples.parts[self.viewed], generator)

    def objective(self, one: Any, other: Any, first: Any, second: Any) -> dict[str, Tensor]:
        towers, halves, viewed = two_towers(self.encoder), [one, other], self.viewed
        views = [halves[viewed], first, second]
        embedding, *others = encode_crops(lambda view: self.encode(view, towers[viewed].encoder), views)
        halves[viewed] = towers[viewed].projection(embedding)
        halves[1 - viewed] = self.encode(halves[1 - viewed], towers[1 - viewed])
        z1, z2, scalars = self.gather_halves(*halves)
        temperature = self.temperature(self.progress)
        across = clip_loss(z1, z2, temperature=temperature)
        v1, v2 = map(gather, self.projector(torch.cat(others)).chunk(2))
        within = nt_xent(v1, v2, temperature=self.view_temperature)
        return {
            "loss": across + self.weight * within,
            "clip_loss": across.detach(),
            "view_loss": within.detach(),
            **scalars,
            "temperature": torch.as_tensor(temperature).detach(),
        }

    def chance(self, batch_size: int) -> dict[str, float]:
        across, within = math.log(batch_size), math.log(2 * batch_size - 1)
        chance = {"loss": across + self.weight * within, "clip_loss": across, "view_loss": within}
        return super().chance(batch_size) | chance
