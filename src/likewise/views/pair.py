"""Views of pairs: each part has the views of its own modality."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

KINDS = {
    "ImageViews": "likewise.views.image",
    "TextViews": "likewise.views.text",
    "AudioViews": "likewise.views.audio",
}


class PairViews:
    """Views of samples that have parts. Their batches have a tuple `parts`, and a view of one is of its type.

    Attributes: `parts`, the views of each part; parts of one modality may have the same views.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        """One random view of every part."""
        return self._with(batch, [views(part, generator) for views, part in self._each(batch)])

    def gentle(self, batch: Any, generator: torch.Generator) -> Any:
        """One light random view of every part that keeps its label."""
        return self._with(batch, [views.gentle(part, generator) for views, part in self._each(batch)])

    def plain(self, batch: Any) -> Any:
        """The view of every part without randomness."""
        return self._with(batch, [views.plain(part) for views, part in self._each(batch)])

    def config(self) -> dict[str, Any]:
        """Everything about these views in plain values; see `from_config`."""
        return {"parts": [{"views": type(views).__name__, "config": views.config()} for views in self.parts]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PairViews:
        """The views whose `config()` this is."""
        kinds = [getattr(importlib.import_module(KINDS[part["views"]]), part["views"]) for part in config["parts"]]
        return cls([kind.from_config(part["config"]) for kind, part in zip(kinds, config["parts"], strict=True)])

    def __str__(self) -> str:
        return "; ".join(map(str, self.parts))

    def _each(self, batch: Any) -> list[tuple[Any, Any]]:
        return list(zip(self.parts, batch.parts, strict=True))

    @staticmethod
    def _with(batch: Any, views: list[Any]) -> Any:
        return type(batch)(tuple(views))
