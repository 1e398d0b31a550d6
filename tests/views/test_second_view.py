"""The second of two views, and that of CLIP in SLIP, by operations of their own."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from likewise.data.open import open_source
from likewise.errors import UserError
from likewise.modalities.lookup import setup
from likewise.modules.multi_crop import multi_crop, two_views
from likewise.seeding import generator_for
from likewise.training.recipe import Recipe, load_recipe
from likewise.views import ImageViews, preset
from likewise.views.filters import Blur, Solarize
from likewise.views.spatial import RandomResizedCrop

PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1]}


def batch(n: int = 64, size: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator_for(7))


def test_without_operations_of_its_own_the_second_view_has_the_bits_of_before() -> None:
    views = ImageViews(preset("strong", size=32, channels=3), size=32, channels=3)
    generator = generator_for(1)
    before = views(batch(), generator), views(batch(), generator), views.local(batch(), generator)
    after = multi_crop(views, batch(), generator_for(1), local_crops=1)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert "second" not in str(views)


def test_two_views_are_solarized_apart() -> None:
    views = ImageViews([], size=32, channels=3, second=[{"solarize": {"p": 0.5}}], **PLAIN)
    first, second = two_views(views, batch(400), generator_for(0))
    assert torch.equal(first, views.clean(batch(400)))
    changed = (second != first).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.6
    assert "solarize" in str(views)


def test_views_without_a_second_are_called_twice() -> None:
    def views(samples: Tensor, generator: torch.Generator) -> Tensor:
        return samples + torch.rand(len(samples), generator=generator)

    first, second = two_views(views, torch.zeros(3), generator_for(0))
    assert not torch.equal(first, second)


def test_what_captions_fit_is_cropped_to_half_at_least_and_nothing_else() -> None:
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(200, 3, 64, 64)
    views = ImageViews(preset("strong", size=64, channels=3), size=64, channels=3, **PLAIN)
    seen = views.captioned(ramp, generator_for(0))
    spans = seen.amax((1, 2, 3)) - seen.amin((1, 2, 3))
    assert spans.min() > (0.5 * 3 / 4) ** 0.5 - 0.05
    assert spans.max() > 0.9
    assert (seen[..., -1] > seen[..., 0]).all()  # not mirrored
    torch.testing.assert_close(seen[:, 0], seen[:, 1])  # nor recoloured
    still = ImageViews([], size=64, channels=3)
    assert torch.equal(still.captioned(ramp, generator_for(0)), still.clean(ramp))


def test_config_round_trip_and_a_config_of_before() -> None:
    views = ImageViews(["rotation"], size=32, channels=3, second=["blur"])
    config = json.loads(json.dumps(views.config()))
    again = ImageViews.from_config(config)
    assert again.second_ops == views.second_ops != views.ops
    assert torch.equal(again.second(batch(), generator_for(3)), views.second(batch(), generator_for(3)))
    del config["second"]
    assert ImageViews.from_config(config).second_ops == views.ops


@pytest.mark.parametrize("name", ["barlow-twins", "byol", "dino", "dinov2", "moco-v3", "moco-v3-resnet50", "vicregl"])
def test_the_papers_recipes_have_two_augmentations(name: str) -> None:
    recipe = load_recipe(f"imagenet-{name}").with_(size=32, encoder="resnet8")
    views = setup(open_source(batch().numpy()), recipe, accelerated=False).views
    assert [op.p for op in (*views.ops, *views.second_ops) if isinstance(op, Blur)] == [1.0, 0.1]
    assert [op.p for op in views.ops if isinstance(op, Solarize)] == []
    assert [op.p for op in views.second_ops if isinstance(op, Solarize)] == [0.2]
    if "dino" in name:
        assert [op.p for op in views.local_ops if isinstance(op, Blur)] == [0.5]
        assert not any(isinstance(op, Solarize) for op in views.local_ops)
        most = 0.25 if name == "dino" else 0.32
        assert [op.scale for op in views.local_ops if isinstance(op, RandomResizedCrop)] == [(0.05, most)]


def test_a_recipe_names_augmentations_or_lists_them() -> None:
    source = open_source(batch().numpy())
    recipe, _, views, _ = setup(source, Recipe(augment_second="none", augment_local=["crop"]), accelerated=False)
    assert views.second_ops == ()
    assert views.local_ops == (RandomResizedCrop(),)
    assert (recipe.augment, recipe.augment_second) == ("strong", "none")
    assert recipe.augment_local == [{"crop": {"scale": [0.2, 1.0], "ratio": [0.75, 4 / 3]}}]
    mild = setup(source, Recipe(augment="none", augment_local="photo-mild"), accelerated=False).views
    assert [op.scale for op in mild.local_ops if isinstance(op, RandomResizedCrop)] == [(0.5 / 3, 0.5)]
    with pytest.raises(UserError, match="unknown operation 'blurr', did you mean 'blur'"):
        setup(source, Recipe(augment_second=["blurr"]), accelerated=False)
