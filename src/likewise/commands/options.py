"""From options to values: the recipe, how files are read, and the command line that repeats a run."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from likewise.commands.option_names import UnknownOption, flag
from likewise.console import tell
from likewise.data.addresses import address_of
from likewise.data.folder_labels import metadata_of
from likewise.data.levels import source_range
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.resolve import is_name
from likewise.data.split_folders import role_of, split_folder
from likewise.data.splits import has_own_splits, splits
from likewise.data.tables import SUFFIXES
from likewise.errors import UserError
from likewise.methods import method_class, method_options
from likewise.modalities.build import adopt_for
from likewise.modalities.lookup import adapt_read_options, modality_of, part_modalities
from likewise.modalities.run import Run
from likewise.own_files import OWN, is_run_folder
from likewise.registry import MODALITIES
from likewise.runs.skipped import Skipped
from likewise.training.recipe import Recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from likewise.data.source import Source

READ = ("modality", "text_column", "label_column", "labels", "per_file", "columns")
"""Options of how files become samples that are no fields of the recipe."""
READ_ONCE = ("range",)
"""Those that only a training has: later data is read as its own was."""
SHAPE = ("size", "channels", "sample_rate")
"""Fields of the recipe that also decide how files become samples."""
APPLIES_TO = dict.fromkeys(("text_column", "label_column", "columns"), f"tables ({' '.join(SUFFIXES)})") | {
    "labels": "folders",
    "per_file": "text files",
    "root": "named data sets",
}


def as_run(run: Any) -> Run:
    """A run, or the one in a folder.

    Raises:
        UserError: for anything else, or a folder that holds no run.
    """
    if not isinstance(run, (Run, str, Path)):
        raise UserError(f"run must be a run or its folder, got {type(run).__name__}: lw.open_run(FOLDER) opens one")
    return run if isinstance(run, Run) else Run.open(run)


def run_in(folder: Path) -> Run | None:
    """The run in a folder, None where there is none."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return None
    return Run.open(folder) if is_run_folder(folder, names) else None


def untrained_builder(
    run: Run, make_encoder: Callable[[], nn.Module] | None, views: Any, source: Source
) -> Callable[[], nn.Module] | None:
    """What builds a run's encoder with new weights: the user's own `make_encoder`, or the run; None where none can."""
    if make_encoder is not None:
        return lambda: adopt_for(as_module(make_encoder()), views, source)
    return run.build_encoder if run.config["encoder"] else None


def as_module(made: Any) -> nn.Module:
    """What `make_encoder` returned.

    Raises:
        UserError: for anything but a module.
    """
    if not isinstance(made, nn.Module):
        raise UserError(f"make_encoder must return a torch.nn.Module, got {type(made).__name__}")
    return made


# --- The recipe


def recipe_of(name: str | None, changes: dict[str, Any], *, also: Iterable[str] = ()) -> Recipe:
    """The named recipe, or the method's own, with changes.

    Args:
        name: of a recipe, or a YAML file.
        changes: values by name, of the recipe's fields and the method's options.
        also: other options of the command, for the answer to an unknown name.

    Raises:
        UserError: for a name that neither the recipe nor the method has.
    """
    asked = changes.get("method", Recipe().method)
    name = name or (asked if asked in recipe_names() else None)
    recipe = load_recipe(name) if name else Recipe()
    method = changes.get("method", recipe.method)
    known = [f.name for f in dataclasses.fields(Recipe) if f.name != "options"] + list(method_options(method))
    for key in changes:
        if key not in known:
            raise UnknownOption(key, {*known, *also}, command=f"pretrain --method {method}")
    if method != recipe.method:
        recipe = dataclasses.replace(recipe, options={})
    return recipe.with_(**changes)


def check_modality(method: str, source: Source) -> None:
    """Raise `UserError` for a method that learns from other samples than these."""
    asking, kinds = method_class(method), part_modalities(source)
    wanted, paired = asking.modality, len(kinds) > 1
    fits = wanted == source.modality or (
        asking.accepts_groups and set(kinds) == {wanted} if paired else wanted == "any"
    )
    if not fits and source.modality in MODALITIES:
        what = "pairs of " + " and ".join(kinds) if paired else source.modality
        taken = "samples of one part" if wanted == "any" else f"{wanted} samples"
        fitting = modality_of(source.modality).default_method
        raise UserError(
            f"{method} learns from {taken}, {source.name} is {what}: take --method {fitting}; `likewise methods` lists "
            "all"
        )


def check_options(given: Iterable[str], source: Source) -> None:
    """Raise `UserError` for an option that was given, but that samples of this modality do not use."""
    kinds = part_modalities(source)
    if not set(kinds) <= set(MODALITIES):
        return  # the user's own modality
    for name in given:
        owners = [kind for kind in MODALITIES if name in _own_fields(kind)]
        if owners and not set(owners) & set(kinds):
            raise UserError(
                f"{flag(name)} applies to {' and '.join(owners)} samples, but {source.name} is {' and '.join(kinds)}: "
                "leave it out"
            )


def _own_fields(kind: str) -> tuple[str, ...]:
    modality = modality_of(kind)
    return modality.recipe_fields + modality.read_fields + modality.view_fields


def check_range(range: Any, source: Source) -> None:
    """Raise `UserError` for a range that was given to images of bytes, which have one."""
    images = [part for part in source.parts or [source] if part.modality == "image"]
    if range is not None and images and not any(source_range(part) for part in images):
        raise UserError(f"--range applies to images of more than 8 bits, those of {source.name} have 8: leave it out")


# --- How data is read


def shape_of(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that decide how files become samples."""
    return {name: getattr(recipe, name) for name in SHAPE}


def read_options_of(
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool | None = False,
    columns: Sequence[str] | None = None,
    range: Sequence[int | float] | None = None,
    *,
    method: str | None = None,
) -> ReadOptions:
    """How files become samples. Without a modality, `columns` are those of pairs, or the method implies it."""
    implied = "pair" if columns else method_class(method).modality if method else "any"
    return ReadOptions().with_(
        modality=modality or (None if implied == "any" else implied),
        text_column=text_column,
        label_column=label_column,
        labels=None if labels is None else str(Path(labels).expanduser().resolve()),
        per_file=per_file,
        columns=columns and tuple(columns),
        range=range and tuple(range),
    )


def read_options_for(run: Run, asked: ReadOptions, data: Any) -> ReadOptions:
    """How to read data for a run's encoder: as the run's own data was read, but for what is asked for.

    A table of labels is of the data that it was given for.
    """
    own = dataclasses.replace(run.read_options, modality=run.modality if run.modality in MODALITIES else None)
    if not is_own_data(run, data):
        own = dataclasses.replace(own, labels=None)
    return adapt_read_options(own, data).with_(**{name: getattr(asked, name) for name in READ})


def is_own_data(run: Run, data: Any) -> bool:
    """Whether this is the data that a run was trained on, or another split of it."""
    own, asked = run.config["data"], reopenable(data)
    return own is not None and asked is not None and split_of(own)[0] == split_of(asked)[0]


def check_read_options(given: dict[str, Any], *data: Any) -> None:
    """Raise `UserError` for an option of how data is read that applies to none of `data`.

    Args:
        given: options by name; those that are None or False are not given.
        data: as commands take it; None is ignored.
    """
    names = ", ".join(str(each) for each in data if isinstance(each, (str, Path))) or "data in memory"
    for name in given:
        if name not in applicable(given, *data):
            raise UserError(f"{flag(name)} applies to {APPLIES_TO[name]}, not to {names}: leave it out")


def applicable(given: dict[str, Any], *data: Any) -> dict[str, Any]:
    """Those of some options of how data is read that apply to any of `data`; other options all stay."""
    given_data = [each for each in data if each is not None]
    paths = [Path(split_of(str(each))[0]) for each in given_data if isinstance(each, (str, Path)) and not is_name(each)]
    in_memory = [each for each in given_data if not isinstance(each, (str, Path))]
    parts = [part for each in in_memory for part in (each.values() if isinstance(each, dict) else [each])]
    has_columns = any(hasattr(part, "features") for part in parts)
    is_table = [path.suffix.lower() in SUFFIXES for path in paths]
    folders = [path for path in paths if path.is_dir()]
    applies = dict.fromkeys(("text_column", "label_column", "columns"), has_columns or any(is_table))
    applies["label_column"] |= any(given.get("labels") is not None or metadata_of(folder) for folder in folders)
    applies["columns"] |= any(map(metadata_of, folders))
    if any(map(_may_hold_parquet, given_data)):
        applies |= dict.fromkeys(("text_column", "label_column", "columns"), True)
    applies |= {
        "labels": bool(folders),
        "per_file": not all(is_table),
        "root": any(is_name(each) for each in given_data),
    }
    return {name: value for name, value in given.items() if value is None or value is False or applies.get(name, True)}


def _may_hold_parquet(data: Any) -> bool:
    """Whether data may be Parquet files with samples in them, which have columns as tables do."""
    if not isinstance(data, str | Path) or is_name(data):
        return False
    folder = Path(split_of(str(data))[0])
    return address_of(str(data)) is not None or (folder.is_dir() and any(folder.glob("*.parquet")))


def split_of(data: str) -> tuple[str, str]:
    """`photos:train` as `photos` and `train`; the split is "" where none is named."""
    if is_name(data):
        name, _, split = data.partition(":")
        return name, split
    if (shards := address_of(data)) is not None:
        return str(shards[0]), shards[1] or ""
    base, _, split = data.rpartition(":")
    return (data, "") if not base or Path(data).exists() else (base, split)


# --- The data of a run


def reopenable(data: Any) -> str | None:
    """How to open data again from any folder: its name, or its absolute path; None for what is in memory only."""
    if not isinstance(data, (str, Path)) or is_name(data):
        return data if isinstance(data, str) else None
    if (shards := address_of(str(data))) is not None:
        return shards[0].absolute() + (f":{shards[1]}" if shards[1] else "")
    path = Path(data).expanduser()
    if path.exists():
        return str(path.resolve())
    base, _, split = str(path).rpartition(":")
    return f"{Path(base).resolve()}:{split}"


def has_seen(run: Run, test: Any) -> bool:
    """Whether the run was trained on samples of `test`, as far as their names and paths tell."""
    data, asked = run.config["data"], reopenable(test)
    if data is None or asked is None or is_name(data) != is_name(asked):
        return False
    (learned, its_splits), (tested, splits) = _place_of(data), _place_of(asked)
    if learned == tested:
        return not its_splits or not splits or bool(its_splits & splits)
    inside, around = Path(tested), Path(learned)
    if is_name(data):
        return False
    # A held-out part of a folder is spread over what lies in it.
    return inside.is_relative_to(around) or around.is_relative_to(inside)


def _place_of(data: str) -> tuple[str, set[str]]:
    """Where samples lie, and which splits of it they are, none for all; other spellings of a split are resolved.

    A split that is a subfolder is that folder; one that is held out is a split of the folder that it is taken from.
    """
    base, split = split_of(data)
    if is_name(data):
        return base.lower(), set((split or "train").lower().split("+"))
    folder = split_folder(Path(base), split) if split and Path(base).is_dir() else None
    if folder is not None:
        return str(folder.resolve()), set()
    return base, {role_of(split) or split.lower()} if split else set()


def own_splits(run: Run, asked: ReadOptions, root: Any) -> tuple[Any, Any]:
    """The train and test splits of a run's own data, if the run was not trained on the test split.

    Args:
        asked: how it is to be read, where that is another way than the run's.
        root: the folder with the files of a named data set.

    Raises:
        UserError: where the data is in memory or gone, has no test split, or was used whole.
    """
    data, name = run.config["data"], run.config["source"]["name"]
    if data is None:
        raise UserError(f"{run.path} learned from data in memory: name labelled data with train and test")
    base = split_of(data)[0]
    if not is_name(data) and address_of(base) is None and not Path(base).exists():
        raise UserError(f"the data of {run.path} is no longer at {base}: name labelled data with --train and --test")
    own = run.read_options
    read_options = read_options_for(run, asked, data)
    parts = splits(base, read_options)
    if not parts:
        raise UserError(
            f"the encoder has learned from all of {name}, of which nothing can be held out: name data that it has not "
            f"seen with --test, and with --train if labels are to be drawn; "
            f"{why_no_labels(open_source(data, root=root, read_options=read_options, progress=False))}"
        )
    if data == parts.get("pretrain") and "test" not in parts:
        raise UserError(
            f"{base} must have labelled splits to train and to test on: name labelled data with --train and --test"
        )
    if data not in (parts.get("pretrain"), parts.get("train")) or not {"train", "test"} <= set(parts):
        raise UserError(
            f"the encoder has learned from all of {name}: name labelled data that it has not seen with --train and "
            f"--test, or let `likewise study {base}` hold some out"
        )
    others = [name for name in ("labels", "label_column") if getattr(asked, name) not in (None, getattr(own, name))]
    if others and not has_own_splits(base):
        raise UserError(
            f"{flag(others[0])}: {base} was split by other labels when {run.path} was trained: a test split by these "
            "would hold samples that it has learned from: name data with --train and --test"
        )
    return parts["train"], parts["test"]


def name_own_data(run: Run, root: str | None) -> None:
    """Say what is read because a run's config.json names it: a run folder may come from elsewhere."""
    if run.config["data"] is not None:
        where = "" if root is None else f" in {root}"
        labels = run.config["read_options"].get("labels")
        where += "" if labels is None else f", with the labels in {labels}"
        line = f"reading {run.config['data']}{where}, which {run.path}/config.json names"
        tell("".join(c if c.isprintable() else "?" for c in line))


def why_no_labels(source: Source) -> str:
    """Why samples can't be evaluated by their labels, in the words of what they come from."""
    try:
        labels = source.labels()
    except UserError as error:
        return str(error)
    classes = len(set(labels.tolist()) - {-1})
    if classes < 2:
        return f"{source.name} has labels of {classes} class{'' if classes == 1 else 'es'} only"
    return f"{source.name} has no class with two samples, one to learn from and one to test on"


def open_training_data(run: Run, root: Any, progress: bool) -> Source | None:
    """The data that a run was trained on; None where it cannot be read again."""
    data = run.config["data"]
    if data is None or run.config["views"] is None:
        return None
    try:
        return open_source(data, root=root, read_options=run.read_options, progress=progress)
    except UserError:  # moved, or changed since
        return None


def open_train_and_test(
    train: Any, test: Any, read_options: Sequence[ReadOptions], root: Any, progress: bool
) -> tuple[Source | None, Source]:
    """The labelled sources of an evaluation, each with its own read options; `train` may be None.

    Raises:
        UserError: when both are the same data, or samples of two modalities.
    """
    if isinstance(train, (str, Path)) and isinstance(test, (str, Path)) and reopenable(train) == reopenable(test):
        raise UserError(f"train and test are both {train}: test on samples that no label was drawn from")
    test_source = open_source(test, root=root, read_options=read_options[1], progress=progress)
    if train is None:
        return None, test_source
    train_source = open_source(train, root=root, read_options=read_options[0], progress=progress)
    if train_source.modality not in (test_source.modality, "pair"):
        kinds = f"{train_source.name} is {train_source.modality}, {test_source.name} is {test_source.modality}"
        raise UserError(f"train and test must hold the same kind of samples: {kinds}")
    return train_source, test_source


# --- What is written and shown


def command_line(verb: str, data: Any, options: dict[str, Any]) -> str:
    """The command that does the same again; values that no command line can hold are left out."""
    what = str(data) if isinstance(data, (str, Path)) else "DATA"
    return shlex.join(["likewise", verb, what, *option_words(options)])


def option_words(options: dict[str, Any]) -> list[str]:
    """Options as they are typed; values that no command line can hold are left out."""
    words: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if value is None or not all(isinstance(v, (str, Path, int, float)) for v in values):
            continue
        if isinstance(value, bool):
            words.append(flag(name if value else f"no_{name}"))
        else:
            words += [flag(name), *map(str, values)]
    return words


def slug(name: str) -> str:
    """A name as part of a file name: "stl10:train" becomes "stl10-train"."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "data"


def skipped_note(source: Source, where: str = Skipped.FILE) -> str:
    """How many files could not be read, or pairs are not whole, for the end of a line; empty when there are none.

    Outputs of ours do not count.
    """
    count = sum(why != OWN for _, why in source.skipped)
    what = "left out" if source.parts else f"file{'s' if count > 1 else ''} could not be read"  # a caption may be empty
    return f", {count:,} {what} (see {where})" if count else ""


def list_skipped(source: Source, out: Path) -> Path:
    """List what is no sample in a .csv beside a file that is written; without any, there is none from before."""
    listing = out.with_suffix(".skipped.csv")
    if source.skipped or listing.is_file():
        Skipped(source.skipped).write(listing)
    return listing
