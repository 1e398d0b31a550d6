"""The thread that owns the encoder: what it computes together, and whose samples are whose."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from likewise.serving.gathering import Gatherer


class Doubling:
    """Doubles numbers; waits before the first batch, and keeps what it was called with."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.go_on = threading.Event()
        self.threads: set[int] = set()

    def __call__(self, modality: str, rows: Sequence[Any]) -> np.ndarray:
        self.go_on.wait(100)
        self.threads.add(threading.get_ident())
        self.batches.append((modality, list(rows)))
        if -1 in rows:
            raise ValueError("no number below 0")
        return np.array(rows, dtype=np.float32)[:, None] * 2


def values(answer: Any) -> list[float]:
    return answer.result(100)[:, 0].tolist()


def test_what_comes_meanwhile_is_computed_together_by_one_thread() -> None:
    compute = Doubling()
    gatherer = Gatherer(compute, most=6, wait=0.0)
    first = gatherer.submit("image", [1])
    others = [gatherer.submit("image", [place, 10 * place]) for place in range(2, 7)]
    compute.go_on.set()
    assert values(first) == [2]
    assert [values(other) for other in others] == [[2 * place, 20 * place] for place in range(2, 7)]
    gatherer.close()
    assert [row for _, rows in compute.batches for row in rows] == [1, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60]
    assert max(len(rows) for _, rows in compute.batches) >= 6
    assert all(len(rows) < 6 + 2 for _, rows in compute.batches)
    assert len(compute.threads) == 1
    assert threading.get_ident() not in compute.threads


def test_samples_of_two_modalities_are_computed_apart() -> None:
    compute = Doubling()
    gatherer = Gatherer(compute, most=100, wait=0.0)
    answers = [gatherer.submit(modality, [place]) for place, modality in enumerate(["image", "text"] * 3)]
    compute.go_on.set()
    assert [values(answer) for answer in answers] == [[2 * place] for place in range(6)]
    gatherer.close()
    assert all({"image": 0, "text": 1}[modality] == row % 2 for modality, rows in compute.batches for row in rows)


def test_nobody_fails_with_another() -> None:
    compute = Doubling()
    gatherer = Gatherer(compute, most=100, wait=0.0)
    answers = [gatherer.submit("image", rows) for rows in ([0], [1], [-1, 2], [3])]
    compute.go_on.set()
    with pytest.raises(ValueError, match="no number below 0"):
        answers[2].result(100)
    assert [values(answers[place]) for place in (0, 1, 3)] == [[0], [2], [6]]
    gatherer.close()


def test_what_nobody_waits_for_is_not_computed_and_the_rest_is_before_it_ends() -> None:
    compute = Doubling()
    gatherer = Gatherer(compute, most=1, wait=0.0)
    answers = [gatherer.submit("image", [place]) for place in range(4)]
    assert answers[2].cancel()
    closing = threading.Thread(target=gatherer.close)
    closing.start()
    compute.go_on.set()
    closing.join(100)
    assert not closing.is_alive()
    assert [values(answers[place]) for place in (0, 1, 3)] == [[0], [2], [6]]
    with pytest.raises(CancelledError):
        answers[2].result(100)
    assert [rows for _, rows in compute.batches] == [[0], [1], [3]]
