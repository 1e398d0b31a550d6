"""Embeddings on a Ray cluster: each task of Ray Data embeds a part of the samples into a file of its own."""

from __future__ import annotations

import contextlib
import logging
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import likewise
from likewise.errors import Interrupted, UserError, needs
from likewise.evaluation.embedding_parts import SharePart
from likewise.ray_cluster import ray_cluster


def embed_on_ray(
    run: Path, data: Any, options: dict[str, Any], words: list[str], *, parts: int | None, progress: bool
) -> tuple[int, int]:
    """Embed every part in a task of its own, with a GPU of its own where the cluster has some.

    The cluster is the one that `RAY_ADDRESS` names or this machine belongs to, or else one that is started on this
    machine. Its machines see the run, the data and the folder of the parts in the same places. Returns the rows of all
    parts and their dimension.

    Args:
        run: its folder.
        data: a name, a path or an address.
        options: of `likewise embed`, `out` among them.
        words: the command.
        parts: how many; None: one for each GPU of the cluster, or without any for each machine.
        progress: whether Ray Data shows what it does.

    Raises:
        UserError: without Ray, or when a part fails; the parts that are done stay.
        Interrupted: when the command is interrupted.
    """
    datasets = needs("ray.data", "ray")
    logging.getLogger("ray.data").setLevel(logging.INFO if progress else logging.ERROR)
    try:
        with ray_cluster("embed", "the same command goes on") as cluster:
            datasets.DataContext.get_current().enable_progress_bars = progress
            count = parts or cluster.places
            rows = [{"number": number, "part": str(SharePart(number, count))} for number in range(count)]
            task = partial(_embed, run=str(run.resolve()), data=data, options=options, folder=str(Path.cwd()))
            shared = datasets.from_items(rows, override_num_blocks=count)
            found = shared.map(task, num_gpus=1 if cluster.gpus else None).take_all()
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; to go on: {shlex.join(words)}") from None
    done = sorted(found, key=lambda row: row["number"])
    if failed := [each for each in done if each["error"]]:
        named = ", ".join(each["part"] for each in failed)
        raise UserError(f"embedding failed in part {named} ({failed[0]['error']}): the same command goes on")
    return sum(each["rows"] for each in done), done[0]["dim"]


def _embed(row: dict[str, Any], *, run: str, data: Any, options: dict[str, Any], folder: str) -> dict[str, Any]:
    """One part, in a process of Ray."""
    try:
        with contextlib.chdir(folder):
            made: Any = likewise.embed(run, data, part=row["part"], progress=False, **options)
    except (UserError, OSError) as error:
        return row | {"rows": 0, "dim": 0, "error": str(error)}
    return row | {"rows": made.rows, "dim": made.dim, "error": ""}
