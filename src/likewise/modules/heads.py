"""Heads of objectives; they are dropped after training."""

from __future__ import annotations

from torch import nn


def mlp(dim: int, *widths: int, norm: bool = True) -> nn.Sequential:
    """Linear layers `dim -> widths[0] -> … -> widths[-1]`, with BatchNorm and ReLU between them.

    A linear layer before BatchNorm has no bias: the normalization would subtract it.
    Input `(n, dim)`, output `(n, widths[-1])`.
    """
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(dim, width, bias=not norm)]
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers += [nn.ReLU(inplace=True)]
        dim = width
    return nn.Sequential(*layers, nn.Linear(dim, widths[-1]))


def projector(dim: int, out: int, *, last_norm: bool = False) -> nn.Sequential:
    """SimCLR's projection head (arXiv:2002.05709, section 4.2): one hidden layer, as wide as the encoder's embedding.

    Input `(n, dim)`, output `(n, out)`; with `last_norm` normalized over the batch, then scaled, as in the authors'
    code.
    """
    layers = mlp(dim, dim, out)
    if not last_norm:
        return layers
    norm = nn.BatchNorm1d(out)
    norm.bias.requires_grad_(False)  # neither it nor the layer before has an offset
    return nn.Sequential(*layers[:-1], nn.Linear(dim, out, bias=False), norm)


def dino_projector(
    dim: int, hidden_dim: int, out: int, *, norm: bool = False, init_std: float | None = None
) -> nn.Sequential:
    """DINO's projection head (arXiv:2104.14294, appendix C): two hidden layers with GELU, and BatchNorm if `norm`.

    Input `(n, dim)`, output `(n, out)`, the bottleneck before the prototypes. With `init_std` weights begin normal with
    this deviation, truncated, and biases at 0.
    """
    hidden: list[nn.Module] = []
    for width in (dim, hidden_dim):
        hidden += [nn.Linear(width, hidden_dim), nn.BatchNorm1d(hidden_dim) if norm else nn.Identity(), nn.GELU()]
    head = nn.Sequential(*hidden, nn.Linear(hidden_dim, out))
    for layer in head:
        if init_std is not None and isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=init_std)
            nn.init.zeros_(layer.bias)
    return head
