"""matches.npz: the most similar answers to some queries, from each half of pairs to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int

from likewise.runs.arrays import check_array, check_indices, read_arrays, write_arrays
from likewise.runs.part import RunPart
from likewise.runs.samples import Samples


@dataclass(frozen=True, eq=False)
class RetrievalMatches(RunPart):
    """The most similar answers to some queries, in two directions.

    Row 0 of `answers`, `right` and `ranks` has the queries of the first half, row 1 those of the second.
    """

    FILE: ClassVar[str] = "matches.npz"

    names: tuple[str, str]
    """What the halves are called."""
    candidates: tuple[int, int]
    """Among how many different samples the answers were found, in each direction."""
    queries: Int[np.ndarray, " q"]
    answers: Int[np.ndarray, "2 q k"]
    right: Bool[np.ndarray, "2 q k"]
    ranks: Int[np.ndarray, "2 q"]
    """The place of each query's first right answer among all candidates, from 1."""
    halves: tuple[Samples, Samples]
    """What `queries` and `answers` index."""

    def save(self, folder: Path) -> None:
        write_arrays(
            folder / self.FILE,
            {
                "names": np.array(self.names, dtype=np.str_),
                "candidates": np.array(self.candidates),
                "queries": self.queries,
                "answers": self.answers,
                "right": self.right,
                "ranks": self.ranks,
                **self.halves[0].to_arrays("first"),
                **self.halves[1].to_arrays("second"),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> RetrievalMatches:
        arrays = read_arrays(folder / cls.FILE)
        first, second = (Samples.from_arrays(arrays, name) for name in ("first", "second"))
        one, other = (str(name) for name in arrays["names"])
        queries, answers, right, ranks = (arrays[name] for name in ("queries", "answers", "right", "ranks"))
        check_indices("queries", queries, 1, min(len(first), len(second)))
        check_indices("answers", answers, 3, min(len(first), len(second)))
        check_array("right", right, "b", 3)
        check_array("ranks", ranks, "iu", 2)
        if not (answers.shape == right.shape and answers.shape[:2] == ranks.shape == (2, len(queries))):
            raise ValueError(f"answers of shape {answers.shape} do not fit {len(queries)} queries")
        # Earlier runs have one number, for both directions.
        forward, backward = np.broadcast_to(arrays["candidates"], (2,)).tolist()
        return cls((one, other), (forward, backward), queries, answers, right, ranks, (first, second))
