"""An empty folder to work in, and runs to export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exported import MakeRun, build_run
from likewise.modalities.run import Run


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache of its own."""
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make a run in the folder `run`; see `build_run`."""

    def make(data: Any, **recipe: Any) -> Run:
        return build_run(tmp_path / "run", data, **recipe)

    return make
