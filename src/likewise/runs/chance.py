"""chance.json: what the metrics would be if nothing was learned."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from likewise.atomic import write_json
from likewise.runs.declared import check_declared
from likewise.runs.files import read_object
from likewise.runs.part import RunPart


class ChanceLevels(dict[str, float], RunPart):
    """The chance level of each metric that has one, by the metric's name."""

    FILE: ClassVar[str] = "chance.json"

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self)

    @classmethod
    def load(cls, folder: Path) -> ChanceLevels:
        levels = read_object(folder / cls.FILE)
        check_declared(levels, dict[str, float])
        return cls({name: float(level) for name, level in levels.items()})
