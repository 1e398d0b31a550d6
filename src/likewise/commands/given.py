"""Known weights as they are, as a run: what takes a run takes them too, without a training."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import torch

import likewise
from likewise.atomic import write_text
from likewise.commands.options import command_line, slug
from likewise.console import tell
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.encoders.folder import FOLDER
from likewise.encoders.pretrained import TIMM
from likewise.errors import UserError
from likewise.modalities.build import build_training
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run
from likewise.modalities.weights import is_transformers_folder
from likewise.registry import MODALITIES
from likewise.runs.lock import is_unused
from likewise.training.recipe import Recipe


def names_weights(run: Any) -> bool:
    """Whether known weights are named where a run could be: `timm:NAME`, `hf:FOLDER` or such a folder."""
    if not isinstance(run, (str, Path)):
        return False
    return str(run).startswith((TIMM, FOLDER)) or is_transformers_folder(str(run))


def run_of_weights(
    weights: str | Path,
    data: Any,
    *,
    size: int | None,
    out: str | Path | None,
    root: Any,
    read_options: ReadOptions,
    progress: bool,
) -> Run:
    """A run of known weights as they are, for samples such as `data`.

    A run of the same weights and size in the folder is used again.

    Args:
        weights: `timm:NAME`, or `hf:FOLDER`.
        data: says what the samples are: of images how large, if `size` does not.
        size: of images, in pixels.
        out: the run folder; runs/DATA-WEIGHTS if not given.
        root, read_options, progress: as commands have them.

    Raises:
        UserError: for weights that are not there or not of such samples, or a folder that holds something else.
    """
    source = open_source(data, root=root, read_options=read_options, progress=progress)
    if source.modality not in MODALITIES or source.parts:
        raise UserError(
            f"{weights} is an encoder of one modality, {source.name} is {source.modality}: name samples of it"
        )
    recipe = Recipe(method=modality_of(source.modality).default_method, weights=str(weights), size=size)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of what is left out of the encoder again
        recipe, source, method, loaded = build_training(source, recipe, kept=None)
    folder = Path(out) if out is not None else Path("runs") / f"{slug(source.name)}-{slug(str(weights))}"
    if not is_unused(folder):
        before = Run.open(folder)
        said, its_size = before.config["recipe"].get("weights"), before.config["recipe"].get("size")
        same = before.finished and before.config["method"] is None and said == str(weights)
        if not same or its_size != recipe.size:
            raise UserError(f"{folder} exists, and is not of {weights} as given: name another folder with --out")
        return before
    packed, files = modality_of(source.modality).pack(method.views)
    encoder: Any = method.encoder
    config = {
        "likewise": likewise.__version__,
        "data": None,  # nothing was learned from it
        "source": {"name": source.name, "samples": len(source), "modality": source.modality, "root": None},
        "read_options": dataclasses.asdict(ReadOptions()),
        "recipe": recipe.to_dict() | {"epochs": 0, "options": {}},
        "method": None,
        "encoder": encoder.config,
        "views": packed,
        "seed": 0,
        "command": command_line("evaluate", weights, {"size": size, "out": folder}),
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "devices": "auto",
        "precision": "32-true",
        "strategy": "auto",
    }
    run = Run.create(folder, config)
    for name, text in files.items():
        write_text(folder / name, text)
    run.save(encoder, method.views)
    for line in loaded:
        tell(line, show=progress)
    tell(f"{weights}, as given -> {folder}", show=progress)
    return run
