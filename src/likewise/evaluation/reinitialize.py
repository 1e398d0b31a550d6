"""The same architecture with newly drawn weights."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from likewise.errors import UserError


def reinitialize(encoder: nn.Module) -> nn.Module:
    """A copy of `encoder` with new parameters, drawn by each module's `reset_parameters`.

    Draws from torch's global generator.

    Raises:
        UserError: when a module has parameters of its own but no `reset_parameters`, such as a ViT's class token.
            `make_encoder` must then be given.
    """
    copied = copy.deepcopy(encoder).requires_grad_(True)
    for name, module in copied.named_modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif own := next((key for key, _ in module.named_parameters(recurse=False)), None):
            raise UserError(
                "encoder must draw all its parameters anew by reset_parameters() of its modules, got "
                f"'{name + '.' if name else ''}{own}' without one: give make_encoder, a function that builds the "
                "untrained encoder"
            )
    return copied
