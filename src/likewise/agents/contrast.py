"""The contrastive part of CURL: a momentum copy of the encoder, a bilinear similarity, and a step that trains both."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from likewise.losses import curl
from likewise.modules.ema import EMA

MOMENTUM = 0.95  # of the key encoder (arXiv:2004.04136, table 4)
PAPER_DIM = 50
"""Features for which the paper's code draws W from [0, 1)."""


class CropContrast(nn.Module):
    """Learns to find the other crop of an observation among those of the batch (Laskin et al. 2020, arXiv:2004.04136).

    Args:
        extractor: the encoder of the agent, which learns by this too. It is not part of this module.
        lr: learning rate of the encoder and of W.
    """

    def __init__(self, extractor: BaseFeaturesExtractor, *, lr: float) -> None:
        super().__init__()
        dim = extractor.features_dim
        self.keys = EMA(extractor)
        # Of more features, W is smaller: similarities begin as wide as the paper's.
        self.weight = nn.Parameter(torch.rand(dim, dim) * PAPER_DIM / dim)
        self.optimizer = torch.optim.Adam([*extractor.parameters(), self.weight], lr)

    def loss(
        self, extractor: nn.Module, queries: UInt8[Tensor, "n c h w"], keys: UInt8[Tensor, "n c h w"]
    ) -> Float[Tensor, ""]:
        """Of two crops of the same observations; row i of one belongs to row i of the other."""
        return curl(extractor(queries.float() / 255), self.keys(keys.float() / 255), self.weight)

    def step(
        self, extractor: nn.Module, queries: UInt8[Tensor, "n c h w"], keys: UInt8[Tensor, "n c h w"]
    ) -> Float[Tensor, ""]:
        """Follow the encoder, then train it and W once; the loss before the step."""
        self.keys.update(extractor, momentum=MOMENTUM)
        loss = self.loss(extractor, queries, keys)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()
