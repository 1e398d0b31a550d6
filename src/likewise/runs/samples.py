"""What of a view a person can look at, read or hear: as much of it as its views know how to show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

LONGEST = 240
"""Letters of a sample's words that a gallery keeps: enough to know it by."""


def shown(views: Any, view: Any) -> dict[str, Any]:
    """What the samples of a view look, read and sound like, as arrays; empty where the views show nothing.

    `pictures`: bytes `(n, c, h, w)`, where the views have a `picture(view)`; `words`: `n` texts, where they have
    `words(view)`; `sounds`: int16 `(n, samples)` and `sample_rate`, in Hz, where they have `sounds(view)`.
    """
    arrays: dict[str, Any] = {}
    if hasattr(views, "picture"):
        arrays["pictures"] = views.picture(view).cpu().numpy()
    if hasattr(views, "words"):
        arrays["words"] = np.array(views.words(view), dtype=np.str_)
    if hasattr(views, "sounds"):
        arrays["sounds"] = views.sounds(view).cpu().numpy()
        arrays["sample_rate"] = np.array(views.sample_rate)
    return arrays


def halves(views: Any, view: Any) -> list[dict[str, Any]]:
    """What each part of a view shows, for views of samples in parts; empty for others."""
    if not (hasattr(views, "parts") and hasattr(view, "parts")):
        return []
    return [shown(of, part) for of, part in zip(views.parts, view.parts, strict=True)]


def prefixed(name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """What is shown under the names that it has in a file: `name` for the pictures, `name_words`, `name_sounds` …"""
    return {name if kind == "pictures" else f"{name}_{kind}": array for kind, array in arrays.items()}


def gallery_arrays(views: Any, batches: Iterable[Any]) -> dict[str, Any]:
    """`pictures` and `words` of samples as they are, as far as there are any: what `gallery.npz` keeps of them.

    Sounds are too large to keep of so many. Of samples in parts, the first part that has pictures gives the pictures,
    the first that has words the words. Words are cut after 240 letters.
    """
    kept: dict[str, list[Any]] = {"pictures": [], "words": []}
    for batch in batches:
        view = views.clean(batch)
        parts = halves(views, view) or [shown(views, view)]
        for kind, arrays in kept.items():
            arrays += [part[kind] for part in parts if kind in part][:1]
    found = {kind: np.concatenate(arrays) for kind, arrays in kept.items() if arrays}
    if "words" in found:
        found["words"] = np.array([_cut(text) for text in found["words"].tolist()], dtype=np.str_)
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
