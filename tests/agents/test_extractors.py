"""Encoders of ours as extractors of stable-baselines3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

import gymnasium
import tiny_environments
from gymnasium import spaces
from stable_baselines3 import DQN

import likewise as lw
from likewise.agents.environment import pixel_environment
from likewise.agents.extractor import FramesExtractor, as_features_extractor
from likewise.errors import UserError

SIDE = tiny_environments.GRID * tiny_environments.PIXELS


@pytest.fixture(scope="module")
def frames_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that has learned a little of frames of the tiny environment."""
    folder = tmp_path_factory.mktemp("frames")
    env = pixel_environment("tiny/Catch-v0", size=SIDE, seed=5)
    frames = np.stack([env.reset()[0][-3:] for _ in range(48)])
    np.save(folder / "frames.npy", frames)
    how: dict[str, Any] = {"encoder": "nature_cnn", "epochs": 1, "batch_size": 16, "precision": "32-true", "threads": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        lw.pretrain(folder / "frames.npy", out=folder / "run", progress=False, **how)
    return folder / "run"


def space(channels: int, size: int = SIDE) -> spaces.Box:
    return spaces.Box(0, 255, (channels, size, size), np.uint8)


def test_a_run_embeds_each_frame_as_it_embeds_images(frames_run: Path) -> None:
    run = lw.open_run(frames_run)
    observations = torch.randint(256, (2, 9, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    extractor = as_features_extractor(run)(space(9))
    with torch.no_grad():
        features = extractor(observations.float() / 255)  # as stable-baselines3 passes them on
    assert features.shape == (2, extractor.features_dim) == (2, 3 * run.encoder.dim)
    frames = observations.reshape(6, 3, SIDE, SIDE).numpy()
    np.testing.assert_allclose(features.reshape(6, -1).numpy(), run.encode(frames), atol=1e-5)


def test_grey_frames_serve_an_encoder_of_colours(frames_run: Path) -> None:
    extractor = as_features_extractor(frames_run)(space(4, 32))
    assert extractor(torch.zeros(2, 4, 32, 32)).shape == (2, extractor.features_dim) == (2, 4 * 256)


def test_a_frozen_encoder_stays_as_it_is_and_a_fine_tuned_one_learns(frames_run: Path) -> None:
    def trained(frozen: bool) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        env = pixel_environment("tiny/Catch-v0", size=SIDE, seed=0)
        extractor = as_features_extractor(frames_run, frozen=frozen)
        how: dict[str, Any] = {"learning_starts": 10, "batch_size": 8, "buffer_size": 100, "device": "cpu", "seed": 0}
        agent = DQN("CnnPolicy", env, policy_kwargs={"features_extractor_class": extractor}, **how)
        before = {name: tensor.clone() for name, tensor in agent.q_net.state_dict().items()}
        agent.learn(40)
        return before, agent.q_net.state_dict()

    for frozen in (True, False):
        before, after = trained(frozen)
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert any(name.startswith("q_net") for name in changed)
        assert any(name.startswith("features_extractor") for name in changed) is not frozen


def test_larger_observations_are_cropped_in_their_middle() -> None:
    torch.manual_seed(0)
    extractor = FramesExtractor(space(9, 24), name="nature_cnn", size=20).eval()
    observations = torch.rand(3, 9, 24, 24)
    assert torch.equal(extractor(observations), extractor(observations[:, :, 2:22, 2:22]))
    assert extractor.features_dim == 256


def test_runs_of_other_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        as_features_extractor(tmp_path / "none")
    assert isinstance(gymnasium.make("tiny/Catch-v0").action_space, spaces.Discrete)
