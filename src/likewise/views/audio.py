"""Views of recordings: whole batches at once, on their own device, from int16 samples to waves of one length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int, Int16, UInt8
from torch import Tensor

from likewise.checks import check_choice, check_int, check_interval, require
from likewise.distributed import gather
from likewise.seeding import draw_rows
from likewise.views.mel import log_mel
from likewise.views.operation import (
    Between,
    Interval,
    Noise,
    Number,
    Operation,
    Probability,
    Size,
    Within,
    happens,
    uniform,
)
from likewise.views.presets import STRENGTHS
from likewise.views.specification import operations, spell

LOUDEST = 100  # dB, up or down
SHOWN = 60  # dB below the loudest that are still seen in a picture
SHORTEST, LONGEST = 0.1, 30  # s
LOWEST_RATE, HIGHEST_RATE = 1000, 192_000  # Hz

Decibels = Annotated[Interval, Between(above=-LOUDEST, high=LOUDEST)]
Share = Annotated[Interval, Between(above=0, high=1)]


@dataclass(frozen=True)
class Effect(Operation):
    """A random change of waves. `size` is (samples, samples a second)."""

    def apply(self, waves: Float[Tensor, "n samples"], params: Any) -> Float[Tensor, "n samples"]:
        """This operation alone; what it is given stays as it is."""
        raise NotImplementedError


@dataclass(frozen=True)
class Gain(Effect):
    """Louder or quieter by `decibels`, uniform."""

    name: ClassVar[str] = "gain"

    decibels: Decibels = (-6.0, 6.0)
    p: Probability = 1.0

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Decibels; 0 where nothing happens."""
        return uniform(n, *self.decibels, generator) * happens(n, self.p, generator)

    def apply(self, waves: Float[Tensor, "n samples"], params: Float[Tensor, " n"]) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""
        return waves * _factor(params).to(waves)[:, None]


@dataclass(frozen=True)
class Polarity(Effect):
    """Inverted sign, which is inaudible."""

    name: ClassVar[str] = "polarity"

    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Bool[Tensor, " n"]:
        """Which samples are turned over."""
        return happens(n, self.p, generator)

    def apply(self, waves: Float[Tensor, "n samples"], params: Bool[Tensor, " n"]) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""
        return waves * (1 - 2 * params.to(waves))[:, None]


class Hiss(NamedTuple):
    """Parameters of `WhiteNoise`."""

    snr: Float[Tensor, " n"]  # dB; infinite where nothing happens
    noise: Noise


@dataclass(frozen=True)
class WhiteNoise(Effect):
    """White noise, as much quieter than the wave itself as `snr` says: a signal-to-noise ratio in dB, uniform."""

    name: ClassVar[str] = "noise"

    snr: Decibels = (5.0, 30.0)
    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Hiss:
        """See `Hiss`."""
        snr = uniform(n, *self.snr, generator).masked_fill_(~happens(n, self.p, generator), math.inf)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        return Hiss(snr, Noise.of(seed, snr < math.inf))

    def apply(self, waves: Float[Tensor, "n samples"], params: Hiss) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""

        def add(drawn: Tensor, snr: Tensor) -> Tensor:
            return mixed(drawn, params.noise.like(drawn, params.snr < math.inf), snr)

        return _on_drawn(waves, params.snr < math.inf, add, params.snr)


class Company(NamedTuple):
    """Parameters of `Mixing`."""

    other: Int[Tensor, " n"]  # recording of the batch
    snr: Float[Tensor, " n"]  # dB; infinite where nothing happens
    batch: Int[Tensor, ""]  # its recordings, over all processes


@dataclass(frozen=True)
class Mixing(Effect):
    """Another recording of the batch in the background, quieter by `snr`: a signal-to-noise ratio in dB, uniform.

    A batch of one has no other.
    """

    name: ClassVar[str] = "mixing"

    snr: Decibels = (5.0, 20.0)
    p: Probability = 0.3

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Company:
        """See `Company`."""
        snr = uniform(n, *self.snr, generator).masked_fill_(~happens(n, self.p, generator), math.inf)
        steps = torch.randint(1, max(2, n), (n,), generator=generator, device=generator.device)
        other = (torch.arange(n, device=generator.device) + steps) % max(1, n)
        return Company(other, snr if n > 1 else torch.full_like(snr, math.inf), torch.tensor(n))

    def apply(self, waves: Float[Tensor, "n samples"], params: Company) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""
        batch = waves if len(waves) == params.batch else gather(waves)

        def add(drawn: Tensor, other: Tensor, snr: Tensor) -> Tensor:
            return mixed(drawn, batch[other], snr)

        return _on_drawn(waves, params.snr < math.inf, add, params.other, params.snr)


@dataclass(frozen=True)
class Shift(Effect):
    """Later or earlier by up to a part `most` of the wave, uniform; what leaves at one end comes in at the other."""

    name: ClassVar[str] = "shift"

    most: Annotated[Number, Within(0, 1)] = 0.5
    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Int[Tensor, " n"]:
        """By how many samples later; 0 where nothing happens."""
        most = self.most * size[0]
        return (uniform(n, -most, most, generator) * happens(n, self.p, generator)).round_().long()

    def apply(self, waves: Float[Tensor, "n samples"], params: Int[Tensor, " n"]) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""

        def turn(drawn: Tensor, by: Tensor) -> Tensor:
            length = drawn.shape[1]
            windows = torch.cat([drawn, drawn], dim=1).unfold(1, length, 1)
            return windows[torch.arange(len(by), device=by.device), -by % length]

        return _on_drawn(waves, params != 0, turn, params)


@dataclass(frozen=True)
class TimeMask(Effect):
    """A span of silence, a `share` of the wave long, uniform, at a uniformly random place inside."""

    name: ClassVar[str] = "time-mask"

    share: Share = (0.05, 0.2)
    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Int[Tensor, "n 2"]:
        """First sample, and how many; none where nothing happens."""
        lengths = (uniform(n, *self.share, generator) * size[0]).round_() * happens(n, self.p, generator)
        spare = size[0] - lengths
        starts = (uniform(n, 0, 1, generator) * (spare + 1)).floor_().minimum(spare)
        return torch.stack([starts, lengths], dim=1).long()

    def apply(self, waves: Float[Tensor, "n samples"], params: Int[Tensor, "n 2"]) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""
        start, length = params.to(waves.device)[:, :, None].unbind(1)
        at = torch.arange(waves.shape[1], device=waves.device)
        return waves.masked_fill((at >= start) & (at < start + length), 0)


@dataclass(frozen=True)
class BandMask(Effect):
    """A band of frequencies is taken out: a `share` of the mel scale, uniform, at a uniformly random place.

    The whole wave is transformed, so that the band is gone to the last bit and its edges are sharp.
    """

    name: ClassVar[str] = "band-mask"

    share: Share = (0.05, 0.2)
    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        """Where the band begins and ends, as parts of the highest frequency; equal where nothing happens."""
        widths = uniform(n, *self.share, generator) * happens(n, self.p, generator)
        low = uniform(n, 0, 1, generator) * (1 - widths)
        whole = math.log1p(size[1] / 1400)  # HTK's mel scale up to a factor
        return torch.stack([low, low + widths], dim=1).mul_(whole).expm1_().mul_(1400 / size[1])

    def apply(self, waves: Float[Tensor, "n samples"], params: Float[Tensor, "n 2"]) -> Float[Tensor, "n samples"]:
        """See `Effect.apply`."""

        def remove(drawn: Tensor, band: Tensor) -> Tensor:
            length = drawn.shape[1]
            at = torch.arange(length // 2 + 1, device=drawn.device) * (2 / length)
            low, high = band[:, :, None].unbind(1)
            return torch.fft.irfft(torch.fft.rfft(drawn).masked_fill_((at >= low) & (at < high), 0), n=length)

        return _on_drawn(waves, params[:, 0] < params[:, 1], remove, params)


def mixed(
    waves: Float[Tensor, "n samples"], other: Float[Tensor, "n samples"], snr: Float[Tensor, " n"]
) -> Float[Tensor, "n samples"]:
    """`waves` and, quieter by `snr` dB, `other`; alone where either is silent."""
    power, its_power = (each.square().mean(dim=1) for each in (waves, other))
    factor = (power / its_power).sqrt_().masked_fill_(its_power == 0, 0) * _factor(-snr)
    return torch.addcmul(waves, other, factor[:, None])


def _factor(decibels: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.pow(10, decibels / 20)


def _on_drawn(
    waves: Float[Tensor, "n samples"], drawn: Bool[Tensor, " n"], change: Callable[..., Tensor], *params: Tensor
) -> Float[Tensor, "n samples"]:
    """`change(waves, *params)` for the samples that were drawn, the others as they are."""
    which = drawn.nonzero().squeeze(1)
    if not len(which):
        return waves
    here = which.to(waves.device)
    changed = change(waves.index_select(0, here), *(param[which].to(waves.device) for param in params))
    return waves.index_copy(0, here, changed)


EFFECTS: dict[str, type[Effect]] = {
    effect.name: effect for effect in (Gain, Polarity, WhiteNoise, Mixing, Shift, TimeMask, BandMask)
}

# Each wave may be any recording of anything: strong is what still leaves speech understood.
PRESETS: dict[str, tuple[Effect, ...]] = {
    "strong": (Shift(), Gain(), Polarity(), Mixing(), WhiteNoise(), TimeMask(), BandMask()),
    "mild": (Gain(decibels=(-3.0, 3.0)), Polarity(), WhiteNoise(snr=(20.0, 40.0))),
    "none": (),
}


def audio_preset(strength: str) -> tuple[Effect, ...]:
    """The operations of a `strength`. Raises `UserError` for an unknown one."""
    check_choice(STRENGTHS, augment=strength)
    return PRESETS[strength]


def effects(spec: Iterable[Any]) -> tuple[Effect, ...]:
    """The operations that a list describes, of those here; see `specification.operations`.

    In YAML: `[{gain: {decibels: [-6, 6]}}, polarity, {noise: {p: 0.1}}]`.
    """
    return cast(tuple[Effect, ...], operations(spec, EFFECTS))


class AudioViews:
    """Random views of a batch of recordings: int16 -> float32 `(n, samples)` in [-1, 1].

    A batch has `values`, int16 `(n, longest)`, and `lengths` `(n,)`, in samples. Of each recording a random crop of
    `seconds` is taken (one that is shorter is repeated, from a random sample on); then `ops` run, in the order given.
    A view is a pure function of the batch and the generator's state; a generator on the CPU serves every device.

    Attributes:
        sample_rate: of the batches, in Hz.
        seconds: length of a view.
        samples: length of a view.
        ops: the operations of a view; see `effects`.
        weak_ops: the operations of the `weak` view: mild ones, or none where `ops` are none.

    Raises `UserError` for impossible values.
    """

    modality: ClassVar[str] = "audio"

    def __init__(self, sample_rate: int, seconds: Number, ops: Iterable[Any]) -> None:
        check_int(LOWEST_RATE, sample_rate=sample_rate)
        require(sample_rate <= HIGHEST_RATE, "sample_rate", f"at most {HIGHEST_RATE:,} Hz", sample_rate)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        require(is_number, "seconds", "a number", repr(seconds))
        check_interval(SHORTEST, LONGEST, seconds=seconds)
        self.sample_rate = sample_rate
        self.seconds = float(seconds)
        self.samples = round(sample_rate * seconds)
        self.ops = effects(ops)
        self.weak_ops = PRESETS["mild"] if self.ops else ()

    def __call__(self, batch: Any, generator: torch.Generator) -> Float[Tensor, "n samples"]:
        """One random view of every recording."""
        return self._view(batch, self.ops, generator)

    def weak(self, batch: Any, generator: torch.Generator) -> Float[Tensor, "n samples"]:
        """One random view of every recording that keeps its label: for supervised training."""
        return self._view(batch, self.weak_ops, generator)

    def clean(self, batch: Any) -> Float[Tensor, "n samples"]:
        """The middle of every recording; one that is shorter is repeated from its beginning on."""
        starts = ((batch.lengths - self.samples) // 2).clamp(min=0)
        return crop(batch.values, batch.lengths, starts, self.samples)

    def picture(self, view: Float[Tensor, "n samples"]) -> UInt8[Tensor, "n 1 bands frames"]:
        """Log-mel spectrograms to look at: low frequencies at the bottom, white is the loudest, black 60 dB below."""
        decibels = log_mel(view.detach(), self.sample_rate) * (10 / math.log(10))
        # Digital silence is black.
        loudest = decibels.amax(dim=(1, 2), keepdim=True).clamp(min=0)
        levels = ((decibels - loudest) / SHOWN + 1).clamp_(0, 1).mul_(255).round_().to(torch.uint8)
        return levels.flip(1)[:, None]

    def sounds(self, view: Float[Tensor, "n samples"]) -> Int16[Tensor, "n samples"]:
        """A view as something to listen to."""
        return view.detach().float().mul(2**15).round_().clamp_(-(2**15), 2**15 - 1).to(torch.int16)

    def config(self) -> dict[str, Any]:
        """Everything about these views in plain values; see `from_config`."""
        return {"sample_rate": self.sample_rate, "seconds": self.seconds, "ops": spell(self.ops)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> AudioViews:
        """The views whose `config()` this is."""
        return cls(**config)

    def __str__(self) -> str:
        return ", ".join([f"crops of {self.seconds:g} s", *(op.name for op in self.ops)])

    @torch.no_grad()
    def _view(self, batch: Any, ops: tuple[Effect, ...], generator: torch.Generator) -> Float[Tensor, "n samples"]:
        spare = batch.lengths - self.samples
        places = torch.where(spare < 0, batch.lengths, spare + 1)
        drawn = draw_rows(
            lambda n, whole: torch.rand(n, generator=whole, dtype=torch.float64, device=whole.device),
            len(spare),
            generator,
        )
        waves = crop(batch.values, batch.lengths, (drawn.to(places.device) * places).long(), self.samples)
        size = (self.samples, self.sample_rate)
        for op in ops:
            waves = op.apply(waves, op.draw(len(waves), size, generator))
        return waves.clamp_(-1, 1)


def crop(
    values: Int16[Tensor, "n longest"], lengths: Int[Tensor, " n"], starts: Int[Tensor, " n"], samples: int
) -> Float[Tensor, "n samples"]:
    """So many samples of each row from `starts` on, in [-1, 1); after the last one its first follows again."""
    at = starts[:, None] + torch.arange(samples, device=values.device)
    # Only where something follows again: a division takes longer than all the rest.
    around = (starts + samples > lengths).nonzero().squeeze(1)
    at[around] = at[around].remainder_(lengths[around, None])
    return values.gather(1, at).float().mul_(2**-15)
