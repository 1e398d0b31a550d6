"""Which nuisance an encoder keyed on: whether brightness, border or loudness alone tells which views belong together.

A method that compares views learns nothing but such a statistic if it tells the views of a sample from those of others
(the shortcut of arXiv:2106.11230). Two questions: do the views give it away, and does the embedding follow it?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.invariance import embedded
from likewise.seeding import generator_for
from likewise.views.audio import AudioViews
from likewise.views.image import ImageViews
from likewise.views.text import TextViews
from likewise.views.token_tasks import ordinary

AS_WELL = 0.8
"""A statistic that finds so large a part of the positives that the encoder finds does about as well."""
CLEAR = 10
"""Times chance: below, a statistic finds no positives."""
KEY = 1 << 43  # no training step's
RING = 16  # the border is a ring of this part of the side
PIECES = 8  # of each side of the border
CORNER = 4  # a corner is a square of this part of the side


class Nuisance(NamedTuple):
    """A simple statistic of a view, and what puts that of one view into another."""

    statistic: Callable[[Any], Float[Tensor, "n values"]]
    transfer: Callable[[Any, Any], Any] | None
    """(content, donor) -> the content with the donor's statistic; None where that is not possible."""


class Shortcut(NamedTuple):
    """What a statistic says of the positives, and what the encoder makes of it."""

    nuisance: str
    matched: float | None
    """Share of the views whose other view is the nearest one in the batch, by the statistic alone."""
    followed: float | None
    """Share of samples with another one's statistic that are nearer to that one than to themselves."""

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class ShortcutVerdict(NamedTuple):
    """Whether the encoder took a shortcut."""

    kind: str
    """`shortcut` or `none`."""
    reasons: list[str]
    encoder: float | None
    """Share of the views whose other view is the nearest one by the embedding; None where no views are compared."""
    chance: float
    shortcuts: list[Shortcut]

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"shortcuts": [each.to_json() for each in self.shortcuts]}


def nuisances_of(views: Any) -> dict[str, Nuisance]:
    """The nuisances of samples of these views; none for views that are not those of likewise."""
    if isinstance(views, ImageViews):
        return {
            "brightness": Nuisance(_levels, _relit),
            "the border": Nuisance(_border, _reframed),
            "the corners": Nuisance(_corners, _recornered),
        }
    if isinstance(views, AudioViews):
        return {"loudness": Nuisance(_loudness, _as_loud)}
    if isinstance(views, TextViews):
        return {"the number of tokens": Nuisance(lambda ids: _tokens(ids, views), None)}
    return {}


def shortcut_verdict(
    encoder: nn.Module, views: Any, batch: Any, *, compares_views: bool, compute: ComputeSettings, seed: int
) -> ShortcutVerdict | None:
    """Whether simple statistics tell which views belong together, and whether the embedding follows them.

    Args:
        compares_views: whether the training compared two random views of a sample; without, only the second is asked.

    Returns:
        None where there is nothing to say.
    """
    nuisances, samples = nuisances_of(views), len(batch)
    clean = views.clean(batch)
    donors = torch.arange(samples).roll(int(torch.randint(1, samples, (), generator=generator_for(KEY, seed))))
    first = second = own = None
    if compares_views:
        first, second = (views(batch, generator_for(KEY, seed, side)) for side in range(2))
        own = matched(*(embedded(encoder, view, compute) for view in (first, second)))
    found = []
    for name, nuisance in nuisances.items():
        by_it = None
        if first is not None:
            by_it = matched(*_scaled(nuisance.statistic(first), nuisance.statistic(second)))
        found.append(Shortcut(name, by_it, _followed(encoder, clean, donors, nuisance, compute)))
    found = [each for each in found if each.matched is not None or each.followed is not None]
    if not found:
        return None
    reasons = [reason for each in found for reason in _reasons(each, own, 1 / samples)]
    return ShortcutVerdict("shortcut" if reasons else "none", reasons, own, 1 / samples, found)


def matched(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> float:
    """The share of rows whose nearest row of the other matrix is their own; a draw of k rows counts 1/k."""
    distances = torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist")
    least = distances.amin(1, keepdim=True)
    nearest = distances <= least + 1e-9
    return float((nearest.diagonal() / nearest.sum(1)).mean())


def _reasons(each: Shortcut, encoder: float | None, chance: float) -> list[str]:
    reasons = []
    alike = None if encoder is None else max(AS_WELL * encoder, CLEAR * chance)
    if alike is not None and each.matched is not None and each.matched >= alike:
        reasons.append(
            f"{each.nuisance} alone finds the other view of {each.matched:.0%} of the samples, the encoder of "
            f"{encoder:.0%}: the views give it away"
        )
    if each.followed is not None and each.followed > 0.5:
        reasons.append(
            f"with {each.nuisance} of another sample, {each.followed:.0%} of the samples are nearer to that one than "
            "to themselves: the embedding follows it"
        )
    return reasons


def _followed(
    encoder: nn.Module, clean: Any, donors: Tensor, nuisance: Nuisance, compute: ComputeSettings
) -> float | None:
    if nuisance.transfer is None:
        return None
    plain = embedded(encoder, clean, compute)
    mixed = embedded(encoder, nuisance.transfer(clean, clean[donors.to(compute.device)]), compute)
    to_donor, to_itself = (mixed * plain[donors]).sum(1), (mixed * plain).sum(1)
    return float((to_donor > to_itself).double().mean())


def _scaled(first: Tensor, second: Tensor) -> list[Float64[Tensor, "n values"]]:
    """Each value by how much it differs between the views of a sample: what the views leave as it is counts most."""
    first, second = first.double().cpu(), second.double().cpu()
    within = (first - second).square().mean(0).sqrt()
    least = 1e-6 * torch.cat([first, second]).std(0, correction=0) + 1e-9
    return [each / within.maximum(least) for each in (first, second)]


def _levels(view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return view.mean((2, 3))


def _relit(content: Float[Tensor, "n c h w"], donor: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    return content + (_levels(donor) - _levels(content))[..., None, None]


def _ring(view: Float[Tensor, "n c h w"]) -> int:
    return max(1, view.shape[-1] // RING)


def _border(view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n values"]:
    """The mean of each piece of each side."""
    wide = _ring(view)
    sides = (view[:, :, :wide], view[:, :, -wide:], view[..., :wide].mT, view[..., -wide:].mT)
    return torch.cat([F.adaptive_avg_pool2d(side, (1, PIECES)).flatten(1) for side in sides], dim=1)


def _reframed(content: Float[Tensor, "n c h w"], donor: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    wide = _ring(content)
    mixed = donor.clone()
    mixed[:, :, wide:-wide, wide:-wide] = content[:, :, wide:-wide, wide:-wide]
    return mixed


def _corner_boxes(view: Float[Tensor, "n c h w"]) -> list[tuple[slice, slice]]:
    tall, wide = (max(1, side // CORNER) for side in view.shape[2:])
    return [
        (rows, columns) for rows in (slice(tall), slice(-tall, None)) for columns in (slice(wide), slice(-wide, None))
    ]


def _corners(view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n values"]:
    return torch.cat([view[:, :, rows, columns].mean((2, 3)) for rows, columns in _corner_boxes(view)], dim=1)


def _recornered(content: Float[Tensor, "n c h w"], donor: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    mixed = content.clone()
    for rows, columns in _corner_boxes(content):
        mixed[:, :, rows, columns] = donor[:, :, rows, columns]
    return mixed


def _loudness(waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n 1"]:
    return waves.square().mean(1, keepdim=True).clamp_min(1e-10).log()


def _as_loud(content: Float[Tensor, "n samples"], donor: Float[Tensor, "n samples"]) -> Float[Tensor, "n samples"]:
    return content * ((_loudness(donor) - _loudness(content)) / 2).exp()


def _tokens(ids: Tensor, views: TextViews) -> Float[Tensor, "n 1"]:
    return ordinary(ids, views.special).sum(1, keepdim=True).float()
