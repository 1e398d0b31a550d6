"""Views are a function of seed, step and row of the whole batch: two processes make together those that one makes."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.distributed import local_rows, rank, world_size
from likewise.methods import METHODS
from likewise.seeding import draw_rows, generator_for, generator_for_part
from processes import in_processes, small_training, tensors

BATCH = 8
FAST = ("simclr", "dinov2", "jigsaw", "bert", "simcse", "wav2vec2", "clip")
# Its teacher is a run, which no process of a group trains alone: test_exact_gradients.py has the two processes of it.
ELSEWHERE = ("distill",)
REST = tuple(name for name in METHODS if name not in (*FAST, *ELSEWHERE))
PAD = 0  # id of the padding of texts
AUDIO = ["noise", "mixing", "shift", "time-mask", "band-mask", "gain", "polarity"]
CHANGES: dict[str, dict[str, Any]] = {
    "simclr": {"augment": ["crop", "rotation", "color-jitter", "grayscale", "blur", "noise", "solarize", "erasing"]},
    "cola": {"augment": [{name: {"p": 0.8}} for name in AUDIO]},
}


def made(name: str) -> list[Tensor]:
    """What the objective gets of this process's part of a batch."""
    _, source, method, _ = small_training(name, **CHANGES.get(name, {}))
    indices = local_rows(torch.arange(BATCH) * 7)
    labels = indices % 3 if method.supervised else None
    generator = generator_for_part(3, 5, part=rank(), parts=world_size())
    with torch.no_grad():
        return tensors(method.make_views(Batch(source.read(indices), indices, labels), generator))


def made_by_each(folder: Path, names: tuple[str, ...]) -> dict[str, list[Tensor] | str]:
    made_of: dict[str, list[Tensor] | str] = {}
    for name in names:
        try:
            made_of[name] = made(name)
        except Exception:
            made_of[name] = traceback.format_exc()
    return made_of


def check(name: str, processes: list[dict[str, Any]]) -> None:
    for process in processes:
        assert not isinstance(process[name], str), process[name]
    whole = made(name)
    assert len(whole) == len(processes[0][name])
    for number, tensor in enumerate(whole):
        parts = [process[name][number] for process in processes]
        if tensor.dtype == torch.int64 and tensor.ndim == 2:  # texts, without padding that none of a part needs
            parts = [F.pad(part, (0, tensor.shape[1] - part.shape[1]), value=PAD) for part in parts]
        # A view may hold several variants of the batch, one after the other.
        variants = [part.unflatten(0, (-1, BATCH // len(parts))) for part in parts]
        torch.testing.assert_close(torch.cat(variants, dim=1).flatten(0, 1), tensor, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(2, made_by_each, tmp_path_factory.mktemp("fast"), FAST)


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(2, made_by_each, tmp_path_factory.mktemp("rest"), REST)


@pytest.mark.parametrize("name", FAST)
def test_two_processes_make_the_views_of_one(name: str, fast: list[dict[str, Any]]) -> None:
    check(name, fast)


@pytest.mark.slow
@pytest.mark.parametrize("name", REST)
def test_two_processes_make_the_views_of_one_with_every_method(name: str, rest: list[dict[str, Any]]) -> None:
    check(name, rest)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_rows_do_not_depend_on_the_number_of_parts(parts: int) -> None:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 3, generator=generator)

    alone = generator_for(1, 2, 0)
    generators = [generator_for_part(1, 2, part=part, parts=parts) for part in range(parts)]
    for _ in range(2):
        drawn = [draw_rows(draw, 8 // parts, generator) for generator in generators]
        assert torch.equal(torch.cat(drawn), draw(8, alone))


def test_code_that_knows_nothing_of_parts_draws_other_numbers_in_each() -> None:
    drawn = [torch.rand(4, generator=generator_for_part(1, 2, part=part, parts=3)) for part in range(3)]
    assert not any(torch.equal(drawn[i], drawn[j]) for i in range(3) for j in range(i))
