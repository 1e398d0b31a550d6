"""DQN and SAC of stable-baselines3 as agents on pixels: seeded step by step, with a contrastive part if asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import SACPolicy

from likewise.agents.contrast import CropContrast
from likewise.agents.extractor import DetachedExtractor
from likewise.agents.replay import Augmentation, FrameReplay
from likewise.seeding import generator_for

ACTING, UPDATING, CONTRASTING = range(3)
"""What randomness is drawn for: each has a generator of its own for every step."""
DQN_WIDTH, SAC_WIDTH = 256, 256
TARGET_EVERY = 200  # steps between two copies of the Q-network
EXPLORING, LAST_EPSILON = 0.3, 0.05  # share of the training in which random actions become few, and how few


class Updates(NamedTuple):
    """How an agent learns from what it has seen."""

    lr: float
    batch_size: int
    buffer_size: int
    """Frames that are kept."""
    every: int
    """Steps in the environment between two updates."""
    starts: int
    """Random steps before the first update."""


class PixelLearner:
    """What DQN and SAC have in common here.

    stable-baselines3 draws from global generators. They are seeded before each action and each update by (seed, step):
    a training that is resumed draws what one that was never interrupted draws.
    """

    replay_buffer: Any  # a FrameReplay; stable-baselines3 declares its own
    every: int
    contrast: CropContrast | None
    contrast_views: Augmentation | None

    def begin(self, seed: int, every: int, contrast: CropContrast | None, views: Augmentation | None) -> None:
        """Set what the constructors of stable-baselines3 do not know."""
        self.own_seed, self.every, self.contrast, self.contrast_views = seed, every, contrast, views

    @property
    def extractor(self) -> BaseFeaturesExtractor:
        """The encoder that learns from the value of actions."""
        raise NotImplementedError

    def seed_for(self, purpose: int) -> None:
        """Seed the global generators, and that of random actions, for the step that comes."""
        step = self.num_timesteps  # type: ignore[attr-defined]
        numpy_seed, torch_seed, action_seed = np.random.SeedSequence((self.own_seed, purpose, step)).generate_state(3)
        np.random.seed(numpy_seed)
        torch.manual_seed(int(torch_seed))
        self.action_space.seed(int(action_seed))  # type: ignore[attr-defined]

    def _sample_action(self, *args: Any, **kwargs: Any) -> Any:
        self.seed_for(ACTING)
        return super()._sample_action(*args, **kwargs)  # type: ignore[misc]

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """An update in every so many steps; then one of the contrastive part, on the same observations."""
        if self.num_timesteps % self.every:  # type: ignore[attr-defined]
            return
        self.seed_for(UPDATING)
        super().train(gradient_steps, batch_size)  # type: ignore[misc]
        if self.contrast is not None:
            assert self.contrast_views is not None
            generator = generator_for(self.own_seed, CONTRASTING, self.num_timesteps)  # type: ignore[attr-defined]
            queries, keys = (self.contrast_views(self.replay_buffer.last, generator) for _ in range(2))
            loss = self.contrast.step(self.extractor, queries, keys)
            self.logger.record("train/contrast", float(loss))  # type: ignore[attr-defined]


class PixelDQN(PixelLearner, DQN):
    """Deep Q-learning (Mnih et al. 2015) for actions that are one of n."""

    @property
    def extractor(self) -> BaseFeaturesExtractor:
        return self.q_net.features_extractor

    def resume_counters(self) -> None:
        """What follows from the number of steps so far."""
        self._n_calls = self.num_timesteps
        self.exploration_rate = self.exploration_schedule(self._current_progress_remaining)


class PixelSAC(PixelLearner, SAC):
    """Soft actor-critic (Haarnoja et al. 2018, arXiv:1801.01290) for actions that are vectors."""

    @property
    def extractor(self) -> BaseFeaturesExtractor:
        return self.critic.features_extractor

    def resume_counters(self) -> None:
        """Nothing follows from the number of steps so far."""


class CriticTrainsEncoder(SACPolicy):
    """The critic trains the encoder; the actor uses it without gradients (arXiv:1910.01741, arXiv:2004.04136)."""

    def _build(self, lr_schedule: Any) -> None:
        self.critic = self.make_critic()
        self.critic_target = self.make_critic()
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.set_training_mode(False)
        self.actor = self.make_actor(DetachedExtractor(self.critic.features_extractor))
        make: Any = self.optimizer_class
        for network in (self.actor, self.critic):
            network.optimizer = make(network.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)


def build_learner(
    env: Any,
    *,
    discrete: bool,
    extractor_class: Any,
    extractor_options: dict[str, Any],
    updates: Updates,
    steps: int,
    augment: Augmentation | None,
    contrast_views: Augmentation | None,
    seed: int,
    device: str,
) -> PixelDQN | PixelSAC:
    """An untrained agent.

    Args:
        env: observed as pixels.
        discrete: whether its actions are one of n.
        extractor_class, extractor_options: the encoder, as stable-baselines3 takes it.
        steps: of the whole training.
        augment: variants of the observations that the agent learns from.
        contrast_views: crops of observations to be told from each other; None without a contrastive part.
        seed: of everything but the environment.
        device: "cpu" or another of torch's.
    """
    common: dict[str, Any] = {
        "learning_rate": updates.lr,
        "batch_size": updates.batch_size,
        "buffer_size": updates.buffer_size,
        "learning_starts": updates.starts,
        "train_freq": 1,  # see PixelLearner.train
        "gradient_steps": 1,
        "replay_buffer_class": FrameReplay,
        "replay_buffer_kwargs": {"seed": seed, "augment": augment},
        "seed": seed % 2**32,
        "device": device,
    }
    policy: dict[str, Any] = {
        "features_extractor_class": extractor_class,
        "features_extractor_kwargs": extractor_options,
    }
    learner: PixelDQN | PixelSAC
    if discrete:
        learner = PixelDQN(
            "CnnPolicy",
            env,
            policy_kwargs={**policy, "net_arch": [DQN_WIDTH]},
            target_update_interval=TARGET_EVERY,
            exploration_fraction=EXPLORING,
            exploration_final_eps=LAST_EPSILON,
            **common,
        )
    else:
        learner = PixelSAC(CriticTrainsEncoder, env, policy_kwargs={**policy, "net_arch": [SAC_WIDTH] * 2}, **common)
    contrast = CropContrast(learner.extractor, lr=updates.lr).to(device) if contrast_views is not None else None
    learner.begin(seed, updates.every, contrast, contrast_views)
    return learner
