"""What is worked out of samples to look at them: the map, clusters, how unusual each is, faults; kept in the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Int32

from likewise.atomic import own_folder
from likewise.cleaning.faults import KINDS, Fault
from likewise.errors import UserError
from likewise.runs.arrays import Arrays, check_array, check_indices, read_arrays, write_arrays
from likewise.runs.files import DAMAGED

FOLDER = "explore"
LOOKED_FOR = ("duplicate", "near-duplicate", "outlier", "label-error")
"""Kinds of faults that the page lists."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is worked out of n samples."""

    FILE: ClassVar[str] = "map.npz"

    coordinates: Float32[np.ndarray, "n 2"]
    """From 0 to 1."""
    clusters: Int32[np.ndarray, " n"]
    names: list[str]
    """Of the clusters."""
    unusual: Float32[np.ndarray, " n"] | None = None
    """See `cleaning.outliers`; NaN of what was not judged."""
    faults: list[Fault] = field(default_factory=list)
    """Of the kinds in `LOOKED_FOR`. Their ids are not kept: places tell."""
    notes: list[str] = field(default_factory=list)

    def to_arrays(self) -> Arrays:
        kinds = list(KINDS)
        return {
            "coordinates": self.coordinates,
            "clusters": self.clusters,
            "names": np.array(self.names, dtype=np.str_),
            "unusual": np.zeros(0, dtype=np.float32) if self.unusual is None else self.unusual,
            "fault_kinds": np.array([kinds.index(fault.kind) for fault in self.faults], dtype=np.int64),
            "fault_places": np.array([fault.place for fault in self.faults], dtype=np.int64),
            "fault_partners": np.array([fault.partner_place for fault in self.faults], dtype=np.int64),
            "fault_reasons": np.array([fault.reason for fault in self.faults], dtype=np.str_),
            "notes": np.array(self.notes, dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, count: int) -> Scene:
        """The scene of so many samples.

        Raises:
            ValueError, KeyError: the arrays are not of one.
        """
        check_array("coordinates", arrays["coordinates"], "f", 2)
        coordinates = arrays["coordinates"].astype(np.float32)
        if coordinates.shape != (count, 2) or not np.isfinite(coordinates).all():
            raise ValueError(f"coordinates are of shape {coordinates.shape}, or not finite")
        names = _texts(arrays, "names")
        check_indices("clusters", arrays["clusters"], 1, len(names))
        check_array("unusual", arrays["unusual"], "f", 1)
        check_indices("fault_kinds", arrays["fault_kinds"], 1, len(KINDS))
        check_indices("fault_places", arrays["fault_places"], 1, count)
        check_indices("fault_partners", arrays["fault_partners"] + 1, 1, count + 1)
        columns = [arrays[name].tolist() for name in ("fault_kinds", "fault_places", "fault_partners")]
        rows = zip(*columns, _texts(arrays, "fault_reasons"), strict=True)
        kinds = list(KINDS)
        faults = [
            Fault("", kinds[kind], reason, place=place, partner_place=other) for kind, place, other, reason in rows
        ]
        unusual = arrays["unusual"].astype(np.float32) if arrays["unusual"].size else None
        if len(arrays["clusters"]) != count or (unusual is not None and len(unusual) != count):
            raise ValueError("clusters and scores must be of all samples")
        return cls(coordinates, arrays["clusters"].astype(np.int32), names, unusual, faults, _texts(arrays, "notes"))


def kept_scene(run_folder: Path, key: str, count: int, make: Callable[[], Scene]) -> Scene:
    """The scene in a run folder, if it is of this key; otherwise it is made, and kept where the disk allows."""
    arrays = read_kept(run_folder, Scene.FILE, key)
    with contextlib.suppress(*DAMAGED):
        if arrays is not None:
            return Scene.from_arrays(arrays, count)
    scene = make()
    write_kept(run_folder, Scene.FILE, key, scene.to_arrays())
    return scene


def kept_features(
    run_folder: Path, key: str | None, count: int, make: Callable[[], Float[np.ndarray, "n dim"]]
) -> Float32[np.ndarray, "n dim"]:
    """The same for the embeddings of all samples; without a key, they are made."""
    file = "embeddings.npz"
    arrays = None if key is None else read_kept(run_folder, file, key)
    found = None if arrays is None else arrays.get("embeddings")
    if found is not None and found.dtype == np.float32 and found.ndim == 2 and len(found) == count:
        return found
    features = np.asarray(make(), dtype=np.float32)
    if key is not None:
        write_kept(run_folder, file, key, {"embeddings": features})
    return features


def read_kept(run_folder: Path, file: str, key: str) -> Arrays | None:
    """The arrays that were kept under a key; None where others are, or nothing that can be read."""
    with contextlib.suppress(*DAMAGED):
        arrays = read_arrays(run_folder / FOLDER / file)
        if str(arrays["key"]) == key:
            return arrays
    return None


def write_kept(run_folder: Path, file: str, key: str, arrays: Arrays) -> None:
    """Keep arrays under a key. A run on a read-only or full disk can still be looked at."""
    with contextlib.suppress(OSError, UserError):
        write_arrays(own_folder(run_folder / FOLDER) / file, {"key": np.array(key), **arrays})


def _texts(arrays: Arrays, name: str) -> list[str]:
    check_array(name, arrays[name], "U", 1)
    return [str(text) for text in arrays[name]]
