"""The folder that a training leaves: its configuration, history, verdict and evaluation. Files only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from likewise.errors import UserError
from likewise.runs.chance import ChanceLevels
from likewise.runs.config import RunConfig
from likewise.runs.evaluation import Evaluation
from likewise.runs.files import COPY_ANEW, DAMAGED, read_object, reason_of
from likewise.runs.history import History
from likewise.runs.lock import is_unused
from likewise.runs.part import Part
from likewise.runs.skipped import Skipped
from likewise.runs.verdict import Verdict

Folder = TypeVar("Folder", bound="RunFolder")


def check_free(path: Path) -> None:
    """Raise `UserError` unless a run can begin in a folder: it is not there yet, or is empty."""
    if not is_unused(path):
        hint = "add --resume to go on with it, or " if (path / RunConfig.FILE).is_file() else ""
        raise UserError(f"{path} exists: {hint}name another folder with --out")


class RunFolder:
    """A run folder.

    Attributes: `path`; `config`, what was asked for, to the last hyperparameter.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = RunConfig(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def create(cls: type[Folder], path: Path, config: dict[str, Any]) -> Folder:
        """Begin a run in a folder that is not there yet, or is empty.

        Raises:
            UserError: when the folder holds something.
        """
        check_free(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, config)
        run.config.save(path)
        return run

    @classmethod
    def open(cls: type[Folder], path: str | Path) -> Folder:
        """Open a run, finished or not.

        Raises:
            UserError: when there is no such folder, or it is not a run of likewise.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"no run folder {path}: `likewise pretrain DATA --out {path}` makes one")
        if (path / "classifier.json").is_file() and not (path / RunConfig.FILE).is_file():
            raise UserError(
                f"{path} is a classifier, not a run: name the run that it stands on; `likewise predict {path} DATA` "
                "uses the classifier"
            )
        try:
            config = RunConfig(read_object(path / RunConfig.FILE))
        except DAMAGED as error:
            raise UserError(f"{path} is not a run of likewise: it has no readable config.json") from error
        if "likewise" not in config:
            raise UserError(f"{path} is not a run of likewise: its config.json is some other program's")
        try:
            config.check_complete()
        except UserError as error:
            raise UserError(f"{path / RunConfig.FILE}: {error}; {COPY_ANEW}") from error
        return cls(path, config)

    @property
    def finished(self) -> bool:
        """Whether its training has ended, with its extensions, and left an encoder."""
        extensions = self.config.get("extensions") or [{"finished": True}]
        return bool(extensions[-1]["finished"]) and (self.path / "encoder.safetensors").is_file()

    @property
    def modality(self) -> str:
        """What its samples are: image, text, audio, pair, or a word of the user's own."""
        return self.config["source"]["modality"]

    @property
    def history(self) -> History:
        """What the training logged; empty before its first step."""
        return self._part(History) or History()

    @property
    def chance(self) -> ChanceLevels:
        """What the metrics would be if nothing was learned."""
        return self._part(ChanceLevels) or ChanceLevels()

    @property
    def verdict(self) -> Verdict | None:
        """Whether it learned; None before the first epoch's end."""
        return self._part(Verdict)

    @property
    def evaluation(self) -> Evaluation | None:
        """What `likewise evaluate` found; None before it."""
        return self._part(Evaluation)

    @property
    def skipped(self) -> Skipped:
        """(file, reason) of what could not be read of the data."""
        return self._part(Skipped) or Skipped()

    def _part(self, kind: type[Part]) -> Part | None:
        path = self.path / kind.FILE
        if not path.exists():
            return None
        try:
            return kind.load(self.path)
        except DAMAGED as error:
            raise UserError(f"{path} can't be read: {reason_of(error)}") from error
