"""figures.npz: what a method shows of itself, in rows of pictures, texts and sounds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from likewise.runs.arrays import Arrays, as_array, read_arrays, write_arrays
from likewise.runs.part import RunPart
from likewise.runs.samples import Samples

if TYPE_CHECKING:
    from torch import Tensor


class FigureRow(Samples):
    """Things side by side, one a sample: what they are called, and a picture, a text or a sound of each.

    Args:
        name: of the row.
        pictures: bytes `(n, c, h, w)`, as an array or a tensor on any device.
        texts: `n` of them.
        sounds: int16 `(n, length)`, as an array or a tensor.
        sample_rate: of the sounds, in Hz.
    """

    name: str

    def __init__(
        self,
        name: str,
        pictures: Tensor | np.ndarray | None = None,
        texts: list[str] | None = None,
        sounds: Tensor | np.ndarray | None = None,
        sample_rate: int | None = None,
    ) -> None:
        super().__init__(as_array(pictures), texts, as_array(sounds), sample_rate)
        object.__setattr__(self, "name", name)


@dataclass(frozen=True, eq=False)
class Figure:
    """Rows that show what a method does, one column a sample."""

    title: str
    caption: str
    rows: list[FigureRow]


class Figures(list[Figure], RunPart):
    """All that a method shows.

    In the file, `layout` is JSON: title, caption and the rows' names of each figure; `I-J`, `I-J_texts` and
    `I-J_sounds` are what row J of figure I shows.
    """

    FILE: ClassVar[str] = "figures.npz"

    def save(self, folder: Path) -> None:
        layout = [{"title": f.title, "caption": f.caption, "rows": [row.name for row in f.rows]} for f in self]
        arrays: Arrays = {"layout": np.array(json.dumps(layout))}
        for i, figure in enumerate(self):
            for j, row in enumerate(figure.rows):
                arrays |= row.to_arrays(f"{i}-{j}")
        write_arrays(folder / self.FILE, arrays)

    @classmethod
    def load(cls, folder: Path) -> Figures:
        arrays = read_arrays(folder / cls.FILE)

        def row(name: Any, key: str) -> FigureRow:
            shown = Samples.from_arrays(arrays, key)
            return FigureRow(str(name), shown.pictures, shown.texts, shown.sounds, shown.sample_rate)

        return cls(
            Figure(
                str(figure["title"]),
                str(figure["caption"]),
                [row(name, f"{i}-{j}") for j, name in enumerate(figure["rows"])],
            )
            for i, figure in enumerate(json.loads(str(arrays["layout"])))
        )
