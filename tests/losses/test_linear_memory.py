"""No tensor as large as the matrix of similarities is ever made, forward or backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from likewise import losses
from likewise.losses import gaussian, geometry, tiles

N, D = 300, 4
DIRECTIONS = losses.random_directions(D, 100, torch.Generator().manual_seed(0)).float()
LABELS = torch.arange(N) % 10


class Largest(TorchDispatchMode):
    """Remembers the most elements of any tensor that an operation returned."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


@pytest.mark.parametrize(
    "loss",
    [
        losses.nt_xent,
        losses.dcl,
        losses.dcl_w,
        losses.hcl,
        lambda a, b: losses.nt_xent(a, b, temperature=0.01),
        lambda a, b: losses.nt_xent_hardest(a, b, k=5),
        lambda a, b: losses.sup_con(a, b, labels=LABELS),
        losses.info_nce,
        lambda a, b: losses.info_nce(a, b, b.detach(), in_batch=False),
        lambda a, b: losses.mined_triplet(a, LABELS),
        lambda a, b: losses.mined_triplet(b, LABELS, mining="batch-hard"),
        lambda a, b: losses.sigreg(a, DIRECTIONS),
        lambda a, b: losses.koleo(a),
        lambda a, b: losses.dense_info_nce(a.view(-1, 3, D), b.view(-1, 3, D), b.detach(), others=b.detach()[: N // 3]),
        losses.similarity_matching,
    ],
)
def test_gradients_in_tiles(loss: Callable[[Tensor, Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "tile_side", lambda device: 32)
    monkeypatch.setattr(tiles, "STRIPE_ELEMENTS", 2 * N)
    monkeypatch.setattr(tiles, "KEPT_ELEMENTS", 0)
    monkeypatch.setattr(geometry, "STRIPE", D)
    monkeypatch.setattr(gaussian, "STRIPE_ELEMENTS", 2 * N)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(N, D, generator=generator).requires_grad_() for _ in range(2))
    with Largest() as largest:
        loss(first, second).backward()
    assert first.grad is not None or second.grad is not None
    assert 0 < largest.elements <= 2 * N * D


def test_the_matrix_of_a_plain_loss_is_noticed() -> None:
    x = torch.randn(N, D, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with Largest() as largest:
        (x @ x.T).logsumexp(1).mean().backward()
    assert largest.elements == N * N
