"""Shuffling BatchNorm over two processes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from likewise.distributed import rank, shuffle_batchnorm
from likewise.seeding import generator_for
from processes import in_processes


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=generator_for(seed))


def shuffled(folder: Path) -> dict[str, Tensor]:
    """What one of two processes encodes, each of which has half of the rows, and gets."""
    views = rows(8)[4 * rank() : 4 * rank() + 4]
    met: list[Tensor] = []

    def encode(view: Tensor) -> Tensor:
        met.append(view)
        return 2 * view + 1

    norm = nn.BatchNorm1d(3)
    return {
        "plain": shuffle_batchnorm(encode, views, generator_for(0, 5)),
        "met": met[0],
        "normed": shuffle_batchnorm(norm, views, generator_for(0, 5)),
    }


def test_shuffled_parts_meet_in_other_batches_and_come_back_in_their_places(tmp_path: Path) -> None:
    ranks = in_processes(2, shuffled, tmp_path)
    everything = rows(8)
    torch.testing.assert_close(torch.cat([rank["plain"] for rank in ranks]), 2 * everything + 1)
    met = [{tuple(row) for row in rank["met"].tolist()} for rank in ranks]
    own = [{tuple(row) for row in everything[part].tolist()} for part in (slice(4), slice(4, 8))]
    assert met[0] | met[1] == own[0] | own[1]
    assert met[0] & own[0]
    assert met[0] & own[1]  # each process encoded samples of both
    # BatchNorm normalised the batches that met, not those that belong to the processes.
    normed = {
        tuple(view): out
        for rank in ranks
        for view, out in zip(rank["met"].tolist(), nn.BatchNorm1d(3)(rank["met"]).detach(), strict=True)
    }
    expected = torch.stack([normed[tuple(row)] for row in everything.tolist()])
    torch.testing.assert_close(torch.cat([rank["normed"] for rank in ranks]).detach(), expected)
    assert not torch.allclose(expected[:4], nn.BatchNorm1d(3)(everything[:4]), atol=1e-2)


def test_a_single_process_has_nothing_to_shuffle() -> None:
    norm = nn.BatchNorm1d(3)
    assert torch.equal(shuffle_batchnorm(norm, rows(8), generator_for(0)), nn.BatchNorm1d(3)(rows(8)))
