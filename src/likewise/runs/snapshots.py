"""snapshots.npz: the similarities of one fixed batch of pairs, from the start of a training to its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from likewise.runs.arrays import check_array, read_arrays, write_arrays
from likewise.runs.part import RunPart


@dataclass(frozen=True, eq=False)
class Snapshots(RunPart):
    """Cosine similarities of one fixed batch of pairs, first views then second views, by stage."""

    FILE: ClassVar[str] = "snapshots.npz"

    steps: Int[np.ndarray, " k"]
    """Done before each stage."""
    epochs: Float[np.ndarray, " k"]
    similarity: Float[np.ndarray, "k views views"]

    def save(self, folder: Path) -> None:
        arrays = {"steps": self.steps, "epochs": self.epochs, "similarity": self.similarity}
        write_arrays(folder / self.FILE, arrays)

    @classmethod
    def load(cls, folder: Path) -> Snapshots:
        arrays = read_arrays(folder / cls.FILE)
        steps, epochs, similarity = arrays["steps"], arrays["epochs"], arrays["similarity"]
        check_array("steps", steps, "iu", 1)
        check_array("epochs", epochs, "f", 1)
        check_array("similarity", similarity, "f", 3)
        k, views, others = similarity.shape
        if not (len(steps) == len(epochs) == k and views == others and views % 2 == 0 and views):
            raise ValueError(f"similarity of shape {similarity.shape} does not fit {len(steps)} steps")
        return cls(steps, epochs, similarity)
