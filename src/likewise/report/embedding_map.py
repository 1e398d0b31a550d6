"""Where embeddings lie on a plane, computed once per gallery and kept in the run as map.npz."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from likewise.atomic import write_atomically
from likewise.runs.gallery import Gallery

FEWEST_FOR_TSNE = 20
ITERATIONS = 750
"""Of openTSNE, with those of its early exaggeration."""
TOLD_EVERY = 50
SMALLEST_SPREAD = 1e-5
"""Unit embeddings that differ less are one point: what is left are rounding errors, which a map would blow up."""


def map_coordinates(gallery: Gallery, folder: Path) -> Float[np.ndarray, "m 2"]:
    """Plane coordinates of the gallery's embeddings, read from `folder`/map.npz if they are of this gallery."""
    cache = folder / "map.npz"
    key = hashlib.sha256(b"2" + np.ascontiguousarray(gallery.embeddings).tobytes()).hexdigest()
    unreadable = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
    with contextlib.suppress(*unreadable), np.load(cache, allow_pickle=False) as arrays:
        if str(arrays["key"]) == key:
            return arrays["coordinates"]
    coordinates = plane_coordinates(unit_rows(gallery.embeddings))
    with contextlib.suppress(OSError):  # a run on a read-only disk can still be reported on
        write_atomically(cache, lambda file: np.savez(file, key=np.array(key), coordinates=coordinates))
    return coordinates


def plane_coordinates(
    unit: Float[np.ndarray, "m dim"], done: Callable[[int, int], None] | None = None
) -> Float[np.ndarray, "m 2"]:
    """Where unit embeddings lie on a plane.

    t-SNE (openTSNE, started from the principal components, fixed seed); the first two principal components where there
    are fewer than 20 samples; zeros where all embeddings are one point (a collapsed encoder).

    Args:
        done: told how many iterations are made, of how many.
    """
    if np.ptp(unit, axis=0).max() < SMALLEST_SPREAD:
        return np.zeros((len(unit), 2), dtype=np.float32)
    return principal(unit) if len(unit) < FEWEST_FOR_TSNE else _tsne(unit, done or (lambda made, total: None))


def unit_rows(embeddings: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "m dim"]:
    """Rows scaled to length 1 (zero and non-finite rows become zero), so that their products are cosines."""
    rows = np.nan_to_num(embeddings.astype(np.float64), posinf=0, neginf=0)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def principal(rows: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "m 2"]:
    """Coordinates along the first two principal components."""
    centred = rows - rows.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(rows), 2), dtype=np.float32)
    kept = (left * sizes)[:, :2]
    plane[:, : kept.shape[1]] = kept
    return plane


def _tsne(unit: Float[np.ndarray, "m dim"], done: Callable[[int, int], None]) -> Float[np.ndarray, "m 2"]:
    from openTSNE import TSNE

    made = 0

    def count(iteration: int, error: float, embedding: Any) -> None:
        nonlocal made
        made += TOLD_EVERY
        done(made, ITERATIONS)

    perplexity = min(30.0, (len(unit) - 1) / 3)
    # Euclidean distances of unit vectors order them as cosines do, and a zero vector is no exception to them.
    # One job: on galleries of thousands, threads gain little, and on a busy machine they wait for each other.
    tsne = TSNE(
        perplexity=perplexity,
        metric="euclidean",
        initialization="pca",
        random_state=0,
        n_jobs=1,
        callbacks=count,
        callbacks_every_iters=TOLD_EVERY,
    )
    return np.asarray(tsne.fit(unit), dtype=np.float32)
