"""Damaged files of every format end without crash, hang, unlisted loss, or a file outside."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from formats import IMAGES, SOUNDS, TABLES

from hostile import damaged

FILES = (*IMAGES, *SOUNDS, *TABLES, "npy", "npz", "txt", "tar", "idx", "gz", "yaml")
RUN_FILES = 10
SECONDS = 550


def fuzzed(folder: Path, names: tuple[str, ...], *, count: int, seed: int) -> dict[str, int]:
    """How `count` damaged files of each format ended, read in a process whose memory and time are limited."""
    for name in ("scratch", "empty"):
        (folder / name).mkdir()
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *sys.path]
    done = subprocess.run(
        [sys.executable, here / "worker.py", folder, str(seed), str(count), *names],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"died at {folder / 'inputs'}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["finds"] == []
    return found["ends"]


@pytest.mark.parametrize(
    ("count", "seed"),
    [(5, 0), pytest.param(40, 1, marks=pytest.mark.slow), pytest.param(36, 2, marks=pytest.mark.slow)],
)
def test_damaged_data(count: int, seed: int, tmp_path: Path) -> None:
    ends = fuzzed(tmp_path, FILES, count=count, seed=seed)
    assert sum(ends.values()) == count * len(FILES)
    assert all(ends[f"{name} read"] == count for name in (*IMAGES, *SOUNDS))  # the damaged ones are listed
    assert sum(number for end, number in ends.items() if end.endswith("refused")) > count


@pytest.mark.parametrize(("count", "seed"), [(4, 0), pytest.param(45, 1, marks=pytest.mark.slow)])
def test_damaged_runs(count: int, seed: int, tmp_path: Path) -> None:
    ends = fuzzed(tmp_path, ("run",), count=count, seed=seed)
    assert sum(ends.values()) == count * RUN_FILES
    assert ends["config.json refused"]
    assert ends["metrics.csv read"]


def test_each_damage_is_one_and_is_repeated() -> None:
    content = bytes(range(256)) * 8
    some, again = ([damaged(content, random.Random(seed)) for seed in range(50)] for _ in range(2))
    assert some == again
    assert len(set(some)) == 50
    assert sum(one != content for one in some) == 50
