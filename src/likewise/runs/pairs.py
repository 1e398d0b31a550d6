"""pairs.npz: what training brings together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from likewise.runs.arrays import read_arrays, write_arrays
from likewise.runs.part import RunPart
from likewise.runs.samples import Samples, halves

if TYPE_CHECKING:
    from torch import Generator


@dataclass(frozen=True, eq=False)
class Pairs(RunPart):
    """Samples that training brings together: two views of each, or the two halves of pairs."""

    FILE: ClassVar[str] = "pairs.npz"

    first: Samples
    second: Samples
    halves: bool = False
    """Whether these are the halves of pairs."""

    @classmethod
    def of(cls, views: Any, samples: Any, generator: Generator) -> Pairs:
        """Two random views of each sample or, for views of samples in parts, the first two parts of one view."""
        view = views(samples, generator)
        parts = halves(views, view)
        first, second, *_ = parts or [Samples.of(views, view), Samples.of(views, views(samples, generator))]
        return cls(first, second, halves=bool(parts))

    def __len__(self) -> int:
        return max(len(self.first), len(self.second))

    @property
    def unchanged(self) -> bool:
        """Whether both views of each sample are the same to look at."""
        kinds = ("pictures", "texts", "sounds")
        return all(np.array_equal(getattr(self.first, kind), getattr(self.second, kind)) for kind in kinds)

    def save(self, folder: Path) -> None:
        marks = {"halves": np.array(True)} if self.halves else {}
        write_arrays(folder / self.FILE, self.first.to_arrays("first") | self.second.to_arrays("second") | marks)

    @classmethod
    def load(cls, folder: Path) -> Pairs:
        arrays = read_arrays(folder / cls.FILE)
        first, second = (Samples.from_arrays(arrays, name) for name in ("first", "second"))
        if len(first) != len(second):
            raise ValueError(f"there are {len(first)} first samples and {len(second)} second ones")
        return cls(first, second, halves="halves" in arrays)
