"""Views of pairs: each part has the views of its own modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch


class PairViews:
    """Views of samples that have parts. Their batches have a tuple `parts`, and a view of one is of its type.

    Attributes: `parts`, the views of each part; parts of one modality may have the same views.
    """

    modality: ClassVar[str] = "pair"

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        """One random view of every part."""
        return self._with(batch, [views(part, generator) for views, part in self._each(batch)])

    def weak(self, batch: Any, generator: torch.Generator) -> Any:
        """One light random view of every part that keeps its label."""
        return self._with(batch, [views.weak(part, generator) for views, part in self._each(batch)])

    def clean(self, batch: Any) -> Any:
        """The view of every part without randomness."""
        return self._with(batch, [views.clean(part) for views, part in self._each(batch)])

    def __str__(self) -> str:
        return "; ".join(map(str, self.parts))

    def _each(self, batch: Any) -> list[tuple[Any, Any]]:
        return list(zip(self.parts, batch.parts, strict=True))

    @staticmethod
    def _with(batch: Any, views: list[Any]) -> Any:
        return type(batch)(tuple(views))
