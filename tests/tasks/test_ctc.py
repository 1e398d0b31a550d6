"""CTC against its definition: the sum over all paths of frames that spell a text."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.tasks.ctc import BLANK, Characters, CTCHead, ctc_loss, frames_needed, greedy_decode

OUTPUTS = 3  # the blank and two characters


def collapsed(path: tuple[int, ...]) -> list[int]:
    """Repeats merged, blanks left out."""
    return [number for number, _ in itertools.groupby(path) if number != BLANK]


def naive_loss(log_probabilities: torch.Tensor, target: list[int]) -> float:
    """The negative logarithm of the probability of a text, over all paths, in float64."""
    frames = range(len(log_probabilities))
    total = 0.0
    for path in itertools.product(range(OUTPUTS), repeat=len(log_probabilities)):
        if collapsed(path) == target:
            total += math.exp(sum(float(log_probabilities[t, path[t]]) for t in frames))
    return -math.log(total)


@pytest.mark.parametrize("targets", [[[1], [2, 1]], [[1, 1], [2]], [[1, 2, 1], [2, 2]]])
def test_the_loss_is_the_sum_over_all_paths(targets: list[list[int]]) -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 5, OUTPUTS, dtype=torch.float64).log_softmax(-1)
    lengths = torch.tensor([5, 4])  # the last frame of the second row is no part of it
    found = ctc_loss(scores, lengths, [torch.tensor(target) for target in targets])
    wanted = [
        naive_loss(row[:length], target) / len(target)
        for row, length, target in zip(scores, lengths.tolist(), targets, strict=True)
    ]
    assert float(found) == pytest.approx(sum(wanted) / 2, rel=1e-9)


@given(st.lists(st.integers(1, OUTPUTS - 1), min_size=1, max_size=4))
def test_a_text_needs_as_many_frames_as_its_shortest_path_has(target: list[int]) -> None:
    needed = frames_needed(target)
    paths = [itertools.product(range(OUTPUTS), repeat=frames) for frames in (needed - 1, needed)]
    assert [any(collapsed(path) == target for path in some) for some in paths] == [False, True]


def test_greedy_decoding_merges_repeats_and_drops_blanks() -> None:
    best = torch.tensor([[1, 1, 0, 1, 2, 2], [0, 2, 2, 0, 1, 1]])
    scores = torch.nn.functional.one_hot(best, OUTPUTS).float()
    assert greedy_decode(scores, torch.tensor([6, 4])) == [[1, 1, 2], [2]]


def test_characters_are_numbers_after_the_blank() -> None:
    characters = Characters(["ab", "b c"])
    assert characters.characters == [" ", "a", "b", "c"]
    assert characters.encode("cab?").tolist() == [4, 2, 3]
    assert characters.decode([4, 2, 3]) == "cab"


def test_what_a_row_is_filled_up_with_changes_nothing() -> None:
    torch.manual_seed(0)
    head = CTCHead(4, 3, mean=torch.randn(4), scale=torch.rand(4) + 0.5).eval()
    frames = torch.randn(2, 7, 4)
    alone = head(frames[:1, :5], torch.tensor([5]))
    beside = head(frames, torch.tensor([5, 7]))
    frames[0, 5:] = 1e6
    assert torch.allclose(alone[0], beside[0, :5], atol=1e-6)
    assert torch.equal(head(frames, torch.tensor([5, 7]))[0, :5], beside[0, :5])
    assert torch.allclose(beside.exp().sum(-1), torch.ones(2, 7))
