"""Going on from known weights: what they say of a training, and how they come into its encoder.

Known weights are a run's, timm's (`timm:NAME`), a model of transformers (`hf:FOLDER`), or a file. A run says how its
samples were read; timm says how its images were normalized; a folder of transformers brings its tokenizer, or says how
its images or recordings were prepared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from likewise.checks import require
from likewise.encoders.base import encoder_name
from likewise.encoders.folder import FOLDER, KINDS, check_architecture, check_folder, folder_of, weights_size
from likewise.encoders.folder_image import image_preprocessing
from likewise.encoders.pair import PairEncoder
from likewise.encoders.pretrained import TIMM, load_pretrained, pretrained_config
from likewise.encoders.text import MAX_TOKENS, most_tokens
from likewise.errors import UserError
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run, open_run
from likewise.runs.config import RunConfig
from likewise.runs.files import DAMAGED, read_object
from likewise.runs.weights import INITIAL, WEIGHTS, load_weights
from likewise.training.recipe import Recipe

NONE = "none"
ENCODER_LR, LAYER_DECAY, FREEZE = 0.1, 0.75, 0.1
"""Of a training that goes on from known weights: parts of `lr` and of the epochs, and the factor between layers."""


def continued(
    recipe: Recipe, modalities: Sequence[str], *, given: Collection[str] = (), kept: Path | None = None
) -> Recipe:
    """The recipe of a training with `weights`: with the encoder that they fit, and rates that do not destroy them.

    Args:
        recipe: of the training.
        modalities: of the samples, each once.
        given: names of values that stay as they are.
        kept: the folder of a run that was begun with them; its configuration has what they said.

    Raises:
        UserError: for weights that are not there, or not of such samples.
    """
    if kept is not None and (kept / INITIAL).is_file():
        said = RunConfig.load(kept)["recipe"]
        names = [field for one in modalities for field in modality_of(one).recipe_fields]
        return _with(recipe, {name: said.get(name) for name in ("encoder", *names, *_REGIME)}, given)
    encoders: list[str] = []
    fields: dict[str, Any] = {}
    own = recipe.encoder.split("+") if "encoder" in given else ["auto"] * len(modalities)
    for spec, modality, encoder in zip(specs(recipe, modalities), modalities, own, strict=True):
        said = _said(spec, modality) if spec != NONE else {}
        encoders.append(said.pop("encoder", "auto") if encoder == "auto" else encoder)
        fields |= said
    regime = {"freeze_epochs": FREEZE * recipe.epochs}
    if recipe.lora is None:  # weights that stay as they are need no small rates
        regime |= {"encoder_lr": ENCODER_LR * recipe.lr, "layer_decay": LAYER_DECAY}
    regime = {name: value for name, value in regime.items() if getattr(recipe, name) is None}
    if set(encoders) != {"auto"}:
        fields["encoder"] = "+".join(encoders)
    return _with(recipe, fields | regime, given)


_REGIME = ("encoder_lr", "layer_decay", "freeze_epochs")


def specs(recipe: Recipe, modalities: Sequence[str]) -> list[str]:
    """The weights for each modality.

    Raises:
        UserError: when there are more or fewer.
    """
    assert recipe.weights is not None
    if run_of(recipe.weights) is not None:
        return [recipe.weights] * len(modalities)
    given = recipe.weights.split("+") if len(modalities) > 1 else [recipe.weights]
    rule = f"one for each of {' + '.join(modalities)}, or {NONE}"
    require(len(given) == len(modalities), "weights", rule, repr(recipe.weights))
    return given


def load_known_weights(encoder: nn.Module, recipe: Recipe, modalities: Sequence[str]) -> list[str]:
    """Load the recipe's `weights` into a new encoder; what was loaded is told, a line for each.

    Raises:
        UserError: for weights of another architecture.
    """
    lines = []
    for spec, parts in _with_parts(encoder, recipe, modalities):
        for part in parts:
            if spec.startswith(FOLDER) or is_transformers_folder(spec):
                named = f"{FOLDER}{spec.removeprefix(FOLDER)}"
                require(encoder_name(part) == named, "encoder", f"{named}, as its weights", encoder_name(part))
                told = "read by transformers"  # when the encoder was built
            elif (run := run_of(spec)) is not None:
                try:
                    told = str(load_pretrained(part, run.path / WEIGHTS, name=str(run.path)))
                except UserError as error:
                    if encoder_name(part) == run.config["recipe"].get("encoder"):
                        raise
                    own = f"those of {run.config['recipe'].get('encoder')}: leave --encoder out"
                    raise UserError(f"weights {spec} are not those of {encoder_name(part)}, but {own}") from error
            else:
                told = str(load_pretrained(part, spec))
        lines.append(f"weights: {spec}: {told}")
    return lines


def known_parts(encoder: nn.Module, recipe: Recipe, modalities: Sequence[str]) -> list[nn.Module]:
    """The parts of an encoder that begin with known weights; itself, where it is not of pairs."""
    return [part for _, parts in _with_parts(encoder, recipe, modalities) for part in parts]


def _with_parts(encoder: nn.Module, recipe: Recipe, modalities: Sequence[str]) -> Iterator[tuple[str, list[nn.Module]]]:
    for spec, modality in zip(specs(recipe, modalities), modalities, strict=True):
        if spec != NONE:
            yield spec, list(_parts(encoder, modality))


def _parts(encoder: nn.Module, modality: str) -> Iterator[nn.Module]:
    if not isinstance(encoder, PairEncoder):
        yield encoder
        return
    towers: list[Any] = list(dict.fromkeys(encoder.towers))  # parts of one modality may share theirs
    for tower, its in zip(towers, encoder.modalities, strict=False):
        if its == modality:
            yield tower.encoder


def build_known(
    build: Callable[..., nn.Module], name: str, recipe: Recipe, *, kept: Path | None, **shape: Any
) -> nn.Module:
    """An encoder for a training; that of a folder is built without it where a run has its architecture and weights.

    Args:
        build: of the modality, as `image_encoder`.
        name: of the encoder.
        recipe: of the training; as a half of pairs, with the weights of this half.
        kept: the folder of a run that was begun with these weights.
        shape: other arguments of `build`.

    Raises:
        UserError: see `build`.
    """
    if not name.startswith(FOLDER):
        return build(name, **shape)
    if kept is not None and (kept / INITIAL).is_file():
        config, weights = RunConfig.load(kept)["encoder"], kept / INITIAL
    elif recipe.weights is not None and (run := run_of(recipe.weights)) is not None:
        config, weights = run.config["encoder"], run.path / WEIGHTS
    else:
        return build(name, **shape)
    each = (config or {}).get("encoders", [config])
    found = next((one for one in each if one and one.get("name") == name and "architecture" in one), None)
    if found is None:  # another encoder than the run's was named
        return build(name, **shape)
    shape |= {key: found[key] for key in ("architecture", "standardized") if key in found}
    with torch.random.fork_rng():  # to read a folder draws nothing; the weights are loaded later
        check_architecture(found["architecture"], weights_size([weights], str(weights)), "encoder.architecture")
        return build(name, **shape)


def initial_encoder(run: Run) -> nn.Module | None:
    """The encoder of a run with the known weights that its training began with; None where it began with none.

    Raises:
        UserError: the file is damaged.
    """
    if not (run.path / INITIAL).is_file() or run.config["encoder"] is None:
        return None
    encoder = run.build_encoder()
    load_weights(run.path, encoder, name=INITIAL)
    return encoder.eval()


def normalization_of(recipe: Recipe, encoder: str, channels: int, *, kept: Path | None = None) -> dict[str, Any]:
    """Mean and deviation of the images that the weights were trained on, as arguments of `ImageViews`.

    Empty where they are the usual ones. A folder of transformers has weights without being named as such.

    Args:
        recipe: of the images; as a half of pairs, with the weights of this half.
        encoder: its name.
        channels: of the views.
        kept: the folder of a run that was begun.
    """
    of_folder = encoder.startswith(FOLDER)
    if recipe.weights in (None, NONE) and not of_folder:
        return {}
    views: dict[str, Any] = {}
    if kept is not None and (kept / INITIAL).is_file():
        views = _image_views(RunConfig.load(kept))
    elif recipe.weights is not None and (run := run_of(recipe.weights)) is not None:
        views = _image_views(run.config)
    if not views and encoder.startswith(TIMM):
        known = pretrained_config(encoder.removeprefix(TIMM))
        views = {"mean": list(known.mean), "std": list(known.std)} if known else {}
    if not views and of_folder and (prepared := image_preprocessing(encoder)).mean is not None:
        views = {"mean": prepared.mean, "std": prepared.std}
    if views and len(views["mean"]) != channels:
        views = {name: [sum(views[name]) / len(views[name])] * channels for name in ("mean", "std")}
    return {name: views[name] for name in ("mean", "std")} if views else {}


def _image_views(config: dict[str, Any]) -> dict[str, Any]:
    views = config.get("views") or {}
    parts = [part["config"] for part in views.get("parts", []) if part["modality"] == "image"]
    found = parts[0] if parts else views
    return found if "mean" in found else {}


def run_of(spec: str) -> Run | None:
    """The run, if this is the folder of one.

    Raises:
        UserError: when it is, and has not finished.
    """
    if not (Path(spec) / RunConfig.FILE).is_file() or is_transformers_folder(spec):
        return None
    run = open_run(spec)
    if not run.finished:
        raise UserError(f"weights {spec} is not finished: `{run.config['command']} --resume` goes on with it")
    return run


def is_transformers_folder(spec: str) -> bool:
    """Whether this is a folder that transformers' `save_pretrained` wrote."""
    return "model_type" in _read(Path(spec) / "config.json")


def _said(spec: str, modality: str) -> dict[str, Any]:
    """Values of the recipe that the weights decide."""
    if spec.startswith(TIMM):
        require(modality == "image", "weights", f"those of an encoder of {modality}", spec)
        return {"encoder": spec}
    if spec.startswith(FOLDER) or is_transformers_folder(spec):
        remedy = f"{FOLDER}FOLDER is for models of {', '.join(KINDS)}"
        require(modality in KINDS, "weights", f"those of an encoder of {modality}", spec, remedy)
        name = f"{FOLDER}{spec.removeprefix(FOLDER)}"
        check_folder(name, modality)
        return {"encoder": name} | (_of_texts(folder_of(name)) if modality == "text" else {})
    if (run := run_of(spec)) is not None:
        return _of_run(run, modality)
    if not Path(spec).is_file():
        rule = "timm:NAME, hf:FOLDER, a run folder or a file"
        what = "a folder without the config.json of a run or a model" if Path(spec).is_dir() else "not there"
        raise UserError(f"weights must be {rule}, got {spec!r}, which is {what}")
    return {}


def _of_run(run: Run, modality: str) -> dict[str, Any]:
    config, recipe = run.config["encoder"], run.config["recipe"]
    kinds = (config or {}).get("modalities", [run.modality])
    takes = modality in kinds
    require(takes, "weights", f"those of an encoder of {modality}", f"{run.path}, of {' and '.join(kinds)}")
    fields = {name: recipe.get(name) for name in modality_of(modality).recipe_fields}
    if fields.get("tokenizer") is not None:
        fields["tokenizer"] = str(run.path / "tokenizer.json")
    if config is not None:
        own = config["encoders"][kinds.index(modality)] if "encoders" in config else config
        fields["encoder"] = own["name"]
    return fields


def _of_texts(path: Path) -> dict[str, Any]:
    """How the texts of a folder of transformers are read."""
    said: dict[str, Any] = {}
    if (path / "tokenizer.json").is_file():
        said["tokenizer"] = str(path / "tokenizer.json")
    read = _read(path / "sentence_bert_config.json").get("max_seq_length")
    most, own = most_tokens(_read(path / "config.json")), read if isinstance(read, int) and read > 0 else MAX_TOKENS
    if (tokens := min(own, most or own)) != MAX_TOKENS:
        said["max_tokens"] = tokens
    modes = _read(path / "1_Pooling" / "config.json")
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}
    chosen = [name for mode, name in known.items() if modes.get(mode)]
    return said | ({"pooling": chosen[0]} if len(chosen) == 1 else {})


def _read(path: Path) -> dict[str, Any]:
    """A file of transformers or sentence-transformers; empty where it is not there, or damaged."""
    try:
        return read_object(path)
    except DAMAGED:
        return {}


def _with(recipe: Recipe, said: dict[str, Any], given: Collection[str]) -> Recipe:
    """The recipe with these values, but for those that were given."""
    changes = {name: value for name, value in said.items() if value is not None and name not in given}
    return dataclasses.replace(recipe, **changes)
