"""Commands as a user types them, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import Typed

Likewise = Callable[..., subprocess.CompletedProcess[str]]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def start(cache: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `likewise …` in an empty working folder."""

    def start(*words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "likewise.cli", *map(str, words)],
            cwd=tmp_path,
            env=os.environ | ONE_THREAD | {"LIKEWISE_CACHE": str(cache)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def likewise(cache: Path, tmp_path: Path) -> Likewise:
    """Run `likewise …` to its end in the same folder."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        process = Typed(*words, folder=tmp_path, **ONE_THREAD, LIKEWISE_CACHE=str(cache))
        out, err = process.communicate(timeout=500)
        return subprocess.CompletedProcess(words, process.returncode or 0, out, err)

    return run


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache of its own, for commands that run in this process."""
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
