"""MoCo v3: predict the other view's key, from a momentum encoder, against the keys of the batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int, check_interval
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.methods.base import Method
from likewise.modules.ema import EMA, cosine_momentum
from likewise.modules.heads import mlp
from likewise.modules.temperature import Temperature

MOST_LAYERS = 8  # of a head


class MoCoV3(Method):
    """Chen, Xie & He 2021, An Empirical Study of Training Self-Supervised Vision Transformers, arXiv:2104.02057.

    The loss is `2 T InfoNCE(q, k)`, summed over both directions (algorithm 1). The patch projection of a Vision
    Transformer stays at its random initialization, which stabilizes training (section 4.2).

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of queries and keys.
        hidden_dim: width of the hidden layers of projector and predictor.
        projector_layers: of the projector, at least 2: 3 for Vision Transformers, 2 for ResNets in the authors' code.
        predictor_norm: whether BatchNorm follows the predictor's last layer: not for ResNets in the authors' code.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        key_momentum: initial momentum of the key encoder, in [0, 1]; it rises to 1 by half a cosine.

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    paper = "2104.02057"
    when_to_use = "Vision Transformers and large batches; symmetric, without a queue"
    min_batch_size = 2
    deployed_role = "online"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 256,
        hidden_dim: int = 4096,
        projector_layers: int = 3,
        predictor_norm: bool = True,
        temperature: float | str = 0.2,
        key_momentum: float = 0.99,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, hidden_dim=hidden_dim)
        check_int(2, MOST_LAYERS, projector_layers=projector_layers)
        check_interval(0, 1, key_momentum=key_momentum)

        def head(*widths: int) -> nn.Sequential:
            return nn.Sequential(mlp(*widths, projection_dim), nn.BatchNorm1d(projection_dim, affine=False))

        self.projector = head(self.dim, *[hidden_dim] * (projector_layers - 1))
        predictor = head(projection_dim, hidden_dim)
        self.predictor = predictor if predictor_norm else predictor[0]
        self.keys = EMA(self.encoder, self.projector)
        self.temperature = Temperature(temperature)
        self.key_momentum = key_momentum

    def objective(self, first: Any, second: Any) -> Tensor:
        self.keys.update(self.encoder, self.projector, momentum=cosine_momentum(self.key_momentum, self.progress))
        q1, q2 = gather(self.embed(first)), gather(self.embed(second))
        k1, k2 = gather(self.keys(first)), gather(self.keys(second))
        self.track(q1, q2)
        return self.contrast(q1, k2) + self.contrast(q2, k1)

    def contrast(self, q: Tensor, k: Tensor) -> Tensor:
        """2 T InfoNCE: the factor keeps the gradients' scale the same for all temperatures (algorithm 1)."""
        temperature = self.temperature(self.progress)
        return 2 * temperature * info_nce(q, k, temperature=temperature)

    def embed(self, view: Any) -> Tensor:
        return self.predictor(self.projector(self.encode(view)))

    def frozen_parameters(self, step: int) -> Iterable[nn.Parameter]:
        return [weight for name, weight in self.encoder.named_parameters() if "patch_embed." in name]

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": 4 * torch.as_tensor(self.temperature(0.0)).item() * math.log(batch_size)}
