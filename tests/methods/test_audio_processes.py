"""Audio methods over two processes have the losses and gradients of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2Model

from likewise.data.loader import Batch
from likewise.distributed import rank
from likewise.encoders.audio import Wav2Vec2, audio_encoder
from likewise.methods import build_method
from likewise.methods.base import Method, TrainingContext
from likewise.seeding import generator_for
from processes import in_processes

N, SAMPLES = 6, 300
WAVES = torch.randn(N, SAMPLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
OPTIONS = {
    "best-rq": {"mask_prob": 0.1, "mask_length": 3, "codes": 7, "code_dim": 4},
    "hubert": {"mask_prob": 0.1, "mask_length": 3, "clusters": 6, "projection_dim": 5},
    "cola": {"projection_dim": 5},
    "cpc-audio": {"steps": 3, "times": 4},
    "wav2vec2": {"mask_length": 3, "distractors": 5, "codes": 4, "code_dim": 3, "projection_dim": 6, "diversity": 2.0},
}


class Views:
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.3 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def built(name: str) -> Method:
    torch.manual_seed(0)
    config = {"name": "tiny", "sample_rate": 1000, "seconds": 0.3}
    if name not in ("cola", "cpc-audio"):
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        convolutions = {"conv_dim": (6, 6), "conv_kernel": (9, 2), "conv_stride": (5, 2)}
        positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
        names = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
        dropout = dict.fromkeys((*names, "feat_quantizer_dropout", "layerdrop", "mask_time_prob"), 0.0)
        encoder = Wav2Vec2(Wav2Vec2Model(Wav2Vec2Config(**sizes, **convolutions, **positions, **dropout)), config)
    else:
        encoder = audio_encoder("conv-gru-tiny", sample_rate=1000, seconds=0.3)
    method = build_method(name, encoder, OPTIONS[name]).double()
    method.views = Views()
    method.prepare(TrainingContext(N, N, steps=2, steps_per_epoch=1, read=WAVES.__getitem__))
    with torch.no_grad():
        method.begin_epoch(0)
    return method


def learned(name: str, part: slice) -> dict[str, Tensor]:
    """The loss and the gradients of a part of the batch's views."""
    method = built(name)
    views = method.make_views(Batch(WAVES, torch.arange(N)), generator_for(2))
    answer = method.objective(*(view[part] for view in views))
    loss = answer["loss"] if isinstance(answer, dict) else answer
    loss.backward()
    figures = {key: value.detach() for key, value in answer.items()} if isinstance(answer, dict) else {}
    gradients = {key: parameter.grad for key, parameter in method.named_parameters() if parameter.requires_grad}
    return {"the loss": loss.detach(), **figures, **gradients}


def of_half(folder: Path) -> dict[str, dict[str, Tensor]]:
    """What every method has in one of two processes, each of which has half of the batch."""
    half = slice(rank() * N // 2, (rank() + 1) * N // 2)
    return {name: learned(name, half) for name in OPTIONS}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    return in_processes(2, of_half, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("name", OPTIONS)
def test_two_processes_have_the_loss_and_gradients_of_one(name: str, ranks: list[dict[str, dict[str, Tensor]]]) -> None:
    exact = learned(name, slice(None))
    for key, value in exact.items():
        mean = (ranks[0][name][key] + ranks[1][name][key]) / 2
        torch.testing.assert_close(mean, value, rtol=1e-8, atol=1e-11, msg=lambda text, key=key: f"{key}: {text}")
