"""What is known of the samples that a page shows, and what it can ask about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from likewise.cleaning.faults import Fault, counts
from likewise.errors import UserError
from likewise.evaluation.most_similar import most_similar
from likewise.explorer.appearance import Appearances
from likewise.explorer.label_file import LabelFile
from likewise.explorer.scene import Scene

MOST_FOUND = 5_000
"""Samples that a search for words lists."""
MOST_SIMILAR = 100
AT_ONCE = 2**16


class Coded(NamedTuple):
    """A word for each sample: its place among the names; -1 for none."""

    names: list[str]
    codes: Int32[np.ndarray, " n"]

    @classmethod
    def of(cls, words: Sequence[str | None]) -> Coded:
        """Names are in the order of the alphabet."""
        names = sorted({word for word in words if word is not None})
        place = {name: i for i, name in enumerate(names)}
        return cls(names, np.array([-1 if word is None else place[word] for word in words], dtype=np.int32))

    def at(self, place: int) -> str | None:
        code = int(self.codes[place])
        return self.names[code] if code >= 0 else None


class Predicted(NamedTuple):
    """What a classifier says of each sample."""

    labels: Coded
    probability: Float32[np.ndarray, " n"] | None
    """Of its label; None where there is none: of several labels, and of numbers."""


@dataclass(frozen=True, eq=False)
class Exploration:
    """Samples, and what is known of each."""

    name: str
    modality: str
    ids: Sequence[str]
    features: Float32[np.ndarray, "n dim"]
    scene: Scene
    labels: LabelFile
    own_labels: Coded
    """Those that the data has."""
    appearances: Appearances | None = None
    """None where the samples themselves are not at hand."""
    predicted: Predicted | None = None
    encode_text: Callable[[str], Float[Tensor, " dim"]] | None = None
    """None for an encoder that takes no texts."""
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def faults_at(self) -> dict[int, list[Fault]]:
        found: dict[int, list[Fault]] = {}
        for fault in self.scene.faults:
            found.setdefault(fault.place, []).append(fault)
        return found

    def all_labels(self) -> Coded:
        """The labels that people gave here, and those of the data where they gave none."""
        names = list(dict.fromkeys([*self.own_labels.names, *self.labels.names]))
        place = {name: i for i, name in enumerate(names)}
        given = np.array([*(place[name] for name in self.labels.names), -1], dtype=np.int32)[self.labels.given]
        return Coded(names, np.where(given >= 0, given, self.own_labels.codes).astype(np.int32))

    def summary(self) -> dict[str, Any]:
        """What the page shows beside the samples."""
        clusters = self.scene.clusters
        sizes = np.bincount(clusters, minlength=len(self.scene.names))
        middles = [np.median(self.scene.coordinates[clusters == i], axis=0).tolist() for i in range(len(sizes))]
        return {
            "name": self.name,
            "modality": self.modality,
            "count": len(self),
            "clusters": [
                {"name": f"{i + 1} {name}".strip(), "count": int(size), "at": at}
                for i, (name, size, at) in enumerate(zip(self.scene.names, sizes, middles, strict=True))
            ],
            "predicted": None if self.predicted is None else self.predicted.labels.names,
            "doubt": self.predicted is not None and self.predicted.probability is not None,
            "unusual": self.scene.unusual is not None,
            "faults": counts(self.scene.faults),
            "by_meaning": self.encode_text is not None,
            "shown": self.appearances is not None,
            "notes": self.notes,
            "labels_file": str(self.labels.path),
        }

    def labels_state(self) -> dict[str, Any]:
        """The names of labels, and what can be undone."""
        return {
            "names": self.all_labels().names,
            "given": int((self.labels.given >= 0).sum()),
            "undo": self.labels.undoable,
        }

    def values(self, name: str) -> bytes:
        """One number for each sample, little-endian: int32 of names, float32 of scores (NaN: not known).

        Raises:
            UserError: for another name.
        """
        if name == "places":
            return self.scene.coordinates.astype("<f4").tobytes()
        if name == "cluster":
            return self.scene.clusters.astype("<i4").tobytes()
        if name == "label":
            return self.all_labels().codes.astype("<i4").tobytes()
        if name == "predicted" and self.predicted is not None:
            return self.predicted.labels.codes.astype("<i4").tobytes()
        if name == "doubt" and self.predicted is not None and self.predicted.probability is not None:
            return (1 - self.predicted.probability).astype("<f4").tobytes()
        if name == "unusual" and self.scene.unusual is not None:
            return self.scene.unusual.astype("<f4").tobytes()
        raise UserError(f"values must be some that the page names, got {name[:40]!r}")

    def about(self, places: Iterable[int]) -> list[dict[str, Any]]:
        """All that is known of some samples, as JSON."""
        labels = self.all_labels()
        return [self._about(place, labels) for place in places]

    def _about(self, place: int, labels: Coded) -> dict[str, Any]:
        predicted, unusual = self.predicted, self.scene.unusual
        seen = None if self.appearances is None else self.appearances.of(place)
        found: dict[str, Any] = {
            "place": place,
            "id": str(self.ids[place]),
            "label": labels.at(place),
            "given": int(self.labels.given[place]) >= 0,
            "cluster": int(self.scene.clusters[place]),
            "faults": [
                {"kind": fault.kind, "reason": fault.reason, "partner": fault.partner_place}
                for fault in self.faults_at.get(place, [])
            ],
            "pictures": 0 if seen is None else len(seen.pictures),
            "texts": [] if seen is None else seen.texts,
            "sounds": 0 if seen is None else len(seen.sounds),
        }
        if predicted is not None:
            found["predicted"] = predicted.labels.at(place)
            if predicted.probability is not None:
                found["probability"] = round(float(predicted.probability[place]), 4)
        if unusual is not None and np.isfinite(unusual[place]):
            found["unusual"] = round(float(unusual[place]), 2)
        return found

    def with_faults(self, kind: str) -> list[int]:
        """The places of samples with faults of a kind, each before what it is a copy of."""
        faults = [fault for fault in self.scene.faults if fault.kind == kind]
        places = [place for fault in faults for place in (fault.place, fault.partner_place) if place >= 0]
        return list(dict.fromkeys(places))

    def with_words(self, words: str) -> list[int]:
        """The places of the first samples whose id, label or text holds some words, capital or small."""
        wanted = words.casefold().strip()
        if not wanted:
            return []
        labels = self.all_labels()
        fitting = {i for i, name in enumerate(labels.names) if wanted in name.casefold()}
        texts = [] if self.appearances is None else self.appearances.texts
        found = []
        for place, code in enumerate(labels.codes.tolist()):
            said = (str(self.ids[place]), *(each[place] for each in texts))
            if code in fitting or any(wanted in text.casefold() for text in said):
                found.append(place)
                if len(found) == MOST_FOUND:
                    break
        return found

    def similar(self, query: Float[Tensor, " dim"]) -> list[tuple[int, float]]:
        """The places of the samples most similar to an embedding, and their cosine similarities."""
        parts: Iterable[Tensor] = torch.from_numpy(self.features).split(AT_ONCE)
        return [(place, round(value, 4)) for place, value in most_similar(query, parts, MOST_SIMILAR)]
