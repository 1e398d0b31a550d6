"""What people say, turned into values: the recipe, how files are read, and the data that a run is judged by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.data.open import is_name, open_source, pairs_or_halves, splits
from likewise.data.read_options import MODALITIES, ReadOptions
from likewise.errors import UserError, nearest
from likewise.methods import method_class, method_options
from likewise.modalities import kinds_of
from likewise.training.recipe import Recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.modalities.run import Run

READ = ("modality", "text_column", "label_column", "per_file", "columns")
"""What people may say about how files become samples, beside the recipe."""
SHAPE = ("size", "channels", "sample_rate")
"""What the recipe says about it."""


def recipe_of(name: str | None, changes: dict[str, Any]) -> Recipe:
    """The named recipe, or the method's own, with changes; their names are checked against recipe and method."""
    asked = changes.get("method", Recipe().method)
    name = name or (asked if asked in recipe_names() else None)
    recipe = load_recipe(name) if name else Recipe()
    method = changes.get("method", recipe.method)
    known = [f.name for f in dataclasses.fields(Recipe) if f.name != "options"] + list(method_options(method))
    for key in changes:
        if key not in known:
            raise UserError(f"unknown hyperparameter '{key}'{nearest(key, known)}; {method} takes {', '.join(known)}")
    if method != recipe.method:
        recipe = dataclasses.replace(recipe, options={})
    return recipe.with_(**changes)


def again(data: Any) -> str | None:
    """How to open data again from any folder: a name, a path from the root; None for what is in memory only."""
    if not isinstance(data, (str, Path)) or is_name(data):
        return data if isinstance(data, str) else None
    path = Path(data).expanduser()
    if path.exists():
        return str(path.resolve())
    base, _, split = str(path).rpartition(":")
    return f"{Path(base).resolve()}:{split}"


def _whole_and_part(data: str) -> tuple[str, str]:
    """`photos:train` as `photos` and `train`; data without a part has ""."""
    if is_name(data):
        name, _, split = data.partition(":")
        return name, split
    base, _, split = data.rpartition(":")
    return (data, "") if not base or Path(data).exists() else (base, split)


def has_seen(run: Run, test: Any) -> bool:
    """Whether the run learned from samples of `test`, as far as what they are called tells."""
    data, asked = run.config["data"], again(test)
    if data is None or asked is None:
        return False
    (learned, its_part), (tested, part) = _whole_and_part(data), _whole_and_part(asked)
    if not its_part and not is_name(asked) and Path(tested).is_relative_to(learned):
        return True
    return learned == tested and (not part or part == its_part)


def own_splits(run: Run) -> tuple[Any, Any]:
    """The train and test parts of the data that a run learned from, if the run saw no test sample."""
    data, name = run.config["data"], run.config["source"]["name"]
    if data is None:
        raise UserError(f"{run.path} learned from data in memory: name labelled data with train and test")
    base = _whole_and_part(data)[0]
    if not is_name(data) and not Path(base).exists():
        raise UserError(f"the data of {run.path} is no longer at {base}: name labelled data with --train and --test")
    parts = splits(base, run.read_options)
    if not parts:
        raise UserError(
            f"the encoder has learned from all of {name}, of which nothing can be held out: name data that it has not "
            "seen with --test, and with --train if labels are to be drawn"
        )
    if data not in (parts.get("pretrain"), parts.get("train")) or not {"train", "test"} <= set(parts):
        raise UserError(
            f"the encoder has learned from all of {name}: name labelled data that it has not seen with --train and "
            f"--test, or let `likewise study {base}` hold some out"
        )
    return parts["train"], parts["test"]


def learned_from(run: Run, root: Any, progress: bool) -> Source | None:
    """The data that a run learned from, where it can be read again."""
    data = run.config["data"]
    if data is None or run.config["views"] is None:
        return None
    try:
        return open_source(data, root=root, read_options=run.read_options, progress=progress)
    except UserError:  # moved, or changed since
        return None


def judging(
    train: Any, test: Any, read_options: Sequence[ReadOptions], root: Any, progress: bool
) -> tuple[Source | None, Source]:
    """The sources to judge with, the first if there is one, each read as its reading says."""
    if isinstance(train, (str, Path)) and isinstance(test, (str, Path)) and again(train) == again(test):
        raise UserError(f"train and test are both {train}: test on samples that no label was drawn from")
    judge = open_source(test, root=root, read_options=read_options[1], progress=progress)
    if train is None:
        return None, judge
    teacher = open_source(train, root=root, read_options=read_options[0], progress=progress)
    if teacher.modality not in (judge.modality, "pair"):
        kinds = f"{teacher.name} is {teacher.modality}, {judge.name} is {judge.modality}"
        raise UserError(f"train and test must hold the same kind of samples: {kinds}")
    return teacher, judge


def shape_of(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in SHAPE}


def read_options_of(
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool | None = False,
    columns: Sequence[str] | None = None,
    *,
    method: str | None = None,
) -> ReadOptions:
    """How files become samples; where nobody says of what modality, columns are those of pairs, or the method knows."""
    wanted = "pair" if columns else method_class(method).modality if method else "any"
    return ReadOptions().with_(
        modality=modality or (None if wanted == "any" else wanted),
        text_column=text_column,
        label_column=label_column,
        per_file=per_file,
        columns=columns and tuple(columns),
    )


def read_options_for(run: Run, asked: ReadOptions, data: Any) -> ReadOptions:
    """How data is read to be taken by a run: as its own was, but for what is asked for now."""
    own = dataclasses.replace(run.read_options, modality=run.modality if run.modality in MODALITIES else None)
    return pairs_or_halves(own, data).with_(**{name: getattr(asked, name) for name in READ})


def check_modality(method: str, source: Source) -> None:
    """Raise `UserError` for a method that learns from other samples than these."""
    asking, kinds = method_class(method), kinds_of(source)
    wanted, paired = asking.modality, len(kinds) > 1
    fits = wanted == source.modality or (
        asking.accepts_groups and set(kinds) == {wanted} if paired else wanted == "any"
    )
    if not fits and source.modality in MODALITIES:
        what = "pairs of " + " and ".join(kinds) if paired else source.modality
        taken = "samples of one part" if wanted == "any" else f"{wanted} samples"
        raise UserError(f"{method} learns from {taken}, {source.name} is {what}")
