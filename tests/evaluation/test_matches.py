"""The best answers to some queries, both ways, against a search sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.data.batches import Parts
from likewise.data.source import Source
from likewise.evaluation.distinct_pairs import DistinctPairs, distinct_pairs
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


class Numbers(Source):
    """Sample i shows i."""

    modality, name = "pair", "numbers"

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

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
    every = torch.arange(count)
    groups = every if groups is None else groups
    pairs = DistinctPairs(every, every, every[:, None].repeat(1, 2), (groups[:, None] == groups).nonzero())
    retrieval_matches(source, Both(), first, second, names=("image", "text"), pairs=pairs).save(tmp_path)
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
    assert arrays["candidates"].tolist() == [50, 50]
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
    pairs = distinct_pairs(range(40), range(40))
    retrieval_matches(source, Both(), same, same, names=("image", "text"), pairs=pairs).save(tmp_path)
    with np.load(tmp_path / "matches.npz", allow_pickle=False) as arrays:
        assert (arrays["ranks"] == 40).all()


def test_an_image_with_several_captions_is_one_query_and_one_answer(tmp_path: Path) -> None:
    """Image i is pair 2i and pair 2i + 1; the last caption says what the first one does."""
    images, texts = [i // 2 for i in range(20)], [i % 19 for i in range(20)]
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(10, 4, generator=generator), torch.randn(19, 4, generator=generator)
    pairs = distinct_pairs(images, texts)
    retrieval_matches(Numbers(20), Both(), first, second, names=("image", "text"), pairs=pairs).save(tmp_path)
    with np.load(tmp_path / "matches.npz", allow_pickle=False) as arrays:
        assert arrays["candidates"].tolist() == [19, 10]
        shown = arrays["first"].ravel()
        queries = shown[arrays["queries"]].tolist()
        assert queries == list(range(0, 20, 2))
        for direction, (asked, gallery) in enumerate(((first, second), (second, first))):
            number, target = (images, texts) if direction == 0 else (texts, images)
            for place, query in enumerate(queries):
                cosines = torch.cosine_similarity(asked[number[query]][None], gallery)
                best = cosines.argsort(descending=True).tolist()
                answers = shown[arrays["answers"][direction, place]].tolist()
                assert [target[answer] for answer in answers] == best[:5]
                right = {target[i] for i in range(20) if number[i] == number[query]}
                assert arrays["right"][direction, place].tolist() == [each in right for each in best[:5]]
                assert arrays["ranks"][direction, place] == 1 + next(k for k, n in enumerate(best) if n in right)
