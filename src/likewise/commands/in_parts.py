"""Embeddings that several processes write, each its part."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from likewise.data.cache import digest
from likewise.data.fingerprint import fingerprint
from likewise.distributed import launched_processes, launched_rank
from likewise.errors import Interrupted, UserError
from likewise.evaluation.embedding_parts import SharePart, size_of_part, write_part
from likewise.modalities.embed import embeddings_of
from likewise.modalities.encoder_digest import encoder_digest
from likewise.runs.skipped import Skipped
from likewise.training.callbacks.progress import progress_bar
from likewise.training.machine import device_name

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.evaluation import ComputeSettings
    from likewise.modalities.run import Run


def part_of(part: str | None) -> SharePart | None:
    """The part that is asked for, or the one that a launcher has started this process for; None for all samples."""
    if part is not None:
        return SharePart.of(part)
    return SharePart(launched_rank(), launched_processes()) if launched_processes() > 1 else None


def embed_part(
    run: Run, views: Any, source: Source, folder: Path, part: SharePart, *, compute: ComputeSettings, progress: bool
) -> tuple[Path, int, int]:
    """Write one part; returns its file, its rows and their dimension."""
    featurize = embeddings_of(run.encoder, views, source, compute=compute)

    def embed(places: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return featurize(source, places).cpu()

    folder.mkdir(parents=True, exist_ok=True)
    samples = fingerprint(source)
    identity = digest([encoder_digest(run), samples["samples"], samples["ids"], compute.batch_size])
    with progress_bar(show=progress) as report:
        rows, dim = write_part(
            embed, source, folder, part, batch_size=compute.batch_size, identity=identity, report=report
        )
    if part.number == 0 and source.skipped:
        Skipped(source.skipped).write(folder / Skipped.FILE)
    return folder / part.file, rows, dim


def embed_in_processes(words: list[str], out: Path, devices: int, *, progress: bool) -> tuple[int, int]:
    """Embed every part in a process of its own, each on a device of its own where there are several.

    Returns the rows of all of them and their dimension.

    Args:
        words: the command, without its part.
        out: the folder of the parts.
        devices: how many parts.

    Raises:
        UserError: when one of them fails; the parts that are done stay.
        Interrupted: when the command is interrupted.
    """
    if device_name() == "cuda" and devices > torch.cuda.device_count():
        raise UserError(f"devices must be at most the {torch.cuda.device_count()} GPUs of this machine, got {devices}")
    threads = str(max(1, torch.get_num_threads() // devices))
    processes = []
    for number in range(devices):
        command = [sys.executable, "-m", "likewise.cli", *words[1:], "--part", f"{number + 1}/{devices}"]
        quiet = [] if progress and number == 0 else ["--no-progress"]
        environment = {"OMP_NUM_THREADS": threads} | os.environ | _visible(number)
        processes.append(subprocess.Popen([*command, *quiet], env=environment, stdout=subprocess.DEVNULL))
    try:
        ended = [process.wait() for process in processes]
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
            process.wait()
        raise Interrupted(f"stopped; to go on: {shlex.join(words)} --devices {devices}") from None
    if failed := [number + 1 for number, status in enumerate(ended) if status]:
        parts = ", ".join(f"{number}/{devices}" for number in failed)
        raise UserError(f"embedding failed in part {parts}, whose message is above: the same command goes on")
    sizes = [size_of_part(out / SharePart(number, devices).file) for number in range(devices)]
    return sum(rows for rows, _ in sizes), sizes[0][1]


def _visible(number: int) -> dict[str, str]:
    """Which GPU a process sees."""
    if device_name() != "cuda":
        return {}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return {"CUDA_VISIBLE_DEVICES": seen.split(",")[number] if seen else str(number)}
