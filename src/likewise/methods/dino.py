"""DINO: a student predicts, from any crop, the output of a momentum teacher for the global views."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int, check_interval, check_non_negative, check_positive
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.vit import set_drop_path, vision_transformer
from likewise.losses import dino, dino_center
from likewise.methods.base import Method
from likewise.modules.ema import EMA, cosine_momentum, warmed_up
from likewise.modules.heads import dino_projector
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.modules.prototypes import WeightNormPrototypes, check_prototypes, usage_entropy


class DINO(Method):
    """Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers, arXiv:2104.14294.

    The loss is the cross-entropy of the student's output with the teacher's: see `likewise.losses.dino`. Centering
    prevents a collapse to one output for all samples, the teacher's low temperature one to a uniform output.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        hidden_dim: width of the head's two hidden layers.
        norm: whether these have BatchNorm; small networks need it, since their embeddings differ little at first.
        init_std: deviation of the truncated normal distribution that the head's weights begin with; None: torch's usual
            initialization.
        projection_dim: length of the embeddings, the bottleneck before the prototypes.
        prototypes: length of the outputs, at least 2.
        norm_last_layer: whether the prototypes have length 1; if not, each learns its length, as the paper's ViT-S.
        drop_path: of the student, a Vision Transformer: rate at which its last block is skipped, in [0, 1); earlier
            ones are skipped less (arXiv:1603.09382).
        local_crops: small views beside the two global ones; only the student sees them.
        teacher_momentum: initial momentum of the teacher, in [0, 1]; it rises to 1 by half a cosine.
        temperature: T of the student, above 0.
        teacher_start: T of the teacher at the beginning, above 0.
        teacher_temperature: T of the teacher after its warmup, above 0.
        teacher_warmup: epochs in which the teacher's temperature rises linearly.
        freeze: epochs in which the student's prototypes are frozen.

    Raises:
        UserError: for a number out of its range.
    """

    family = "distillation"
    paper = "2104.14294"
    when_to_use = "Vision Transformers: no negatives; features for nearest neighbours and segmentation"
    center: Tensor
    deployed_role = "teacher"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 2048,
        norm: bool = False,
        init_std: float | None = None,
        projection_dim: int = 256,
        prototypes: int = 65536,
        norm_last_layer: bool = True,
        drop_path: float = 0.0,
        local_crops: int = 8,
        teacher_momentum: float = 0.996,
        temperature: float = 0.1,
        teacher_start: float = 0.04,
        teacher_temperature: float = 0.07,
        teacher_warmup: float = 30.0,
        freeze: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        check_int(hidden_dim=hidden_dim, projection_dim=projection_dim)
        check_int(0, local_crops=local_crops)
        check_prototypes(prototypes)
        check_interval(0, 1, teacher_momentum=teacher_momentum)
        check_positive(init_std=init_std)
        check_interval(0, 1, closed="left", drop_path=drop_path)
        check_positive(temperature=temperature, teacher_start=teacher_start, teacher_temperature=teacher_temperature)
        check_non_negative(teacher_warmup=teacher_warmup, freeze=freeze)
        self.projector = dino_projector(self.dim, hidden_dim, projection_dim, norm=norm, init_std=init_std)
        self.prototypes = WeightNormPrototypes(projection_dim, prototypes, scaled=not norm_last_layer)
        self.teacher = EMA(self.encoder, self.projector, self.prototypes)
        if drop_path:  # the teacher keeps all blocks
            set_drop_path(vision_transformer(self.encoder), drop_path)
        self.register_buffer("center", torch.zeros(prototypes))
        self.local_crops, self.momentum, self.temperature = local_crops, teacher_momentum, temperature
        self.teacher_ends, self.teacher_warmup = (teacher_start, teacher_temperature), teacher_warmup
        self.freeze_epochs = freeze

    @property
    def deployed_encoder(self) -> nn.Module:
        return self.teacher.copies[0]

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return multi_crop(self.views, batch.samples, generator, local_crops=self.local_crops)

    def objective(self, *crops: Any) -> dict[str, Tensor]:
        momentum = cosine_momentum(self.momentum, self.progress)
        self.teacher.update(self.encoder, self.projector, self.prototypes, momentum=momentum)
        z = self.projector(torch.cat(encode_crops(self.encode, crops)))
        self.track(*z.chunk(len(crops))[:2])
        teachers = self.teacher(torch.cat(crops[:2])).chunk(2)
        temperature = self.teacher_temperature()
        loss = dino(
            self.prototypes(z).chunk(len(crops)),
            teachers,
            center=self.center,
            student_temperature=self.temperature,
            teacher_temperature=temperature,
        )
        gathered = [gather(scores) for scores in teachers]
        targets = ((torch.cat(gathered).float() - self.center) / temperature).softmax(1)
        self.center.copy_(dino_center(self.center, gathered))
        return {"loss": loss, "code_entropy": usage_entropy(targets.mean(0))}

    def teacher_temperature(self) -> float:
        steps = self.teacher_warmup * self.training_context.steps_per_epoch
        return warmed_up(*self.teacher_ends, step=self.global_step, steps=steps)

    def frozen_parameters(self, step: int) -> Iterable[nn.Parameter]:
        return self.prototypes.parameters() if step < self.freeze_epochs * self.training_context.steps_per_epoch else ()

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(len(self.center))}
