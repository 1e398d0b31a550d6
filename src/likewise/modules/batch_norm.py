"""BatchNorm over the whole batch, where several processes share it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from likewise.distributed import total


class WholeBatchNorm(_BatchNorm):
    """BatchNorm by the mean and the variance of the rows of all processes; in evaluation, BatchNorm.

    It is made of a BatchNorm, whose weights and running statistics it has. What follows the normalization in a layer of
    timm (dropout, activation) follows here too.

    Args:
        layer: a BatchNorm.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.kind = type(layer)
        _share(layer, self)

    def forward(self, x: Float[Tensor, "n c *places"]) -> Float[Tensor, "n c *places"]:
        y = self.normalized(x)
        for layer in self.children():
            y = layer(y)
        return y

    def normalized(self, x: Float[Tensor, "n c *places"]) -> Float[Tensor, "n c *places"]:
        return super().forward(x)

    def alone(self) -> _BatchNorm:
        """The BatchNorm of which it was made, as it is now."""
        layer = self.kind(self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats)
        _share(self, layer)
        return layer

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.dim() >= 2, "BatchNorm takes rows of channels"


class SyncedBatchNorm(WholeBatchNorm, nn.SyncBatchNorm):
    """As torch computes it, on GPUs."""


class SummedBatchNorm(WholeBatchNorm):
    """By sums over processes, on a CPU, for which torch has none."""

    def normalized(self, x: Float[Tensor, "n c *places"]) -> Float[Tensor, "n c *places"]:
        """In training with gradients through the statistics of all processes."""
        if not self.training:
            return super().normalized(x)
        self._check_input_dim(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        rows = values.new_full((1,), values.numel() / values.shape[1])
        sums, count = total(torch.cat([values.sum(over), rows])).split([values.shape[1], 1])
        mean = sums / count
        centered = values - mean.view(shape)
        variance = total(centered.square().sum(over)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        y = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        """Update the running statistics."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


def join_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Replace every BatchNorm inside a module by one over all processes. Names and values in its state stay.

    Args:
        module: in which.
        device: on which it will compute.
    """
    by = SummedBatchNorm if device.type == "cpu" else SyncedBatchNorm
    _replace(module, lambda layer: isinstance(layer, _BatchNorm) and not isinstance(layer, WholeBatchNorm), by)


def part_batch_norm(module: nn.Module) -> None:
    """Undo `join_batch_norm`."""
    _replace(module, lambda layer: isinstance(layer, WholeBatchNorm), WholeBatchNorm.alone)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a module normalizes by its batch."""
    return any(isinstance(layer, _BatchNorm) for layer in module.modules())


def _replace(module: nn.Module, chosen: Callable[[nn.Module], bool], by: Callable[..., nn.Module]) -> None:
    made: dict[nn.Module, nn.Module] = {}  # a layer may have several places
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if chosen(layer):
                made[layer] = made.get(layer) or by(layer)
                setattr(parent, name, made[layer])


def _share(of: nn.Module, to: nn.Module) -> None:
    """Give a module the parameters, buffers, inner layers and mode of another."""
    to._parameters, to._buffers, to._modules = of._parameters, of._buffers, of._modules
    to.training = of.training
