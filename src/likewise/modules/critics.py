"""Networks that judge embeddings during training: do a part and a whole belong together, is this one only noise?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from likewise.modules.heads import mlp


class Critic(nn.Module):
    """Encodes parts and wholes so that their products say how well they fit: arXiv:1808.06670, encode-and-dot-product.

    Each passes a residual block. The parts are then normalised, and divided by the root of the width: scores begin near
    1, whatever the width.
    """

    def __init__(self, part_dim: int, whole_dim: int, width: int) -> None:
        super().__init__()
        self.part, self.part_shortcut = mlp(part_dim, width, width), nn.Linear(part_dim, width)
        self.whole, self.whole_shortcut = mlp(whole_dim, width, width), nn.Linear(whole_dim, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, parts: Float[Tensor, "n m k"], wholes: Float[Tensor, "n y"]
    ) -> tuple[Float[Tensor, "n m d"], Float[Tensor, "n d"]]:
        flat = parts.flatten(0, 1)
        encoded = self.norm(self.part(flat) + self.part_shortcut(flat)) / self.norm.normalized_shape[0] ** 0.5
        return encoded.unflatten(0, parts.shape[:2]), self.whole(wholes) + self.whole_shortcut(wholes)


class Discriminator(nn.Module):
    """Tells noise, uniform in (0, 1), from the sigmoid of embeddings `(n, dim)`: the prior of arXiv:1808.06670.

    One step trains both sides of the game. The discriminator sees embeddings without their gradient. The embeddings are
    judged by its weights without theirs, by `-log D`, whose gradient does not vanish when the discriminator wins
    (arXiv:1406.2661). One loss that both minimise would instead teach the embeddings to be told from noise.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.logit = mlp(dim, 1000, 200, 1, norm=False)

    def forward(
        self, embeddings: Float[Tensor, "n dim"], noise: Float[Tensor, "n dim"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """What the embeddings minimise, ln 2 where they pass for noise, and what the discriminator does."""
        shown = torch.sigmoid(embeddings)
        frozen = {name: p.detach() for name, p in self.logit.named_parameters()}
        passing = softplus(-functional_call(self.logit, frozen, shown)).mean()
        telling = softplus(-self.logit(noise)).mean() + softplus(self.logit(shown.detach())).mean()
        return passing, telling
