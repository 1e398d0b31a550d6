"""Audio encoders: view `(n, samples)` -> features of frames `(n, t, dim)` -> embedding `(n, dim)`, their mean.

Each view is first standardized to mean 0 and variance 1: loudness and offset carry no information. Only weights from
elsewhere that have learned from recordings as they are get them so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from likewise.checks import require
from likewise.encoders.base import Encoder, encoder_name
from likewise.encoders.folder import FOLDER
from likewise.encoders.folder_audio import folder_audio_network, sound_preprocessing
from likewise.encoders.image import image_encoder
from likewise.errors import UserError, nearest, needs
from likewise.views.mel import log_mel

BANDS = 64
SHORTEST = 0.1  # s: a few frames
PICTURES = {"mel-resnet8": "resnet8", "mel-resnet18": "resnet18"}
RECURRENT = {"conv-gru-tiny": (128, 128), "conv-gru-base": (512, 256)}
"""Channels of the convolutions and width of the GRU; base: that of arXiv:1807.03748, section 3.1."""
TRANSFORMERS = {
    "wav2vec2-tiny": (128, 4, 64, 0.0),  # with dropout its loss does not fall at first
    "wav2vec2-mini": (256, 6, 128, 0.1),
    "wav2vec2-base": (768, 12, 512, 0.1),
}
"""Width, layers, channels of the convolutions, and dropout; base: that of arXiv:2006.11477, section 4.2."""
AUDIO_ENCODERS = (*PICTURES, *RECURRENT, *TRANSFORMERS)

Kind = TypeVar("Kind", bound=nn.Module)


def standardize(x: Float[Tensor, " n *rest"]) -> Float[Tensor, " n *rest"]:
    """Each row with mean 0 and variance 1; a constant row, such as silence, becomes zeros."""
    rows = x.flatten(1)
    variance, mean = torch.var_mean(rows, dim=1, correction=0, keepdim=True)
    return ((rows - mean) / (variance + 1e-7).sqrt()).view_as(x)


class AudioEncoder(Encoder):
    """A network with features of frames in time; the embedding is their mean.

    Args:
        dim: length of the features and of the embedding.
        config: what `audio_encoder(**config)` needs to build it again.
    """

    config: dict[str, Any]

    def __init__(self, dim: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.dim = self.features_dim = dim
        self.config = config

    def forward(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n dim"]:
        return self.features(view).mean(1)

    def with_features(
        self, view: Float[Tensor, "n samples"]
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n t dim"]]:
        features = self.features(view)
        return features.mean(1), features

    def grid(self, view: Float[Tensor, "n samples"] | None = None) -> tuple[int]:
        """(frames,) of the features."""
        samples = round(self.config["sample_rate"] * self.config["seconds"]) if view is None else view.shape[1]
        return (self.count_frames(samples),)

    def count_frames(self, samples: int) -> int:
        """How many frames a view of so many samples has."""
        raise NotImplementedError


class MelEncoder(AudioEncoder):
    """A standardized log-mel spectrogram, encoded as an image of one channel.

    The features of a frame are the mean over the frequencies of the image network's feature map.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        image = image_encoder(PICTURES[config["name"]], channels=1, size=BANDS)
        super().__init__(image.dim, config)
        self.image = image

    def features(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n t dim"]:
        feature_map = self.image.feature_map(self.spectrogram(view))
        return feature_map.mean(2).transpose(1, 2)

    def spectrogram(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n 1 bands frames"]:
        """What the image network sees."""
        decibels = log_mel(standardize(waves), self.config["sample_rate"], bands=BANDS)
        return standardize(decibels)[:, None]

    def count_frames(self, samples: int) -> int:
        return self.image.grid(self.spectrogram(next(self.parameters()).new_zeros(1, samples)))[1]


class ConvolutionalEncoder(AudioEncoder):
    """Convolutions in time, without padding, and a network over their output.

    Args:
        layers: kernel and stride of each convolution.
    """

    def __init__(self, dim: int, layers: Sequence[tuple[int, int]], config: dict[str, Any]) -> None:
        super().__init__(dim, config)
        self.layers = layers

    def count_frames(self, samples: int) -> int:
        for kernel, stride in self.layers:
            samples = (samples - kernel) // stride + 1
        return samples


class ChannelNormConv(nn.Module):
    """A convolution in time, LayerNorm of each frame by itself, and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Float[Tensor, "n c t"]) -> Float[Tensor, "n d u"]:
        return torch.relu(self.norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class ConvGRU(ConvolutionalEncoder):
    """Latents every 10 ms by five strided convolutions, and a causal GRU over them.

    CPC, arXiv:1807.03748, section 3.1.

    Args:
        config: see `AudioEncoder`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        channels, width = RECURRENT[config["name"]]
        layers = cpc_convolutions(config["sample_rate"])
        super().__init__(width, layers, config)
        inputs = (1, *[channels] * (len(layers) - 1))
        self.convolutions = nn.Sequential(
            *(ChannelNormConv(before, channels, *layer) for before, layer in zip(inputs, layers, strict=True))
        )
        self.latent_dim = channels
        self.context = nn.GRU(channels, width, batch_first=True)

    def latents(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n t c"]:
        """The output of the convolutions, for each 10 ms."""
        return self.convolutions(standardize(waves)[:, None]).transpose(1, 2)

    def features(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n t dim"]:
        """The states of the GRU."""
        return self.context(self.latents(view))[0]


class Wav2Vec2(ConvolutionalEncoder):
    """Convolutions, a frame about every 20 ms, and a Transformer over them (arXiv:2006.11477).

    Args:
        body: transformers' `Wav2Vec2Model`, or `HubertModel` or `WavLMModel`, which differ in the Transformer; its own
            masking is not used.
        config: see `AudioEncoder`.
    """

    def __init__(self, body: Any, config: dict[str, Any]) -> None:
        sizes = body.config
        super().__init__(sizes.hidden_size, list(zip(sizes.conv_kernel, sizes.conv_stride, strict=True)), config)
        self.body = body
        self.latent_dim: int = sizes.conv_dim[-1]
        self.standardized: bool = config.get("standardized", True)

    def inputs_and_latents(
        self, waves: Float[Tensor, "n samples"]
    ) -> tuple[Float[Tensor, "n t dim"], Float[Tensor, "n t c"]]:
        """The Transformer's inputs, and the normalized latents of which they are a linear map."""
        x = (standardize(waves) if self.standardized else waves)[:, None]
        for layer in self.body.feature_extractor.conv_layers:
            x = layer(x)
        x, projection = x.transpose(1, 2), self.body.feature_projection
        found = projection(x)
        if isinstance(found, tuple):
            return found
        return found, projection.layer_norm(x) if projection.feat_proj_layer_norm else x  # of HuBERT

    def context(self, inputs: Float[Tensor, "n t dim"]) -> Float[Tensor, "n t dim"]:
        """The Transformer's states; each depends on all frames."""
        return self.body.encoder(inputs).last_hidden_state

    def forward_masked(
        self, mask_embedding: Float[Tensor, " dim"], masked: Bool[Tensor, "n t"], waves: Float[Tensor, "n samples"]
    ) -> tuple[Float[Tensor, "n t dim"], Float[Tensor, "n t c"]]:
        """The Transformer's states with `mask_embedding` at the masked frames, and the unmasked latents."""
        inputs, features = self.inputs_and_latents(waves)
        return self.context(torch.where(masked[..., None], mask_embedding, inputs)), features

    def features(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n t dim"]:
        """The states of the Transformer."""
        return self.context(self.inputs_and_latents(view)[0])


def expect(encoder: nn.Module, kind: type[Kind], example: str) -> Kind:
    """The encoder, if it is of this class.

    Raises:
        UserError: when it is not, with an `example` that is.
    """
    if not isinstance(encoder, kind):
        name = encoder_name(encoder)
        raise UserError(f"encoder must be a {kind.__name__}, got {name}: try --encoder {example}")
    return encoder


def wav2vec2(config: dict[str, Any]) -> Wav2Vec2:
    """Without the paper's LayerDrop: several processes would wait for the gradient of a dropped layer."""
    transformers = needs("transformers", "audio")
    width, depth, channels, dropout = TRANSFORMERS[config["name"]]
    kernels, strides = zip(*wav2vec2_convolutions(config["sample_rate"]), strict=True)
    sizes = transformers.Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        conv_dim=(channels,) * len(kernels),
        conv_kernel=kernels,
        conv_stride=strides,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        activation_dropout=0.0,
        feat_proj_dropout=dropout,
        feat_quantizer_dropout=dropout,
        layerdrop=0.0,
        mask_time_prob=0.0,  # no mask embedding of its own
    )
    return Wav2Vec2(transformers.Wav2Vec2Model(sizes), config)


def cpc_convolutions(sample_rate: int) -> list[tuple[int, int]]:
    """Kernels and strides of five convolutions, a frame about every 10 ms; at 16 kHz the paper's."""
    hop = sample_rate / 100
    second = 4 if hop >= 128 else 2
    strides = (max(1, round(hop / (8 * second))), second, 2, 2, 2)
    return [(2 * stride, stride) for stride in strides]


def wav2vec2_convolutions(sample_rate: int) -> list[tuple[int, int]]:
    """Kernels and strides of convolutions, a frame about every 20 ms; at 16 kHz the paper's seven."""
    hop = sample_rate / 50
    halvings = max(0, math.floor(math.log2(hop / 5)))
    first = round(hop / 2**halvings)
    return [(2 * first, first), *[(3, 2)] * min(halvings, 4), *[(2, 2)] * (halvings - 4)]


def audio_encoder(
    name: str,
    *,
    sample_rate: int,
    seconds: int | float,
    architecture: dict[str, Any] | None = None,
    standardized: bool = True,
) -> AudioEncoder:
    """Build an encoder with random weights (drawn from torch's global generator), or read a pretrained one.

    Args:
        name: one of `AUDIO_ENCODERS`; or `hf:FOLDER`, a folder that transformers' `save_pretrained` wrote.
        sample_rate: of the views, in Hz: it decides how long filters and strides are. That of the recordings that a
            pretrained encoder has learned from.
        seconds: length of the views in training, at least 0.1; others can be encoded too.
        architecture: transformers' configuration of what was in FOLDER, to be built again without it, untrained.
        standardized: with `architecture`, whether each view gets mean 0 and variance 1.

    Raises:
        UserError: for an unknown name, a folder that is none or holds no such model, another sample rate, or views
            that are too short.
    """
    config: dict[str, Any] = {"name": name, "sample_rate": sample_rate, "seconds": seconds}
    require(seconds >= SHORTEST, "seconds", f"at least {SHORTEST}", seconds)
    if name.startswith(FOLDER):
        body, built = folder_audio_network(name, architecture=architecture)
        if architecture is None:
            prepared = sound_preprocessing(name)
            standardized, rate = prepared.standardized, prepared.sample_rate
            require(sample_rate == rate, "sample_rate", f"{rate}, as {name} has learned from", sample_rate)
        encoder = Wav2Vec2(body, config | {"architecture": built, "standardized": standardized})
        samples = round(sample_rate * seconds)
        require(encoder.count_frames(samples) > 0, "seconds", f"long enough for a frame of {name}", seconds)
        return encoder
    if name not in AUDIO_ENCODERS:
        known = ", ".join(AUDIO_ENCODERS)
        near = nearest(name, AUDIO_ENCODERS)
        raise UserError(f"unknown encoder '{name}'{near}; for audio there are {known} and hf:FOLDER")
    build = MelEncoder if name in PICTURES else ConvGRU if name in RECURRENT else wav2vec2
    return build(config)
