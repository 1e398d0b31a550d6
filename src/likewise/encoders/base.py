"""What makes any module an encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from likewise.errors import UserError


def adopt(module: nn.Module, view: Any) -> nn.Module:
    """Any module that maps a view to `(n, dim)` is an encoder; give it its `dim` if it does not know it.

    Args:
        module: the user's network.
        view: one view of a few samples, to see what comes out.

    Raises:
        UserError: when the output is not a matrix with a row for each sample, or not as wide as `dim` says.
    """
    training = module.training
    with torch.no_grad():
        output = module.eval()(view)
    module.train(training)
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise UserError(
            f"the encoder must return embeddings (n, dim), got {shape}: remove its classifier, flatten its output"
        )
    if getattr(module, "dim", output.shape[1]) != output.shape[1]:
        raise UserError(f"the encoder's dim is {module.dim}, but its embeddings have {output.shape[1]} numbers")
    module.dim = output.shape[1]  # type: ignore[assignment]
    return module
