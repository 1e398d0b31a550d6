"""Encoders of ours as features extractors of stable-baselines3."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from likewise.checks import require
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.modalities.run import Run, open_run
from likewise.views.shift import center_crop

MIDDLE = 0.5


class FramesExtractor(BaseFeaturesExtractor):
    """One encoder for all frames of an observation, which are its channels; trained from scratch by the agent.

    Args:
        observation_space: of bytes, `(c, h, w)`.
        name: of the encoder; see `image_encoder`.
        size: height and width that the encoder sees; of larger observations, the middle.
    """

    def __init__(self, observation_space: spaces.Box, *, name: str, size: int) -> None:
        encoder = image_encoder(name, channels=observation_space.shape[0], size=size)
        super().__init__(observation_space, encoder.dim)
        self.encoder, self.size = encoder, size

    def forward(self, observations: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        return self.encoder(center_crop(observations, self.size) - MIDDLE)


class RunExtractor(BaseFeaturesExtractor):
    """The encoder of a run, applied to each frame; the embeddings of the frames follow each other.

    Frames are RGB where the observation has a multiple of three channels, or else grey. They are prepared as the run's
    own images are.

    Args:
        observation_space: of bytes, `(c, h, w)`.
        run: of images.
        frozen: whether the agent leaves the encoder as it is.
    """

    def __init__(self, observation_space: spaces.Box, *, run: Run, frozen: bool = True) -> None:
        channels = observation_space.shape[0]
        colours = 3 if channels % 3 == 0 else 1
        encoder: Any = copy.deepcopy(run.encoder)
        super().__init__(observation_space, encoder.dim * channels // colours)
        self.encoder: nn.Module = encoder.requires_grad_(not frozen)
        self.views, self.colours, self.frozen = run.views, colours, frozen

    def train(self, mode: bool = True) -> RunExtractor:
        """A frozen encoder stays in evaluation mode: its BatchNorms keep their statistics."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, observations: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        # stable-baselines3 has divided the bytes by 255.
        frames = observations.unflatten(1, (-1, self.colours)).mul(255).round().to(torch.uint8)
        view = self.views.clean(frames.flatten(0, 1))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.encoder(view).unflatten(0, frames.shape[:2]).flatten(1)


class DetachedExtractor(BaseFeaturesExtractor):
    """Another network's extractor, which learns nothing from what comes after this one, and is not part of it."""

    def __init__(self, extractor: BaseFeaturesExtractor) -> None:
        super().__init__(extractor._observation_space, extractor.features_dim)
        self.shared = (extractor,)  # in a tuple, so that its weights are not counted as those of two modules

    def forward(self, observations: Tensor) -> Tensor:
        with torch.no_grad():
            return self.shared[0](observations)


def as_features_extractor(run: Any, *, frozen: bool = True) -> Any:
    """The encoder of a run as a features extractor of stable-baselines3, for agents of your own.

    It embeds each frame of an observation by itself. Observations are pictures of bytes, as stable-baselines3 takes
    them, with normalize_images, which is its default.

        DQN("CnnPolicy", env, policy_kwargs={"features_extractor_class": as_features_extractor("runs/frames")})

    Args:
        run: a finished run of images, or its folder.
        frozen: whether the encoder stays as it is; otherwise the agent goes on training it.

    Returns:
        What policies take as `features_extractor_class`.

    Raises:
        UserError: for a run of another modality, or one that is not finished.
    """
    run = run if isinstance(run, Run) else open_run(run)
    if run.modality != "image":
        raise UserError(f"run must be one of images, got {run.path}, whose samples are of modality {run.modality}")
    channels = getattr(run.views, "channels", None)
    require(channels in (1, 3), "channels of the run", "1 or 3, as frames have", channels)
    _ = run.encoder  # what is wrong with it is said now
    return partial(RunExtractor, run=run, frozen=frozen)
