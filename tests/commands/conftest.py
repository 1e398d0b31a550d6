"""A run to put to use, in a folder to work in."""

from __future__ import annotations

from pathlib import Path

import pytest

import likewise as lw


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache of its own."""
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="package")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "digits"
    how = {"encoder": "resnet8", "epochs": 1, "precision": "32-true", "progress": False}
    lw.pretrain("digits", out=folder, **how)
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    """Run a command that is a user's mistake; returns its one line."""
    from likewise.cli import main

    def run(*words: object) -> str:
        status = main([*map(str, words)])
        out, err = capsys.readouterr()
        assert (status, out) == (2, ""), err
        assert err.startswith("likewise: ")
        assert err.count("\n") == 1
        return err.removeprefix("likewise: ").rstrip()

    return run
