"""Weak views keep the label: slight crops, and no mirrored digits."""

import pytest

from likewise.views import ImageViews
from likewise.views.presets import preset
from likewise.views.spatial import HorizontalFlip, RandomResizedCrop


@pytest.mark.parametrize("strength", ["strong", "mild", "none"])
def test_symbols_are_trained_on_as_they_are_pretrained_on(strength: str) -> None:
    views = ImageViews(preset(strength, size=8, channels=1), size=8, channels=1)
    assert views.weak_ops == views.ops == preset(strength, size=8, channels=1)
    assert not any(isinstance(op, HorizontalFlip) for op in views.weak_ops)


def test_photographs_are_trained_on_cropped_a_little_and_mirrored() -> None:
    views = ImageViews(preset("strong", size=32, channels=3), size=32, channels=3)
    assert views.weak_ops == (RandomResizedCrop(scale=(0.7, 1.0)), HorizontalFlip())


def test_larger_symbols_are_slightly_cropped_and_nothing_else() -> None:
    views = ImageViews(preset("strong", size=28, channels=1), size=28, channels=1)
    assert views.weak_ops == (RandomResizedCrop(scale=(0.7, 1.0)),)
    assert ImageViews((), size=28, channels=1).weak_ops == ()
