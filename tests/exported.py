"""Runs to export, and what a model card says is done, in a fresh process that cannot import likewise."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likewise.commands.options import reopenable
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.modalities.build import build_training
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run
from likewise.training.recipe import Recipe

MakeRun = Callable[..., Run]
BEFORE = 'import sys\nsys.modules["likewise"] = None\n'
AFTER = """
import numpy
if "torch" in sys.modules and isinstance(embeddings, sys.modules["torch"].Tensor):
    embeddings = embeddings.detach().numpy()
numpy.save("embeddings.npy", embeddings)
"""


def build_run(folder: Path, data: Any, *, read: dict[str, Any] | None = None, **recipe: Any) -> Run:
    """A finished run with an encoder that was not trained, on `data`."""
    source = open_source(data, read_options=ReadOptions(**(read or {})), progress=False)
    asked = Recipe(method=modality_of(source.modality).default_method, **recipe)
    torch.manual_seed(0)
    used, source, method, _ = build_training(source, asked, kept=None)
    encoder: Any = method.encoder
    packed, files = modality_of(source.modality).pack(method.views)
    config = {
        "likewise": "0.1.0",
        "data": reopenable(data),
        "source": {"name": source.name, "samples": len(source), "modality": source.modality, "root": None},
        "read_options": dataclasses.asdict(ReadOptions()),
        "recipe": used.to_dict(),
        "method": {"name": used.method},
        "encoder": encoder.config,
        "views": packed,
        "seed": 0,
        "command": "likewise pretrain DATA",
        "devices": "auto",
        "precision": "32-true",
        "strategy": "auto",
    }
    run = Run.create(folder, config)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    run.save(encoder, method.views)
    return Run.open(folder)


def card_code(folder: Path) -> str:
    """The program in a model card."""
    [code] = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return code


def by_the_card(folder: Path) -> np.ndarray:
    """The embeddings that the program in a model card makes."""
    code = BEFORE + card_code(folder) + AFTER
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=known | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "embeddings.npy")
