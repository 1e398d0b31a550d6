"""Environments of a few pixels, registered with gymnasium: one of each kind that tests need."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

GRID, PIXELS = 4, 5  # places in a row, pixels of a place


class Catch(gymnasium.Env[Any, Any]):
    """A ball falls; the paddle below goes left, stays or goes right. The return is 1 where the ball is caught."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  # as gymnasium has it
    action_space: spaces.Space[Any] = spaces.Discrete(3)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 1, (3,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.ball, self.paddle = (int(place) for place in self.np_random.integers(GRID, size=2))
        self.height = 0
        return self._state(), {}

    def step(self, action: Any) -> Any:
        self.paddle = int(np.clip(self.paddle + self._move(action), 0, GRID - 1))
        self.height += 1
        ended = self.height == GRID - 1
        return self._state(), float(ended and self.ball == self.paddle), ended, False, {}

    def render(self) -> Any:
        grid = np.zeros((GRID, GRID, 3), np.uint8)
        grid[self.height, self.ball, 0] = 255
        grid[-1, self.paddle, 1] = 255
        return np.kron(grid, np.ones((PIXELS, PIXELS, 1), np.uint8))

    def _move(self, action: Any) -> int:
        return int(action) - 1

    def _state(self) -> Any:
        return np.zeros(3, np.float32)


class CatchWithForce(Catch):
    """The same with an action that is a number: below -1/3 left, above 1/3 right."""

    action_space = spaces.Box(-2.0, 2.0, (1,))

    def _move(self, action: Any) -> int:
        return int(action[0] > 1 / 3) - int(action[0] < -1 / 3)


class Pictures(Catch):
    """Its observations are pictures of 20 px, and it renders nothing."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (GRID * PIXELS, GRID * PIXELS, 3), np.uint8)

    def render(self) -> Any:
        return None

    def _state(self) -> Any:
        return Catch.render(self)


class Blind(Catch):
    """It has nothing to look at."""

    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012

    def render(self) -> Any:
        return "a ball and a paddle"


class Deaf(Catch):
    """It takes no render_mode."""

    def __init__(self) -> None:
        super().__init__()


class Lacking(Catch):
    """It needs a package that nobody has."""

    def __init__(self, render_mode: str | None = None) -> None:
        importlib.import_module("what_it_lacks")


class Switches(Catch):
    """Its actions are of no kind that a learner takes."""

    action_space = spaces.MultiBinary(2)


for kind in (Catch, CatchWithForce, Pictures, Blind, Deaf, Lacking, Switches):
    gymnasium.register(f"tiny/{kind.__name__}-v0", entry_point=kind, max_episode_steps=50, disable_env_checker=True)
