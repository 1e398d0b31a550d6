"""A short film of an agent: what its environment draws while it acts, as an animated GIF."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from likewise.agents.environment import LOOKING, PixelObservations, pixel_environment
from likewise.agents.evaluation import Policy

MOST_FRAMES = 240
EPISODES = 3
SIDE = 256  # px of the longer side, at most
HOLD = 800  # ms that the end of an episode is shown
USUAL_RATE = 15  # frames a second, where the environment says none
SLOWEST, FASTEST = 4, 30


def film_of(act: Policy, name: str, *, size: int, seed: int) -> bytes:
    """The first episodes of an environment, in episodes that the agent has not been trained on.

    Args:
        act: the policy.
        name: of the environment.
        size: height and width of its observations.
        seed: of its episodes.
    """
    env = pixel_environment(name, size=size, seed=seed, purpose=LOOKING)
    pictures, durations = _watched(act, env)
    env.close()
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
    )
    return buffer.getvalue()


def _watched(act: Policy, env: PixelObservations) -> tuple[list[Image.Image], list[int]]:
    rate = float(np.clip(env.metadata.get("render_fps") or USUAL_RATE, SLOWEST, FASTEST))
    pictures: list[Image.Image] = []
    durations: list[int] = []
    for _ in range(EPISODES):
        observation, _ = env.reset()
        ended = False
        while len(pictures) < MOST_FRAMES:
            pictures.append(_picture(env, observation))
            durations.append(HOLD if ended else round(1000 / rate))
            if ended:
                break
            observation, _, terminated, truncated, _ = env.step(act(observation))
            ended = terminated or truncated
    return pictures, durations


def _picture(env: PixelObservations, observation: Any) -> Image.Image:
    drawn = env.env.render() if env.render_mode == "rgb_array" else None
    if not isinstance(drawn, np.ndarray):
        drawn = np.moveaxis(observation[-3:], 0, -1)
    image = Image.fromarray(drawn)
    image.thumbnail((SIDE, SIDE))
    return image.convert("P", palette=Image.Palette.ADAPTIVE)
