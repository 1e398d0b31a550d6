"""From the numbers of scans and arrays to the 256 grey levels of a sample: which range of numbers they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from likewise.console import count_of
from likewise.data.value_range import Range

CAMERA_BITS = (8, 10, 12, 14, 16)
FILLED = 0.75  # the part of a range of so many bits that data must fill to be taken for data of so many bits
QUANTILES = (0.001, 0.999)
OUTLYING = 4  # times the range between the quantiles
KEPT = 2048  # numbers of a sample that the quantiles are taken of
FEW_LEVELS = 64
CLIPPED = 0.001  # the part of a sample's numbers that may lie outside the range before it counts as clipped


class Extent(NamedTuple):
    """What was found of the numbers of a data set, and the range that they are given."""

    low: float
    high: float
    range: Range
    outlying: bool = False
    """Whether a few numbers lie far outside the range."""

    @classmethod
    def of(cls, kept: Sequence[Any] | None) -> Extent | None:
        """One that was kept as JSON."""
        return None if kept is None else cls(kept[0], kept[1], (kept[2][0], kept[2][1]), kept[3])

    def note(self) -> str:
        """What people should know of it."""
        low, high = map(spell, self.range)
        text = f"values from {spell(self.low)} to {spell(self.high)}: grey levels 0 to 255 are {low} to {high}"
        if self.outlying:
            quantiles = "{:.1%} and {:.1%} quantiles".format(*QUANTILES)
            return f"{text}, the {quantiles} (pretrain --range LOW HIGH sets another range)"
        return next(iter(self.few_levels()), f"{text} (pretrain --range LOW HIGH sets another range)")

    def few_levels(self) -> list[str]:
        """What people should know where the numbers fill few of the levels; else nothing."""
        used = 256 * (self.high - self.low) / (self.range[1] - self.range[0])
        if used >= FEW_LEVELS or self.low == self.high:
            return []
        own, whole = (f"{spell(low)} to {spell(high)}" for low, high in ((self.low, self.high), self.range))
        return [
            f"values from {own} use {used:.0f} of the 256 grey levels, which are {whole}: "
            f"pretrain --range {spell(self.low)} {spell(self.high)} uses all"
        ]


@dataclass
class Levels:
    """Numbers as uint8 levels; counts the numbers outside the range, which become its ends."""

    range: Range
    of_whole_numbers: bool = False
    """Whether it is the range of whole numbers only, as nobody has looked at others."""
    numbers: int = 0
    outside: int = 0
    lowest: int = 255
    highest: int = 0

    def __call__(self, values: Shaped[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        """Raises `ValueError` for numbers that are not finite."""
        low, high = self.range
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("holds values that are NaN or infinite")
        if values.dtype.kind != "f" or (values.dtype.itemsize == 2 and high > 1):  # 255 times a half overflows
            values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
        self.numbers += values.size
        self.outside += int(np.count_nonzero((values < low) | (values > high)))
        made = ((values.clip(low, high) - low) * 255 / (high - low) + 0.5).astype(np.uint8)
        self.lowest, self.highest = min(self.lowest, int(made.min())), max(self.highest, int(made.max()))
        return made

    @property
    def clips(self) -> bool:
        """Whether more than one in a thousand of the numbers lie outside the range."""
        return self.outside > CLIPPED * self.numbers

    @property
    def are_few(self) -> bool:
        """Whether the numbers lie so close together that they became fewer than 64 levels."""
        return 0 <= self.highest - self.lowest < FEW_LEVELS


def find_extent(samples: Iterable[Shaped[np.ndarray, "..."]]) -> Extent | None:
    """The range of some samples; None where none holds a finite number.

    The range is from the least to the greatest number. Data that fills three quarters of the range of a camera's 8, 10,
    12, 14 or 16 bits gets that range; whole numbers from 0 to 255, and floats from 0 to 1, are taken as such whatever
    they fill. Where a few numbers lie far from all others (a hot pixel, metal in a scan), so that these would get less
    than a quarter of the levels, the range is between the quantiles of 0.1 % and 99.9 %.
    """
    generator = np.random.default_rng(0)
    low, high, whole, floating, kept = np.inf, -np.inf, True, True, []
    for sample in samples:
        finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample.reshape(-1)
        if not finite.size:
            continue
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        some = finite if finite.size <= KEPT else finite[generator.integers(0, finite.size, KEPT)]
        floating = floating and some.dtype.kind == "f"
        whole = whole and (some.dtype.kind != "f" or bool((some == np.rint(some)).all()))
        kept.append(some.astype(np.float64))
    if not kept:
        return None
    if floating and low >= 0 and high <= 1:
        return Extent(low, high, (0.0, 1.0))
    if whole and low >= 0 and high <= 255:
        return Extent(low, high, (0.0, 255.0))
    inner_low, inner_high = np.quantile(np.concatenate(kept), QUANTILES).tolist()
    if high - low > OUTLYING * (inner_high - inner_low) > 0:
        return Extent(low, high, (inner_low, inner_high), outlying=True)
    for bits in CAMERA_BITS:
        top = 2.0**bits - 1
        if low >= 0 and high <= top and high - low >= FILLED * top:
            return Extent(low, high, (0.0, top))
    return Extent(low, high, (low, high if high > low else low + 1))


def kinds_note(kinds: Mapping[str, int], unchanged: str) -> list[str]:
    """That images have pixels of several kinds, and how many have each; nothing where they have one.

    Args:
        kinds: how many images have pixels of each kind.
        unchanged: the kind that needs no range.
    """
    if len(kinds) < 2:
        return []
    counts = ", ".join(f"{kind} in {count:,}" for kind, count in sorted(kinds.items(), key=lambda kind: -kind[1]))
    stay = f"those of {unchanged} stay as they are, " if unchanged in kinds else ""
    ranges = "one range makes grey levels of the others" if stay else "one range makes grey levels of all"
    return [f"pixels are of several kinds: {counts} of {sum(kinds.values()):,} images; {stay}{ranges}"]


def unseen_note(count: int, total: int, range: Range) -> list[str]:
    """That there are images of more than 8 bits, but none among those that were looked at for a range."""
    if not count:
        return []
    ends = f"{spell(range[0])} to {spell(range[1])}"
    are = "has" if count == 1 else "have"
    deep = f"{count:,} of {total:,} images {are} more than 8 bits"
    return [f"{deep}: grey levels 0 to 255 are {ends} (pretrain --range LOW HIGH)"]


def range_note(range: Range) -> str:
    """What people should know of a range that was given."""
    return f"grey levels 0 to 255 are {spell(range[0])} to {spell(range[1])}"


def level_notes(clipped: int, few: int, total: int, range: Range) -> list[str]:
    """How many images have numbers that a range leaves out, and how many fill little of it; nothing where none does."""
    notes = []
    if clipped:
        ends = f"{spell(range[0])} to {spell(range[1])}"
        notes.append(f"values outside {ends} are clipped, in {clipped:,} of {count_of(total, 'image')}")
    if few:
        use = "uses" if few == 1 else "use"
        notes.append(f"{few:,} of {count_of(total, 'image')} {use} fewer than {FEW_LEVELS} of the 256 grey levels")
    return notes


def spell(number: float) -> str:
    """A number in few characters: 4095, -1000, 0.25."""
    return f"{number:.0f}" if number == round(number) else f"{number:.4g}"


def source_range(source: Any) -> Range | None:
    """The range of images of a source, or of those that a source is made of; None where the images were bytes."""
    while (range := getattr(source, "range", None)) is None:
        source = getattr(source, "source", None) or next(iter(getattr(source, "sources", ())), None)
        if source is None:
            return None
    return range
