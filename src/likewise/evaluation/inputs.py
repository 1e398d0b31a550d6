"""What an evaluation takes besides labelled sources: views, and where and how networks are run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

LabelCount = int | Literal["all"]
"""Labels per class that a protocol may use."""

Progress = Callable[[int, int, str], None]
"""Called with (done, total, text): samples processed, of how many, and what is being done."""


@runtime_checkable
class EvaluationViews(Protocol):
    """The part of a modality's views that an evaluation uses: no strong augmentation."""

    def clean(self, batch: Any) -> Any: ...
    def weak(self, batch: Any, generator: torch.Generator) -> Any: ...


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how networks are run: device, samples at a time, bfloat16 or not, memory layout."""

    device: torch.device
    batch_size: int = 128
    autocast: bool = False
    channels_last: bool = False

    def place(self, module: nn.Module) -> nn.Module:
        """`module`, moved to the device and laid out for it."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module

    def forward(self, module: Callable[[Any], Tensor], view: Any) -> Float[Tensor, " n *outputs"]:
        """`module(view)` in this precision and layout; the result is float32."""
        if self.channels_last and getattr(view, "ndim", 0) == 4:
            view = view.contiguous(memory_format=torch.channels_last)
        precision = torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with precision:
            return module(view).float()
