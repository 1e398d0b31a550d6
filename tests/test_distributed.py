"""Who is the first process, and what all processes decide together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from likewise.distributed import any_process, gather, is_first_process, local_rows, rank, world_size
from processes import in_processes

VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_NAME",
)  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False),
        ({"NODE_RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, True),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, False),
        ({"GROUP_RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, False),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, True),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, False),
        (
            {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "bash", "LOCAL_RANK": "1", "WORLD_SIZE": "2"},
            False,
        ),
        ({"LOCAL_RANK": "1"}, True),  # left over from another program
        ({"RANK": "3"}, True),
        ({"SLURM_PROCID": "2"}, True),
        ({"LOCAL_RANK": "x", "WORLD_SIZE": ""}, True),
    ],
    ids=str,
)
def test_the_first_process_before_there_is_a_group(
    environment: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first


def test_a_single_process_is_rank_0_of_1_and_decides_alone() -> None:
    assert (rank(), world_size()) == (0, 1)
    assert any_process(True)
    assert not any_process(False)


def of_two(folder: Path) -> dict[str, int | bool]:
    """Who a process is, and what all decide together if it is one, or none, that decides."""
    return {
        "rank": rank(),
        "of": world_size(),
        "first": is_first_process(),
        "one": any_process(rank() == 1),
        "none": any_process(False),
    }


def test_of_two_processes_one_is_enough(tmp_path: Path) -> None:
    first, second = in_processes(2, of_two, tmp_path)
    assert first == {"rank": 0, "of": 2, "first": True, "one": True, "none": False}
    assert second == {"rank": 1, "of": 2, "first": False, "one": True, "none": False}


def test_a_single_process_owns_all_rows() -> None:
    x = torch.arange(12.0).view(4, 3)
    assert torch.equal(local_rows(x), x)
    assert gather(x) is x
