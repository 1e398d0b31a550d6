"""One training a run folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import likewise as lw
from likewise.errors import UserError
from likewise.runs import lock
from likewise.runs.lock import LOCK, is_unused, training_lock

HOLD = """
import sys, time
from pathlib import Path
from likewise.runs.lock import training_lock
with training_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(lock.fcntl is None, reason="needs file locks")
def test_a_second_training_into_a_folder_is_told_who_trains_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    who = f"{run} is being trained by process {other.pid} on {socket.gethostname()}; wait for it, or name another"
    with pytest.raises(UserError, match=who):
        lw.pretrain("digits", epochs=1, batch_size=64, out=run, progress=False)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (run / LOCK).read_text().startswith(str(other.pid))
    with training_lock(run):
        assert (run / LOCK).read_text() == f"{os.getpid()} {socket.gethostname()}\n"
    assert (run / LOCK).read_text() == ""
    assert is_unused(run)


def test_without_locks_the_process_that_the_file_names_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for holder, held in (
        (f"{os.getppid()} {socket.gethostname()}", True),
        ("1 elsewhere", True),
        (f"{gone.pid} {socket.gethostname()}", False),
        ("", False),
        ("no number", False),
    ):
        (tmp_path / LOCK).write_text(holder)
        if held:
            with pytest.raises(UserError, match=f"is being trained by process {holder.replace(' ', ' on ')}"):
                training_lock(tmp_path).__enter__()
        else:
            with training_lock(tmp_path):
                pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match="must be a file, got a link"), training_lock(tmp_path / "run"):
        pass
    assert (tmp_path / "theirs").read_text() == "precious"


def test_a_folder_that_is_no_run_gets_no_lock(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists: name another folder"):
        lw.pretrain("digits", epochs=1, batch_size=64, out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_begins_where_one_was_killed_as_it_began(tmp_path: Path) -> None:
    """Killed while the first config.json was written: a part of it, and the lock."""
    (tmp_path / LOCK).write_text("1 host\n")
    (tmp_path / ".config.json.0123456789abcdef.part").write_text("{")
    assert is_unused(tmp_path)
    (tmp_path / ".config.json.swp").write_text("")
    assert not is_unused(tmp_path)
