"""Every method, small enough to be compared to the last digit: tiny images, and an encoder whose rows do not meet."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.distributed import world_size
from likewise.methods import METHODS, build_method, method_class, method_options
from likewise.methods.base import Method, TrainingContext
from likewise.methods.distill import Distill
from likewise.modules.batch_norm import join_batch_norm
from likewise.seeding import generator_for

SAMPLES, BATCH, CLASSES, SIZE = 32, 8, 4, 12

IMAGE_METHODS = [name for name in METHODS if method_class(name).modality in ("any", "image")]
"""Those of texts, recordings and pairs have encoders and samples of their own: see their tests."""

OPTIONS = {
    "projection_dim": 6,
    "hidden_dim": 10,
    "prediction_dim": 5,
    "context_dim": 5,
    "summary_dim": 5,
    "score_dim": 7,
    "code_dim": 5,
    "latent_dim": 5,
    "decoder_dim": 32,
    "decoder_depth": 1,
    "prototypes": 6,
    "permutations": 10,
    "noise": 20,
    "queue": 2 * BATCH,
    "queue_from": 0.0,
    "dense_from": 0.0,
    "place_dim": 7,
    "local_crops": 2,
    "directions": 9,
    "way": 2,
    "shot": 1,
    "query": 1,
}
"""Sizes, by what methods may call them; each method gets those whose name and type it knows."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in IMAGE_METHODS},
    "simclr, with labels": ("simclr", {"loss": "sup-con"}),
    "siamese, with labels": ("siamese", {"pairs": "labelled"}),
    "instdisc, softmax": ("instdisc", {"loss": "softmax"}),
    "contrastive-maml, with labels": ("contrastive-maml", {"tasks": "labelled"}),
}


class Views:
    """Noise, so that nothing of the image modality is needed."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + torch.randn(batch.shape, generator=generator, dtype=batch.dtype)

    def local(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self(batch, generator)[..., 2:-2, 2:-2]

    def located_pair(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Views that say that they lie anywhere in the image."""
        where = torch.randn(len(batch), 2, 3, 3, generator=generator, dtype=batch.dtype)
        where[:, :, 2] = torch.tensor([0.0, 0.0, 1.0], dtype=batch.dtype)
        return self(batch, generator), self(batch, generator), where

    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self(batch, generator)


class Encoder(nn.Module):
    """Convolutions without BatchNorm for views of any size, with what they see of places."""

    dim, features_dim = 12, 4

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Sequential(nn.Conv2d(1, self.features_dim, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2))
        self.summary = nn.Linear(4 * self.features_dim, self.dim)

    def with_features(self, view: Tensor) -> tuple[Tensor, Tensor]:
        places = self.places(view)
        return self.summary(places.flatten(1)), places.flatten(2).transpose(1, 2)

    def forward(self, view: Tensor) -> Tensor:
        return self.with_features(view)[0]


def encoder(name: str) -> nn.Module:
    """What the method can train."""
    if name not in ("mae", "dinov2"):
        return Encoder()
    sizes = {"img_size": SIZE, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2, "mlp_ratio": 1}
    body = VisionTransformer(in_chans=1, num_classes=0, dynamic_img_size=name == "dinov2", **sizes)
    body.dim = body.embed_dim
    return body


def options_of(case: str) -> dict[str, Any]:
    name, chosen = CASES[case]
    known = method_options(name)
    # A number of another kind is another thing: `noise` counts samples in one method and is a deviation in another.
    sizes = {key: n for key, n in OPTIONS.items() if key in known and type(known[key]) in (type(n), type(None))}
    return sizes | chosen


def images(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(SAMPLES, 1, SIZE, SIZE, generator=generator_for(0), dtype=torch.float64).to(dtype)


def batch(step: int = 0, *, dtype: torch.dtype = torch.float64, size: int = BATCH) -> Batch:
    indices = torch.arange(step * size, (step + 1) * size) % SAMPLES
    return Batch(images(dtype)[indices], indices, indices % CLASSES)


def ready(case: str, *, dtype: torch.dtype = torch.float64, size: int = BATCH) -> Method:
    """A method at the beginning of its first epoch."""
    torch.manual_seed(0)
    name = CASES[case][0]
    method = build_method(name, encoder(name), options_of(case))
    if isinstance(method, Distill):
        method.use_teacher(Encoder())
    method.views = Views()
    read = images(dtype).__getitem__
    method.prepare(TrainingContext(SAMPLES, size, steps=40, steps_per_epoch=SAMPLES // size, read=read))
    method.to(dtype).train()
    if world_size() > 1:  # as a training begins
        join_batch_norm(method, torch.device("cpu"))
    with torch.no_grad():
        method.begin_epoch(0)
    return method


def views_of(method: Method, step: int = 0, *, dtype: torch.dtype = torch.float64, size: int = BATCH) -> Any:
    with torch.no_grad():
        return method.make_views(batch(step, dtype=dtype, size=size), generator_for(1, step))


def loss_of(answer: Tensor | dict[str, Tensor]) -> Tensor:
    return answer["loss"] if isinstance(answer, dict) else answer


def gradients(method: nn.Module) -> dict[str, Tensor]:
    """Of every parameter that has one."""
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
