"""The best answers to some queries, both ways, against a search sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.data.batches import Parts
from likewise.evaluation.matches import retrieval_matches


class Seen:
    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def picture(self, view: Tensor) -> Tensor:
        return view.to(torch.uint8).reshape(-1, 1, 1, 1)


class Said:
    sample_rate = 8000

    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def texts(self, view: Tensor) -> list[str]:
        return [f"number {number}" for number in view.tolist()]

    def sounds(self, view: Tensor) -> Tensor:
        return view.to(torch.int16)[:, None].repeat(1, 3)


class Both:
    parts = (Seen(), Said())

    def clean(self, batch: Parts) -> Parts:
        return batch


class Numbers:
    """Sample i shows i."""

    modality, name = "pair", "numbers"

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []
        self.ids = [str(number) for number in range(count)]
        self.classes: list[str] = []
        self.skipped: list[tuple[str, str]] = []

    def labels(self) -> Tensor:
        raise NotImplementedError

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Tensor) -> Parts:
        self.asked += indices.tolist()
        return Parts((indices, indices))


def saved(tmp_path: Path, count: int, groups: Tensor | None = None) -> tuple[dict[str, Any], Tensor, Tensor, Numbers]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, count, 4, generator=generator)
    second = first + second
    source = Numbers(count)
    groups = torch.arange(count) if groups is None else groups
    retrieval_matches(source, Both(), first, second, names=("image", "text"), groups=groups).save(tmp_path)
    with np.load(tmp_path / "matches.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}, first, second, source


def test_answers_marks_and_ranks_are_those_of_a_search_sample_by_sample(tmp_path: Path) -> None:
    groups = torch.arange(50) // 2
    arrays, first, second, _ = saved(tmp_path, 50, groups)
    shown = arrays["first"].ravel()
    assert shown[arrays["queries"]].tolist() == [0, 4, 9, 13, 18, 22, 27, 31, 36, 40, 45, 49]
    for protocol, (asked, gallery) in enumerate(((first, second), (second, first))):
        for number, query in enumerate(shown[arrays["queries"]].tolist()):
            cosines = [float(asked[query] @ z / asked[query].norm() / z.norm()) for z in gallery]
            best = sorted(range(50), key=lambda n: -cosines[n])
            assert shown[arrays["answers"][protocol, number]].tolist() == best[:5]
            right = [n // 2 == query // 2 for n in best]
            assert arrays["right"][protocol, number].tolist() == right[:5]
            assert arrays["ranks"][protocol, number] == 1 + right.index(True)


def test_what_is_shown_is_what_was_found(tmp_path: Path) -> None:
    arrays, _, _, source = saved(tmp_path, 50)
    assert arrays["names"].tolist() == ["image", "text"]
    assert int(arrays["candidates"]) == 50
    numbers = arrays["first"].ravel().tolist()
    assert numbers == sorted(set(source.asked))
    assert arrays["second_texts"].tolist() == [f"number {number}" for number in numbers]
    assert arrays["second_sounds"].tolist() == [[number] * 3 for number in numbers]
    assert int(arrays["second_sample_rate"]) == 8000
    assert "first_texts" not in arrays


def test_fewer_pairs_than_queries(tmp_path: Path) -> None:
    arrays, _, _, _ = saved(tmp_path, 3)
    assert arrays["queries"].tolist() == [0, 1, 2]
    assert arrays["answers"].shape == (2, 3, 3)


def test_an_encoder_to_which_all_is_alike_finds_nothing(tmp_path: Path) -> None:
    source = Numbers(40)
    same = torch.ones(40, 4)
    names, groups = ("image", "text"), torch.arange(40)
    retrieval_matches(source, Both(), same, same, names=names, groups=groups).save(tmp_path)
    with np.load(tmp_path / "matches.npz", allow_pickle=False) as arrays:
        assert (arrays["ranks"] == 40).all()
