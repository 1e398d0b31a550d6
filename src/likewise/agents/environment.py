"""Environments of gymnasium as pixels: small square frames, the latest ones stacked."""

from __future__ import annotations

import importlib
import math
import os
import warnings
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8
from PIL import Image

from likewise.checks import check_int
from likewise.errors import UserError, nearest

FRAMES = 3
"""Frames of an observation: one frame shows no motion."""
COLOURS = 3
LEAST_SIZE, MOST_SIZE = 16, 512  # px
MOST_PIXELS = 2**26  # of a frame that an environment draws
BRINGS_MORE = ("minigrid",)
"""Packages that register environments when they are imported."""
TRAINING, EVALUATION, LOOKING = range(3)
"""What the episodes of an environment are for: each has seeds of its own."""

Frame = UInt8[np.ndarray, "c h w"]


class PixelObservations(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Observations are the latest frames, uint8 `(3 · frames, size, size)`, the newest last.

    A frame is the environment's observation where that is a picture, or else what it renders. Before the first step,
    the first frame is repeated. Episode i begins with a seed that is a pure function of (seed, purpose, i).

    Attributes:
        episode: how many episodes have begun.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, size: int, seed: int, purpose: int) -> None:
        super().__init__(env)
        self.size, self.seed, self.purpose = size, seed, purpose
        self.episode = 0
        self.pictures = is_picture(env.observation_space)
        self.stack: deque[Frame] = deque(maxlen=FRAMES)
        shape = (COLOURS * FRAMES, size, size)
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode; `seed` is not used."""
        chosen = int(np.random.SeedSequence((self.seed, self.purpose, self.episode)).generate_state(1)[0])
        self.episode += 1
        observation, info = self.env.reset(seed=chosen, options=options)
        self.stack.extend([self._frame(observation)] * FRAMES)
        return np.concatenate(self.stack), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.stack.append(self._frame(observation))
        return np.concatenate(self.stack), reward, terminated, truncated, info

    def _frame(self, observation: Any) -> Frame:
        picture: Any = observation if self.pictures else self.env.render()
        return small_frame(picture, self.size)


def is_picture(space: spaces.Space[Any]) -> bool:
    """Whether observations are pictures of bytes: grey or RGB, the colours last."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return False
    return min(space.shape[:2]) >= LEAST_SIZE and (len(space.shape) == 2 or space.shape[2] in (1, COLOURS))


def small_frame(picture: UInt8[np.ndarray, "..."], size: int) -> Frame:
    """A picture as RGB, shrunk to a square by the mean over the pixels that become one."""
    picture = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    image = Image.fromarray(picture).convert("RGB")
    small = image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BOX)
    return np.moveaxis(np.asarray(small), -1, 0)


def pixel_environment(name: str, *, size: int, seed: int, purpose: int = TRAINING) -> PixelObservations:
    """An environment of gymnasium, observed as pixels.

    Args:
        name: as `gymnasium.make` takes it.
        size: height and width of the frames.
        seed: of its episodes.
        purpose: `TRAINING`, `EVALUATION` or `LOOKING`.

    Raises:
        UserError: for a name that is not known, or an environment that draws no pixels.
    """
    check_int(LEAST_SIZE, MOST_SIZE, size=size)
    env = _made(name)
    try:
        _check_pixels(env, name)
        return PixelObservations(env, size=size, seed=seed, purpose=purpose)
    except UserError:
        env.close()
        raise


def check_actions(space: spaces.Space[Any], name: str) -> None:
    """Raise `UserError` unless actions are one of n, or a vector within finite bounds."""
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return
    bounded = isinstance(space, spaces.Box) and np.isfinite([space.low, space.high]).all()
    if not bounded or len(space.shape) != 1:  # type: ignore[arg-type]
        raise UserError(f"actions of {name} must be one of n, or a vector within finite bounds, got {space}")


def _made(name: str) -> gymnasium.Env[Any, Any]:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures are drawn in memory: pygame looks for no display
    for package in BRINGS_MORE:
        with suppress(ImportError):
            importlib.import_module(package)
    package, named, _ = name.partition(":")
    top = package.partition(".")[0]
    if named and (not top or find_spec(top) is None):
        raise UserError(f"env must be an environment of gymnasium, got {name!r}: its package is not installed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has no such mode: our check says so
            return gymnasium.make(name, render_mode="rgb_array", disable_env_checker=True)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"{name} needs more packages: {' '.join(str(error).split())}") from error
    except gymnasium.error.NamespaceNotFound as error:
        namespace = name.rpartition(":")[2].partition("/")[0]
        raise UserError(
            f"env must be an environment of gymnasium, got {name!r}: no package that is at hand brings {namespace}; "
            f"name its package too, as in PACKAGE:{name}"
        ) from error
    except gymnasium.error.Error as error:
        hint = nearest(name, gymnasium.registry) or "; `python -m gymnasium.envs.registration` lists them"
        raise UserError(f"env must be an environment of gymnasium, got {name!r}{hint}") from error
    except TypeError as error:
        if "render_mode" not in str(error):
            raise
        raise _without_pixels(name, "it takes no render_mode") from error


def _check_pixels(env: gymnasium.Env[Any, Any], name: str) -> None:
    if is_picture(env.observation_space):
        return
    if env.render_mode != "rgb_array" or "rgb_array" not in (env.metadata.get("render_modes") or ()):
        raise _without_pixels(name, "it has no render mode rgb_array")
    env.reset(seed=0)
    try:
        picture: Any = env.render()
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{name} needs more packages to draw: {' '.join(str(error).split())}") from error
    is_array = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3
    if not is_array or picture.shape[2] != COLOURS or math.prod(picture.shape[:2]) > MOST_PIXELS:
        shape = getattr(picture, "shape", type(picture).__name__)
        raise _without_pixels(name, f"it renders {shape}, no RGB picture of bytes")


def _without_pixels(name: str, reason: str) -> UserError:
    return UserError(f"env must be one with pixels, got {name!r}: {reason}; name another one")
