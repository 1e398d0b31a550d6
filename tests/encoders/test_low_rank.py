"""LoRA against its definition: W + B A, of a low rank, and plain weights afterwards."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from likewise.encoders import image_encoder
from likewise.encoders.low_rank import add_low_rank, merge_low_rank
from likewise.encoders.text import text_encoder
from likewise.errors import UserError


class Network(nn.Module):
    """A convolution, one of groups, a norm, and two linear layers, the last too narrow for rank 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 6)
        self.narrow = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(self.linear(self.norm(self.depthwise(self.conv(x))).mean((2, 3))))


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def test_nothing_is_added_at_first_and_only_the_low_rank_learns() -> None:
    plain, low = network().eval(), network().eval()
    x = torch.randn(4, 3, 8, 8)
    assert add_low_rank(low, 2) == 2
    assert torch.equal(low(x), plain(x))
    learned = {name for name, p in low.named_parameters() if p.requires_grad}
    assert learned == {
        f"{layer}.parametrizations.weight.0.{half}" for layer in ("conv", "linear") for half in ("down", "up")
    }
    assert low.linear.parametrizations.weight[0].down.shape == (2, 8)
    assert low.conv.parametrizations.weight[0].down.shape == (2, 27)


def test_the_weights_are_those_of_the_paper_and_stay_when_merged() -> None:
    plain, low = network().eval(), network().eval()
    add_low_rank(low, 2)
    optimizer = torch.optim.SGD([p for p in low.parameters() if p.requires_grad], lr=0.5)
    x = torch.randn(16, 3, 8, 8)
    for _ in range(3):
        optimizer.zero_grad()
        low(x).square().sum().backward()
        optimizer.step()
    part = low.linear.parametrizations.weight[0]
    expected = plain.linear.weight.double() + part.up.double() @ part.down.double()
    torch.testing.assert_close(low.linear.weight.double(), expected, rtol=1e-6, atol=1e-6)
    filters = low.conv.parametrizations.weight[0]
    added = (filters.up.double() @ filters.down.double()).view(8, 3, 3, 3)
    x64 = F.conv2d(x.double(), plain.conv.weight.double() + added, plain.conv.bias.double())
    torch.testing.assert_close(low.conv(x).double(), x64, rtol=1e-4, atol=1e-5)

    before = low(x)
    merged = merge_low_rank(copy.deepcopy(low))
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(merged(x), before)
    change = (merged.linear.weight - plain.linear.weight).detach()
    assert change.abs().max() > 0
    assert torch.linalg.matrix_rank(change, tol=1e-5) == 2
    for name in ("depthwise.weight", "norm.weight", "linear.bias", "narrow.weight"):
        assert torch.equal(merged.state_dict()[name], plain.state_dict()[name])
    assert merge_low_rank(plain) is plain


def test_an_encoder_of_images_gives_the_same_before_it_learns() -> None:
    torch.manual_seed(0)
    encoder = image_encoder("resnet18", channels=1, size=32).eval()
    x = torch.randn(2, 1, 32, 32)
    before = encoder(x)
    assert add_low_rank(encoder, 4) > 15
    assert torch.equal(encoder(x), before)
    assert torch.equal(encoder.with_features(x)[0], before)


def test_a_rank_that_no_layer_has() -> None:
    with pytest.raises(UserError, match="lora must be below the rank of the weights of a layer of Network, got 100"):
        add_low_rank(network(), 100)


def test_a_weight_that_is_made_of_others_stays_so() -> None:
    """As the positional convolution of wav2vec 2.0."""
    plain = network()
    nn.utils.parametrizations.weight_norm(plain.linear)
    low = copy.deepcopy(plain)
    assert add_low_rank(low, 2) == 1
    assert merge_low_rank(low).state_dict().keys() == plain.state_dict().keys()
    assert merge_low_rank(copy.deepcopy(plain)).state_dict().keys() == plain.state_dict().keys()


def test_an_encoder_without_a_layer_that_takes_it_is_told_to_leave_it_out() -> None:
    encoder = text_encoder("static-256", vocab_size=50, max_tokens=12, pad=0)
    with pytest.raises(UserError, match=r"^lora must be left out with static-256, no layer of which .* got 1$"):
        add_low_rank(encoder, 1)
    assert all(p.requires_grad for p in encoder.parameters())
