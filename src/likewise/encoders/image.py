"""Image encoders: view `(n, channels, size, size)` -> embedding `(n, dim)`.

The architectures are torchvision's and timm's, built without weights, a ResNet-8 for small images, and models of
transformers that are read from a folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, require
from likewise.encoders.base import Encoder
from likewise.encoders.convolutions import nature_cnn
from likewise.encoders.folder import FOLDER
from likewise.encoders.folder_image import folder_image_network
from likewise.encoders.vit import grid_positions
from likewise.errors import UserError, nearest

SMALL_STEM_UP_TO = 40  # px: ImageNet's stem would leave a 32 px image 8x8 positions before the first block
MOST_CHANNELS = 1024  # as many as views may have
RESNET8_UP_TO = 32  # px
LEAST_PLACES, MOST_PLACES = 7, 32  # of a ViT in a row
MICRO_COARSE_UP_TO = 16  # px: up to here vit_micro has 4x4 places or more, above as many as the other ViTs

Build = Callable[[int, int], tuple[nn.Module, int]]
"""Channels and size -> a network without a classifier, and the length of its output."""


class StridedConv(nn.Conv2d):
    """A convolution without strides over a single pixel, to which small parts of images shrink in deep layers.

    The output is the same. torch 2.14 on a CPU leaves the bfloat16 gradient of the weights of such strides
    uninitialized.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if input.shape[-2:] == (1, 1) and isinstance(self.padding, tuple):
            return nn.functional.conv2d(input, weight, bias, 1, self.padding, self.dilation, self.groups)
        return super()._conv_forward(input, weight, bias)


class ImageEncoder(Encoder):
    """A network without its classifier; its places are those of the last feature map, row by row.

    The features are those before the pooling: of a ResNet the output of the last block, of a Vision Transformer the
    normalized patch tokens without the class token. `forward` pools as the architecture does: a ResNet takes the mean
    over the places, a Vision Transformer of timm usually the class token.

    Args:
        body: the network, `(n, c, h, w)` -> `(n, dim)`.
        dim: length of its output.
        config: what `image_encoder(**config)` needs to build it again.
        pool_grid: above 1, the embedding is the mean of the features in each of `pool_grid` x `pool_grid` cells, one
            cell after the other for each feature, instead of what the architecture pools.
    """

    config: dict[str, Any]

    def __init__(self, body: nn.Module, dim: int, config: dict[str, Any], pool_grid: int = 1) -> None:
        super().__init__()
        for layer in body.modules():
            if type(layer) is nn.Conv2d and max(layer.stride) > 1:
                layer.__class__ = StridedConv
        self.body = body
        self.features_dim: int = getattr(body, "num_features", dim)
        self.dim = dim if pool_grid == 1 else self.features_dim * pool_grid**2
        self.pool_grid = pool_grid
        self.config = config

    @property
    def any_size(self) -> bool:
        """Whether views of any size are taken as they are, without embeddings of positions that are made for one."""
        return not (hasattr(self.body, "patch_embed") or getattr(self.body, "has_positions", False))

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        return self.body(view) if self.pool_grid == 1 else self._with_map(view)[0]

    def features(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n places d"]:
        """The features of each place, row by row.

        Raises:
            UserError: for an architecture whose features have no places.
        """
        return self.with_features(view)[1]

    def with_features(
        self, view: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n places d"]]:
        """The embedding, equal to the bit to that of `forward`, and the features, in one pass."""
        embedding, feature_map = self._with_map(view)
        return embedding, feature_map.flatten(2).transpose(1, 2)

    def feature_map(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The features laid out on their grid, channels first."""
        return self._with_map(view)[1]

    def feature_maps(self, view: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Maps of several depths, channels first, the finest first, the last one that of `features`.

        Of each size that has at most `MOST_PLACES` places in a row, the deepest map. An architecture whose maps all
        have one size, as a Vision Transformer's, gives a single one.
        """
        body: Any = self.body
        maps: list[Tensor] = []
        if not hasattr(body, "forward_features"):
            final = view
            for layer in body.children():
                if isinstance(layer, nn.AdaptiveAvgPool2d):
                    break
                final = layer(final)
                maps.append(final)
        elif len({stage["reduction"] for stage in getattr(body, "feature_info", [])}) > 1:  # a network of timm's
            features, maps = body.forward_intermediates(view, output_fmt="NCHW")
            final = self._as_map(features, view)
        else:
            final = self.feature_map(view)
        deepest = {each.shape[2]: each for each in maps}
        return [*(each for rows, each in deepest.items() if final.shape[2] < rows <= MOST_PLACES), final]

    @torch.no_grad()
    def grid(self, view: Float[Tensor, "n c h w"] | None = None) -> tuple[int, int]:
        """Rows and columns of the places."""
        size = self.config["size"]
        shape = (self.config["channels"], size, size) if view is None else view.shape[1:]
        training = self.training
        rows, columns = self.eval().feature_map(next(self.parameters()).new_zeros(1, *shape)).shape[2:]
        self.train(training)
        return rows, columns

    def _with_map(self, view: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n d i j"]]:
        embedding, feature_map = self._pooled_with_map(view)
        if self.pool_grid == 1:
            return embedding, feature_map
        return nn.functional.adaptive_avg_pool2d(feature_map, self.pool_grid).flatten(1), feature_map

    def _pooled_with_map(
        self, view: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n pooled"], Float[Tensor, "n d i j"]]:
        body: Any = self.body
        if hasattr(body, "forward_features"):  # timm's and those of a folder
            features = body.forward_features(view)
            return body.forward_head(features), self._as_map(features, view)
        for layer in body.children():  # our ResNet and torchvision's are layers in a row
            if isinstance(layer, nn.AdaptiveAvgPool2d):
                break
            view = layer(view)
        return layer(view).flatten(1), view

    def _as_map(self, features: Tensor, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if getattr(self.body, "output_fmt", "NCHW") == "NHWC" else features
        if features.ndim == 3:
            tokens = features[:, getattr(self.body, "num_prefix_tokens", 0) :].transpose(1, 2)
            rows = round((tokens.shape[2] * view.shape[2] / view.shape[3]) ** 0.5)
            if tokens.shape[2] % rows == 0:
                return tokens.unflatten(2, (rows, -1))
        name, shape = self.config["name"], tuple(features.shape)
        raise UserError(f"encoder must be one with features of places, got {name}, whose features are {shape}")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, arXiv:1512.03385; average-pooled as in arXiv:1812.01187)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return torch.relu(self.residual(x) + self.shortcut(x))


def resnet8(channels: int, size: int) -> tuple[nn.Module, int]:
    """A ResNet of 6n+2 = 8 layers (arXiv:1512.03385, section 4.2), wider than the paper's: 32 to 256 channels.

    Above 16 px the stem halves the image: 28 px cost a quarter, and little detail is lost.
    """
    widths = (32, 64, 128, 256)
    stem = nn.Conv2d(channels, widths[0], 3, 2 if size > 16 else 1, 1, bias=False)
    blocks = [BasicBlock(a, b, 2 if size > 8 or b < widths[-1] else 1) for a, b in pairwise(widths)]
    body = nn.Sequential(
        stem,
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return body, widths[-1]


def _torchvision_resnet(name: str) -> Build:
    def build(channels: int, size: int) -> tuple[nn.Module, int]:
        import torchvision

        body = getattr(torchvision.models, name)(weights=None)
        dim = body.fc.in_features
        body.fc = nn.Identity()
        if size <= SMALL_STEM_UP_TO:
            body.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
            body.maxpool = nn.Identity()
        elif channels != 3:
            body.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
        return body, dim

    return build


def _patch_size(name: str, size: int, least: int) -> int:
    """The largest patches that give `least` places or more in a row.

    Raises:
        UserError: where none divide the image, or only such that give too many places.
    """
    patch = next((p for p in (16, 8, 4, 2, 1) if size % p == 0 and size // p >= least), None)
    if patch is None or size // patch > MOST_PLACES:
        raise UserError(
            f"size {size} can't be cut into patches for {name}: "
            "use a multiple of 4 from 28, of 8 from 56 or of 16 from 112"
        )
    return patch


def _vit(name: str) -> Build:
    def build(channels: int, size: int) -> tuple[nn.Module, int]:
        body = _timm_vit(name, channels, size, _patch_size(name, size, LEAST_PLACES))
        return body, body.num_features

    return build


def _timm_vit(name: str, channels: int, size: int, patch: int, **architecture: Any) -> Any:
    import timm

    return timm.create_model(
        f"{name}_patch16_224",
        pretrained=False,
        num_classes=0,
        in_chans=channels,
        img_size=size,
        patch_size=patch,
        dynamic_img_size=True,  # views of parts are smaller than those of the whole
        dynamic_img_pad=True,
        **architecture,
    )


def _fixed_positions(body: Any) -> None:
    """Give a Vision Transformer sine and cosine position embeddings that are not trained; the class token has none."""
    rows, columns = body.patch_embed.grid_size
    places = grid_positions(rows, columns, body.embed_dim)[None]
    prefix = places.new_zeros(1, body.num_prefix_tokens, body.embed_dim)
    body.pos_embed = nn.Parameter(torch.cat([prefix, places], dim=1), requires_grad=False)


def _xavier(body: Any, *, apart: bool) -> None:
    """Weights uniform by Glorot & Bengio (2010), biases 0.

    Args:
        body: a `VisionTransformer` of timm.
        apart: whether queries, keys and values count as three layers, not one.
    """
    for name, layer in body.named_modules():
        if isinstance(layer, nn.Linear):
            rows, columns = layer.weight.shape
            bound = math.sqrt(6 / (rows // (3 if apart and name.endswith("qkv") else 1) + columns))
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
    projection = body.patch_embed.proj
    bound = math.sqrt(6 / (projection.weight[0].numel() + body.embed_dim))
    nn.init.uniform_(projection.weight, -bound, bound)
    nn.init.zeros_(projection.bias)


def _vit_of_paper(name: str, model: str, *, apart: bool, token_std: float, **architecture: Any) -> Build:
    """A Vision Transformer of timm with fixed sine and cosine positions and Xavier initialization."""

    def build(channels: int, size: int) -> tuple[nn.Module, int]:
        body = _timm_vit(model, channels, size, _patch_size(name, size, LEAST_PLACES), **architecture)
        _fixed_positions(body)
        _xavier(body, apart=apart)
        nn.init.normal_(body.cls_token, std=token_std)
        return body, body.num_features

    return build


def vit_micro(channels: int, size: int) -> tuple[nn.Module, int]:
    """A Vision Transformer for small images and short trainings: 3 blocks of width 64; the mean over the patches.

    timm's weights begin at a deviation of 0.02, positions too. So narrow a network then begins near the identity: its
    embeddings hardly depend on where something is in the image, and a few hundred steps teach them little. Here weights
    begin as in arXiv:2111.06377 (Xavier), and positions as large as the patches.
    """
    from timm.models.vision_transformer import VisionTransformer

    patch = _patch_size("vit_micro", size, 4 if size <= MICRO_COARSE_UP_TO else LEAST_PLACES)
    body = VisionTransformer(
        img_size=size,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        global_pool="avg",
        class_token=False,
        fc_norm=False,  # patches are normalized too, as methods of patches need them
        embed_dim=64,
        depth=3,
        num_heads=4,
        dynamic_img_size=True,
        dynamic_img_pad=True,
    )
    for layer in body.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    assert body.pos_embed is not None
    nn.init.normal_(body.pos_embed, std=0.5)
    return body, body.num_features


ARCHITECTURES: dict[str, Build] = {
    "resnet8": resnet8,
    "resnet18": _torchvision_resnet("resnet18"),
    "resnet34": _torchvision_resnet("resnet34"),
    "resnet50": _torchvision_resnet("resnet50"),
    "vit_micro": vit_micro,
    "vit_tiny": _vit("vit_tiny"),
    "vit_small": _vit("vit_small"),
    "nature_cnn": nature_cnn,
    "vit_large": _vit("vit_large"),
    # MoCo v3 (arXiv:2104.02057, section 5): 12 heads, not 6. MAE (arXiv:2111.06377, appendix A.1).
    "vit_small_moco": _vit_of_paper("vit_small_moco", "vit_small", apart=True, token_std=1e-6, num_heads=12),
    "vit_large_mae": _vit_of_paper("vit_large_mae", "vit_large", apart=False, token_std=0.02),
}


def _timm(name: str, channels: int, size: int) -> tuple[nn.Module, int]:
    import timm

    if not timm.is_model(name):
        raise UserError(f"encoder 'timm:{name}' is not a model of timm{nearest(name, timm.list_models())}")
    plain: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": channels}
    body: Any
    try:
        try:
            body = timm.create_model(name, img_size=size, **plain)
        except TypeError:  # convolutional: takes any size, and no argument for it
            body = timm.create_model(name, **plain)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"encoder 'timm:{name}' can't be built for {size} px, {channels} channels: {error}") from error
    return body, getattr(body, "head_hidden_size", body.num_features)


def image_encoder(
    name: str,
    *,
    channels: int,
    size: int,
    pool_grid: int = 1,
    zero_init_residual: bool = False,
    architecture: dict[str, Any] | None = None,
) -> ImageEncoder:
    """Build an encoder with random weights (drawn from torch's global generator), or read a pretrained one.

    Args:
        name: one of `ARCHITECTURES`; `timm:` and any name that timm knows; or `hf:FOLDER`, a folder that transformers'
            `save_pretrained` wrote.
        channels: of the views; one channel in stays one channel, nothing is repeated.
        size: height and width of the views, in pixels.
        pool_grid: see `ImageEncoder`; at most as many cells in a row as the last map has places.
        zero_init_residual: of a ResNet, whether the last norm of each block begins with weight 0, so that the block
            begins as the identity (arXiv:1706.02677, section 5.1).
        architecture: transformers' configuration of what was in FOLDER, to be built again without it, untrained.

    Raises:
        UserError: for an unknown name, a folder that is none or holds no such model, a size that the architecture
            can't take, or more cells than its last map has places.
    """
    check_int(1, MOST_CHANNELS, channels=channels)
    check_int(size=size, pool_grid=pool_grid)
    config: dict[str, Any] = {"name": name, "channels": channels, "size": size}
    body: nn.Module
    if name.startswith(FOLDER):
        body, config["architecture"] = folder_image_network(
            name, channels=channels, size=size, architecture=architecture
        )
        dim = body.num_features
    elif name.startswith("timm:"):
        body, dim = _timm(name.removeprefix("timm:"), channels, size)
    elif name in ARCHITECTURES:
        body, dim = ARCHITECTURES[name](channels, size)
    else:
        known = ", ".join(ARCHITECTURES)
        near = nearest(name, ARCHITECTURES)
        raise UserError(f"unknown encoder '{name}'{near}; there are {known}, timm:NAME and hf:FOLDER")
    if zero_init_residual:
        _zero_residuals(body, name)
        config["zero_init_residual"] = True
    if pool_grid == 1:
        return ImageEncoder(body, dim, config)
    encoder = ImageEncoder(body, dim, config | {"pool_grid": pool_grid}, pool_grid)
    places = min(encoder.grid())
    require(
        pool_grid <= places, "pool_grid", f"at most {places}, the places in a row of {name} at {size} px", pool_grid
    )
    return encoder


def _zero_residuals(body: nn.Module, name: str) -> None:
    """Begin each residual block as its shortcut.

    Raises:
        UserError: for a network without residual blocks that end with a norm.
    """
    layers: list[Any] = list(body.modules())
    last: list[Any] = [layer.residual[-1] for layer in layers if isinstance(layer, BasicBlock)]
    for layer in layers:
        if type(layer).__name__ in ("BasicBlock", "Bottleneck") and hasattr(layer, "bn2"):  # torchvision's and timm's
            last.append(getattr(layer, "bn3", layer.bn2))
    require(bool(last), "zero_init_residual", f"false for {name}, which has no residual blocks of a ResNet", True)
    for norm in last:
        nn.init.zeros_(norm.weight)


def default_image_encoder(size: int, *, accelerated: bool) -> str:
    """The encoder's name when none is asked for: ResNet-8 for images up to 32 px on a CPU, else ResNet-18."""
    return "resnet8" if size <= RESNET8_UP_TO and not accelerated else "resnet18"
