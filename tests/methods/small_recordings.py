"""What the methods that mask recordings are tested with: a tiny encoder in float64, and noise to listen to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from likewise.encoders.audio import Wav2Vec2
from likewise.methods import build_method
from likewise.methods.base import Method, TrainingContext

N, SAMPLES, RATE = 6, 400, 1000
FRAMES = 39
WAVES = 0.1 * torch.randn(N, SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "conv_dim": (6, 10),
    "conv_kernel": (9, 2),
    "conv_stride": (5, 2),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    **dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0),
    **dict.fromkeys(("feat_quantizer_dropout", "layerdrop", "mask_time_prob"), 0.0),
}


class Views:
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.01 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def ready(
    name: str, *, encoder: type[nn.Module] | None = None, steps: int = 12, seed: int = 0, **options: Any
) -> Method:
    """The method, around a wav2vec 2.0 or another encoder, at the beginning of four epochs of three steps."""
    torch.manual_seed(0)
    config = {"name": "tiny", "sample_rate": RATE, "seconds": SAMPLES / RATE}
    built = encoder() if encoder else Wav2Vec2(Wav2Vec2Model(Wav2Vec2Config(**SIZES)), config)
    method = build_method(name, built, {"mask_prob": 0.1, "mask_length": 3, **options}).double()
    method.views = Views()
    context = TrainingContext(N, N, steps=steps, steps_per_epoch=3, seed=seed, read=WAVES.__getitem__)
    method.prepare(context)
    with torch.no_grad():
        method.begin_epoch(0)
    return method
