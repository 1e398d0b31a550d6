"""Which pictures may be mirrored, and which show a thing in the same place, by what they look like."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from likewise.views import mirrored_alike, placed_alike


def digits_as_images() -> torch.Tensor:
    return torch.from_numpy((load_digits().images * 15.9).astype(np.uint8))[:300, None]


def test_digits_do_not_look_alike_when_mirrored_and_what_is_closed_under_it_does() -> None:
    digits = digits_as_images()
    assert not mirrored_alike(digits)
    assert mirrored_alike(torch.cat([digits, digits.flip(-1)]))
    noise = torch.randint(0, 256, (100, 1, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert mirrored_alike(noise)
    assert not mirrored_alike(noise[:63])  # too few to tell


def test_digits_are_in_the_same_place_and_moved_digits_are_not() -> None:
    digits = digits_as_images()
    assert placed_alike(digits)
    assert not placed_alike(digits[:63])  # too few to tell
    generator = torch.Generator().manual_seed(0)
    shifts = torch.randint(0, 32, (300, 2), generator=generator).tolist()
    moved = torch.zeros(300, 1, 32, 32, dtype=torch.uint8)
    moved[:, :, :8, :8] = digits
    assert not placed_alike(
        torch.stack([image.roll(shift, (1, 2)) for image, shift in zip(moved, shifts, strict=True)])
    )
    assert not placed_alike(torch.zeros(100, 3, 28, 28, dtype=torch.uint8))
