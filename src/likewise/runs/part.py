"""What all parts of a run have in common: a file of their own in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypeVar


class RunPart:
    """Something that a run keeps."""

    FILE: ClassVar[str]
    """Its name in the run folder."""

    def save(self, folder: Path) -> None:
        """Replace the file in `folder`, atomically."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path) -> Any:
        """What the file in `folder` holds, checked.

        Raises:
            one of `likewise.runs.files.DAMAGED`: the file is missing, damaged or not what this class wrote.
        """
        raise NotImplementedError


Part = TypeVar("Part", bound=RunPart)
