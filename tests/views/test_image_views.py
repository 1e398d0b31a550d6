"""The views of a batch as a whole: a function of batch and generator, of the right shape, plain on demand."""

import json

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from likewise.errors import UserError
from likewise.views import OPERATIONS, STRENGTHS, ImageViews, operations, picture_grid, preset
from likewise.views.filters import Erasing
from likewise.views.spatial import HorizontalFlip, RandomResizedCrop, Rotation, VerticalFlip

EVERYTHING = list(OPERATIONS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 12, c: int = 3, h: int = 32, w: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, c, h, w), dtype=torch.uint8, generator=generator(7))


@pytest.mark.parametrize("source", [(32, 32), (48, 40), (8, 8)])
@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_batch_becomes_views_of_one_shape(source: tuple[int, int], given: int, channels: int) -> None:
    views = ImageViews(EVERYTHING, size=32, channels=channels)
    raw = batch(5, given, *source)
    for view in (views(raw, generator()), views.weak(raw, generator()), views.clean(raw)):
        assert view.shape == (5, channels, 32, 32)
        assert view.dtype == torch.float32
        assert bool(view.isfinite().all())
        assert views.picture(view).shape == view.shape


@pytest.mark.parametrize("ops", [EVERYTHING, preset("strong", size=32, channels=3)])
def test_same_generator_same_bits_and_another_seed_another_view(ops: list[object]) -> None:
    views = ImageViews(ops, size=32, channels=3)
    raw = batch()
    before = raw.clone()
    first = views(raw, generator(1))
    torch.manual_seed(99)
    assert torch.equal(first, views(raw, generator(1)))
    assert not torch.equal(first, views(raw, generator(2)))
    assert torch.equal(raw, before)
    one_generator = generator(1)
    assert torch.equal(first, views(raw, one_generator))
    second = views(raw, one_generator)
    assert all(not torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_views_do_not_touch_the_global_generator() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    ImageViews(EVERYTHING, size=32, channels=3)(batch(), generator())
    assert torch.equal(state, torch.get_rng_state())


def test_plain_is_the_image_itself() -> None:
    raw = batch()
    views = ImageViews(EVERYTHING, size=32, channels=3)
    assert torch.equal(views.clean(raw), views.clean(raw))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (raw / 255 - mean[:, None, None]) / std[:, None, None]
    assert (views.clean(raw) - expected).abs().max() < 1e-5
    assert torch.equal(views.picture(views.clean(raw)), raw)


def test_no_operations_is_plain() -> None:
    views = ImageViews(preset("none", size=24, channels=3), size=24, channels=3)
    assert torch.equal(views(batch(), generator()), views.clean(batch()))


def test_plain_of_a_larger_image_is_antialiased() -> None:
    raw = batch(3, 3, 90, 64)
    views = ImageViews([], size=32, channels=3, mean=[0, 0, 0], std=[1, 1, 1])
    expected = reference.resize(raw / 255, [32, 32], antialias=True)
    assert (views.clean(raw) - expected).abs().max() < 1e-6


def test_channels_are_converted() -> None:
    grey, colour = batch(3, 1), batch(3, 3)
    rgb = ImageViews([], size=32, channels=3)
    assert torch.equal(rgb.picture(rgb.clean(grey)), grey.expand(-1, 3, -1, -1))
    one = ImageViews([], size=32, channels=1)
    expected = reference.rgb_to_grayscale(colour / 255, 1) * 255
    assert (one.picture(one.clean(colour)).float() - expected).abs().max() <= 0.51


def test_autocast_does_not_coarsen_views() -> None:
    views = ImageViews(EVERYTHING, size=32, channels=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = views(batch(4, 3, 48, 48), generator())
    assert torch.equal(inside, views(batch(4, 3, 48, 48), generator()))


def test_stages_do_what_the_operations_alone_do() -> None:
    """Crop, flip, erasing: the same parameters drawn and applied one after the other, within 2e-5."""
    ops = (RandomResizedCrop(), HorizontalFlip(), Erasing(p=1.0))
    views = ImageViews(ops, size=32, channels=3, mean=[0, 0, 0], std=[1, 1, 1])
    expected, draw = batch() / 255, generator(4)
    for op in ops:
        expected = op.apply(expected, op.sample(12, (32, 32), draw))
    assert (views(batch(), generator(4)) - expected).abs().max() < 2e-5


def test_config_round_trip() -> None:
    views = ImageViews(EVERYTHING, size=40, channels=3, weak=["rotation"], std=[0.5, 0.5, 0.5])
    config = json.loads(json.dumps(views.config()))
    again = ImageViews.from_config(config)
    assert again.config() == config
    assert again.ops == views.ops
    assert torch.equal(again(batch(), generator(3)), views(batch(), generator(3)))
    assert torch.equal(again.weak(batch(), generator(3)), views.weak(batch(), generator(3)))


def test_gentle_mirrors_only_what_the_strong_view_mirrors() -> None:
    assert HorizontalFlip() in ImageViews(preset("strong", size=32, channels=3), size=32, channels=3).weak_ops
    symbols = ImageViews(preset("strong", size=28, channels=1), size=28, channels=1).weak_ops
    assert not any(isinstance(op, HorizontalFlip) for op in symbols)


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64, 96, 224])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_presets(strength: str, size: int) -> None:
    symbols = preset(strength, size=size, channels=1)
    photos = preset(strength, size=size, channels=3)
    assert preset(strength, size=size, channels=3, symbols=True) == symbols
    names = [op.name for op in symbols]
    for forbidden in ("horizontal-flip", "vertical-flip", "hue", "color-jitter", "grayscale", "solarize"):
        assert forbidden not in names
    assert (strength == "none") == (photos == ()) == (symbols == ())
    assert ("blur" in [op.name for op in photos]) == (strength == "strong" and size >= 48)
    raw = batch(4, 3, size, size)
    changed = ImageViews(photos, size=size, channels=3)
    assert torch.equal(changed(raw, generator()), changed.clean(raw)) == (strength == "none")


@pytest.mark.parametrize("channels", [1, 3])
def test_presets_by_the_kind_of_pictures(channels: int) -> None:
    for kind, symbols in (("photo", False), ("symbol", True)):
        for name, strength in ((kind, "strong"), (f"{kind}-mild", "mild")):
            chosen = preset(name, size=64, channels=channels, symbols=not symbols)
            assert chosen == preset(strength, size=64, channels=channels, symbols=symbols)
            assert any(isinstance(op, HorizontalFlip) for op in chosen) == (not symbols)
    with pytest.raises(
        UserError, match="augment must be one of strong, mild, none, photo, photo-mild, symbol, symbol-"
    ):
        preset("photo-none", size=64, channels=channels)


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_what_mixes_colours_is_left_out_where_channels_are_no_colours(channels: int) -> None:
    ops = preset("photo", size=64, channels=channels)
    assert [op.name for op in ops] == ["crop", "horizontal-flip", "color-jitter", "blur"]
    assert (ops[2].saturation, ops[2].hue, ops[2].brightness) == (0, 0, 0.5)


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_views_of_other_channels(channels: int) -> None:
    """Each channel is changed by itself: what one holds is in no other."""
    raw = batch(6, channels, 32, 32)
    views = ImageViews([*EVERYTHING, "grayscale"], size=32, channels=channels)
    assert views(raw, generator()).shape == (6, channels, 32, 32)
    assert len(views.mean) == len(views.std) == channels
    assert torch.equal(views.picture(views.clean(raw)), raw[:, : 1 if channels == 2 else 3])
    colours = ImageViews(
        [{"color-jitter": {"contrast": 0, "p": 1}}, {"grayscale": {"p": 1}}], size=32, channels=channels
    )
    raw[:, 1] = 0
    shown = (
        colours(raw, generator()) * torch.tensor(colours.std)[:, None, None] + torch.tensor(colours.mean)[:, None, None]
    )
    assert shown[:, 1].abs().max() < 1e-6
    with pytest.raises(UserError, match=f"channels must be {channels}, as the views have, got 3"):
        views.clean(batch(2, 3))


def test_operations_from_plain_values() -> None:
    spec = [{"crop": {"scale": [0.2, 1]}}, "horizontal-flip", {"rotation": None}, VerticalFlip(p=0.1)]
    assert operations(spec) == (
        RandomResizedCrop(scale=(0.2, 1.0)),
        HorizontalFlip(),
        Rotation(),
        VerticalFlip(p=0.1),
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["horizontal-flop"], "unknown operation 'horizontal-flop', did you mean 'horizontal-flip'?"),
        (["zzz"], "unknown operation 'zzz'; known: crop, horizontal-flip"),
        ([{"crop": {"scal": [0.2, 1]}}], "operation 'crop' has no setting 'scal', did you mean 'scale'?"),
        ([{"blur": {"zzz": 1}}], "operation 'blur' has no setting 'zzz'; it takes sigma, p, kernel"),
        (
            [{"horizontal-flip": {"p": 1.5}}],
            "p of operation 'horizontal-flip' must be a number from 0 to 1, got 1.5",
        ),
        ([{"crop": {"scale": [0.8, 0.2]}}], "scale of operation 'crop' must be two numbers [least, most]"),
        ([{"crop": {"scale": 0.2}}], "above 0 and at most 1, got 0.2"),
        ([{"crop": {"ratio": [0, 1]}}], "ratio of operation 'crop' must be two numbers"),
        ([{"blur": {"sigma": [-1, 2]}}], "sigma of operation 'blur' must be two numbers"),
        ([{"noise": {"std": -0.1}}], "std of operation 'noise' must be a number from 0 to 1, got -0.1"),
        ([{"hue": {"strength": 0.7}}], "strength of operation 'hue' must be a number from 0 to 0.5, got 0.7"),
        ([{"rotation": {"degrees": "ten"}}], "must be a number from 0 to 180, got 'ten'"),
        ([{"rotation": {"degrees": float("nan")}}], "must be a number from 0 to 180, got nan"),
        ([{"rotation": {"p": True}}], "must be a number from 0 to 1, got True"),
        ([{"rotation": 15}], "settings of operation 'rotation' must be {setting: value}, got 15"),
        ([{"crop": {}, "rotation": {}}], "an operation must be a name or {name: {setting: value}}, got {'crop'"),
        (["crop", 3], "an operation must be a name or {name: {setting: value}}, got 3"),
        ("crop", "operations must be a list such as"),
    ],
)
def test_what_is_wrong_with_a_list_of_operations(spec: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        operations(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_impossible_views() -> None:
    with pytest.raises(
        UserError, match="none, photo, photo-mild, symbol, symbol-mild, got 'stron', did you mean 'strong'"
    ):
        preset("stron", size=32, channels=3)
    for wrong, message in [
        ({"channels": 0}, "channels must be from 1 to 1024, got 0"),
        ({"channels": 10**9}, "channels must be from 1 to 1024, got 1000000000"),
        ({"size": 0}, "size must be from 4 to 8192, got 0"),
        ({"mean": [0.5]}, r"mean must be 3 numbers, one per channel, got \[0.5\]"),
        ({"std": [0.5, 0, 0.5]}, "std must be numbers above 0, got"),
    ]:
        with pytest.raises(UserError, match=message):
            ImageViews([], **{"size": 32, "channels": 3} | wrong)


def test_picture_grid() -> None:
    digits, photos = batch(8, 1, 8, 8), batch(3, 3, 50, 50)
    sheet = torch.frombuffer(bytearray(picture_grid([digits, photos], tile=100, gap=4).tobytes()), dtype=torch.uint8)
    sheet = sheet.view(2 * 104 + 4, 8 * 104 + 4, 3).permute(2, 0, 1)
    second_digit = sheet[:, 4 : 4 + 96, 108 : 108 + 96]
    assert torch.equal(second_digit[:, ::12, ::12], digits[1].expand(3, 8, 8))
    assert torch.equal(second_digit[:, 11::12, 11::12], digits[1].expand(3, 8, 8))
    assert torch.equal(sheet[:, 108 : 108 + 100 : 2, 4 : 4 + 100 : 2], photos[0])
    assert bool((sheet[:, :4] == 255).all())
    assert bool((sheet[:, 108:, 3 * 104 :] == 255).all())


def test_drawings_are_told_from_photographs() -> None:
    from sklearn.datasets import load_sample_images

    from likewise.views import drawn

    photos = torch.stack([torch.tensor(i[:64, :64]).permute(2, 0, 1) for i in load_sample_images().images])
    assert not drawn(photos)
    logos = torch.full((4, 3, 32, 32), 255, dtype=torch.uint8)
    logos[:, 0, 8:24, 8:24] = 0
    assert drawn(logos)


def test_views_of_another_size_show_the_same_part_of_the_image() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).expand(50, 3, 64, 64)
    views = ImageViews(["crop", "horizontal-flip"], size=64, channels=3)
    small = views.of_size(16)
    assert (views.size, small.size) == (64, 16)
    large, little = views(ramp, generator(1)), small(ramp, generator(1))
    assert little.shape == (50, 3, 16, 16)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 4), little, atol=0.05, rtol=0)
    assert small.local(ramp, generator(1)).shape[-1] < 16
    assert small.clean(ramp).shape[-1] == 16
