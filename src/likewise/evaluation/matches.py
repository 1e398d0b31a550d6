"""The best answers to a few queries among samples in two halves, both ways: what a recall looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.atomic import write_atomically
from likewise.data.source import Source
from likewise.evaluation.retrieval import ranks
from likewise.runs.samples import halves, prefixed

QUERIES, ANSWERS = 12, 5
AT_ONCE = 64  # samples whose looks are made together


def save_matches(
    path: Path,
    source: Source,
    views: Any,
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    *,
    names: tuple[str, str],
    groups: Int[Tensor, " n"],
) -> None:
    """Write the five most similar answers to twelve queries, evenly spaced, from each half to the other.

    The file: `names`; `candidates`, how many answers there were; `queries` `(q)` and, with one row for each way,
    `answers` `(2, q, k)`, both positions among the samples shown; `right` `(2, q, k)`; `ranks` `(2, q)`, as those of
    `likewise.evaluation.retrieval`; `first`, `first_words`, `second_sounds` and the like, what the halves show.

    Args:
        path: of the file, the run's matches.npz.
        source: the pairs.
        views: theirs, in parts.
        first, second: the embeddings of the halves, pair by pair; they are compared by their cosines.
        names: what to call the halves.
        groups: pairs of one group answer for each other.
    """
    first, second = (F.normalize(half.cpu().float(), dim=1) for half in (first, second))
    queries = torch.linspace(0, len(first) - 1, min(QUERIES, len(first)), dtype=torch.float64).round().long()
    protocols = [(first[queries], second), (second[queries], first)]
    answers = torch.stack(
        [(asked @ gallery.T).topk(min(ANSWERS, len(gallery))).indices for asked, gallery in protocols]
    )
    shown = torch.cat([queries, answers.flatten()]).unique()
    arrays: dict[str, Any] = {
        "names": np.array(names, dtype=np.str_),
        "candidates": np.array(len(first)),
        "queries": torch.searchsorted(shown, queries).numpy(),
        "answers": torch.searchsorted(shown, answers).numpy(),
        "right": (groups[answers] == groups[queries][:, None]).numpy(),
        "ranks": torch.stack([ranks(asked, gallery, groups[queries], groups) for asked, gallery in protocols]).numpy(),
    }
    looks = [halves(views, views.clean(source.read(some))) for some in shown.split(AT_ONCE)]
    for name, parts in zip(("first", "second"), zip(*looks, strict=True), strict=False):
        arrays |= prefixed(name, {kind: _joined([part[kind] for part in parts]) for kind in parts[0]})
    write_atomically(path, lambda file: np.savez(file, **arrays))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts[0].ndim else parts[0]
