"""What an encoder is: a network from a view to an embedding, with features of the places that the view consists of."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from likewise.checks import require
from likewise.errors import UserError


class Encoder(nn.Module):
    """Maps a view to an embedding `(n, dim)`, and to features `(n, places, features_dim)` before the pooling.

    Places are patches of an image, frames of a recording, tokens of a text. Subclasses write `features` and `forward`.

    Attributes:
        dim: length of the embedding.
        features_dim: length of the features of one place.
        config: the arguments that build the encoder again, without its weights; None where it can't be.
    """

    dim: int
    features_dim: int
    config: dict[str, Any] | None

    def forward(self, view: Any) -> Float[Tensor, "n dim"]:
        """The embedding of each sample."""
        raise NotImplementedError

    def features(self, view: Any) -> Float[Tensor, "n places d"]:
        """The features of each place, in the order of the places."""
        raise NotImplementedError

    def with_features(self, view: Any) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n places d"]]:
        """Embedding and features of the same view; encoders override it with a single pass."""
        return self(view), self.features(view)

    def places_mask(self, view: Any) -> Bool[Tensor, "n places"] | None:
        """Which places belong to the sample, False for padding; None where all do."""
        return None

    def grid(self, view: Any = None) -> tuple[int, ...]:
        """The shape in which the places of a view are laid out; its product is their number.

        (rows, columns) of an image, whose places are in row-major order; (frames,) or (tokens,) of a sequence.

        Args:
            view: None for a view of the size that the encoder was built for.
        """
        raise NotImplementedError


def encoder_name(encoder: nn.Module) -> str:
    """What messages call an encoder: the name that built it, or its class."""
    return (getattr(encoder, "config", None) or {}).get("name", type(encoder).__name__)


def adopt(module: nn.Module, view: Any) -> nn.Module:
    """Any module that maps a view to `(n, dim)` serves as an encoder; its `dim` is set where it has none.

    Args:
        module: the user's network.
        view: one view of a few samples, to see what the module returns.

    Raises:
        UserError: when the output is not a matrix with a row for each sample, or not as wide as `dim` says.
    """
    training = module.training
    with torch.no_grad():
        output = module.eval()(view)
    module.train(training)
    is_matrix = isinstance(output, torch.Tensor) and output.ndim == 2
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    remedy = "remove the classifier, flatten the output"
    require(is_matrix, "output of the encoder", "embeddings (n, dim)", shape, remedy)
    if getattr(module, "dim", output.shape[1]) != output.shape[1]:
        raise UserError(f"dim of the encoder must be {output.shape[1]} as its embeddings, got {module.dim}")
    module.dim = output.shape[1]
    return module
