"""DINOv2: DINO on whole views, the teacher's assignments of masked patches, and embeddings that keep their distance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from likewise.checks import check_int, check_interval, check_non_negative, check_positive
from likewise.data.loader import Batch
from likewise.distributed import gather, gather_uneven, local_rows
from likewise.encoders.vit import encode_masked, vision_transformer
from likewise.losses import ibot, koleo, sinkhorn, swapped_prediction
from likewise.methods.base import Method
from likewise.modules.ema import EMA, cosine_momentum, warmed_up
from likewise.modules.heads import dino_projector
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.modules.prototypes import WeightNormPrototypes, check_prototypes, usage_entropy
from likewise.seeding import draw_rows
from likewise.views.pretext import block_masks

MASKED_VIEWS = 0.5  # share of the global views that have masked patches
LEAST_MASKED = 0.1  # of their patches


class DINOv2(Method):
    """Oquab et al. 2023, DINOv2: Learning Robust Visual Features without Supervision, arXiv:2304.07193.

    The loss has three terms. `dino`: the student predicts, from any view, the teacher's assignment of the other global
    views to prototypes. `ibot`: from a global view some of whose patches are masked, it predicts the teacher's
    assignments of these. `koleo` spreads the student's embeddings of each global view. The teacher is a momentum copy
    of encoder and heads; its assignments are balanced over the batch by Sinkhorn-Knopp.

    Args:
        encoder: view -> `(n, encoder.dim)`, a Vision Transformer of timm.
        hidden_dim: width of the heads' two hidden layers.
        norm: whether these have BatchNorm; small networks need it, since their embeddings differ little at first.
        projection_dim: length of the embeddings, the bottleneck before the prototypes.
        prototypes: length of the outputs, at least 2.
        separate_heads: whether patches have a head of their own.
        local_crops: small views beside the two global ones; only the student sees them.
        mask_ratio: largest share of a view's patches that is masked, from 0.1 to below 1.
        patch_weight: of the term `ibot`, 0 or more.
        koleo_weight: of the term `koleo`, 0 or more.
        teacher_momentum: initial momentum of the teacher, in [0, 1]; it rises to 1 by half a cosine.
        temperature: T of the student, above 0.
        teacher_start: T of the teacher at the beginning, above 0.
        teacher_temperature: T of the teacher after its warmup, above 0.
        teacher_warmup: epochs in which the teacher's temperature rises linearly.
        freeze: epochs in which the student's prototypes are frozen.

    Raises:
        UserError: for an encoder that is no Vision Transformer, or a number out of its range.
    """

    family = "distillation"
    modality = "image"
    paper = "2304.07193"
    when_to_use = "Vision Transformers: features of whole images and of their patches, for dense tasks; many steps"
    min_batch_size = 2
    any_size = False  # patches are masked on a grid of the whole view
    deployed_role = "teacher"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 2048,
        norm: bool = False,
        projection_dim: int = 256,
        prototypes: int = 65536,
        separate_heads: bool = True,
        local_crops: int = 8,
        mask_ratio: float = 0.5,
        patch_weight: float = 1.0,
        koleo_weight: float = 0.1,
        teacher_momentum: float = 0.992,
        temperature: float = 0.1,
        teacher_start: float = 0.04,
        teacher_temperature: float = 0.07,
        teacher_warmup: float = 30.0,
        freeze: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        vit = vision_transformer(encoder)
        check_int(hidden_dim=hidden_dim, projection_dim=projection_dim)
        check_int(0, local_crops=local_crops)
        check_prototypes(prototypes)
        check_interval(LEAST_MASKED, 1, closed="left", mask_ratio=mask_ratio)
        check_interval(0, 1, teacher_momentum=teacher_momentum)
        check_positive(temperature=temperature, teacher_start=teacher_start, teacher_temperature=teacher_temperature)
        check_non_negative(patch_weight=patch_weight, koleo_weight=koleo_weight)
        check_non_negative(teacher_warmup=teacher_warmup, freeze=freeze)
        self.grid: tuple[int, int] = vit.patch_embed.grid_size
        self.heads = nn.ModuleList(
            nn.Sequential(
                dino_projector(dim, hidden_dim, projection_dim, norm=norm),
                WeightNormPrototypes(projection_dim, prototypes),
            )
            for dim in ([self.dim, vit.embed_dim] if separate_heads else [self.dim])
        )
        self.mask_token = nn.Parameter(torch.zeros(vit.embed_dim))
        self.teacher = EMA(self.encoder, *self.heads)
        self.local_crops, self.mask_ratio = local_crops, mask_ratio
        self.patch_weight, self.koleo_weight = patch_weight, koleo_weight
        self.momentum, self.temperature = teacher_momentum, temperature
        self.teacher_ends, self.teacher_warmup = (teacher_start, teacher_temperature), teacher_warmup
        self.prototypes, self.freeze_epochs = prototypes, freeze

    @property
    def deployed_encoder(self) -> nn.Module:
        return self.teacher.copies[0]

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        crops = multi_crop(self.views, batch.samples, generator, local_crops=self.local_crops)
        return draw_rows(self.draw_masks, len(crops[0]), generator).to(crops[0].device), *crops

    def draw_masks(self, n: int, generator: torch.Generator) -> Bool[Tensor, "n 2 p"]:
        """Masks of the patches of both global views, on the CPU."""
        masks = block_masks(2 * n, self.grid, generator, share=MASKED_VIEWS, least=LEAST_MASKED, most=self.mask_ratio)
        return masks.unflatten(0, (2, -1)).transpose(0, 1)

    def objective(self, masks: Bool[Tensor, "n 2 p"], *crops: Any) -> dict[str, Tensor]:
        momentum = cosine_momentum(self.momentum, self.progress)
        self.teacher.update(self.encoder, *self.heads, momentum=momentum)
        views, masked = torch.cat(crops[:2]), masks.transpose(0, 1).flatten(0, 1)
        class_codes, patch_codes = self.codes(views, masked)

        tokens = self.encode_tokens(views, masked)
        classes = vision_transformer(self.encoder).forward_head(tokens)  # of the class token, or of the mean
        embeddings = torch.cat([classes, *encode_crops(self.encode, crops[2:])])
        head: Any = self.heads[0]
        z = head[0](embeddings)
        self.track(*z.chunk(len(crops))[:2])
        scores = head[1](z)
        dino = swapped_prediction(scores.chunk(len(crops)), class_codes, temperature=self.temperature)

        weights = masked / masked.sum(1, keepdim=True).clamp(min=1) / len(masked)
        patches = self.heads[-1](self.patches(tokens)[masked])
        patch = ibot(patches, patch_codes, weights=weights[masked], temperature=self.temperature)

        spread = koleo(gather(classes.chunk(2)[0])) + koleo(gather(classes.chunk(2)[1]))
        usage = (scores.detach().float() / self.temperature).softmax(1).mean(0)
        return {
            "loss": dino + self.patch_weight * patch + self.koleo_weight * spread,
            "dino": dino,
            "ibot": patch,
            "koleo": spread / 2,
            "code_entropy": usage_entropy(usage),
        }

    @torch.no_grad()
    def codes(
        self, views: Float[Tensor, "m c h w"], masked: Bool[Tensor, "m p"]
    ) -> tuple[list[Tensor], Float[Tensor, "q k"]]:
        """The teacher's assignments of both global views, and of their masked patches, balanced over all processes."""
        encoder, *heads = self.teacher.copies
        vit = vision_transformer(encoder)
        tokens = vit.forward_features(views)
        epsilon = self.teacher_temperature()
        classes = gather(torch.stack(heads[0](vit.forward_head(tokens)).chunk(2), dim=1))
        codes = sinkhorn(classes.flatten(0, 1), epsilon=epsilon).unflatten(0, (-1, 2))
        patches, mine = gather_uneven(heads[-1](self.patches(tokens)[masked]))
        return list(local_rows(codes).unbind(1)), sinkhorn(patches, epsilon=epsilon)[mine]

    def encode_tokens(self, views: Float[Tensor, "m c h w"], masked: Bool[Tensor, "m p"]) -> Float[Tensor, "m t d"]:
        vit = vision_transformer(self.encoder)

        def encode(some: Tensor) -> Tensor:
            return encode_masked(vit, views[some], masked[some], self.mask_token).flatten(1)

        return self.encode(torch.arange(len(views), device=views.device), encode).unflatten(1, (-1, vit.embed_dim))

    def patches(self, tokens: Float[Tensor, "m t d"]) -> Float[Tensor, "m p d"]:
        return tokens[:, vision_transformer(self.encoder).num_prefix_tokens :]

    def teacher_temperature(self) -> float:
        steps = self.teacher_warmup * self.training_context.steps_per_epoch
        return warmed_up(*self.teacher_ends, step=self.global_step, steps=steps)

    def frozen_parameters(self, step: int) -> Iterable[nn.Parameter]:
        held = step < self.freeze_epochs * self.training_context.steps_per_epoch
        return [head[1].weight for head in self.heads] if held else []  # type: ignore[index]

    def embed(self, view: Any) -> Tensor:
        return self.heads[0][0](self.encode(view))  # type: ignore[index]

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"dino": math.log(self.prototypes), "ibot": MASKED_VIEWS * math.log(self.prototypes)}
