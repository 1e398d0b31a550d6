"""Files are replaced whole, beside nothing and outside nothing, whatever stands in their folder."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from likewise.atomic import STALE_SECONDS, own_folder, replacing, write_text
from likewise.errors import UserError


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "run"
    folder.mkdir()
    outside.write_text("mine")
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)  # even a name that was guessed
    (folder / f".report.html.{'0' * 16}.part").symlink_to(outside)
    with pytest.raises(FileExistsError):
        write_text(folder / "report.html", "page")
    assert outside.read_text() == "mine"


def test_a_target_that_is_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    outside, path = tmp_path / "outside", tmp_path / "file"
    outside.write_text("mine")
    path.symlink_to(outside)
    write_text(path, "new")
    assert (outside.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


def test_names_of_parts_cannot_be_foreseen(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with replacing(tmp_path / "file") as part:
            names.add(part.name)
    assert len(names) == 2
    assert not any(str(os.getpid()) == word for name in names for word in name.split("."))


def test_permissions_of_a_private_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    path.chmod(0o600)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_stale_parts_of_our_own_pattern_are_swept(tmp_path: Path) -> None:
    old = time.time() - STALE_SECONDS - 60
    stale = tmp_path / f".file.{'a' * 16}.part"
    others = [tmp_path / name for name in (".file.part", "file.part", ".file.tmp", ".other.aaaaaaaaaaaaaaaa.part")]
    for path in (stale, *others):
        path.touch()
        os.utime(path, (old, old))
    young = tmp_path / f".file.{'b' * 16}.part"
    young.touch()
    write_text(tmp_path / "file", "new")
    assert not stale.exists()
    assert all(path.exists() for path in (*others, young))


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_of_a_run_must_be_one(kind: str, tmp_path: Path) -> None:
    outside, path = tmp_path / "outside", tmp_path / "checkpoints"
    outside.mkdir()
    path.symlink_to(outside) if kind == "link" else path.touch()
    with pytest.raises(UserError, match="checkpoints must be a folder, got a link or a file: remove it"):
        own_folder(path)
    assert own_folder(tmp_path / "new") == own_folder(tmp_path / "new")
