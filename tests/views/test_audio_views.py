"""Views of recordings: crops of one length, and operations that do to a wave what their parameters say."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.errors import UserError
from likewise.views import audio as audio_views
from likewise.views.audio import (
    EFFECTS,
    PRESETS,
    AudioViews,
    BandMask,
    Company,
    Effect,
    Gain,
    Hiss,
    Mixing,
    Polarity,
    Shift,
    TimeMask,
    WhiteNoise,
    audio_preset,
    effects,
)
from likewise.views.operation import Noise

RATE = 1000
SIZE = (1000, RATE)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waves(n: int = 6, samples: int = 1000) -> Tensor:
    return 0.1 * torch.randn(n, samples, generator=generator(7))


def batch(*lengths: int) -> Ragged:
    """Recordings that count: sample i of recording k is 2000 k + i."""
    return Ragged.of([2000 * k + torch.arange(length, dtype=torch.int16) for k, length in enumerate(lengths)])


def snr(signal: Tensor, rest: Tensor) -> Tensor:
    return 10 * torch.log10(signal.double().square().mean(1) / rest.double().square().mean(1))


@pytest.mark.parametrize("strength", ["strong", "mild", "none"])
def test_any_batch_becomes_views_of_one_length(strength: str) -> None:
    views = AudioViews(RATE, 0.3, audio_preset(strength))
    raw = batch(1, 20, 299, 300, 301, 1500)
    for view in (views(raw, generator()), views.weak(raw, generator()), views.clean(raw)):
        assert view.shape == (6, 300)
        assert view.dtype == torch.float32
        assert view.isfinite().all()
        assert view.abs().max() <= 1


def test_a_crop_is_a_part_of_its_recording_and_every_place_is_as_likely() -> None:
    views = AudioViews(RATE, 0.3, [])
    view = (views(batch(*[310] * 4000), generator()) * 32768).double()
    first = view[:, 0] - 2000 * torch.arange(4000) % 65536
    # int16 wraps around; what is left is where the crop began.
    first = ((first + 32768) % 65536 - 32768).round()
    assert torch.equal((view - view[:, :1]).diff(dim=1).remainder(65536), torch.ones(4000, 299, dtype=torch.double))
    assert stats.chisquare(np.bincount(first.int().numpy(), minlength=11)).pvalue > 0.01


def test_a_short_recording_is_repeated_from_a_random_sample_on() -> None:
    views = AudioViews(RATE, 0.3, [])
    raw = Ragged.of([torch.arange(100, dtype=torch.int16)] * 2000)
    view = (views(raw, generator()) * 32768).round()
    expected = (view[:, :1] + torch.arange(300)) % 100
    assert torch.equal(view, expected)
    assert stats.chisquare(np.bincount(view[:, 0].int().numpy(), minlength=100)).pvalue > 0.01
    # What fits exactly is taken as it is.
    exact = Ragged.of([torch.arange(300, dtype=torch.int16)] * 50)
    assert torch.equal(views(exact, generator()), views.clean(exact))


def test_plain_is_the_middle() -> None:
    views = AudioViews(RATE, 0.3, audio_preset("strong"))
    plain = views.clean(batch(310, 303, 300, 100, 299)) * 32768
    assert plain[:, 0].tolist() == [5, 2001, 4000, 6000, 8000]
    assert plain[4, -1] == 8000
    assert torch.equal(plain[2], 4000.0 + torch.arange(300))
    assert torch.equal(plain[3], 6000.0 + torch.arange(300) % 100)
    assert torch.equal(views.sounds(plain / 32768), plain.to(torch.int16))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    hundredths=st.integers(10, 60),
    seed=st.integers(0, 2**31),
    names=st.lists(st.sampled_from(sorted(EFFECTS)), max_size=4),
)
def test_views_are_a_function_of_batch_and_generator(
    lengths: list[int], hundredths: int, seed: int, names: list[str]
) -> None:
    views = AudioViews(RATE, hundredths / 100, names)
    raw = Ragged.of([torch.randint(-32768, 32768, (n,), generator=generator(n)).to(torch.int16) for n in lengths])
    before = raw.values.clone()
    view = views(raw, generator(seed))
    torch.manual_seed(seed + 1)
    assert torch.equal(view, views(raw, generator(seed)))
    assert view.shape == (len(lengths), 10 * hundredths)
    assert view.isfinite().all()
    assert view.abs().max() <= 1
    assert torch.equal(raw.values, before)
    again = AudioViews.from_config(json.loads(json.dumps(views.config())))
    assert torch.equal(again(raw, generator(seed)), view)


def test_views_follow_the_generator_and_leave_torchs_own_alone() -> None:
    views = AudioViews(RATE, 0.3, audio_preset("strong"))
    raw = batch(700, 800, 900)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = generator(1)
    first, second = views(raw, one), views(raw, one)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, views(raw, generator(2)))
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_autocast_does_not_coarsen_views() -> None:
    views = AudioViews(RATE, 0.3, audio_preset("strong"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = views(batch(700, 20), generator())
    assert torch.equal(inside, views(batch(700, 20), generator()))


def test_the_operations_follow_the_crop_in_their_order() -> None:
    ops = (Shift(p=1), WhiteNoise(p=1), TimeMask(p=1))
    views = AudioViews(RATE, 0.3, ops)
    raw, draw = batch(*[300] * 5), generator(4)
    expected = raw.values / 32768
    torch.rand(5, generator=draw, dtype=torch.float64)  # where the crops begin
    for op in ops:
        expected = op.apply(expected, op.sample(5, (300, RATE), draw))
    torch.testing.assert_close(views(raw, generator(4)), expected.clamp(-1, 1), rtol=1e-6, atol=1e-7)


def test_gain() -> None:
    x = waves(3)
    changed = Gain().apply(x, torch.tensor([6.0, 0.0, -20.0]))
    assert torch.allclose(changed, x * torch.tensor([[1.9952623], [1.0], [0.1]]))
    drawn = Gain(decibels=(-8, 2)).sample(5000, SIZE, generator())
    assert stats.kstest(drawn.numpy(), "uniform", args=(-8, 10)).pvalue > 0.01
    assert AudioViews(RATE, 0.1, [Gain(decibels=(60, 60))])(batch(100), generator()).max() == 1


def test_polarity() -> None:
    x = waves(2)
    assert torch.equal(Polarity().apply(x, torch.tensor([True, False])), torch.stack([-x[0], x[1]]))


def test_noise_is_white_and_as_loud_as_asked() -> None:
    x = torch.stack([waves(1, 16_000)[0], 0.01 * torch.arange(16_000).sin(), torch.zeros(16_000), waves(1, 16_000)[0]])
    asked = torch.tensor([10.0, -3.0, 10.0, math.inf])
    noisy = WhiteNoise().apply(x, Hiss(asked, Noise.of(torch.tensor(5), asked < math.inf)))
    rest = noisy - x
    assert (snr(x[:2], rest[:2]) - asked[:2]).abs().max() < 1e-3
    assert torch.equal(noisy[2:], x[2:])
    for row in rest[:2]:
        assert stats.kstest((row / row.std()).numpy(), "norm").pvalue > 0.01
        assert abs(np.corrcoef(row[1:], row[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(rest[0], rest[1])[0, 1]) < 0.03


def test_mixing_adds_another_recording_as_loud_as_asked() -> None:
    x = waves(4) * torch.tensor([[1.0], [0.1], [0.0], [3.0]])
    company = Company(torch.tensor([1, 0, 0, 2]), torch.tensor([5.0, 20.0, 5.0, 5.0]), torch.tensor(4))
    mixed = Mixing().apply(x, company)
    rest = mixed - x
    assert (snr(x[:2], rest[:2]) - company.snr[:2]).abs().max() < 1e-3
    # The other as it was before, whatever was added to it.
    assert np.corrcoef(rest[0], x[1])[0, 1] > 0.99999
    assert np.corrcoef(rest[1], x[0])[0, 1] > 0.99999
    # Nothing is added to silence, and silence adds nothing.
    assert torch.equal(mixed[2:], x[2:])


@pytest.mark.parametrize("n", [2, 5])
def test_the_other_is_another_and_any_other(n: int) -> None:
    drawn = [Mixing(p=1).sample(n, SIZE, generator(seed)) for seed in range(200)]
    others = torch.stack([company.other for company in drawn])
    assert not (others == torch.arange(n)).any()
    for column, own in zip(others.T, range(n), strict=True):
        assert set(column.tolist()) == set(range(n)) - {own}


def test_a_batch_of_one_has_nobody_to_mix_with() -> None:
    x = waves(1)
    op = Mixing(p=1)
    assert torch.equal(op.apply(x, op.sample(1, SIZE, generator())), x)


def test_shift_is_circular() -> None:
    x = waves(5)
    by = [0, 1, -1, 500, -1000]
    shifted = Shift().apply(x, torch.tensor(by))
    for i, steps in enumerate(by):
        assert torch.equal(shifted[i], x[i].roll(steps))
    drawn = Shift(most=0.2, p=1).sample(5000, SIZE, generator())
    assert stats.kstest(drawn.numpy() + generator_noise(5000), "uniform", args=(-200, 400)).pvalue > 0.01


def generator_noise(n: int) -> np.ndarray:
    """What makes whole numbers numbers again."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, n)


def test_a_time_mask_silences_its_span_and_nothing_else() -> None:
    x = waves(4)
    spans = torch.tensor([[0, 10], [990, 10], [5, 0], [300, 400]])
    masked = TimeMask().apply(x, spans)
    for i, (start, length) in enumerate(spans.tolist()):
        assert not masked[i, start : start + length].any()
        assert torch.equal(masked[i, :start], x[i, :start])
        assert torch.equal(masked[i, start + length :], x[i, start + length :])


@settings(max_examples=50, deadline=None)
@given(
    samples=st.integers(1, 2000),
    bounds=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(sorted),
    seed=st.integers(0, 2**31),
)
def test_masks_lie_inside_and_are_as_long_as_asked(samples: int, bounds: list[float], seed: int) -> None:
    share = (bounds[0], bounds[1])
    starts, lengths = TimeMask(share=share, p=1).sample(50, (samples, 8000), generator(seed)).unbind(1)
    assert starts.min() >= 0
    assert (starts + lengths).max() <= samples
    assert lengths.min() >= share[0] * samples - 0.51
    assert lengths.max() <= share[1] * samples + 0.51
    low, high = BandMask(share=share, p=1).sample(50, (samples, 8000), generator(seed)).double().unbind(1)
    assert low.min() >= 0
    assert high.max() <= 1 + 1e-5
    mel = [torch.log1p(4000 * edge / 700) / math.log1p(4000 / 700) for edge in (low, high)]
    assert (mel[1] - mel[0]).min() >= share[0] - 1e-4
    assert (mel[1] - mel[0]).max() <= share[1] + 1e-4


def test_masks_are_anywhere() -> None:
    starts = TimeMask(share=(0.1, 0.1), p=1).sample(5000, SIZE, generator())[:, 0]
    assert stats.kstest(starts.numpy() + generator_noise(5000), "uniform", args=(-0.5, 901)).pvalue > 0.01
    few = TimeMask(share=(0.5, 0.5), p=1).sample(5000, (4, RATE), generator())[:, 0]
    assert stats.chisquare(np.bincount(few.numpy(), minlength=3)).pvalue > 0.01
    low = BandMask(share=(0.1, 0.1), p=1).sample(5000, (8000, 8000), generator())[:, 0]
    mel = np.log1p(low.numpy() * 4000 / 700) / math.log1p(4000 / 700)
    assert stats.kstest(mel, "uniform", args=(0, 0.9)).pvalue > 0.01


@pytest.mark.parametrize("samples", [1000, 999])
def test_a_band_mask_removes_its_band_and_nothing_else(samples: int) -> None:
    x = waves(3, samples).double()
    bands = torch.tensor([[0.25, 0.5], [0.0, 1.01], [0.3, 0.3]])
    masked = BandMask().apply(x, bands)
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    before, after = (np.fft.rfft(each.numpy()) for each in (x, masked))
    inside = (hertz >= 125) & (hertz < 250)
    assert np.abs(after[0][inside]).max() < 1e-12
    assert np.abs(after[0][~inside] - before[0][~inside]).max() < 1e-12
    assert masked[1].abs().max() < 1e-12
    assert torch.equal(masked[2], x[2])


@pytest.mark.parametrize("name", list(EFFECTS))
def test_each_happens_with_its_probability_and_leaves_its_input_alone(name: str) -> None:
    op = EFFECTS[name](p=0.3)
    x = waves(3000, 100)
    before = x.clone()
    changed = (op.apply(x, op.sample(3000, (100, RATE), generator())) != x).any(dim=1)
    assert torch.equal(x, before)
    assert abs(changed.float().mean().item() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 3000) + 0.01
    never, always = EFFECTS[name](p=0), EFFECTS[name](p=1)
    assert torch.equal(never.apply(x, never.sample(3000, (100, RATE), generator())), x)
    assert (always.apply(x, always.sample(3000, (100, RATE), generator())) != x).any(dim=1).float().mean() > 0.97


def test_presets() -> None:
    names = [op.name for op in audio_preset("strong")]
    assert sorted(names) == sorted(EFFECTS)
    assert audio_preset("none") == ()
    raw = batch(*[300] * 8)
    none, mild, strong = (AudioViews(RATE, 0.3, PRESETS[strength]) for strength in ("none", "mild", "strong"))
    assert torch.equal(none(raw, generator()), none.clean(raw))
    assert torch.equal(none.weak(raw, generator()), none.clean(raw))
    assert torch.equal(strong.weak(raw, generator(3)), mild(raw, generator(3)))
    loss = [(views(raw, generator()).abs() - none.clean(raw).abs()).abs().mean() for views in (mild, strong)]
    assert 0 < 2 * loss[0] < loss[1]
    with pytest.raises(
        UserError, match="augment must be one of strong, mild, none, got 'stron', did you mean 'strong'"
    ):
        audio_preset("stron")
    with pytest.raises(UserError, match="augment must be one of strong, mild, none, got 'zzz'"):
        audio_preset("zzz")


def test_a_tone_is_a_line_at_its_height_and_silence_is_black() -> None:
    views = AudioViews(8000, 0.5, [])
    tones = torch.stack([(torch.arange(4000) * 2 * math.pi * f / 8000).sin() for f in (300, 3000)])
    picture = views.picture(torch.cat([0.5 * tones, 0.005 * tones[:1], torch.zeros(1, 4000)]))
    assert picture.shape == (4, 1, 64, 51)
    assert picture.dtype == torch.uint8
    low, high, quiet, silent = picture[:, 0].float().mean(2)
    # Rows are counted from the top.
    assert low.argmax() > 50
    assert high.argmax() < 12
    assert picture[0].max() == 255
    assert (low < 128).float().mean() > 0.8
    assert (quiet - low).abs().mean() < 40
    assert not silent.any()


def test_sounds_are_what_is_heard() -> None:
    views = AudioViews(8000, 0.1, [])
    heard = views.sounds(torch.tensor([[0.0, 0.5, -1.0, 1.0, 2.0, -2.0]]))
    assert heard.dtype == torch.int16
    assert heard.tolist() == [[0, 16384, -32768, 32767, 32767, -32768]]
    assert views.sample_rate == 8000


def test_config_and_line_for_the_log() -> None:
    views = AudioViews(16_000, 1.5, [{"gain": {"decibels": [-3, 3]}}, "polarity"])
    config = json.loads(json.dumps(views.config()))
    assert config == {
        "sample_rate": 16_000,
        "seconds": 1.5,
        "ops": [{"gain": {"decibels": [-3.0, 3.0], "p": 1.0}}, {"polarity": {"p": 0.5}}],
    }
    assert AudioViews.from_config(config).ops == views.ops == (Gain(decibels=(-3, 3)), Polarity())
    assert views.samples == 24_000
    assert str(views) == "crops of 1.5 s, gain, polarity"
    assert str(AudioViews(8000, 1, [])) == "crops of 1 s"


def test_every_effect_has_a_name_of_its_own_and_is_spelled() -> None:
    every = {name for name, kind in vars(audio_views).items() if isinstance(kind, type) and issubclass(kind, Effect)}
    assert {kind.__name__ for kind in EFFECTS.values()} == every - {"Effect"}
    assert effects([*EFFECTS]) == tuple(kind() for kind in EFFECTS.values())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["polarit"], "unknown operation 'polarit', did you mean 'polarity'?"),
        (["zzz"], "unknown operation 'zzz'; known: gain, polarity, noise"),
        ([{"noise": {"snrs": [0, 1]}}], "operation 'noise' has no setting 'snrs', did you mean 'snr'?"),
        ([{"gain": {"zzz": 1}}], "operation 'gain' has no setting 'zzz'; it takes decibels, p"),
        (
            [{"gain": {"decibels": [6, -6]}}],
            "decibels of operation 'gain' must be two numbers [least, most], least",
        ),
        ([{"gain": {"decibels": [-6, 600]}}], "above -100 and at most 100, got [-6, 600]"),
        ([{"shift": {"most": 1.5}}], "most of operation 'shift' must be a number from 0 to 1, got 1.5"),
        ([{"time-mask": {"share": [0, 0.5]}}], "share of operation 'time-mask' must be two numbers"),
        ([{"band-mask": {"share": [0.5, 1.5]}}], "above 0 and at most 1, got [0.5, 1.5]"),
        ([{"mixing": {"p": -1}}], "p of operation 'mixing' must be a number from 0 to 1, got -1"),
        ([{"mixing": 3}], "settings of operation 'mixing' must be {setting: value}, got 3"),
        ([{"gain": {}, "noise": {}}], "an operation must be a name or {name: {setting: value}}, got {'gain'"),
        ([3], "an operation must be a name or {name: {setting: value}}, got 3"),
        ("gain", "operations must be a list such as ['gain', {'polarity': {'p': 0.5}}], got 'gain'"),
    ],
)
def test_what_is_wrong_with_a_list_of_operations(spec: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        effects(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be at least 1000, got 0"),
        ({"seconds": 0}, "seconds must be from 0.1 to 30, got 0"),
        ({"seconds": 31.0}, "seconds must be from 0.1 to 30, got 31.0"),
        ({"seconds": float("nan")}, "seconds must be from 0.1 to 30, got nan"),
    ],
)
def test_impossible_views(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        AudioViews(**{"sample_rate": 8000, "seconds": 1.0, "ops": []} | wrong)
