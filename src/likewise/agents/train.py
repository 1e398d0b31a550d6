"""The training of an agent in its folder, from what was asked for to weights, returns and a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from tensorboardX import SummaryWriter

from likewise.agents.checkpoint import load_checkpoint
from likewise.agents.environment import EVALUATION, TRAINING, check_actions, pixel_environment
from likewise.agents.evaluation import random_returns
from likewise.agents.extractor import FramesExtractor, as_features_extractor
from likewise.agents.folder import (
    CHECKPOINT,
    WEIGHTS,
    AgentConfig,
    Returns,
    load_returns,
    save_config,
    save_returns,
)
from likewise.agents.learners import PixelDQN, PixelSAC, Updates, build_learner
from likewise.agents.variants import VARIANTS, crops_of
from likewise.agents.watch import AgentWatch
from likewise.console import tell
from likewise.errors import Interrupted
from likewise.runs.weights import save_state
from likewise.training.callbacks.progress import progress_bar


def build_agent(config: AgentConfig, device: str, *, purpose: int = TRAINING) -> tuple[PixelDQN | PixelSAC, Any]:
    """An untrained agent, and the environment that it acts in.

    Raises:
        UserError: for an environment without pixels, actions that no learner takes, or an unknown encoder.
    """
    variant = VARIANTS[config["method"]]
    size, seed = config["size"], config["seed"]
    env = pixel_environment(config["env"], size=variant.rendered(size), seed=seed, purpose=purpose)
    check_actions(env.action_space, config["env"])
    torch.manual_seed(seed)
    if variant.pretrained:
        extractor, options = as_features_extractor(config["run"], frozen=not config["fine_tune"]), {}
    else:
        extractor, options = FramesExtractor, {"name": config["encoder"], "size": size}
    learner = build_learner(
        env,
        discrete=isinstance(env.action_space, spaces.Discrete),
        extractor_class=extractor,
        extractor_options=options,
        updates=Updates(
            config["lr"], config["batch_size"], config["buffer_size"], config["update_every"], config["starts"]
        ),
        steps=config["steps"],
        augment=variant.augmentation(size),
        contrast_views=crops_of(size) if variant.contrast else None,
        seed=seed,
        device=device,
    )
    return learner, env


def train_agent(
    folder: Path,
    config: AgentConfig,
    *,
    resume: bool,
    deadline: float | None,
    checkpoint_minutes: float,
    device: str,
    progress: bool,
) -> tuple[PixelDQN | PixelSAC, Returns, int]:
    """Train an agent, from its checkpoint where it has one and `resume` is asked for.

    Returns:
        The agent, its returns, and how many steps it has learned from: fewer than `steps` where the time was over.

    Raises:
        Interrupted: by a signal, with a checkpoint.
    """
    learner, env = build_agent(config, device)
    rendered = VARIANTS[config["method"]].rendered(config["size"])
    same = {"size": rendered, "seed": config["seed"]}
    begun = 0
    if resume and (folder / CHECKPOINT).is_file():
        env.episode = load_checkpoint(folder / CHECKPOINT, learner)
        begun = learner.num_timesteps
        returns = load_returns(folder)
        returns["evaluations"] = [row for row in returns["evaluations"] if row["step"] <= begun]
        learner._update_current_progress_remaining(begun, config["steps"])
        learner.resume_counters()
        tell(f"going on from step {begun:,}", show=progress)
    else:
        returns = Returns(random=random_returns(config["env"], episodes=config["episodes"], **same), evaluations=[])
        save_returns(folder, returns)
    evaluation_env = pixel_environment(config["env"], purpose=EVALUATION, **same)
    with progress_bar(show=progress) as report, SummaryWriter(str(folder / "tensorboard")) as writer:
        watch = AgentWatch(
            folder,
            env,
            evaluation_env,
            returns,
            steps=config["steps"],
            episodes=config["episodes"],
            deadline=deadline,
            checkpoint_minutes=checkpoint_minutes,
            report=report,
            writer=writer,
            show=progress,
        )
        with watch.signals():
            learner.learn(config["steps"] - begun, callback=watch, reset_num_timesteps=not begun, log_interval=10**9)
        if watch.asked and watch.ended:
            where = f"stopped at step {watch.done} of {config['steps']}"
            raise Interrupted(f"{where}; to go on: {config['command']} --resume")
        if not watch.ended:
            watch.done = learner.num_timesteps
        if not returns["evaluations"] or returns["evaluations"][-1]["step"] < watch.done:
            watch.evaluate()
    for each in (env, evaluation_env):
        each.close()
    save_state(folder / WEIGHTS, learner.policy)
    config["finished"] = watch.done >= config["steps"]
    save_config(folder, config)
    if config["finished"]:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return learner, returns, watch.done


def deadline_of(minutes: float | None) -> float | None:
    """When so many minutes from now are over."""
    return None if minutes is None else time.monotonic() + 60 * minutes
