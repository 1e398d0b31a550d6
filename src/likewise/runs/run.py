"""The run: the folder that a training leaves, and everything that is read from it afterwards."""

from __future__ import annotations

import csv
import io
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.atomic import write_atomically, write_json, write_text
from likewise.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.read_options import ReadOptions
    from likewise.methods.base import Views


class Evaluation(dict[str, Any]):
    """What an evaluation found: the content of evaluation.json, that prints itself as a table."""

    def __rich__(self) -> Any:
        from likewise.evaluation.table import render_table

        return render_table(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()

    def to_json(self) -> dict[str, Any]:
        return dict(self)


class Run:
    """A run folder. `likewise.open_run` opens one; `likewise.pretrain` makes one.

    Attributes: `path`; `config`, what was asked for, to the last hyperparameter.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self._encoder: nn.Module | None = None
        self._views: Views | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __str__(self) -> str:
        if not self.finished:
            return f"{self.path}: not finished"
        return f"{self.path}: {self.config['seconds']:.0f} s, {self.config['samples_per_second']:,.0f} samples/s"

    def to_json(self) -> dict[str, Any]:
        return {"run": str(self.path), **self.config, "verdict": self.verdict}

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> Run:
        """Begin a run in a folder that is not there yet, or is empty.

        Raises:
            UserError: when the folder holds something.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            hint = "add --resume to go on with it, or " if (path / "config.json").is_file() else ""
            raise UserError(f"{path} exists: {hint}name another folder with --out")
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, config)
        run.save_config()
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run, finished or not.

        Raises:
            UserError: when there is no such folder, or it is not a run of likewise.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"no run folder {path}: `likewise pretrain DATA --out {path}` would make it")
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a run of likewise: it has no readable config.json") from error
        if not isinstance(config, dict) or "likewise" not in config:
            raise UserError(f"{path} is not a run of likewise: its config.json is some other program's")
        return cls(path, config)

    def save_config(self) -> None:
        write_json(self.path / "config.json", self.config)

    @property
    def finished(self) -> bool:
        return (self.path / "encoder.safetensors").is_file()

    def save(self, encoder: nn.Module, views: Views) -> None:
        """Keep the trained encoder: weights as safetensors, its shape as JSON."""
        from safetensors.torch import save

        # Tied weights share memory, which safetensors refuses: each name gets its own copy.
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
        write_json(self.path / "encoder.json", self.config["encoder"])
        data = save(state)
        write_atomically(self.path / "encoder.safetensors", lambda file: file.write(data))
        self.keep(encoder, views)

    def keep(self, encoder: nn.Module, views: Views) -> None:
        """Use these from now on: what was trained in this process need not be read again."""
        self._encoder, self._views = encoder, views

    def build_encoder(self) -> nn.Module:
        """The encoder's architecture with fresh random weights.

        Raises:
            UserError: when the architecture was the user's own module.
        """
        config = self.config["encoder"]
        if config is None:
            raise UserError(f"{self.path} holds the weights of your own module: build it and pass it as encoder=")
        from likewise.modalities import modality_of

        parts = (self.config["views"] or {}).get("parts", [])
        alone = parts and "encoders" not in config  # one encoder for all parts of a sample
        return modality_of(parts[0]["modality"] if alone else self.modality).encoder(**config)

    @property
    def encoder(self) -> nn.Module:
        """The trained encoder, on the CPU, in evaluation mode.

        Raises:
            UserError: when the training has not finished, or the weights are not what the run says.
        """
        if self._encoder is None:
            self.load_encoder(self.build_encoder() if self.finished else None)
        assert self._encoder is not None
        return self._encoder.cpu().eval()

    def load_encoder(self, encoder: nn.Module | None) -> nn.Module:
        """Load the trained weights into `encoder`, a module of the architecture that was trained."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not self.finished or encoder is None:
            raise UserError(f"{self.path} is not finished: `{self.config['command']} --resume` goes on with it")
        try:
            encoder.load_state_dict(load_file(self.path / "encoder.safetensors"))
        except (SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"{self.path / 'encoder.safetensors'} can't be loaded: {reason}; was the encoder another one?"
            ) from error
        self._encoder = encoder
        return encoder

    @property
    def views(self) -> Views:
        """How the run's views are made.

        Raises:
            UserError: when they were the user's own.
        """
        if self._views is None:
            if self.config["views"] is None:
                raise UserError(f"{self.path} was trained with your own views: pass them as views=")
            from likewise.modalities import modality_of

            self._views = modality_of(self.modality).unpack(self.config["views"], self.path)
        return self._views

    @property
    def modality(self) -> str:
        """What its samples are."""
        return self.config["source"]["modality"]

    @property
    def read_options(self) -> ReadOptions:
        """How the run's own data is read."""
        from likewise.data.read_options import ReadOptions
        from likewise.modalities import modality_of

        asked = {name: value for name, value in self.config["read_options"].items() if value is not None}
        asked |= {"columns": tuple(asked["columns"])} if "columns" in asked else {}
        if self.config["views"] is None:
            return ReadOptions(**asked)
        return ReadOptions(**asked).with_(**modality_of(self.modality).read_options(self.views))

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """What `likewise evaluate` found, or None before it."""
        path = self.path / "evaluation.json"
        return Evaluation(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def metrics(self) -> list[dict[str, Any]]:
        """The training's history: a dict of numbers for each logged step."""
        from likewise.training.callbacks.history import read_history

        path = self.path / "metrics.csv"
        return read_history(path) if path.is_file() else []

    @property
    def chance(self) -> dict[str, float]:
        """What the metrics would be if nothing was learned."""
        return json.loads((self.path / "chance.json").read_text(encoding="utf-8"))

    @property
    def verdict(self) -> dict[str, Any] | None:
        """Whether it learned: kind, words, causes, remedy, step, epoch; None before the first epoch's end."""
        path = self.path / "verdict.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def save_skipped(self, skipped: list[tuple[str, str]]) -> None:
        """List what could not be read, with the reasons."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *skipped])
        write_text(self.path / "skipped.csv", text.getvalue())


def open_run(path: str | Path) -> Run:
    """Open the folder that a training left.

    Raises:
        UserError: when there is none, or it is not a run of likewise.
    """
    return Run.open(path)
