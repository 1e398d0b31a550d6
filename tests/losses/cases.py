"""The losses with arguments for them: what the tests of exactness, invariance and safety go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import naive
import torch
from torch import Tensor

from likewise import losses


@dataclass(frozen=True)
class Case:
    """`loss(*group(tensors), temperature=..., **options)` beside its naive formula."""

    name: str
    shapes: tuple[tuple[int, ...], ...] = ((7, 4), (7, 4))
    options: dict[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    group: Callable[[list[Tensor]], list[Any]] = list
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.variant}".strip()

    def tensors(self, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in self.shapes]
        if self.temperature is not None:
            made.append(torch.tensor(self.temperature, dtype=torch.float64))
        return [tensor.to(dtype).requires_grad_() for tensor in made]

    def loss(self, *tensors: Tensor) -> Tensor:
        return self._call(getattr(losses, self.name), tensors)

    def formula(self, *tensors: Tensor) -> Tensor:
        return self._call(getattr(naive, self.name), tensors)

    def _call(self, function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> Tensor:
        given = list(tensors)
        options = {name: _like(value, given[0]) for name, value in self.options.items()}
        if self.temperature is not None:
            options["temperature"] = given.pop()
        return function(*self.group(given), **options)


def _like(value: Any, model: Tensor) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(model.dtype, torch.float32))
    return tuple(_like(v, model) for v in value) if isinstance(value, tuple) else value


def crops(tensors: list[Tensor]) -> list[Any]:
    """Three views, the first two of them global."""
    return [tensors[:3], tensors[3:]]


def coded(tensors: list[Tensor]) -> list[Any]:
    precise = [t.detach().to(torch.promote_types(t.dtype, torch.float32)) for t in tensors[3:]]
    return [tensors[:3], [t.softmax(1) for t in precise]]


def assigned(tensors: list[Tensor]) -> list[Any]:
    students, targets = tensors
    return [students, targets.detach().to(torch.promote_types(targets.dtype, torch.float32)).softmax(1)]


LABELS = torch.tensor([0, 1, 1, 2, 0, 1, 3])
CENTER = torch.tensor([0.1, -0.2, 0.3, 0.0])
DIRECTIONS = losses.random_directions(4, 6, torch.Generator().manual_seed(3))
NOISE = (torch.full((7,), -1.5), torch.linspace(-3, -1, 21).view(7, 3))
PLACES = ((4, 2, 3), (4, 2, 3), (5, 3))
BATCH_MEANS = torch.randn(6, 3, generator=torch.Generator().manual_seed(5))
WEIGHTS = {"invariance": 3.0, "variance": 5.0, "covariance": 2.0}
TRIPLE, FIVE = ((7, 4),) * 3, ((7, 4),) * 5

COSINE = [
    Case("nt_xent", temperature=0.5),
    Case("nt_xent", temperature=0.05, variant="sharp"),
    Case("nt_xent", temperature=0.01, variant="beyond exp's range"),
    Case("nt_xent", shapes=((2, 3), (2, 3)), temperature=0.5, variant="two samples"),
    Case("nt_xent", shapes=TRIPLE, temperature=0.2, variant="three views"),
    Case("dcl", temperature=0.1),
    Case("dcl", shapes=((2, 3), (2, 3)), temperature=0.01, variant="beyond exp's range"),
    Case("dcl_w", temperature=0.1),
    Case("hcl", temperature=0.5),
    Case("hcl", temperature=0.3, options={"beta": 0.0, "tau_plus": 0.3}, variant="debiased"),
    Case("hcl", temperature=0.2, options={"beta": 2.0, "tau_plus": 0.0}, variant="hard"),
    Case("nt_xent_hardest", temperature=0.5, options={"k": 3}),
    Case("sup_con", temperature=0.1, options={"labels": LABELS}),
    Case("sup_con", shapes=((7, 4),), temperature=0.1, options={"labels": LABELS}, variant="one view"),
    Case("info_nce", temperature=0.07),
    Case("info_nce", temperature=0.01, variant="beyond exp's range"),
    Case("info_nce", shapes=((7, 4), (7, 4), (13, 4)), temperature=0.07, variant="more negatives"),
    Case(
        "info_nce",
        shapes=((7, 4), (7, 4), (13, 4)),
        temperature=0.07,
        options={"in_batch": False},
        variant="queue",
    ),
    Case("negative_cosine"),
]

OTHERS = [
    Case("nce", shapes=((7,), (7, 3)), options={"log_noise": -2.0}, variant="uniform"),
    Case("nce", shapes=((7,), (7, 3)), options={"log_noise": NOISE}, variant="any noise"),
    Case("margin_contrastive", options={"dissimilar": LABELS % 2, "margin": 3.0}),
    Case("triplet", shapes=TRIPLE, options={"margin": 0.5}),
    Case("mined_triplet", shapes=((7, 4),), options={"labels": LABELS, "margin": 0.5}, variant="semi-hard"),
    Case(
        "mined_triplet",
        shapes=((7, 4),),
        options={"labels": LABELS, "margin": 0.5, "mining": "batch-hard"},
        variant="batch-hard",
    ),
    Case("similarity_matching", shapes=((7, 4), (7, 3))),
    Case("similarity_matching", shapes=((3, 2), (3, 5)), variant="three samples"),
    Case("dino", shapes=FIVE, options={"center": CENTER}, group=crops),
    Case("swapped_prediction", shapes=FIVE, group=coded),
    Case("barlow_twins"),
    Case("vicreg"),
    Case("vicreg_places", shapes=PLACES[:2]),
    Case("vicreg_places", shapes=((2, 1, 3), (2, 1, 3)), options=WEIGHTS, variant="two samples"),
    Case("dense_info_nce", shapes=PLACES, temperature=0.2),
    Case(
        "dense_info_nce",
        shapes=PLACES,
        temperature=0.2,
        options={"others": BATCH_MEANS, "own": torch.tensor([5, 2, 0, 3])},
        variant="in batch",
    ),
    Case("sigreg", shapes=((7, 4),), options={"directions": DIRECTIONS}),
    Case(
        "sigreg", shapes=((1, 4),), options={"directions": DIRECTIONS, "knots": 5, "limit": 3.0}, variant="one sample"
    ),
    Case("koleo", shapes=((7, 4),)),
    Case("koleo", shapes=((2, 3),), variant="two samples"),
    Case("ibot", options={"weights": torch.linspace(0.01, 0.3, 7)}, group=assigned),
    Case("center_prediction", shapes=((7, 4),) * 4, group=lambda views: [views]),
]

ALL = COSINE + OTHERS
