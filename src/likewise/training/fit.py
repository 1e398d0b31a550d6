"""Train a method: Lightning's loop, with history, diagnostics, checkpoints and signals."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from likewise.atomic import own_folder
from likewise.checks import require
from likewise.data.loader import Loader
from likewise.data.readers import ENDED, is_of_readers
from likewise.data.sampling import Sampling, order
from likewise.data.source import Source
from likewise.distributed import (
    forget_stale_rank,
    is_first_process,
    is_of_lost_process,
    world_size,
)
from likewise.errors import UserError
from likewise.methods.base import Method, TrainingContext, ViewSizes
from likewise.training.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints, newest, step_of
from likewise.training.callbacks.diagnostics import Diagnostics, StopAtNaN
from likewise.training.callbacks.health import HealthMonitor
from likewise.training.callbacks.history import HistoryLogger
from likewise.training.callbacks.interruption import Interruption
from likewise.training.callbacks.probe import Probe
from likewise.training.callbacks.progress import ProgressLine
from likewise.training.callbacks.schedule import ScheduleOfRecipe, WeightDecayOfRecipe
from likewise.training.callbacks.snapshots import PAIRS, SnapshotRecorder
from likewise.training.optimizers import optimizers
from likewise.training.recipe import Recipe
from likewise.training.sample_check import CHECKED, samples_problem

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


def check_parts(method: Method, batch_size: int, devices: int) -> None:
    """Raise `UserError` unless all devices can have equal parts of a batch, without parting what belongs together."""
    together = method.inseparable
    parts = f", in parts of {together} that belong together" if together > 1 else ""
    divides = batch_size % (together * devices) == 0
    require(divides, "batch_size", f"divisible by the {devices} devices{parts}", batch_size)


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
    num_nodes: int = 1,
    resume: bool = False,
    begun_epochs: int | None = None,
    checkpoint_minutes: float = 5.0,
    chance: dict[str, float] | None = None,
    probe: Callable[[Method], float] | None = None,
    progress: bool = True,
    callbacks: Sequence[L.Callback] = (),
) -> FitResult:
    """Train `method`, which has its `views`, on `source`; `folder` gets metrics, verdict, snapshots and checkpoints.

    The same arguments give the same weights on the same kind of CPU, whether the training was interrupted and resumed
    (`resume`, from the newest sound checkpoint in `folder`) or not.

    Args:
        method: to train.
        source: the samples.
        recipe: optimizer, schedule, batch and epochs.
        folder: of the run.
        seed: of order and views.
        precision: of Lightning: `32-true`, `bf16-mixed`, ...
        devices: of Lightning: `auto` or a number.
        strategy: of Lightning.
        num_nodes: machines, on each of which this is called.
        resume: whether to continue from the newest checkpoint; the schedule is the recipe's from there on.
        begun_epochs: how many a resumed training was begun with, if not the recipe's: it keeps its fixed samples.
        checkpoint_minutes: between two checkpoints.
        chance: the figures where nothing is learned.
        probe: an accuracy of the method's encoder, measured each epoch: see `likewise.training.callbacks.probe`.
        progress: whether to print.
        callbacks: others of Lightning, which come last.

    Raises:
        UserError: for a batch larger than the data or too small for the method; when the loss is NaN or the disk full,
            or another process of the training has ended.
    """
    forget_stale_rank()
    if num_nodes > 1:
        # Lightning knows its rank from when the group begins: until then, a second machine would write as the first.
        rank_zero_only.rank = int(not is_first_process())  # type: ignore[attr-defined]
    checkpoints = folder / "checkpoints"
    last = newest(checkpoints) if resume else None
    context = training_context_of(method, source, recipe, seed=seed)
    steps, batch = context.steps, context.batch_size
    sampling = _sampling(method, source, recipe, seed=seed)
    loader = Loader(
        source, batch_size=batch, epochs=recipe.epochs, seed=seed, labelled=method.supervised, sampling=sampling
    )
    method.prepare(context, optimizers(recipe, steps=steps, steps_per_epoch=context.steps_per_epoch))
    if last is not None and step_of(last) > steps:
        raise UserError(f"epochs must not be below those done, got {recipe.epochs}: {last} is beyond step {steps}")
    if last is not None and step_of(last) == steps:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        method.load_state_dict(checkpoint["state_dict"])
        seconds = checkpoint["callbacks"]["ProgressLine"]["seconds"]
        return FitResult(steps, steps, interrupted=False, seconds=seconds, samples_per_second=steps * batch / seconds)

    every = max(1, steps // LOGGED_STEPS)
    history = HistoryLogger(folder, steps_per_epoch=context.steps_per_epoch, step=step_of(last) if last else 0)
    health = HealthMonitor(history, folder, chance=chance or {}, context=context, show=progress)
    health.method, health.known_weights = recipe.method, recipe.weights is not None
    health.samples_problem = samples_problem(source.read(order(len(source), seed=seed, epoch=0)[:CHECKED]))
    line = ProgressLine(history, health, batch_size=batch, steps=steps, show=progress)
    saving = Checkpoints(checkpoints, minutes=checkpoint_minutes, history=history, every=every)
    fixed = source.read(order(len(source), seed=seed, epoch=begun_epochs or recipe.epochs)[:PAIRS])
    interruption = Interruption(saving, show=progress)
    if is_first_process():
        own_folder(folder / "tensorboard")
    with _quiet():
        trainer = _trainer(
            max_epochs=1,  # the loader is the whole training, one stream of steps: see Loader
            devices=devices if not devices.isdigit() else int(devices),
            strategy=strategy,
            num_nodes=num_nodes,
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
                WeightDecayOfRecipe(recipe, steps),
                *([ScheduleOfRecipe()] if last else []),
                *callbacks,
            ],
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        if isinstance(trainer.strategy, DDPStrategy):
            # Banks, queues and statistics are made of what all processes have gathered: they are alike without it.
            trainer.strategy._ddp_kwargs["broadcast_buffers"] = False
        check_parts(method, batch, trainer.world_size)
        with interruption.handlers():
            try:
                trainer.fit(method, loader, ckpt_path=last, weights_only=True)
            except SystemExit as ended:  # what Lightning makes of an interrupt
                raise KeyboardInterrupt from ended
            except RuntimeError as error:
                if is_of_readers(error):
                    raise UserError(ENDED) from error
                if world_size() > 1 and is_of_lost_process(error):
                    last = newest(checkpoints)
                    kept = f"--resume goes on from {last.name}" if last else "there was no checkpoint yet"
                    raise UserError(
                        f"another process of the training has ended, and so does this one: {kept}"
                    ) from error
                raise
            finally:
                loader.close()
    return FitResult(trainer.global_step, steps, interruption.asked, line.seconds, line.samples_per_second)


def _trainer(**settings: Any) -> L.Trainer:
    """Lightning's Trainer; its errors about devices and strategies become one line."""
    try:
        return L.Trainer(**settings)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        asked = f"devices {settings['devices']}, strategy {settings['strategy']}"
        raise UserError(f"this machine can't train with {asked}: {' '.join(str(error).split())}") from error


def training_context_of(method: Method, source: Source, recipe: Recipe, *, seed: int) -> TrainingContext:
    """What the method knows of its training.

    Raises:
        UserError: for a batch, or a micro-batch, that method and source do not allow.
    """
    batch, micro = recipe.batch_size, recipe.micro_batch_size
    assert batch is not None
    samples = len(source)
    fits = batch <= samples
    require(fits, "batch_size", f"at most the {samples} samples of {source.name}", batch, f"try --batch-size {samples}")
    least, name = method.min_batch_size, type(method).__name__
    remedy = "the loss compares a sample with the others of its batch"
    require(batch >= least, "batch_size", f"at least {least} for {name}", batch, remedy)
    divides = micro is None or batch % micro == 0
    require(divides, "micro_batch_size", f"a divisor of the batch, {batch}", micro)
    sampling = _sampling(method, source, recipe, seed=seed)
    steps = sampling.steps_per_epoch
    return TrainingContext(
        len(source),
        sampling.batch_size,
        steps * recipe.epochs,
        steps,
        seed,
        micro,
        source.read,
        freeze_steps=round((recipe.freeze_epochs or 0) * steps),
        sizes=_sizes(method, recipe, steps * recipe.epochs),
    )


def _sizes(method: Method, recipe: Recipe, steps: int) -> ViewSizes | None:
    if recipe.start_size is None:
        return None
    views: Any = method.views
    return ViewSizes(recipe.start_size, views.size, steps)


def _sampling(method: Method, source: Source, recipe: Recipe, *, seed: int) -> Sampling:
    assert recipe.batch_size is not None
    return method.sampling(source, batch_size=recipe.batch_size, seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's own talk is for those who write loops; ours is the progress line."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # Of 1 x 1 convolutions, whose numbers lie in the same order by both kinds of strides.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
