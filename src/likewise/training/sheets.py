"""What a method shows of itself, kept in the run: `pictures.npz`, rows of pictures and what is written beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likewise.atomic import write_atomically
from likewise.methods.base import Method, Sheet, generator_for

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
        sheets = method.eval().pictures(samples, generator_for(method.course.seed, KEY))
    method.train(training)
    if sheets:
        save_sheets(folder / "pictures.npz", sheets)


def save_sheets(path: Path, sheets: list[Sheet]) -> None:
    """Write one file: `words`, all texts as JSON, and `I-J`, the bytes of row J of sheet I."""
    texts = [
        {
            "title": sheet.title,
            "caption": sheet.caption,
            "rows": [{"name": row.name, "words": row.words} for row in sheet.rows],
        }
        for sheet in sheets
    ]
    arrays: dict[str, Any] = {
        f"{i}-{j}": row.pictures.cpu().numpy() for i, sheet in enumerate(sheets) for j, row in enumerate(sheet.rows)
    }
    arrays["words"] = np.array(json.dumps(texts))
    write_atomically(path, lambda file: np.savez(file, **arrays))
