"""What a training would be: the plan that `likewise pretrain --dry-run` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.console import count_of
from likewise.data.cache import cache_folder
from likewise.methods.base import Method, TrainingContext
from likewise.runs.chance import ChanceLevels
from likewise.runs.config import RunConfig
from likewise.runs.figures import Figures
from likewise.runs.gallery import Gallery
from likewise.runs.history import History
from likewise.runs.pairs import Pairs
from likewise.runs.skipped import Skipped
from likewise.runs.snapshots import Snapshots
from likewise.runs.verdict import Verdict
from likewise.runs.weights import ARCHITECTURE, INITIAL, WEIGHTS
from likewise.training.machine import Plan, device_name

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.training.budget import Cost
    from likewise.training.recipe import Recipe

MEGABYTE = 1e6


@dataclass(frozen=True, repr=False)
class TrainingPlan:
    """A training that was not begun: its size, what was measured of its steps, and the files that it would write."""

    data: str
    modality: str
    samples: int
    skipped: int
    """Files that are no samples."""
    method: str
    encoder: str
    parameters: int
    """Of encoder and heads."""
    encoder_parameters: int
    epochs: int
    steps_per_epoch: int
    steps: int
    view_sizes: dict[int, int] | None
    """Where views of images grow, how many steps have which size in pixels; None of others."""
    batch_size: int
    """Samples of a step, over all devices."""
    devices: int
    device: str
    """cuda, mps or cpu."""
    batch_per_device: int
    precision: str
    threads: int
    memory: int | None
    """Bytes that a device needs: of a GPU those allocated, else those of the process; None where that is not known."""
    seconds_per_step: float
    """Where views grow, the mean."""
    seconds: float
    """Of all epochs, from measured steps of one device."""
    decoded: int | None
    """Bytes that the samples take once they are decoded from files; None of others."""
    cache: str | None
    """The folder where they are kept; None where they are decoded each time that they are read."""
    out: str
    files: list[str]
    command: str

    def __repr__(self) -> str:
        return f"TrainingPlan(method={self.method!r}, samples={self.samples}, steps={self.steps})"

    def to_json(self) -> dict[str, Any]:
        return {"dry_run": True} | {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        left_out = f", {self.skipped:,} left out" if self.skipped else ""
        each = f", {self.batch_per_device:,} a device" if self.devices > 1 else ""
        threads = f", {count_of(self.threads, 'thread')}" if self.device == "cpu" else ""
        memory = "not known" if self.memory is None else f"{self.memory / MEGABYTE:,.0f} MB"
        whose = "a device" if self.device == "cuda" else "a process"
        apart = "; what devices tell each other comes on top" if self.devices > 1 else ""
        mean = "" if self.view_sizes is None else " in the mean"
        kept = "none, they are decoded each time that they are read" if self.cache is None else f"in {self.cache}"
        size = 0 if self.decoded is None else self.decoded / MEGABYTE
        growing = [] if self.view_sizes is None else [f"views: {steps_said(self.view_sizes)}"]
        decoded = [] if self.decoded is None else [f"decoded samples: {size:,.1f} MB, cache: {kept}"]
        return "\n".join(
            [
                f"data: {self.data}, {count_of(self.samples, f'{self.modality} sample')}{left_out}",
                f"method: {self.method}, {self.encoder}: {self.parameters:,} parameters, {self.encoder_parameters:,} "
                "of them in the encoder",
                f"steps: {count_of(self.epochs, 'epoch')} of {count_of(self.steps_per_epoch, 'step')}, "
                f"{self.steps:,} in all",
                *growing,
                f"batch: {self.batch_size:,} samples{each}",
                f"machine: {count_of(self.devices, f'{self.device} device')}, {self.precision}{threads}",
                f"memory {whose}: {memory}",
                f"time: {duration(self.seconds)}, {self.seconds_per_step:.3g} s a step{mean}{apart}",
                *decoded,
                f"would write into {self.out}: {', '.join(self.files)}",
                f"nothing was written there; to train: {self.command}",
            ]
        )


def plan_of(
    method: Method,
    source: Source,
    recipe: Recipe,
    *,
    context: TrainingContext,
    cost: Cost,
    machine: Plan,
    devices: int,
    out: Path,
    kept_files: list[str],
    command: str,
) -> TrainingPlan:
    """The plan of a training that is built, and whose cost was measured.

    Args:
        machine: the precision and the threads.
        devices: how many.
        kept_files: of the views, that the run folder keeps.
        command: that begins the training.
    """
    return TrainingPlan(
        data=source.name,
        modality=source.modality,
        samples=len(source),
        skipped=len(source.skipped),
        method=recipe.method,
        encoder=recipe.encoder,
        parameters=sum(parameter.numel() for parameter in method.parameters()),
        encoder_parameters=sum(parameter.numel() for parameter in method.encoder.parameters()),
        epochs=recipe.epochs,
        steps_per_epoch=context.steps_per_epoch,
        steps=context.steps,
        view_sizes=None if context.sizes is None else context.sizes.counts(),
        batch_size=context.batch_size,
        devices=devices,
        device=device_name(),
        batch_per_device=context.batch_size // devices,
        precision=machine.precision,
        threads=machine.threads,
        memory=cost.memory,
        seconds_per_step=cost.step,
        seconds=recipe.epochs * cost.seconds_per_epoch,
        decoded=source.decoded_bytes,
        cache=None if source.decoded_bytes is None or source.reads_slowly else str(cache_folder()),
        out=str(out),
        files=files_of(method, recipe, kept_files),
        command=command,
    )


def files_of(method: Method, recipe: Recipe, kept_files: list[str]) -> list[str]:
    """What a training writes into its run folder, by the names of the files; folders end in a slash."""
    parts: list[Any] = [RunConfig, ChanceLevels, Skipped, History, Verdict, Snapshots, Pairs, Gallery]
    if type(method).figures is not Method.figures:
        parts.append(Figures)
    weights = [WEIGHTS, ARCHITECTURE] + ([] if recipe.weights is None else [INITIAL])
    return sorted(["checkpoints/", "tensorboard/", "recipe.yaml", *(p.FILE for p in parts), *weights, *kept_files])


def steps_said(view_sizes: dict[int, int]) -> str:
    """Sizes of views and their steps: "4 steps of 32 px, 4 of 40 px, 3 of 48 px"."""
    (size, steps), *others = view_sizes.items()
    return ", ".join([f"{count_of(steps, 'step')} of {size} px", *(f"{n:,} of {each} px" for each, n in others)])


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3.5 h", "2.0 days"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
