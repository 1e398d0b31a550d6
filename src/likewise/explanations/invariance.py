"""What an encoder ignores: the cosine of the embeddings of a sample and of the same sample changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.measures import interval
from likewise.seeding import generator_for
from likewise.views.audio import AudioViews, BandMask, Effect, Gain, Mixing, Polarity, Shift, TimeMask, WhiteNoise
from likewise.views.colour import Brightness, ColorJitter, Contrast, Grayscale
from likewise.views.filters import Blur, Erasing, GaussianNoise
from likewise.views.image import ImageViews
from likewise.views.operation import Operation
from likewise.views.spatial import HorizontalFlip, RandomResizedCrop, Rotation, VerticalFlip
from likewise.views.text import TextViews
from likewise.views.token_tasks import choose_tokens, delete_tokens, ordinary

Change = Callable[[Any, torch.Generator], Any]
"""(batch, generator) -> a view of it, changed."""

SHARE = 0.15  # of the tokens, as in BERT

IMAGE: dict[str, Operation] = {
    "crop to half the area": RandomResizedCrop(scale=(0.5, 0.5)),
    "mirroring": HorizontalFlip(p=1),
    "upside down": VerticalFlip(p=1),
    "rotation up to 30°": Rotation(degrees=30),
    "brightness ± 40 %": Brightness(strength=0.4),
    "contrast ± 40 %": Contrast(strength=0.4),
    "colour": ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=1),
    "grey": Grayscale(p=1),
    "blur": Blur(sigma=(1.0, 1.0), p=1),
    "noise": GaussianNoise(std=0.1, p=1),
    "a part covered": Erasing(p=1, scale=(0.1, 0.2)),
}
OF_COLOURS = ("colour", "grey")
"""These need red, green and blue."""
AUDIO: dict[str, Effect] = {
    "gain ± 12 dB": Gain(decibels=(-12.0, 12.0)),
    "polarity": Polarity(p=1),
    "noise 10 dB below": WhiteNoise(snr=(10.0, 10.0), p=1),
    "another recording 10 dB below": Mixing(snr=(10.0, 10.0), p=1),
    "shift up to half": Shift(p=1),
    "a fifth of the time silent": TimeMask(share=(0.2, 0.2), p=1),
    "a fifth of the frequencies gone": BandMask(share=(0.2, 0.2), p=1),
}


class Invariance(NamedTuple):
    """How alike the embeddings of samples and of the same samples changed are."""

    change: str
    cosine: float
    low: float | None
    high: float | None
    """The 95 % interval of the mean."""
    ignored: float
    """0: as unlike as two samples are; 1: the same embedding."""
    untrained: float | None
    """The same for an encoder with random weights."""

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def changes_of(views: Any) -> dict[str, Change]:
    """The changes that samples of these views can have; none for views that are not those of likewise."""
    if isinstance(views, ImageViews):
        found = IMAGE.items() if views.channels == 3 else [each for each in IMAGE.items() if each[0] not in OF_COLOURS]
        return {name: ImageViews.from_config(views.config() | {"ops": [operation]}) for name, operation in found}
    if isinstance(views, AudioViews):
        return {name: _effect(views, effect) for name, effect in AUDIO.items()}
    if isinstance(views, TextViews):
        return {
            "words in any order": lambda batch, generator: in_any_order(views.clean(batch), views, generator),
            f"{SHARE:.0%} of the tokens hidden": lambda batch, generator: _masked(views.clean(batch), views, generator),
            f"{SHARE:.0%} of the tokens deleted": lambda batch, generator: _deleted(
                views.clean(batch), views, generator
            ),
            "the first half alone": lambda batch, generator: first_half(views.clean(batch), views),
        }
    return {}


def invariances(
    encoder: nn.Module, views: Any, batch: Any, *, untrained: nn.Module | None, compute: ComputeSettings, seed: int
) -> list[Invariance]:
    """How alike samples and the same samples changed are, for each change of `changes_of`."""
    found = []
    plain = embedded(encoder, views.clean(batch), compute)
    theirs = None if untrained is None else embedded(untrained, views.clean(batch), compute)
    for place, (name, change) in enumerate(changes_of(views).items()):
        view = change(batch, generator_for(seed, place))
        cosines = (plain * embedded(encoder, view, compute)).sum(1)
        mean, low, high = interval(cosines.tolist())
        before = None
        if untrained is not None and theirs is not None:
            before = _ignored(float((theirs * embedded(untrained, view, compute)).sum(1).mean()), theirs)
        found.append(Invariance(name, mean, low, high, _ignored(mean, plain), before))
    return found


@torch.inference_mode()
def embedded(encoder: nn.Module, view: Any, compute: ComputeSettings) -> Float[Tensor, "n dim"]:
    """The embeddings of a view, each of length 1, float64 on the CPU."""
    rows = torch.arange(len(view)).split(compute.batch_size)
    parts = [compute.forward(encoder, view[some.to(compute.device)]) for some in rows]
    return F.normalize(torch.cat(parts).double().cpu(), dim=1)


def between_samples(embeddings: Float[Tensor, "n dim"]) -> float:
    """The mean cosine of two different samples."""
    n = len(embeddings)
    total = embeddings.sum(0).square().sum() - embeddings.square().sum()
    return float(total / (n * (n - 1)))


def _ignored(cosine: float, embeddings: Float[Tensor, "n dim"]) -> float:
    others = between_samples(embeddings)
    return (cosine - others) / max(1 - others, 1e-9)


def _effect(views: AudioViews, effect: Effect) -> Change:
    def change(batch: Any, generator: torch.Generator) -> Float[Tensor, "n samples"]:
        waves = views.clean(batch)
        drawn = effect.draw(len(waves), (views.samples, views.sample_rate), generator)
        return effect.apply(waves, drawn).clamp(-1, 1)

    return change


def in_any_order(ids: Int[Tensor, "n t"], views: TextViews, generator: torch.Generator) -> Int[Tensor, "n t"]:
    """The tokens that are not special in a random order, among their places."""
    own = ordinary(ids, views.special)
    draws = torch.rand(ids.shape, generator=generator).to(ids.device)
    # Each own place takes the token of the own place whose draw has the same rank; all others stay.
    taken = draws.masked_fill(~own, 2.0).argsort(dim=1)
    places = (~own).to(torch.uint8).argsort(dim=1, stable=True)
    moved = torch.empty_like(ids).scatter_(1, places, ids.gather(1, taken))
    return torch.where(own, moved, ids)


def first_half(ids: Int[Tensor, "n t"], views: TextViews) -> Int[Tensor, "n t"]:
    """The first half of the tokens of each text, rounded up, without the others."""
    own = ordinary(ids, views.special)
    kept = ~own | (own.cumsum(1) <= (own.sum(1, keepdim=True) + 1) // 2)
    moved = ids.gather(1, kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True))
    at = torch.arange(ids.shape[1], device=ids.device)
    return moved.masked_fill(at >= kept.sum(1, keepdim=True), views.special.pad)


def _masked(ids: Int[Tensor, "n t"], views: TextViews, generator: torch.Generator) -> Int[Tensor, "n t"]:
    chosen = choose_tokens(ids, SHARE, generator, special=views.special)
    return ids.masked_fill(chosen, views.special.mask)


def _deleted(ids: Int[Tensor, "n t"], views: TextViews, generator: torch.Generator) -> Int[Tensor, "n t"]:
    pad, _, cls, sep, _ = views.special
    return delete_tokens(ids, SHARE, generator, pad=pad, cls=cls, sep=sep)
