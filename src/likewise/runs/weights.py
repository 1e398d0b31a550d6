"""encoder.safetensors and encoder.json: the weights of an encoder, and its architecture. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from likewise.atomic import write_atomically, write_json
from likewise.errors import UserError

WEIGHTS, ARCHITECTURE = "encoder.safetensors", "encoder.json"
INITIAL = "initial.safetensors"
"""The known weights that a training went on from, as they were given."""


def save_weights(folder: Path, encoder: nn.Module, config: dict[str, Any] | None) -> None:
    """Keep an encoder: its weights as safetensors, its architecture (None for a module of the user's own) as JSON."""
    write_json(folder / ARCHITECTURE, config)
    _save(folder / WEIGHTS, encoder)


def save_initial_weights(folder: Path, encoder: nn.Module) -> None:
    """Keep the known weights that a training begins with: it can be resumed without them, and compared with them."""
    _save(folder / INITIAL, encoder)


def _save(path: Path, encoder: nn.Module) -> None:
    # Tied weights share memory, which safetensors refuses: each name gets its own copy.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
    data = save(state)
    write_atomically(path, lambda file: file.write(data))


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
