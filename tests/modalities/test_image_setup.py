"""The operations of images, as the images decide them."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from likewise.data.open import open_source
from likewise.modalities.lookup import setup
from likewise.training.recipe import Recipe
from likewise.views.spatial import HorizontalFlip


def test_images_of_one_channel_are_symbols_unless_they_look_alike_when_mirrored() -> None:
    digits = (load_digits().images * 15.9).astype(np.uint8)[:300]
    for images, mirrored in ((digits, False), (np.concatenate([digits, digits[:, :, ::-1]]), True)):
        views = setup(open_source(images), Recipe(), accelerated=False).views
        assert any(isinstance(op, HorizontalFlip) for op in views.ops) is mirrored
        asked = setup(open_source(images), Recipe(augment="symbol"), accelerated=False).views
        assert not any(isinstance(op, HorizontalFlip) for op in asked.ops)
