"""Every filter against torchvision's on the same parameters, and its draws' distributions."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomErasing
from torchvision.transforms.v2 import functional as reference

from likewise.views.filters import Blur, Erasing, Field, Filter, GaussianNoise, Solarize, blur, erase
from likewise.views.operation import Noise
from likewise.views.resample import background


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 5, c: int = 3, h: int = 32, w: int = 40) -> Tensor:
    return torch.rand(n, c, h, w, generator=generator(7))


@pytest.mark.parametrize(("side", "channels", "kernel"), [(28, 1, 3), (96, 3, 9), (224, 3, 23)])
def test_blur_is_torchvisions(side: int, channels: int, kernel: int) -> None:
    x = images(4, channels, side, side)
    sigmas = torch.tensor([0.1, 0.0, 1.0, 2.0])
    ours = Blur().apply(x, sigmas)
    for i in (0, 2, 3):
        theirs = reference.gaussian_blur(x[i], [kernel, kernel], [sigmas[i].item()] * 2)
        assert (ours[i] - theirs).abs().max() < 2e-6
    assert torch.equal(ours[1], x[1])


def test_blur_of_tiny_images() -> None:
    x = images(3, 1, 8, 8)
    ours = blur(x, torch.full((3,), 1.5), radius=1)
    assert (ours - reference.gaussian_blur(x, [3, 3], [1.5, 1.5])).abs().max() < 1e-6


def test_noise_is_gaussian_and_clamped() -> None:
    grey = torch.full((4, 3, 64, 64), 0.5)
    std = torch.tensor([0.0, 0.05, 0.1, 0.0])
    noisy = GaussianNoise().apply(grey, Field(std, Noise.of(torch.tensor(1), std > 0)))
    assert torch.equal(noisy[std == 0], grey[std == 0])
    for i in (1, 2):
        values = ((noisy[i] - 0.5) / std[i]).flatten().numpy()
        assert stats.kstest(values, "norm").pvalue > 0.01
    extreme = GaussianNoise().apply(images(), Field(torch.ones(5), Noise.of(torch.tensor(2), torch.ones(5) > 0)))
    assert extreme.min() == 0
    assert extreme.max() == 1


def test_solarize_is_torchvisions() -> None:
    x = images()
    drawn = torch.tensor([True, False, True, False, True])
    ours = Solarize(threshold=0.4).apply(x, drawn)
    assert torch.equal(ours[drawn], reference.solarize(x[drawn], 0.4))
    assert torch.equal(ours[~drawn], x[~drawn])


def test_erasing_is_torchvisions() -> None:
    x = images()
    boxes = torch.tensor([[3, 4, 10, 20], [0, 0, 0, 0], [0, 0, 31, 39], [20, 30, 1, 1], [5, 5, 0, 7]])
    value = background(x)
    ours = erase(x, boxes, value)
    for i, (top, left, height, width) in enumerate(boxes.tolist()):
        assert torch.equal(ours[i], reference.erase(x[i], top, left, height, width, value[i]))
    assert torch.equal(Erasing().apply(x, boxes), ours)


def test_erased_boxes_are_distributed_as_torchvisions() -> None:
    n, scale, ratio = 2000, (0.02, 0.33), (0.3, 3.3)
    ours = Erasing(p=1, scale=scale, ratio=ratio).sample(n, (32, 40), generator(1)).float()
    torch.manual_seed(0)
    picture = torch.empty(3, 32, 40)
    theirs = torch.tensor([RandomErasing.get_params(picture, scale, ratio, [0.0])[:4] for _ in range(n)])
    for mine, other in zip(ours.unbind(1), theirs.float().unbind(1), strict=True):
        assert stats.ks_2samp(mine.numpy(), other.numpy()).pvalue > 0.01


def test_sigmas_are_uniform() -> None:
    sigmas = Blur(sigma=(0.5, 1.5), p=0.6).sample(5000, (8, 8), generator(1))
    assert stats.kstest(sigmas[sigmas > 0].numpy(), "uniform", args=(0.5, 1.0)).pvalue > 0.01


@pytest.mark.parametrize("op", [Blur(p=0.3), GaussianNoise(p=0.3), Solarize(p=0.3), Erasing(p=0.3)])
def test_each_happens_with_its_probability(op: Filter) -> None:
    params = op.sample(4000, (32, 32), generator(4))
    drawn = params.std if isinstance(params, Field) else params
    happened = (drawn.view(4000, -1) != 0).any(dim=1).float().mean().item()
    if isinstance(op, Erasing):  # a box of no area keeps its random corner
        happened = (drawn[:, 2] > 0).float().mean().item()
    assert abs(happened - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)


@pytest.mark.parametrize("op", [Blur(p=1), GaussianNoise(p=1), Solarize(p=1), Erasing(p=1)])
def test_apply_leaves_its_input_alone(op: Filter) -> None:
    x = images()
    before = x.clone()
    assert not torch.equal(op.apply(x, op.sample(5, (32, 40), generator(2))), before)
    assert torch.equal(x, before)
