"""All patches from the tokens of some."""

from __future__ import annotations

import torch
from torch import Tensor

from likewise.modules.patch_decoder import PatchDecoder


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orders(n: int, patches: int, seed: int = 0) -> Tensor:
    return torch.rand(n, patches, generator=torch.Generator().manual_seed(seed)).argsort(1)


def test_the_decoder_puts_every_patch_where_it_belongs() -> None:
    torch.manual_seed(0)
    decoder = PatchDecoder(24, grid=(4, 4), out=5, width=32, depth=2, prefix=1)
    tokens, order = random(2, 1 + 6, 24), orders(2, 16)
    rebuilt = decoder(tokens, order)
    assert rebuilt.shape == (2, 16, 5)
    # The order in which patches are seen, and that of the masked ones, changes nothing: only their positions do.
    mixed = torch.cat([order[:, :6].flip(1), order[:, 6:].roll(3, 1)], dim=1)
    again = decoder(torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], dim=1), mixed)
    torch.testing.assert_close(again, rebuilt)
    # Without blocks to mix them, a visible patch is what its own token says, and the hidden differ by place alone.
    decoder.blocks = torch.nn.Sequential()
    alone = decoder(tokens, order)
    for sample in range(2):
        for place, patch in enumerate(order[sample].tolist()):
            token = decoder.narrow(tokens[sample, 1 + place]) if place < 6 else decoder.mask_token[0, 0]
            expected = decoder.pixels(decoder.norm(token + decoder.positions[patch]))
            torch.testing.assert_close(alone[sample, patch], expected)
