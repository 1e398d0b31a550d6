"""Models of transformers: read from a folder that its `save_pretrained` wrote, or built again from their architecture.

A folder may come from anywhere. Only models whose code is part of transformers are built, only safetensors are opened,
and an architecture is compared with the size of its weights before any memory is taken. Nothing is fetched.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from likewise.checks import require
from likewise.errors import UserError, needs

FOLDER = "hf:"
KINDS = {
    "text": (
        "albert", "bart", "bert", "camembert", "deberta-v2", "distilbert", "electra", "gemma", "gemma2", "gpt2",
        "gpt_neo", "gpt_neox", "llama", "mistral", "modernbert", "mpnet", "opt", "qwen2", "qwen3", "roberta",
        "roformer", "t5", "xlm-roberta",
    ),
    "image": ("convnext", "convnextv2", "deit", "dinov2", "dinov2_with_registers", "resnet", "swin", "vit"),
    "audio": ("hubert", "wav2vec2", "wavlm"),
}  # fmt: skip
"""Types of models that are read, by modality: their code is in transformers. Others may bring their own, or pickled
weights."""
NOUNS = {"text": "texts", "image": "images", "audio": "recordings"}
EXTRAS = {"text": "text", "image": "hf", "audio": "audio"}
"""Of likewise, which bring transformers."""
CONFIG, PREPROCESSING = "config.json", "preprocessor_config.json"
FILES = {"text": "tokenizer.json", "image": PREPROCESSING, "audio": PREPROCESSING}
"""What a folder has beside the model."""
UNUSED = ("pooler.", "masked_spec_embed", "embeddings.mask_token")
"""Weights that a file may lack: encoders do without them."""
LAYERS = re.compile(r"layers?$|depths?$|experts?$")
"""Numbers of an architecture of which a model has as many modules."""
NO_ARCHITECTURE = ("auto_map", "num_labels", "id2label", "label2id")
"""Of a configuration: where code lies, and the labels of a head."""
MOST_LABELS = 100_000
SPARE = 2**26
"""Numbers that a model may have beside its weights, such as masks and positions: 256 MiB."""
LARGEST = 2**24  # bytes of a configuration
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class WeightsSize(NamedTuple):
    """How large the weights of a model are."""

    tensors: int
    numbers: int


def folder_of(name: str) -> Path:
    """The folder of `hf:FOLDER`."""
    return Path(name.removeprefix(FOLDER))


def check_folder(name: str, modality: str) -> dict[str, Any]:
    """The architecture of the model in `hf:FOLDER`, if it looks like one of this modality.

    Raises:
        UserError: for a folder that is none, or holds no such model.
    """
    path, what = folder_of(name), f"encoder '{name}'"
    if not path.is_dir():
        raise UserError(f"{what}: there is no such folder{_of_the_hub(str(path), modality)}")
    architecture = read_config(path, CONFIG, what)
    if architecture is None:
        raise UserError(f"{what}: the folder has no {CONFIG}, which save_pretrained writes")
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"{what}: the folder has no .safetensors, and pickled weights are not opened: "
            "save them again with save_pretrained"
        )
    check_kind(architecture, modality, what)
    return architecture


def read_model(name: str, modality: str) -> Any:
    """The model of a folder, in float32. Nothing is fetched; no code and no pickle of the folder is run.

    torch's global generator is left as it was.

    Args:
        name: `hf:FOLDER`.
        modality: of what it must be a model.

    Raises:
        UserError: for a folder that is none, or holds no such model.
    """
    architecture = check_folder(name, modality)
    path, what = folder_of(name), f"encoder '{name}'"
    transformers = needs("transformers", EXTRAS[modality])
    check_architecture(architecture, weights_size(path.glob("*.safetensors"), what), what)
    log = transformers.utils.logging
    verbosity, shows = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()  # heads that are left out are no news
    log.disable_progress_bar()
    try:
        with torch.random.fork_rng():  # of what is left out again
            body, info = transformers.AutoModel.from_pretrained(
                path,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # of many kinds, from three libraries
        raise UserError(f"{what} can't be read: {str(error).strip().splitlines()[0]}") from error
    finally:
        log.set_verbosity(verbosity)
        if shows:
            log.enable_progress_bar()
    missing = [key for key in info["missing_keys"] if not key.startswith(UNUSED)]
    if missing:
        raise UserError(f"{what} lacks weights: {missing[0]} and {len(missing) - 1} more")
    return body.train()


def build_model(architecture: dict[str, Any], modality: str) -> Any:
    """A model of this architecture with random weights, as `architecture_of` has told it.

    Raises:
        UserError: for an architecture that is none, or of another modality.
    """
    what = "the run's encoder"
    check_kind(architecture, modality, what)
    return _built(architecture, what)


def check_within_run(name: str, architecture: dict[str, Any] | None) -> None:
    """Raise `UserError` for a run's encoder without architecture: strangers must not choose a folder to be read."""
    if name.startswith(FOLDER) and architecture is None:
        raise UserError("encoder.architecture must be given, it is absent")


def architecture_of(model: Any) -> dict[str, Any]:
    """What builds a model again, in plain values; the labels of a head are left out."""
    said = json.loads(model.config.to_json_string())
    return {name: value for name, value in said.items() if name not in NO_ARCHITECTURE}


def read_config(folder: Path, name: str, what: str) -> dict[str, Any] | None:
    """The JSON object in a file of a folder; None where there is no such file.

    Args:
        what: to call the folder in messages.

    Raises:
        UserError: for a file that holds something else.
    """
    path = folder / name
    if not path.is_file():
        return None
    try:
        require(path.stat().st_size <= LARGEST, f"{what}: {name}", f"at most {LARGEST:,} bytes", path.stat().st_size)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{what}: its {name} is not that of a model") from error
    if not isinstance(found, dict):
        raise UserError(f"{what}: its {name} is not that of a model")
    return found


def check_kind(architecture: dict[str, Any], modality: str, what: str) -> None:
    """Raise `UserError` unless a model is one of this modality, and its code part of transformers.

    Args:
        architecture: its configuration.
        what: to call it in messages.
    """
    kind = str(architecture.get("model_type"))
    if kind in KINDS[modality]:
        return
    other = next((each for each, kinds in KINDS.items() if kind in kinds), None)
    if other is not None:
        raise UserError(f"{what} must be a model of {NOUNS[modality]}, got {kind!r}, which is one of {NOUNS[other]}")
    known = ", ".join(KINDS[modality])
    raise UserError(f"{what} can't be read: its model type must be one of {known}, got {kind!r}")


def check_architecture(architecture: dict[str, Any], size: WeightsSize, what: str) -> None:
    """Raise `UserError` for a configuration of transformers that is larger than its weights: it could take all memory.

    Args:
        size: of the weights.
        what: to call it in messages.
    """
    for name, value in architecture.items():
        few = not isinstance(value, list) or len(value) <= size.tensors  # with a number for each layer
        require(few, f"{what}: {name}", f"at most as long as the {size.tensors:,} tensors there are", "a longer list")
        if LAYERS.search(name) and (layers := _count(value)):
            require(
                layers <= size.tensors, f"{what}: {name}", f"at most the {size.tensors:,} tensors there are", layers
            )
    labels = architecture.get("num_labels", 0)  # transformers makes a name for each
    named = not isinstance(labels, int) or labels <= MOST_LABELS
    require(named, f"{what}: num_labels", f"at most {MOST_LABELS:,}", labels)
    with torch.device("meta"):  # no memory is taken
        body = _built(architecture, what)
    numbers = sum(tensor.numel() for tensor in (*body.parameters(), *body.buffers()))
    if numbers > 2 * size.numbers + SPARE:  # tied weights are kept once
        raise UserError(
            f"{what} would have {numbers:,} numbers, and its weights are {size.numbers:,}: its configuration is not "
            "that of the weights"
        )


def _count(value: Any) -> int:
    """How many layers a value asks for: a number, or one for each stage."""
    each = value if isinstance(value, list) else [value]
    return sum(number for number in each if isinstance(number, int))


def _built(architecture: dict[str, Any], what: str) -> Any:
    """A model with random weights, on torch's default device."""
    modality = next((each for each, kinds in KINDS.items() if str(architecture.get("model_type")) in kinds), None)
    if modality is None:
        raise UserError(f"{what} can't be built: transformers' {architecture.get('model_type')!r} is none that is read")
    transformers = needs("transformers", EXTRAS[modality])
    values = {name: value for name, value in architecture.items() if name not in NO_ARCHITECTURE}
    try:
        config = transformers.AutoConfig.for_model(**values)
        return transformers.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # a configuration from elsewhere may hold anything
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{what} can't be built: {reason[:300]}") from error


def weights_size(files: Iterable[Path], what: str) -> WeightsSize:
    """The size of the weights in .safetensors.

    Args:
        what: to call them in messages.

    Raises:
        UserError: for a file that is damaged.
    """
    tensors = numbers = 0
    try:
        for path in files:
            with safe_open(path, "pt") as file:
                shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
            tensors, numbers = tensors + len(shapes), numbers + sum(map(math.prod, shapes))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{what} can't be read: {' '.join(str(error).split())[:300]}") from error
    return WeightsSize(tensors, numbers)


def _of_the_hub(name: str, modality: str) -> str:
    """What to do where the name of a model on the hub stands in place of a folder; empty where it can be none."""
    if not HUB_NAME.fullmatch(name):
        return ""
    files = f"{CONFIG}, model.safetensors and {FILES[modality]}"
    return f"; of a model of the hub, get {files} from https://huggingface.co/{name} and give their folder"
