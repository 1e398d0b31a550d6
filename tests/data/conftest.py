"""The cache of every test is a folder of its own, and no test reaches for the network."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LIKEWISE_CACHE", str(folder))
    monkeypatch.delenv("LIKEWISE_DATA", raising=False)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, root: Path) -> None:
        raise OSError("no\nnetwork")

    from likewise.data import builtin

    monkeypatch.setattr(builtin, "download", download)
