"""The replay buffer: transitions of the past, as a growing source of observations. Each frame is kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from likewise.agents.environment import COLOURS, FRAMES
from likewise.seeding import generator_for

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Random variants of a batch of observations, uint8 `(n, c, h, w)`."""
ARRAYS = ("frames", "actions", "rewards", "terminal", "start")


class FrameReplay(BaseBuffer):
    """Transitions of one environment. Observations are stacked when they are read, out of frames that are kept once.

    Entry p is a frame, with the action that led to it, its reward, and whether the episode ended there (not by a time
    limit). An episode's first frame is an entry without a transition. When the buffer is full, the oldest entries go.

    What is sampled is a pure function of (seed, how often it was sampled); so is its augmentation.

    Attributes:
        samples: how often it was sampled.
        last: the observations of the last sample, without augmentation.
        fresh: whether the next transition begins an episode.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Any,
        action_space: Any,
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        *,
        seed: int,
        augment: Augmentation | None = None,
    ) -> None:
        super().__init__(buffer_size, observation_space, action_space, device, n_envs)
        assert n_envs == 1
        self.seed, self.augment = seed, augment
        self.samples = 0
        self.added = 0  # entries since the beginning
        self.fresh = True
        self._episode = 0
        self.last: Tensor | None = None
        self.frames = np.zeros((buffer_size, COLOURS, *self.obs_shape[1:]), np.uint8)
        self.actions = np.zeros(
            (buffer_size, self.action_dim), np.int64 if action_space.dtype.kind == "i" else np.float32
        )
        self.rewards = np.zeros(buffer_size, np.float32)
        self.terminal = np.zeros(buffer_size, bool)
        self.start = np.zeros(buffer_size, np.int64)
        """The entry, counted from the beginning, of the first frame of the episode."""

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: list[dict[str, Any]]) -> None:
        """Keep the transition of the one environment."""
        if self.fresh:
            self._episode = self.added
            self._append(obs[0, -COLOURS:], np.zeros(self.action_dim), 0.0, terminal=False)
        ended = bool(done[0]) and not infos[0].get("TimeLimit.truncated", False)
        self._append(next_obs[0, -COLOURS:], action.reshape(self.action_dim), float(reward[0]), terminal=ended)
        self.fresh = bool(done[0])

    def _append(self, frame: UInt8[np.ndarray, "c h w"], action: Any, reward: float, *, terminal: bool) -> None:
        place = self.added % self.buffer_size
        self.frames[place], self.actions[place] = frame, action
        self.rewards[place], self.terminal[place], self.start[place] = reward, terminal, self._episode
        self.added += 1
        self.pos, self.full = self.added % self.buffer_size, self.added >= self.buffer_size

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        """Transitions drawn with replacement, augmented: observation and next observation each in its own way."""
        random = np.random.default_rng((self.seed, self.samples))
        generator = generator_for(self.seed, self.samples)
        self.samples += 1
        samples = self._get_samples(self._drawn(batch_size, random))
        self.last = samples.observations
        if self.augment is None:
            return samples
        return samples._replace(
            observations=self.augment(samples.observations, generator),
            next_observations=self.augment(samples.next_observations, generator),
        )

    def _drawn(self, n: int, random: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Entries with a transition, all of whose frames are still there; counted from the beginning."""
        oldest = max(0, self.added - self.buffer_size)
        found = np.zeros(0, np.int64)
        while len(found) < n:
            entries = random.integers(oldest, self.added, 2 * n)
            start = self.start[entries % self.buffer_size]
            whole = np.maximum(start, entries - FRAMES) >= oldest
            found = np.concatenate([found, entries[(entries > start) & whole]])
        return found[:n]

    def _get_samples(self, batch_inds: Int[np.ndarray, " n"], env: Any = None) -> ReplayBufferSamples:
        places = batch_inds % self.buffer_size
        start = self.start[places]
        return ReplayBufferSamples(
            self._stacked(batch_inds - 1, start),
            self.to_torch(self.actions[places], copy=False),
            self._stacked(batch_inds, start),
            self.to_torch(self.terminal[places, None].astype(np.float32), copy=False),
            self.to_torch(self.rewards[places, None], copy=False),
        )

    def _stacked(self, entries: Int[np.ndarray, " n"], start: Int[np.ndarray, " n"]) -> Tensor:
        """The observation at each entry: its frame and those before; the first of an episode is repeated."""
        back = np.arange(FRAMES - 1, -1, -1)
        which = np.maximum(entries[:, None] - back, start[:, None]) % self.buffer_size
        return torch.from_numpy(self.frames[which].reshape(len(entries), *self.obs_shape)).to(self.device)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps; the part of the arrays that is filled."""
        filled = min(self.added, self.buffer_size)
        counters = np.array([self.samples, self.added, self.fresh], np.int64)
        return {name: getattr(self, name)[:filled] for name in ARRAYS} | {"counters": counters}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a checkpoint between two episodes.

        Raises:
            ValueError: for arrays of other shapes or types.
        """
        self.samples, self.added, fresh = map(int, state["counters"])
        self.fresh = bool(fresh)
        filled = min(self.added, self.buffer_size)
        for name in ARRAYS:
            mine, kept = getattr(self, name)[:filled], state[name]
            if kept.shape != mine.shape or kept.dtype != mine.dtype:
                raise ValueError(f"{name} is {kept.dtype} of shape {kept.shape}, not {mine.dtype} of {mine.shape}")
            mine[...] = kept
        self.pos, self.full = self.added % self.buffer_size, self.added >= self.buffer_size
