"""Checks of numbers that people choose."""

from __future__ import annotations

import math

from likewise.errors import UserError


def check_momentum(**momentum: float) -> None:
    """Raises `UserError` unless each lies in [0, 1]."""
    for name, value in momentum.items():
        if not 0 <= value <= 1:
            raise UserError(f"{name} must be from 0 to 1, got {value}")


def check_whole(least: int = 1, **numbers: int) -> None:
    """Raises `UserError` unless each is at least `least`."""
    for name, value in numbers.items():
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")


def check_not_negative(**numbers: float) -> None:
    """Raises `UserError` unless each is a finite number of at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{name} must be 0 or more, got {value}")


def check_positive(**numbers: float) -> None:
    """Raises `UserError` unless each is a finite number above 0."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise UserError(f"{name} must be above 0, got {value}")
