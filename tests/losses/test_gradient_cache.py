from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likewise.losses import encode_cached, nt_xent

HIDDEN = 31


def network(*, dropout: float = 0.0) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(6, HIDDEN), nn.ReLU(), nn.Dropout(dropout), nn.Linear(HIDDEN, 4)).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in layers.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return layers.double()


def batch() -> Tensor:
    return torch.randn(24, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradients(model: nn.Module, embeddings: Tensor) -> list[Tensor]:
    loss = nt_xent(*embeddings.chunk(2), temperature=0.2)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize("micro_batch_size", [1, 8, 24])
def test_gradients_are_those_of_the_whole_batch(micro_batch_size: int) -> None:
    model = network()
    whole = gradients(model, model(batch()))
    cached = gradients(model, encode_cached(model, batch(), micro_batch_size=micro_batch_size))
    torch.testing.assert_close(cached, whole, rtol=1e-10, atol=1e-12)


def test_dropout_is_replayed_and_the_random_state_goes_on() -> None:
    model = network(dropout=0.5)
    torch.manual_seed(3)
    plain = gradients(model, torch.cat([model(part) for part in batch().split(8)]))
    after = torch.rand(2)
    torch.manual_seed(3)
    cached = gradients(model, encode_cached(model, batch(), micro_batch_size=8))
    torch.testing.assert_close(cached, plain, rtol=1e-10, atol=1e-12)
    assert torch.equal(torch.rand(2), after)


def test_only_one_micro_batch_is_encoded_at_a_time_and_nothing_of_it_is_held() -> None:
    model, rows, held = network(), [], []

    def encode(x: Tensor) -> Tensor:
        rows.append(len(x))
        return model(x)

    def pack(tensor: Tensor) -> Tensor:
        held.append(tensor.shape[-1])
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = nt_xent(*encode_cached(encode, batch(), micro_batch_size=8).chunk(2))
    assert HIDDEN not in held
    loss.backward()
    assert rows == [8] * 6


@pytest.mark.parametrize("micro_batch_size", [0, -8, 7, 48])
def test_a_micro_batch_that_does_not_divide(micro_batch_size: int) -> None:
    with pytest.raises(
        ValueError, match=f"micro_batch_size must be a divisor of the 24 rows of the batch, got {micro_batch_size}"
    ):
        encode_cached(network(), batch(), micro_batch_size=micro_batch_size)
