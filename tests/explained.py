"""Samples before encoders, as `likewise explain` has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from likewise.data.batches import Ragged
from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.sample import ExplainedSample
from likewise.views.audio import AudioViews
from likewise.views.image import ImageViews
from likewise.views.text import TextViews

CPU = ComputeSettings(torch.device("cpu"), batch_size=16)
RATE = 2000


def pictures(count: int, size: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, size, size), generator=torch.manual_seed(1), dtype=torch.uint8)


def image(encoder: nn.Module, place: int = 0, *, size: int = 16) -> ExplainedSample:
    views = ImageViews([], size=size, channels=3)
    return ExplainedSample.of(f"{place}.png", encoder, views, pictures(place + 1, size)[-1:], CPU)


def recording(encoder: nn.Module, place: int = 0) -> ExplainedSample:
    wave = torch.from_numpy(np.random.default_rng(place).integers(-9000, 9000, RATE, dtype=np.int16))
    return ExplainedSample.of(
        f"{place}.wav", encoder, AudioViews(sample_rate=RATE, seconds=0.5, ops=()), Ragged.of([wave]), CPU
    )


def text(encoder: nn.Module, views: TextViews, words: str) -> ExplainedSample:
    return ExplainedSample.of(words, encoder, views, views.encode([words]), CPU)


def views_of_texts() -> TextViews:
    """Of texts of a few words, as tokens."""
    tokenizers: Any = pytest.importorskip("tokenizers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "green", "apple", "square"]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return TextViews(tokenizer.to_str(), max_tokens=12)
