"""The result of a command that writes one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class WrittenFile(type(Path())):  # type: ignore[misc]  # before Python 3.12 only the platform's own path has subclasses
    """The path of a file that a command wrote."""

    incomplete: bool = False
    """Whether something that belongs into it could not be read."""

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self)}
