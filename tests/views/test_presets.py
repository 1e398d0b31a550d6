"""Which pictures may be mirrored, by what they look like."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from likewise.views import mirrored_alike


def digits_as_images() -> torch.Tensor:
    return torch.from_numpy((load_digits().images * 15.9).astype(np.uint8))[:300, None]


def test_digits_do_not_look_alike_when_mirrored_and_what_is_closed_under_it_does() -> None:
    digits = digits_as_images()
    assert not mirrored_alike(digits)
    assert mirrored_alike(torch.cat([digits, digits.flip(-1)]))
    noise = torch.randint(0, 256, (100, 1, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert mirrored_alike(noise)
    assert not mirrored_alike(noise[:63])  # too few to tell
