"""A trained encoder that another one learns from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenTeacher(nn.Module):
    """An encoder that stays as it is: no gradient, and always in evaluation mode, whatever the method around it is in.

    Args:
        encoder: view -> `(n, encoder.dim)`.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.dim: int = encoder.dim  # type: ignore[assignment]

    def train(self, mode: bool = True) -> Any:
        return super().train(False)

    @torch.no_grad()
    def forward(self, view: Any) -> Tensor:
        return self.encoder(view)
