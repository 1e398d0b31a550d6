"""Operations by name: lists of them as they are written in Python, YAML and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from likewise.errors import UserError, nearest
from likewise.views.colour import Brightness, ColorJitter, Contrast, Grayscale, Hue, Saturation
from likewise.views.filters import Blur, Erasing, GaussianNoise, Solarize
from likewise.views.operation import Operation
from likewise.views.spatial import (
    HorizontalFlip,
    Perspective,
    RandomResizedCrop,
    Rotation,
    Shear,
    VerticalFlip,
)

OPERATIONS: dict[str, type[Operation]] = {
    operation.name: operation
    for operation in (
        RandomResizedCrop,
        HorizontalFlip,
        VerticalFlip,
        Rotation,
        Shear,
        Perspective,
        Brightness,
        Contrast,
        Saturation,
        Hue,
        ColorJitter,
        Grayscale,
        Blur,
        GaussianNoise,
        Solarize,
        Erasing,
    )
}


def operations(spec: Iterable[Any], known: Mapping[str, type[Operation]] = OPERATIONS) -> tuple[Operation, ...]:
    """The operations that a list describes: each entry an `Operation`, a name or `{name: {setting: value}}`.

    In YAML: `[{crop: {scale: [0.2, 1]}}, horizontal-flip, {blur: {p: 0.1}}]`. Raises `UserError` for an
    unknown name or setting (with the nearest right one) and for an impossible value. `known`: by name; those of images.
    """
    if isinstance(spec, str | Mapping) or not isinstance(spec, Iterable):
        first, second, *_ = known
        raise UserError(f"operations must be a list such as ['{first}', {{'{second}': {{'p': 0.5}}}}], got {spec!r}")
    return tuple(_operation(entry, known) for entry in spec)


def _operation(entry: Any, known: Mapping[str, type[Operation]]) -> Operation:
    if isinstance(entry, Operation) and isinstance(entry, tuple(known.values())):
        return entry
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise UserError(f"an operation must be a name or {{name: {{setting: value}}}}, got {entry!r}")
    ((name, settings),) = entry.items()
    if name not in known:
        raise UserError(f"unknown operation {name!r}{nearest(name, known) or '; known: ' + ', '.join(known)}")
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise UserError(f"settings of operation '{name}' must be {{setting: value}}, got {settings!r}")
    operation = known[name]
    for setting in settings:
        if setting not in operation.settings():
            hint = nearest(setting, operation.settings()) or f"; it takes {', '.join(operation.settings())}"
            raise UserError(f"operation '{name}' has no setting {setting!r}{hint}")
    checked: dict[str, Any] = {setting: operation.checked(setting, value) for setting, value in settings.items()}
    return operation(**checked)


def spell(ops: Iterable[Operation]) -> list[dict[str, dict[str, Any]]]:
    """The plain values that `operations` turns back into the operations, with every setting written out."""
    return [
        {operation.name: {setting: _plain(getattr(operation, setting)) for setting in operation.settings()}}
        for operation in ops
    ]


def _plain(value: float | tuple[float, float]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value
