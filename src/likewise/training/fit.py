"""Train a method: Lightning's loop, with what a long training on a real machine needs around it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from likewise.data.loader import Loader, order
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.methods.base import Method, TrainingContext
from likewise.training.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints, newest, step_of
from likewise.training.callbacks.diagnostics import Diagnostics, StopAtNaN
from likewise.training.callbacks.health import HealthMonitor
from likewise.training.callbacks.history import HistoryLogger
from likewise.training.callbacks.interruption import Interruption
from likewise.training.callbacks.probe import Probe
from likewise.training.callbacks.progress import ProgressLine
from likewise.training.callbacks.snapshots import PAIRS, SnapshotRecorder
from likewise.training.optimizers import optimizers
from likewise.training.recipe import Recipe

LOGGED_STEPS = 500  # rows of a training's history: enough for any curve, small enough for any page


@dataclass(frozen=True)
class FitResult:
    """How a training went. `interrupted`: it was asked to stop at `step`, and can be resumed.

    `seconds` and `samples_per_second` are those of all processes that had a part in it, one resuming the other.
    """

    step: int
    steps: int
    interrupted: bool
    seconds: float
    samples_per_second: float


def fit(
    method: Method,
    source: Source,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int = 0,
    precision: str = "32-true",
    devices: str = "auto",
    strategy: str = "auto",
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    chance: dict[str, float] | None = None,
    probe: Callable[[Method], float] | None = None,
    progress: bool = True,
) -> FitResult:
    """Train `method`, which has its `views`, on `source`; `folder` gets metrics, verdict, snapshots and checkpoints.

    The same arguments give the same weights on the same kind of CPU, whether the training was interrupted and
    resumed (`resume`, from the newest sound checkpoint in `folder`) or not.

    Args:
        chance: what the figures would be if nothing was learned.
        probe: an accuracy of the method's encoder, asked each epoch: see `likewise.training.callbacks.probe`.

    Raises:
        UserError: batch larger than the data or too small for the method; loss NaN; disk full.
    """
    checkpoints = folder / "checkpoints"
    last = newest(checkpoints) if resume else None
    context = training_context_of(method, source, recipe, seed=seed)
    steps, batch = context.steps, context.batch_size
    loader = Loader(source, batch_size=batch, epochs=recipe.epochs, seed=seed, labelled=method.supervised)
    method.prepare(context, optimizers(recipe, steps=steps, steps_per_epoch=context.steps_per_epoch))
    if last is not None and step_of(last) == steps:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        method.load_state_dict(checkpoint["state_dict"])
        seconds = checkpoint["callbacks"]["ProgressLine"]["seconds"]
        return FitResult(steps, steps, interrupted=False, seconds=seconds, samples_per_second=steps * batch / seconds)

    every = max(1, steps // LOGGED_STEPS)
    history = HistoryLogger(folder, steps_per_epoch=context.steps_per_epoch, step=step_of(last) if last else 0)
    health = HealthMonitor(history, folder, chance=chance or {}, context=context, show=progress)
    line = ProgressLine(history, health, batch_size=batch, steps=steps, show=progress)
    saving = Checkpoints(checkpoints, minutes=checkpoint_minutes)
    fixed = source.read(order(len(source), seed=seed, epoch=recipe.epochs)[:PAIRS])
    interruption = Interruption(saving, show=progress)
    with _quiet():
        trainer = _trainer(
            max_epochs=1,  # the loader is the whole training, one stream of steps: see Loader
            devices=devices if not devices.isdigit() else int(devices),
            strategy=strategy,
            precision=precision,
            gradient_clip_val=recipe.grad_clip,
            log_every_n_steps=every,
            logger=[history, TensorBoardLogger(folder, name="tensorboard", version="")],
            callbacks=[
                StopAtNaN(every),
                Diagnostics(every),
                *([Probe(probe)] if probe else []),
                health,
                line,
                SnapshotRecorder(folder, fixed, steps=steps, steps_per_epoch=context.steps_per_epoch),
                interruption,
                saving,
            ],
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        if batch % trainer.world_size:
            raise UserError(f"batch_size must be divisible by the {trainer.world_size} devices, got {batch}")
        with interruption.handlers():
            try:
                trainer.fit(method, loader, ckpt_path=last, weights_only=True)
            except SystemExit as ended:  # what Lightning makes of an interrupt
                raise KeyboardInterrupt from ended
    return FitResult(trainer.global_step, steps, interruption.asked, line.seconds, line.samples_per_second)


def _trainer(**settings: Any) -> L.Trainer:
    """Lightning's Trainer; what it says of devices and strategies that are not here is told in one line."""
    try:
        return L.Trainer(**settings)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        asked = f"devices {settings['devices']}, strategy {settings['strategy']}"
        raise UserError(f"this machine can't train with {asked}: {' '.join(str(error).split())}") from error


def training_context_of(method: Method, source: Source, recipe: Recipe, *, seed: int) -> TrainingContext:
    """What the method is told of its training.

    Raises:
        UserError: for a batch, or a micro-batch, that method and source do not allow.
    """
    batch, micro = recipe.batch_size, recipe.micro_batch_size
    assert batch is not None
    if batch > len(source):
        raise UserError(
            f"batch_size {batch} is larger than the data: {source.name} has {len(source)} samples; "
            f"try --batch-size {len(source)}"
        )
    if batch < method.min_batch_size:
        raise UserError(
            f"batch_size must be at least {method.min_batch_size} for {type(method).__name__}, got {batch}: "
            "a contrastive loss needs other samples to compare with"
        )
    if micro is not None and (micro > batch or batch % micro):
        raise UserError(f"micro_batch_size must divide the batch, {batch}, got {micro}")
    steps = len(source) // batch
    return TrainingContext(len(source), batch, steps * recipe.epochs, steps, seed, micro, source.read)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's own talk is for those who write loops; ours is the progress line."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
