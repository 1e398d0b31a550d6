"""Checks of the tensors that losses take, in the grammar of `likewise.checks`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from likewise.checks import check_int, require


def check_shape(*shape: int | str, **tensors: Tensor) -> None:
    """Raises `UserError` unless each has this shape: a number must be equal, a name stands for any number."""
    rule = f"of shape ({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    for name, value in tensors.items():
        same = value.ndim == len(shape) and all(
            isinstance(wanted, str) or wanted == size for wanted, size in zip(shape, value.shape, strict=True)
        )
        require(same, name, rule, tuple(value.shape))


def check_like(reference: str, model: Tensor, **others: Tensor) -> None:
    """Raises `UserError` unless each is on the device and of the type of `model`, which is called `reference`."""
    for name, value in others.items():
        require(value.device == model.device, name, f"on {model.device} as {reference}", value.device)
        require(value.dtype == model.dtype, name, f"{model.dtype} as {reference}", value.dtype)


def check_embeddings(embeddings: Mapping[str, Tensor], *, minimum: int = 1) -> None:
    """Raises `UserError` unless they are floating-point matrices `(n, d)` of one shape, type and device.

    Args:
        embeddings: by name; the others are compared with the first.
        minimum: of the rows.
    """
    (reference, model), *_ = embeddings.items()
    for name, value in embeddings.items():
        is_matrix = value.ndim == 2 and value.is_floating_point()
        require(is_matrix, name, "a floating-point matrix (n, d)", described(value))
        require(value.shape == model.shape, name, f"of shape {tuple(model.shape)} as {reference}", tuple(value.shape))
        check_like(reference, model, **{name: value})
    check_int(minimum, **{f"len({reference})": len(model)})


def check_labels(embeddings: Tensor, **labels: Tensor) -> None:
    """Raises `UserError` unless each is a vector of integers (or booleans), one for each row."""
    for name, value in labels.items():
        fits = value.shape == embeddings.shape[:1] and not value.is_floating_point()
        require(fits, name, f"a vector of {len(embeddings)} integers", described(value))
        require(value.device == embeddings.device, name, f"on {embeddings.device} as the embeddings", value.device)


def described(value: Tensor) -> str:
    """Type and shape, as in "float32 of shape (4, 3)"."""
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
