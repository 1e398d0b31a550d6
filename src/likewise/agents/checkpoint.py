"""All that an agent needs to go on: networks, optimizers, replay and counters, as arrays in one file.

stable-baselines3 would pickle it; what is unpickled can run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from likewise.agents.learners import PixelDQN, PixelSAC
from likewise.errors import UserError
from likewise.runs.arrays import Arrays, as_array, read_arrays, write_arrays
from likewise.runs.files import DAMAGED, reason_of

REPLAY, COUNTERS = "replay/", "counters"


def save_checkpoint(path: Path, learner: PixelDQN | PixelSAC, episodes: int) -> None:
    """Write the state between two episodes, of which so many have begun."""
    arrays: dict[str, Any] = {COUNTERS: np.array([learner.num_timesteps, learner._n_updates, episodes], np.int64)}
    for name, module in _modules(learner).items():
        arrays |= {f"{name}/{key}": as_array(tensor) for key, tensor in module.state_dict().items()}
    for name, optimizer in _optimizers(learner).items():
        for index, state in optimizer.state_dict()["state"].items():
            arrays |= {f"{name}/{index}/{key}": as_array(tensor) for key, tensor in state.items()}
    arrays |= {REPLAY + name: array for name, array in learner.replay_buffer.state().items()}
    write_arrays(path, arrays)


def load_checkpoint(path: Path, learner: PixelDQN | PixelSAC) -> int:
    """Load the state into an agent of the same configuration; how many episodes have begun.

    Raises:
        UserError: where the file is damaged, or of another agent.
    """
    try:
        arrays = read_arrays(path)
        for name, module in _modules(learner).items():
            module.load_state_dict({key: torch.as_tensor(array) for key, array in _below(arrays, f"{name}/").items()})
        for name, optimizer in _optimizers(learner).items():
            _load_optimizer(optimizer, _below(arrays, f"{name}/"))
        learner.replay_buffer.load_state(_below(arrays, REPLAY))
        learner.num_timesteps, learner._n_updates, episodes = map(int, arrays[COUNTERS])
    except DAMAGED as error:
        raise UserError(f"{path} can't be loaded: {reason_of(error)}; name another folder with --out") from error
    learner._episode_num = episodes
    return episodes


class EntropyCoefficient(nn.Module):
    """SAC's entropy coefficient, which stable-baselines3 holds as a bare tensor."""

    def __init__(self, log_ent_coef: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("log_ent_coef", log_ent_coef)


def _modules(learner: PixelDQN | PixelSAC) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {"policy": learner.policy}
    if learner.contrast is not None:
        found["contrast"] = learner.contrast
    if isinstance(learner, PixelSAC) and learner.log_ent_coef is not None:
        found["entropy"] = EntropyCoefficient(learner.log_ent_coef)
    return found


def _optimizers(learner: PixelDQN | PixelSAC) -> dict[str, torch.optim.Optimizer]:
    if isinstance(learner, PixelDQN):
        found = {"optimizer": learner.policy.optimizer}
    else:
        found = {"actor-optimizer": learner.actor.optimizer, "critic-optimizer": learner.critic.optimizer}
        if learner.ent_coef_optimizer is not None:
            found["entropy-optimizer"] = learner.ent_coef_optimizer
    if learner.contrast is not None:
        found["contrast-optimizer"] = learner.contrast.optimizer
    return found


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = torch.as_tensor(array)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
