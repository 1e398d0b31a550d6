"""What the losses ask of their arguments, and the precision they compute in."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Computes a loss outside autocast, its half-precision arguments raised to float32."""

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        positional: Any = [_raised(value) for value in args]
        named: Any = {name: _raised(value) for name, value in kwargs.items()}
        with torch.autocast(_device_type((*args, *kwargs.values())), enabled=False):
            return loss(*positional, **named)

    return wrapped


def _raised(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    if isinstance(value, list | tuple):
        return type(value)(_raised(item) for item in value)
    return value


def _device_type(values: Sequence[object]) -> str:
    """Type of device of the first tensor that has dimensions."""
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            return value.device.type
        if isinstance(value, list | tuple):
            return _device_type(value)
    return "cpu"


def check_embeddings(embeddings: Mapping[str, Tensor], *, least: int = 1) -> None:
    """Floating-point matrices of one shape, type and device, with at least `least` rows."""
    (reference, model), *_ = embeddings.items()
    for name, value in embeddings.items():
        if value.ndim != 2 or not value.is_floating_point():
            raise ValueError(f"{name}: a floating-point matrix (n, d) is needed, got {_described(value)}")
        if value.shape != model.shape:
            raise ValueError(f"{name}: shape {tuple(value.shape)} must equal that of {reference}, {tuple(model.shape)}")
        check_alike(reference, model, **{name: value})
    if len(model) < least:
        raise ValueError(f"{reference}: got {len(model)} rows, at least {least} are needed")


def check_width(reference: str, model: Tensor, **others: Tensor) -> None:
    """Matrices as wide as the reference, of its type and on its device."""
    for name, value in others.items():
        if value.ndim != 2 or value.shape[1] != model.shape[1]:
            raise ValueError(
                f"{name}: shape {tuple(value.shape)} must be (m, {model.shape[1]}), as wide as {reference}"
            )
    check_alike(reference, model, **others)


def check_alike(reference: str, model: Tensor, **others: Tensor) -> None:
    """Tensors of the reference's type and on its device."""
    for name, value in others.items():
        if value.device != model.device:
            raise ValueError(f"{name}: on {value.device}, must be where {reference} is, on {model.device}")
        if value.dtype != model.dtype:
            raise ValueError(f"{name}: {value.dtype} must be {reference}'s type, {model.dtype}")


def check_labels(embeddings: Tensor, **labels: Tensor) -> None:
    """One integer (or boolean) for each row."""
    rows = len(embeddings)
    for name, value in labels.items():
        if value.ndim != 1 or value.is_floating_point():
            raise ValueError(f"{name}: a vector of {rows} integers is needed, got {_described(value)}")
        if len(value) != rows:
            raise ValueError(f"{name}: got {len(value)} for {rows} rows, one per row is needed")
        if value.device != embeddings.device:
            raise ValueError(f"{name}: on {value.device}, must be on {embeddings.device} as the embeddings")


def check_positive(**numbers: float | Tensor) -> None:
    """Each is one finite number above 0."""
    for name, value in numbers.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"{name}: one number is needed, got {_described(value)}")
        number = value.item() if isinstance(value, Tensor) else value
        if not 0 < number < math.inf:
            raise ValueError(f"{name}: {number:g} must be above 0 and finite")


def check_range(low: float, high: float, **numbers: float) -> None:
    """Each lies in [low, high)."""
    for name, value in numbers.items():
        if not low <= value < high:
            raise ValueError(f"{name}: {value:g} must be in [{low:g}, {high:g})")


def unit(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows scaled to length 1; a zero row, which has no direction, stays zero and magnifies no gradient."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length < 1e-12, 1.0)


def _described(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
