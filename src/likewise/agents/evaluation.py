"""Returns of an agent that acts greedily, and of one that acts at random, in the same episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from likewise.agents.environment import EVALUATION, PixelObservations, pixel_environment

LONGEST = 5_000
"""Steps after which an episode is cut off: an environment may have no limit."""

Policy = Callable[[Any], Any]
"""Observation -> action."""


def returns_of(act: Policy, env: PixelObservations, episodes: int) -> list[float]:
    """The sum of the rewards in each of the first episodes of an environment: the same ones at each call."""
    env.episode = 0
    return [_return(act, env) for _ in range(episodes)]


def random_returns(name: str, *, size: int, seed: int, episodes: int) -> list[float]:
    """Those of actions drawn at random, in the episodes of `returns_of`."""
    env = pixel_environment(name, size=size, seed=seed, purpose=EVALUATION)
    env.action_space.seed(int(np.random.SeedSequence((seed, EVALUATION)).generate_state(1)[0]))
    found = returns_of(lambda observation: env.action_space.sample(), env, episodes)
    env.close()
    return found


def greedy(learner: Any) -> Policy:
    """What the agent takes for best."""
    # `[()]`: of an action that is one of n, a number.
    return lambda observation: learner.policy.predict(observation, deterministic=True)[0][()]


def _return(act: Policy, env: PixelObservations) -> float:
    observation, _ = env.reset()
    total = 0.0
    for _ in range(LONGEST):
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total += float(reward)
        if terminated or truncated:
            break
    return total
