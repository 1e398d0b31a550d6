"""config.json: everything that was asked for and decided, to the last hyperparameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from likewise.atomic import write_json
from likewise.runs.files import read_object
from likewise.runs.part import RunPart


class RunConfig(dict[str, Any], RunPart):
    """The configuration of a run.

    Keys: likewise (the version), data, source, read_options, recipe, probe, method, encoder, views, seed, threads,
    command, created, devices, precision, strategy; of texts also padding and documents, how many tokens these have and
    how many are read; of a finished run also seconds and samples_per_second; of one that was given more epochs also
    extensions, a list of what it had before, and at which step.
    """

    FILE: ClassVar[str] = "config.json"

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self)

    @classmethod
    def load(cls, folder: Path) -> RunConfig:
        return cls(read_object(folder / cls.FILE))
