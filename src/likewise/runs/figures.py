"""What a method shows of itself, kept in the run: `pictures.npz`, rows of pictures, of words, of sounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likewise.atomic import write_atomically
from likewise.methods.base import Method, Sheet
from likewise.seeding import generator_for

KEY = 1 << 41  # no training step's key


def save_pictures(folder: Path, method: Method, samples: Any) -> None:
    """Write the method's pictures of a few samples; nothing where it has none. The method is left as it was.

    Args:
        folder: the run's.
        samples: a batch, as a source reads it.
    """
    training = method.training
    samples = method.transfer_batch_to_device(samples, method.device, 0)
    with torch.no_grad():
        sheets = method.eval().pictures(samples, generator_for(method.training_context.seed, KEY))
    method.train(training)
    if sheets:
        save_sheets(folder / "pictures.npz", sheets)


def save_sheets(path: Path, sheets: list[Sheet]) -> None:
    """Write one file: `words`, all texts as JSON; `I-J` and `I-J-sounds`, pictures and sounds of row J of sheet I."""
    texts = [
        {
            "title": sheet.title,
            "caption": sheet.caption,
            "rows": [{"name": row.name, "words": row.words, "sample_rate": row.sample_rate} for row in sheet.rows],
        }
        for sheet in sheets
    ]
    arrays: dict[str, Any] = {"words": np.array(json.dumps(texts))}
    for i, sheet in enumerate(sheets):
        for j, row in enumerate(sheet.rows):
            found = {f"{i}-{j}": row.pictures, f"{i}-{j}-sounds": row.sounds}
            arrays |= {name: tensor.cpu().numpy() for name, tensor in found.items() if tensor is not None}
    write_atomically(path, lambda file: np.savez(file, **arrays))
