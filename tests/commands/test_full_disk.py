"""What cannot be written is said, and costs no result."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

import likewise as lw
from likewise.cli import main
from likewise.errors import UserError
from likewise.runs.evaluation import Evaluation


def test_an_evaluation_that_cannot_be_kept_is_printed(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Any, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Evaluation, "save", full)
    command = f"evaluate {digits_run} --labels-per-class 1 --seeds 1 --protocols frozen --no-progress --json"
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out.startswith("{")
    assert '"summary"' in out
    assert err.count("\n") == 2
    assert f"reading digits:train, which {digits_run}/config.json names\n" in err
    assert f"could not write into {digits_run}: the disk is full; the result is not kept" in err


def test_a_log_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    run = lw.pretrain("digits", epochs=1, batch_size=512, out=tmp_path / "run", precision="32-true", progress=False)
    outside = tmp_path / "outside"
    (run.path / "tensorboard").rename(outside)
    (run.path / "tensorboard").symlink_to(outside)
    kept = sorted(outside.iterdir())
    with pytest.raises(UserError, match="tensorboard must be a folder, got a link"):
        lw.pretrain("digits", epochs=2, batch_size=512, out=run.path, precision="32-true", progress=False, resume=True)
    assert sorted(outside.iterdir()) == kept
