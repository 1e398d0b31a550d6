"""gallery.npz: samples with their embeddings, for a map and for nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from likewise.runs.arrays import Arrays, check_array, check_indices, read_arrays, write_arrays
from likewise.runs.part import RunPart
from likewise.runs.samples import Samples, check_pictures


@dataclass(frozen=True, eq=False)
class Gallery(RunPart):
    """Samples with their embeddings, one row each. `labels` index `classes`; None and empty where there are none."""

    FILE: ClassVar[str] = "gallery.npz"

    samples: Samples
    """Their pictures and texts, as far as they have some."""
    embeddings: Float[np.ndarray, "m dim"]
    ids: list[str]
    labels: Int[np.ndarray, " m"] | None = None
    classes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def caption(self, index: int) -> str:
        """The class of a sample and its text, or where it came from."""
        text = self.samples.texts[index] if self.samples.texts else None
        if self.labels is None:
            return text or self.ids[index]
        name = self.classes[self.labels[index]]
        return f"{name} ({self.ids[index]})" if text is None else f"{name}: {text}"

    def save(self, folder: Path) -> None:
        arrays: Arrays = {"embeddings": self.embeddings, "ids": np.array(self.ids, dtype=np.str_)}
        if self.samples.pictures is not None:
            arrays["pictures"] = self.samples.pictures
        if self.samples.texts is not None:
            arrays["texts"] = np.array(self.samples.texts, dtype=np.str_)
        if self.labels is not None:
            arrays |= {"labels": self.labels, "classes": np.array(self.classes, dtype=np.str_)}
        write_arrays(folder / self.FILE, arrays)

    @classmethod
    def load(cls, folder: Path) -> Gallery:
        arrays = read_arrays(folder / cls.FILE)
        embeddings, pictures, texts = arrays["embeddings"], arrays.get("pictures"), arrays.get("texts")
        check_array("embeddings", embeddings, "f", 2)
        if pictures is not None:
            check_pictures("pictures", pictures)
        labelled = "labels" in arrays and "classes" in arrays
        classes = [str(name) for name in arrays["classes"]] if labelled else []
        if labelled:
            check_indices("labels", arrays["labels"], 1, len(classes))
        for name, array in arrays.items():
            if name != "classes" and len(array) != len(embeddings):
                raise ValueError(f"{len(embeddings)} embeddings need as many {name}, got {len(array)}")
        return cls(
            samples=Samples(pictures=pictures, texts=None if texts is None else [str(text) for text in texts]),
            embeddings=embeddings,
            ids=[str(name) for name in arrays["ids"]],
            labels=arrays["labels"] if labelled else None,
            classes=classes,
        )
