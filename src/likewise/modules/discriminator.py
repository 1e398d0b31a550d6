"""A discriminator matches embeddings to a prior (Deep InfoMax, arXiv:1808.06670, section 3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from likewise.modules.heads import mlp


class Discriminator(nn.Module):
    """Discriminates noise, uniform in (0, 1), from the sigmoid of embeddings.

    One step trains both players. The discriminator sees the embeddings detached. The embeddings are scored by its
    detached weights with the non-saturating loss `-log D` (arXiv:1406.2661). One loss for both would instead train the
    embeddings to be discriminated.

    Args:
        dim: length of the embeddings.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.logit = mlp(dim, 1000, 200, 1, norm=False)

    def forward(
        self, embeddings: Float[Tensor, "n dim"], noise: Float[Tensor, "n dim"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The loss of the embeddings, ln 2 where they equal the noise, and the loss of the discriminator."""
        squashed = torch.sigmoid(embeddings)
        frozen = {name: p.detach() for name, p in self.logit.named_parameters()}
        of_embeddings = softplus(-functional_call(self.logit, frozen, squashed)).mean()
        of_discriminator = softplus(-self.logit(noise)).mean() + softplus(self.logit(squashed.detach())).mean()
        return of_embeddings, of_discriminator
