"""Every colour operation against torchvision's on the same parameters, and its draws' distributions."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from likewise.views.colour import (
    Brightness,
    ColorJitter,
    Colour,
    ColourMap,
    Contrast,
    Grayscale,
    Hue,
    Jitter,
    Saturation,
    luma,
)

FACTORS = torch.tensor([0.0, 0.4, 1.0, 1.3, 2.5, 0.9])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(c: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(6, c, 20, 24, generator=generator(7)) * (high - low) + low


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("op", "adjust", "error"),
    [
        (Brightness(), reference.adjust_brightness, 1e-6),
        (Contrast(), reference.adjust_contrast, 2e-6),
        (Saturation(), reference.adjust_saturation, 2e-6),
    ],
)
def test_factor_operations_are_torchvisions(op: Colour, adjust: object, error: float, channels: int) -> None:
    x = images(channels)
    ours = op.apply(x, FACTORS)
    floats = torch.stack([adjust(one, factor) for one, factor in zip(x, FACTORS.tolist(), strict=True)])
    assert (ours - floats).abs().max() < error
    quantised = (x * 255).round().byte()
    ours = op.apply(quantised / 255, FACTORS) * 255
    whole = torch.stack([adjust(one, factor) for one, factor in zip(quantised, FACTORS.tolist(), strict=True)])
    # torchvision cuts bytes off, of the result and of the grey it blends with.
    assert (ours - whole.float()).abs().max() < 3


def test_hue_is_torchvisions() -> None:
    x = images(3)
    x[0] = x[0].mean(dim=0)  # grey
    x[1, :, :5] = 0
    turns = torch.tensor([0.3, -0.5, 0.0, 0.1, 0.5, -0.2])
    theirs = torch.stack([reference.adjust_hue(one, turn) for one, turn in zip(x, turns.tolist(), strict=True)])
    assert (Hue().apply(x, turns) - theirs).abs().max() < 5e-6
    assert torch.equal(Hue().apply(images(1), turns), images(1))


def test_grayscale_is_torchvisions() -> None:
    x = images(3)
    drawn = torch.tensor([True, False, True, True, False, False])
    ours = Grayscale().apply(x, drawn)
    assert (ours[drawn] - reference.rgb_to_grayscale(x[drawn], 3)).abs().max() < 1e-6
    assert torch.equal(ours[~drawn], x[~drawn])
    assert (luma(x) - reference.rgb_to_grayscale(x, 1)).abs().max() < 1e-6


def test_a_chain_is_one_map() -> None:
    """Where nothing is clamped, the composition is what torchvision makes step by step, within 2e-6."""
    x = images(3, 0.4, 0.6)
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    factors = torch.rand(6, 3, generator=generator(1)) * 0.4 + 0.8
    turn = torch.rand(6, generator=generator(2)) - 0.5
    steps = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation)
    theirs = []
    for i, one in enumerate(x):
        for step in orders[i].tolist():
            one = steps[step](one, factors[i, step].item())
        theirs.append(reference.rgb_to_grayscale(reference.adjust_hue(one, turn[i].item()), 3))
    jitter = ColorJitter()
    # Hue moves grey a little, so grayscale, which one map puts before it, is compared without a turn.
    colours = jitter.compose(ColourMap.of(x), Jitter(factors, turn, orders))
    grey = Grayscale().compose(colours, torch.ones(6, dtype=torch.bool)).apply_(x.clone())
    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 1e-6
    turned = colours.apply_(x.clone())
    assert (reference.rgb_to_grayscale(turned, 3) - torch.stack(theirs)).abs().max() < 2e-6


def test_many_pieces_are_as_one() -> None:
    """A batch that is worked on in several pieces gets for each sample what the sample alone would get."""
    x = torch.rand(20, 3, 96, 96, generator=generator(5))
    jitter = ColorJitter()
    params = jitter.sample(20, (96, 96), generator(6))
    together = jitter.apply(x, params)
    alone = torch.cat([jitter.apply(x[i : i + 1], Jitter(*(param[i : i + 1] for param in params))) for i in range(20)])
    assert (together - alone).abs().max() < 1e-5
    assert (together - x).abs().max() > 0.1


@pytest.mark.parametrize("strength", [0.4, 1.5])
def test_factors_are_uniform(strength: float) -> None:
    for op in (Brightness(strength), Contrast(strength), Saturation(strength)):
        factors = op.sample(4000, (8, 8), generator(1)).numpy()
        low = max(0, 1 - strength)
        assert stats.kstest(factors, "uniform", args=(low, 1 + strength - low)).pvalue > 0.01


def test_jitter_is_drawn_as_a_whole() -> None:
    n = 6000
    params = ColorJitter(0.8, 0.6, 0.4, 0.2, p=0.7).sample(n, (8, 8), generator(3))
    happened = params.turn != 0
    assert abs(happened.float().mean().item() - 0.7) < 4 * math.sqrt(0.7 * 0.3 / n)
    assert torch.equal(params.factors[~happened], torch.ones(int((~happened).sum()), 3))
    for column, strength in enumerate((0.8, 0.6, 0.4)):
        drawn = params.factors[happened, column].numpy()
        assert stats.kstest(drawn, "uniform", args=(1 - strength, 2 * strength)).pvalue > 0.01
    assert stats.kstest(params.turn[happened].numpy(), "uniform", args=(-0.2, 0.4)).pvalue > 0.01
    orders, counts = params.order.unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_grayscale_happens_with_its_probability() -> None:
    drawn = Grayscale(p=0.2).sample(4000, (8, 8), generator(2)).float().mean().item()
    assert abs(drawn - 0.2) < 4 * math.sqrt(0.16 / 4000)
