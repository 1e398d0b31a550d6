"""The replay buffer against a plain list of transitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from gymnasium import spaces

from likewise.agents.environment import FRAMES
from likewise.agents.replay import FrameReplay

SIZE = 16
OBSERVATIONS, ACTIONS = spaces.Box(0, 255, (3 * FRAMES, SIZE, SIZE), np.uint8), spaces.Discrete(5)
LENGTHS = (4, 1, 7, 3, 9, 2, 5)  # of episodes


def replay(capacity: int, **more: object) -> FrameReplay:
    return FrameReplay(capacity, OBSERVATIONS, ACTIONS, "cpu", seed=3, **more)


def filled(buffer: FrameReplay, lengths: tuple[int, ...] = LENGTHS) -> list[tuple]:
    """The transitions that were added, each frame of a value of its own."""
    added, value = [], 0
    for number, length in enumerate(lengths):
        frames = [np.full((3, SIZE, SIZE), value, np.uint8)] * FRAMES
        value += 1
        for step in range(length):
            before = np.concatenate(frames)
            frames = [*frames[1:], np.full((3, SIZE, SIZE), value, np.uint8)]
            after, last, by_time = np.concatenate(frames), step == length - 1, number % 2 == 1
            buffer.add(
                before[None], after[None], np.array([value % 5]), np.array([value / 2]), np.array([last]),
                [{"TimeLimit.truncated": last and by_time}],
            )  # fmt: skip
            added.append((before, value % 5, after, float(last and not by_time), value / 2))
            value += 1
    return added


def key(observation: torch.Tensor | np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in observation[::3, 0, 0])


def drawn(buffer: FrameReplay, n: int) -> list[tuple]:
    samples = buffer.sample(n)
    parts = (samples.observations, samples.actions, samples.next_observations, samples.dones, samples.rewards)
    return [(key(o), int(a), key(p), float(d), float(r)) for o, a, p, d, r in zip(*parts, strict=True)]


def test_samples_are_transitions_that_were_added_and_each_as_often() -> None:
    buffer = replay(100)
    added = {(key(o), a, key(p), d, r) for o, a, p, d, r in filled(buffer)}
    counts = Counter(drawn(buffer, 200 * len(added)))
    assert set(counts) == added
    assert min(counts.values()) > 130  # 200 each, five standard deviations are 70
    assert max(counts.values()) < 270


def test_a_full_buffer_forgets_the_oldest_and_mixes_no_episodes() -> None:
    buffer = replay(16)
    added = [(key(o), a, key(p), d, r) for o, a, p, d, r in filled(buffer)]
    assert buffer.full
    found = set(drawn(buffer, 2000))
    assert found == set(added[-11:])  # 16 entries: 3 first frames of episodes, and 2 whose stack is not whole


def test_samples_and_augmentation_are_a_function_of_the_seed_and_their_number() -> None:
    def noisy(observations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return observations + torch.randint(100, (len(observations), 1, 1, 1), generator=generator).to(torch.uint8)

    one, other = (replay(100, augment=noisy) for _ in range(2))
    for buffer in (one, other):
        filled(buffer)
    first, second = one.sample(8), one.sample(8)
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(other.sample(8).observations, first.observations)
    other.sample(8)
    assert not torch.equal(first.observations, second.observations)
    assert one.last is not None
    changes = second.observations.int() - one.last.int()
    assert (changes.flatten(1).min(1).values == changes.flatten(1).max(1).values).all()
    assert len(set(changes[:, 0, 0, 0].tolist())) > 4


@pytest.mark.parametrize("capacity", [16, 100])
def test_a_buffer_goes_on_from_its_state(capacity: int) -> None:
    whole, again = replay(capacity), replay(capacity)
    filled(whole, LENGTHS[:4])
    whole.sample(5)
    again.load_state({name: array.copy() for name, array in whole.state().items()})
    filled(whole, LENGTHS[4:])
    filled(again, LENGTHS[4:])
    assert drawn(whole, 50) == drawn(again, 50)
    with pytest.raises(ValueError, match="frames is uint8 of shape"):
        replay(7).load_state(whole.state())
