"""A critic scores how well a part and a whole belong together (Deep InfoMax, arXiv:1808.06670)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from likewise.modules.heads import mlp


class Critic(nn.Module):
    """Encodes parts and wholes so that their dot products are scores: encode-and-dot-product of arXiv:1808.06670.

    Parts and wholes each pass a residual block. The parts are then normalized and divided by the square root of the
    width, so that scores are of order 1 at first, whatever the width.

    Args:
        part_dim: length of the features of a part.
        whole_dim: length of a whole.
        width: length of both after encoding.
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
