"""Every spatial operation against torchvision's on the same parameters, and its draws' distributions."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandomResizedCrop as TorchvisionCrop
from torchvision.transforms.v2 import functional as reference

from likewise.views.resample import background, crop_resize, resize, warp
from likewise.views.spatial import (
    HorizontalFlip,
    Perspective,
    RandomResizedCrop,
    Rotation,
    Shear,
    Spatial,
    VerticalFlip,
)

BILINEAR = InterpolationMode.BILINEAR


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.rand(n, c, h, w, generator=generator(7))


def uniform_pvalue(values: Tensor, low: float, high: float) -> float:
    return float(stats.kstest(values.numpy(), "uniform", args=(low, high - low)).pvalue)


@pytest.mark.parametrize("kind", ["float", "uint8"])
@pytest.mark.parametrize(
    ("source", "size"), [((28, 28), 28), ((8, 8), 8), ((40, 60), 64), ((96, 80), 32), ((60, 20), 32)]
)
def test_crop_is_torchvisions_resized_crop(source: tuple[int, int], size: int, kind: str) -> None:
    x = images(16, 3, *source)
    op = RandomResizedCrop(scale=(0.05, 1.0))
    boxes = op.sample(16, source, generator(1))
    if kind == "uint8":
        x = (x * 255).round().byte()
    ours = crop_resize(x, op.matrix(boxes, source), size)
    theirs = torch.stack(
        [
            reference.resized_crop(one, *box, [size, size], antialias=True)
            for one, box in zip(x, boxes.tolist(), strict=True)
        ]
    )
    if kind == "uint8":
        # torchvision rounds to bytes, and its antialiasing weights are 16-bit integers.
        assert (ours * 255 - theirs.float()).abs().max() <= 1.01
    else:
        assert (ours - theirs).abs().max() < 2e-5


def test_crop_and_flips_are_one_resampling() -> None:
    x = images(8, 3, 32, 32)
    crop, horizontal, vertical = RandomResizedCrop(), HorizontalFlip(), VerticalFlip()
    boxes = crop.sample(8, (32, 32), generator(1))
    first, second = torch.arange(8) % 2 == 0, torch.arange(8) % 3 == 0
    composed = crop.matrix(boxes, (32, 32)) @ horizontal.matrix(first, (32, 32)) @ vertical.matrix(second, (32, 32))
    one_by_one = vertical.apply(horizontal.apply(crop.apply(x, boxes), first), second)
    assert (crop_resize(x, composed, 32) - one_by_one).abs().max() < 2e-5


@pytest.mark.parametrize(
    ("op", "flip"), [(HorizontalFlip(), reference.horizontal_flip), (VerticalFlip(), reference.vertical_flip)]
)
def test_flips_are_torchvisions(op: Spatial, flip: object) -> None:
    x = images(4, 1, 28, 28)
    ours = op.apply(x, torch.tensor([True, False, True, False]))
    assert (ours[::2] - flip(x[::2])).abs().max() < 2e-5
    assert (ours[1::2] - x[1::2]).abs().max() < 2e-5


def test_rotation_is_torchvisions() -> None:
    x = images(6, 3, 33, 33)
    degrees = torch.tensor([0.0, 10.0, -15.0, 45.0, 90.0, -170.0])
    theirs = torch.stack(
        [reference.rotate(one, angle, BILINEAR) for one, angle in zip(x, degrees.tolist(), strict=True)]
    )
    assert (Rotation().apply(x, degrees) - theirs).abs().max() < 5e-5


def test_rotation_of_a_rectangle_turns_in_pixels() -> None:
    x = torch.zeros(1, 1, 40, 20)
    x[..., 10:30, 5:15] = 1
    matrix = Rotation().matrix(torch.tensor([90.0]), (40, 20))
    # Squeezing 40x20 to 40x40 doubles x; the box of 20 x 10, turned, is 10 x 20 pixels, so 10 x 40 squeezed.
    turned = warp(x, matrix, 40, fill=torch.zeros(1, 1, 1, 1))
    assert turned[0, 0, 15:25].mean() > 0.95
    assert turned[0, 0, :14].max() == 0
    assert turned[0, 0, 26:].max() == 0


def test_shear_is_torchvisions() -> None:
    x = images(4, 1, 28, 28)
    degrees = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, -20.0], [15.0, 12.0]])
    theirs = torch.stack(
        [
            reference.affine(one, 0.0, [0, 0], 1.0, shear, interpolation=BILINEAR)
            for one, shear in zip(x, degrees.tolist(), strict=True)
        ]
    )
    assert (Shear().apply(x, degrees) - theirs).abs().max() < 5e-5


def test_perspective_is_torchvisions() -> None:
    x = images(8, 3, 32, 32)
    op = Perspective(distortion=0.6)
    moved = op.sample(8, (32, 32), generator(3))
    signs = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    start = [[0, 0], [32, 0], [32, 32], [0, 32]]
    ends = (signs * (1 - moved) + 1) * 16
    theirs = torch.stack(
        [reference.perspective(one, start, end, BILINEAR) for one, end in zip(x, ends.tolist(), strict=True)]
    )
    assert (op.apply(x, moved) - theirs).abs().max() < 2e-4
    assert (op.apply(x, torch.zeros_like(moved)) - x).abs().max() < 2e-5


def test_outside_is_the_background() -> None:
    x = torch.full((2, 1, 9, 9), 0.25)
    x[:, :, 3:6, 3:6] = 1
    x[1] = 1 - x[1]
    x[:, :, 0, 4] = 0.5  # touching the edge does not change what is around
    assert background(x).flatten().tolist() == [0.25, 0.75]
    far_away = torch.tensor([[1.0, 0, 10], [0, 1, 0], [0, 0, 1]]).repeat(2, 1, 1)
    assert torch.equal(warp(x, far_away, 9), background(x).expand(2, 1, 9, 9))


def test_warp_of_a_larger_batch_is_antialiased() -> None:
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    turned = warp(stripes, Rotation().matrix(torch.tensor([5.0]), (64, 64)), 16)
    assert (turned[..., 4:12, 4:12] - 0.5).abs().max() < 0.1


@pytest.mark.parametrize(("source", "size"), [((64, 48), 32), ((8, 8), 28), ((28, 28), 28)])
def test_resize_is_torchvisions(source: tuple[int, int], size: int) -> None:
    x = images(3, 3, *source)
    assert (resize(x, size) - reference.resize(x, [size, size], antialias=True)).abs().max() < 1e-6


@pytest.mark.parametrize("source", [(32, 32), (24, 40)])
def test_crops_are_distributed_as_torchvisions(source: tuple[int, int]) -> None:
    n, scale, ratio = 2000, (0.2, 1.0), (3 / 4, 4 / 3)
    ours = RandomResizedCrop(scale, ratio).sample(n, source, generator(0))
    torch.manual_seed(0)
    picture = torch.empty(3, *source)
    transform = TorchvisionCrop(8, scale, ratio)
    drawn = (transform.make_params([picture]) for _ in range(n))
    theirs = torch.tensor([[one["top"], one["left"], one["height"], one["width"]] for one in drawn])
    for mine, other in zip(ours.unbind(1), theirs.unbind(1), strict=True):
        assert stats.ks_2samp(mine.numpy(), other.numpy()).pvalue > 0.01
    areas = (ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3])
    assert stats.ks_2samp(*(area.numpy() for area in areas)).pvalue > 0.01
    assert bool((ours[:, :2] >= 0).all())
    assert bool((ours[:, 0] + ours[:, 2] <= source[0]).all())
    assert bool((ours[:, 1] + ours[:, 3] <= source[1]).all())


def test_crop_that_never_fits_is_central_as_torchvisions() -> None:
    for source in [(10, 100), (100, 10)]:
        box = RandomResizedCrop((0.9, 1.0)).sample(1, source, generator())[0].tolist()
        picture = torch.empty(3, *source)
        theirs = TorchvisionCrop(8, (0.9, 1.0)).make_params([picture])
        assert box == [theirs["top"], theirs["left"], theirs["height"], theirs["width"]]


def test_angles_and_corners_are_uniform() -> None:
    assert uniform_pvalue(Rotation(30).sample(4000, (8, 8), generator(1)), -30, 30) > 0.01
    x, y = Shear(12).sample(4000, (8, 8), generator(2)).unbind(1)
    assert uniform_pvalue(x, -12, 12) > 0.01
    assert uniform_pvalue(y, -12, 12) > 0.01
    moved = Perspective(0.4).sample(1000, (8, 8), generator(3))
    assert uniform_pvalue(moved.flatten(), 0, 0.4) > 0.01


@pytest.mark.parametrize(
    "op", [HorizontalFlip(p=0.3), VerticalFlip(p=0.3), Rotation(p=0.3), Shear(p=0.3), Perspective(p=0.3)]
)
def test_each_happens_with_its_probability(op: Spatial) -> None:
    drawn = op.sample(4000, (8, 8), generator(4)).view(4000, -1)
    happened = (drawn != 0).any(dim=1).float().mean().item()
    assert abs(happened - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)
