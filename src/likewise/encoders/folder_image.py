"""Image models of transformers, with the interface of timm's that `ImageEncoder` uses."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import require
from likewise.encoders.folder import PREPROCESSING, architecture_of, build_model, folder_of, read_config, read_model
from likewise.errors import UserError

ROW_OF_TOKENS = ("deit", "dinov2", "dinov2_with_registers", "vit")
"""Types with a class token, which is the embedding: what their authors evaluate."""
RESAMPLED = ("deit", "swin", "vit")
"""Types that must be asked to resample their position embeddings; DINOv2 does so itself."""


class ImagePreprocessing(NamedTuple):
    """How the images were prepared that a model has learned from; None where a folder does not say."""

    size: int | None
    """Height and width, in pixels."""
    mean: list[float] | None
    std: list[float] | None
    """Of the normalization, per channel, in [0, 1]."""


class FolderImageNetwork(nn.Module):
    """An image model of transformers: views of any size -> embeddings.

    The embedding is the class token after the last norm where there is one, else what the architecture pools. Position
    embeddings are resampled to the size of a view.

    Args:
        network: `ViTModel`, `ResNetModel`, … ; parts that only other tasks use are taken out of it.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        kind = network.config.model_type
        if kind in ROW_OF_TOKENS:
            network.pooler = None  # a layer that is trained with a classifier only
        if getattr(getattr(network, "embeddings", None), "mask_token", None) is not None:
            network.embeddings.mask_token = None
        self.network = network
        self.has_class_token = kind in ROW_OF_TOKENS
        self.has_positions = kind in (*ROW_OF_TOKENS, *RESAMPLED)
        self.resampling = {"interpolate_pos_encoding": True} if kind in RESAMPLED else {}
        # After the class token stand a token of distillation, or registers.
        after = {"deit": 1, "dinov2_with_registers": getattr(network.config, "num_register_tokens", 0)}
        self.num_prefix_tokens: int = 1 + after.get(kind, 0) if self.has_class_token else 0
        self.num_features: int = _width(network)

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        return self.forward_head(self.forward_features(view))

    def forward_features(self, view: Float[Tensor, "n c h w"]) -> Tensor:
        """Tokens `(n, t, d)`, those of `num_prefix_tokens` first; of convolutional networks a map `(n, d, i, j)`."""
        return self.network(view, **self.resampling).last_hidden_state

    def forward_head(self, features: Tensor) -> Float[Tensor, "n dim"]:
        """The embedding, of what `forward_features` returns."""
        if self.has_class_token:
            return features[:, 0]
        if features.ndim == 3:
            return self.network.pooler(features.transpose(1, 2)).flatten(1)
        if hasattr(self.network, "layernorm"):
            return self.network.layernorm(features.mean((-2, -1)))
        return self.network.pooler(features).flatten(1)


def _width(network: Any) -> int:
    """Of the features of the last layer."""
    config = network.config
    return config.hidden_sizes[-1] if getattr(config, "hidden_sizes", None) else config.hidden_size


def folder_image_network(
    name: str, *, channels: int, size: int, architecture: dict[str, Any] | None
) -> tuple[FolderImageNetwork, dict[str, Any]]:
    """A network and its architecture: read from a folder, or with random weights where the architecture is given.

    Args:
        name: `hf:FOLDER`.
        channels: of the views. Weights of three channels serve another number, as timm adapts them.
        size: of the views.
        architecture: as this function has returned it.

    Raises:
        UserError: for a folder that holds no such model, or a size that it can't take.
    """
    if architecture is not None:
        network = FolderImageNetwork(build_model(architecture, "image"))
        known = network.network.config.num_channels
        require(known == channels, "channels", f"{known}, as the weights have them", channels)
        _check_patches(network, name, size)
        return network, architecture
    model = read_model(name, "image")
    _fit_channels(model, channels, name)
    network = FolderImageNetwork(model)
    _check_patches(network, name, size)
    _try_size(network, name, channels, size)
    return network, architecture_of(model)


def image_preprocessing(name: str) -> ImagePreprocessing:
    """What `hf:FOLDER` says of the images that its model has learned from.

    Raises:
        UserError: for numbers that no images can be prepared with.
    """
    what = f"encoder '{name}'"
    said = read_config(folder_of(name), PREPROCESSING, what) or {}
    mean, std = (said.get(key) for key in ("image_mean", "image_std"))
    if said.get("do_normalize") is False:
        mean, std = [0.0], [1.0]
    for key, values, least in (("image_mean", mean, -math.inf), ("image_std", std, 0.0)):
        each_fits = isinstance(values, list) and all(_is_number(each) and each > least for each in values)
        rule = "finite numbers above 0" if least == 0 else "finite numbers"
        require(not values or each_fits, f"{what}: {key} of its {PREPROCESSING}", f"a list of {rule}", values)
    if not mean or not std or len(mean) != len(std):
        mean = std = None
    cropped = said.get("crop_size") if said.get("do_center_crop", True) else None
    return ImagePreprocessing(_side(cropped) or _side(said.get("size")), mean, std)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _side(value: Any) -> int | None:
    """Height and width of images; None where they are none, or not square."""
    if isinstance(value, dict):
        sides = {value.get(key) for key in ("height", "width", "shortest_edge") if isinstance(value.get(key), int)}
        value = sides.pop() if len(sides) == 1 else None
    return value if isinstance(value, int) and value > 0 else None


def _fit_channels(model: Any, channels: int, name: str) -> None:
    """Make the first convolution take so many channels, and the architecture say so."""
    known = model.config.num_channels
    if known == channels:
        return
    require(known == 3, "channels", f"{known}, as those of {name}", channels)
    from timm.models import adapt_input_conv

    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    first.weight = nn.Parameter(adapt_input_conv(channels, first.weight.detach()))
    first.in_channels = channels
    for layer in model.modules():
        if getattr(layer, "num_channels", None) == known:
            layer.num_channels = channels
    model.config.num_channels = channels


def _check_patches(network: FolderImageNetwork, name: str, size: int) -> None:
    """Raise `UserError` for images that patches don't fill: their edges would not be seen."""
    patch = getattr(network.network.config, "patch_size", 1)
    if network.has_class_token and isinstance(patch, int) and size % patch:
        near = " or ".join(str(each) for each in (size // patch * patch, (size // patch + 1) * patch) if each)
        raise UserError(f"size must be a multiple of {patch}, the patches of {name}, got {size}: use --size {near}")


@torch.no_grad()
def _try_size(network: FolderImageNetwork, name: str, channels: int, size: int) -> None:
    """Raise `UserError` for images that shrink to nothing."""
    training = network.training
    try:
        network.eval()(torch.zeros(1, channels, size, size))
    except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"encoder '{name}' can't take images of {size} px, try another --size: {reason}") from error
    network.train(training)
