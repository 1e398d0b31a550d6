"""A decoder from embeddings to images, for autoencoders."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 8
FIRST_WIDTH, LAST_WIDTH = 128, 16  # channels at the smallest resolution and, at the least, at half the size


class ImageDecoder(nn.Module):
    """Transposed convolutions from embeddings to images (DCGAN, arXiv:1511.06434).

    It begins with 4 to 7 positions a side. Each layer doubles the size and halves the channels; the output is cropped
    to the size. The kernel is twice as wide as the stride, which avoids checkerboard artifacts. The last doubling is a
    convolution whose channels are pixels (arXiv:1609.05158): layers as large as the image would cost more than all
    others. The norms are GroupNorms: an image does not depend on the others of the batch.

    Args:
        dim: length of the embeddings.
        channels: of the images.
        size: height and width of the images in pixels, at least 4.
    """

    def __init__(self, dim: int, *, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        doublings = (size // 4).bit_length() - 1
        first = -(-size // 2**doublings)
        widths = [max(LAST_WIDTH, FIRST_WIDTH >> step) for step in range(max(1, doublings))]
        pixels = 2 if doublings else 1  # a side, of each of the last positions
        layers: list[nn.Module] = [
            nn.Linear(dim, widths[0] * first**2, bias=False),
            nn.Unflatten(1, (widths[0], first, first)),
            nn.GroupNorm(GROUPS, widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(wide, narrow, kernel_size=4, stride=2, padding=1, bias=False),
                nn.GroupNorm(GROUPS, narrow),
                nn.ReLU(inplace=True),
            ]
        last = nn.Conv2d(widths[-1], channels * pixels**2, kernel_size=3, padding=1)
        self.layers = nn.Sequential(*layers, last, nn.PixelShuffle(pixels))

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n c s s"]:
        return self.layers(z)[..., : self.size, : self.size]
