"""encoder.safetensors and encoder.json: the weights of an encoder, and its architecture. Nothing is unpickled."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from likewise.atomic import write_atomically, write_json
from likewise.errors import UserError
from likewise.runs.declared import shown
from likewise.runs.files import COPY_ANEW

WEIGHTS, ARCHITECTURE = "encoder.safetensors", "encoder.json"
INITIAL = "initial.safetensors"
"""The known weights that a training went on from, as they were given."""
LAYERS = re.compile(r"layers?$|depths?$|experts?$")
WIDTHS = re.compile(
    r"vocab_size$|max_tokens$|^channels$|^n_(embd|inner|positions)$|hidden_(size|dim)$|intermediate_size$|^d_|^dim$|embedding_size$"
)
"""Numbers of an architecture that tensors are as many, or as long, as."""


def save_weights(folder: Path, encoder: nn.Module, config: dict[str, Any] | None) -> None:
    """Keep an encoder: its weights as safetensors, its architecture (None for a module of the user's own) as JSON."""
    write_json(folder / ARCHITECTURE, config)
    save_state(folder / WEIGHTS, encoder)


def save_initial_weights(folder: Path, encoder: nn.Module) -> None:
    """Keep the known weights that a training begins with: it can be resumed without them, and compared with them."""
    save_state(folder / INITIAL, encoder)


def save_state(path: Path, encoder: nn.Module) -> None:
    """Write the weights of an encoder into a file."""
    # Tied weights share memory, which safetensors refuses: each name gets its own copy.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
    data = save(state)
    write_atomically(path, lambda file: file.write(data))


def check_sizes(folder: Path, config: Any, name: str = "encoder") -> None:
    """Raise `UserError` for an architecture that is larger than the weights: to build it could take all memory.

    Args:
        folder: of a run.
        config: of its encoder, or of a part of it.
        name: of it.
    """
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        place = f"{name}.{key}" if isinstance(config, dict) else f"{name}[{key}]"
        if isinstance(value, dict | list):
            check_sizes(folder, value, place)
        elif isinstance(value, int) and (most := _most(folder, str(key))) is not None and value > most:
            raise UserError(
                f"{folder / 'config.json'}: {place} must be at most {most:,}, as in {WEIGHTS}, got {shown(value)}; "
                f"{COPY_ANEW}"
            )


@lru_cache(maxsize=8)
def _shapes(path: Path, changed: int) -> list[list[int]]:
    """The shapes of the tensors in a file. `changed`: when it was, in ns."""
    try:
        with safe_open(path, "pt") as file:
            return [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} can't be loaded: {' '.join(str(error).split())[:300]}") from error


def weights_shapes(folder: Path) -> list[list[int]]:
    """The shapes of the tensors that a run keeps.

    Raises:
        UserError: where the file is not there, or damaged.
    """
    path = folder / WEIGHTS
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"{path} can't be loaded: {error}") from error
    return _shapes(path, changed)


def _most(folder: Path, key: str) -> int | None:
    """The most that a number of an architecture can be; None for one that makes nothing large."""
    if not (LAYERS.search(key) or WIDTHS.search(key)):
        return None
    shapes = weights_shapes(folder)
    return len(shapes) if LAYERS.search(key) else max((max(shape, default=1) for shape in shapes), default=1)


def load_weights(folder: Path, encoder: nn.Module, *, name: str = WEIGHTS) -> None:
    """Load the weights that a run keeps, or `INITIAL` ones, into a module of the same architecture.

    Raises:
        UserError: the file is damaged, or the weights are another architecture's.
    """
    path = folder / name
    try:
        encoder.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path} can't be loaded: {reason}; was the encoder another one?") from error
