"""Environments as pixels: what is stacked, how episodes are seeded, and what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import tiny_environments
from gymnasium import spaces

from likewise.agents.environment import EVALUATION, TRAINING, check_actions, pixel_environment, small_frame
from likewise.errors import UserError

SIDE = tiny_environments.GRID * tiny_environments.PIXELS


def test_an_observation_is_the_latest_frames_with_the_newest_last() -> None:
    env = pixel_environment("tiny/Catch-v0", size=SIDE, seed=0)
    seen = [env.reset()[0]]
    drawn = [env.env.render()]
    for _ in range(3):
        seen.append(env.step(1)[0])
        drawn.append(env.env.render())
    assert env.observation_space.contains(seen[0])
    frames = [np.moveaxis(picture, -1, 0) for picture in drawn]
    wanted = [(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3)]
    for observation, which in zip(seen, wanted, strict=True):
        assert np.array_equal(observation, np.concatenate([frames[i] for i in which]))


def test_pictures_that_are_observed_need_not_be_rendered() -> None:
    drawn, seen = (pixel_environment(f"tiny/{name}-v0", size=SIDE, seed=1) for name in ("Catch", "Pictures"))
    assert np.array_equal(drawn.reset()[0], seen.reset()[0])
    assert np.array_equal(drawn.step(2)[0], seen.step(2)[0])


def test_episodes_are_a_function_of_seed_purpose_and_number() -> None:
    def first_frames(seed: int, purpose: int) -> list[bytes]:
        env = pixel_environment("tiny/Catch-v0", size=SIDE, seed=seed, purpose=purpose)
        return [env.reset()[0].tobytes() for _ in range(12)]

    once = first_frames(0, TRAINING)
    assert once == first_frames(0, TRAINING)
    assert len(set(once)) > 4
    assert first_frames(1, TRAINING) != once != first_frames(0, EVALUATION)
    later = pixel_environment("tiny/Catch-v0", size=SIDE, seed=0)
    later.episode = 7
    assert later.reset()[0].tobytes() == once[7]


def test_frames_are_shrunk_by_the_mean_of_what_becomes_a_pixel() -> None:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:2, :2] = [[[0, 40, 80], [100, 40, 80]], [[0, 40, 80], [100, 40, 80]]]
    small = small_frame(picture, 2)
    assert small.shape == (3, 2, 2)
    assert small[:, 0, 0].tolist() == [25, 20, 40]
    assert small[:, 1].tolist() == [[0, 0]] * 3
    assert np.array_equal(small_frame(picture[:, :, :1], 2)[0], small_frame(picture[:, :, 0], 2)[2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny/Blind-v0", "env must be one with pixels, got 'tiny/Blind-v0': it has no render mode rgb_array"),
        ("tiny/Deaf-v0", "env must be one with pixels, got 'tiny/Deaf-v0': it takes no render_mode"),
        (
            "tiny/Katch-v0",
            "env must be an environment of gymnasium, got 'tiny/Katch-v0', did you mean 'tiny/Catch-v0'?",
        ),
        ("CartPole-v99", "env must be an environment of gymnasium, got 'CartPole-v99', did you mean"),
        ("no_such_module:Env-v0", "env must be an environment of gymnasium, got 'no_such_module:Env-v0'"),
        ("a b", "env must be an environment of gymnasium, got 'a b'"),
    ],
)
def test_what_cannot_be_observed(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        pixel_environment(name, size=SIDE, seed=0)
    assert str(error.value).startswith(message)


def test_actions_that_nothing_learns() -> None:
    check_actions(spaces.Discrete(3), "here")
    check_actions(spaces.Box(-1.0, 2.0, (3,)), "here")
    for space in (spaces.MultiBinary(2), spaces.Box(-np.inf, 1.0, (1,)), spaces.Discrete(3, start=1)):
        with pytest.raises(UserError, match="actions of here must be one of n, or a vector within finite bounds"):
            check_actions(space, "here")


@pytest.mark.parametrize(("name", "actions"), [("MiniGrid-Empty-5x5-v0", spaces.Discrete), ("Pendulum-v1", spaces.Box)])
def test_environments_of_other_packages_are_drawn(name: str, actions: type) -> None:
    pytest.importorskip("minigrid")  # pygame comes with it
    env = pixel_environment(name, size=32, seed=0)
    assert isinstance(env.action_space, actions)
    observation = env.reset()[0]
    assert observation.shape == (9, 32, 32)
    assert observation.std() > 10
