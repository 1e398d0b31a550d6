"""Checkpoints: written atomically, verified before they are loaded."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from likewise.atomic import disk_trouble, own_folder, write_atomically
from likewise.console import tell
from likewise.distributed import any_process, is_first_process
from likewise.errors import UserError
from likewise.training.callbacks.history import HistoryLogger

NAME = re.compile(r"step-[0-9]{8,}\.ckpt")
KEPT = 2  # the newest, and the one before it in case the newest is corrupt


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, replaced in one instant and never unpickled as code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        try:
            write_atomically(Path(path), lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as error:
            reason = disk_trouble(error)
            if reason is None:
                raise
            last = newest(Path(path).parent)
            kept = f"the last good checkpoint stays: {last}" if last else "there is no earlier checkpoint"
            message = f"could not write checkpoint {path}: {reason}; {kept}; free some space, then --resume"
            raise UserError(message) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return torch.load(path, map_location="cpu", weights_only=True)


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.ckpt"


def step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def all_checkpoints(folder: Path) -> list[Path]:
    """Newest first; files whose names are not of our pattern are not ours, and are left alone."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)


def sound(path: Path) -> bool:
    """Whether a checkpoint is what was written: the archive's checksums are compared, and it is loaded.

    A damaged archive makes its readers raise nearly anything: whatever they raise, it is not sound.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        return isinstance(torch.load(path, map_location="cpu", weights_only=True), dict)
    except Exception:
        return False


def newest(folder: Path) -> Path | None:
    """The newest sound checkpoint, or None. Corrupt ones are named on stderr."""
    corrupt: list[Path] = []
    for path in all_checkpoints(folder):
        if sound(path):
            if corrupt:
                tell(f"{corrupt[0].name} is corrupt: going on from {path.name}")
            return path
        corrupt.append(path)
    if corrupt:
        tell(f"{corrupt[0].name} is corrupt and there is no other: starting anew")
    return None


class Checkpoints(L.Callback):
    """Save every few minutes, when `due` is set from outside, and at the end; keep the last two.

    Lightning logs a step after this callback. What it will log is written before the checkpoint: killed in between, a
    training that goes on from the checkpoint does not log the step again.

    Args:
        folder: of the checkpoints.
        minutes: between two of them.
        history: the training's.
        every: steps between two of its rows.
    """

    def __init__(self, folder: Path, *, minutes: float, history: HistoryLogger, every: int) -> None:
        self.folder = folder
        self.history = history
        self.every = every
        self.seconds = minutes * 60
        self.due = False
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_first_process():
            own_folder(self.folder)
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        due = self.due or time.monotonic() - self._saved_at >= self.seconds
        due = due or trainer.global_step == trainer.num_training_batches
        if any_process(due, trainer.strategy.root_device):  # saving is collective: all ranks save, or none
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        if trainer.global_step % self.every == 0:
            metrics = {name: float(value) for name, value in trainer.logged_metrics.items()}
            self.history.log_metrics(metrics, step=trainer.global_step - 1)
        path = checkpoint_path(self.folder, trainer.global_step)
        trainer.save_checkpoint(path)
        self._saved_at = time.monotonic()
        self.due = False
        if is_first_process():
            for old in all_checkpoints(self.folder)[KEPT:]:
                old.unlink()
