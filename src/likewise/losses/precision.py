"""The precision that losses compute in: float32 at least, whatever the networks before them use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Decorates a loss: it runs outside autocast, with half-precision arguments converted to float32."""

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        positional: Any = [_converted(value) for value in args]
        named: Any = {name: _converted(value) for name, value in kwargs.items()}
        with torch.autocast(_device_type((*args, *kwargs.values())), enabled=False):
            return loss(*positional, **named)

    return wrapped


def _converted(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    if isinstance(value, list | tuple):
        return type(value)(_converted(item) for item in value)
    return value


def _device_type(values: Sequence[object]) -> str:
    """Type of device of the first tensor that has dimensions."""
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            return value.device.type
        if isinstance(value, list | tuple):
            return _device_type(value)
    return "cpu"
