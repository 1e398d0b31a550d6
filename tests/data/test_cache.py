"""Folders of the cache are private, checked, and the only thing that is ever removed."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

from likewise.data.cache import STALE_SECONDS, cached, digest

KEY = digest(["something"])


def build(folder: Path) -> dict[str, Any]:
    (folder / "data").write_bytes(bytes(range(100)))
    return {"built": time.perf_counter_ns()}


def test_nobody_else_can_read_it() -> None:
    umask = os.umask(0)
    try:
        folder, _ = cached("private", KEY, build)
    finally:
        os.umask(umask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_damaged_file_of_the_same_size_is_built_again() -> None:
    folder, first = cached("damaged", KEY, build)
    assert cached("damaged", KEY, build)[1] == first
    (folder / "data").write_bytes(bytes(100))
    assert cached("damaged", KEY, build)[1] != first
    assert (folder / "data").read_bytes() == bytes(range(100))


def test_a_file_that_was_only_copied_is_as_good() -> None:
    folder, first = cached("copied", KEY, build)
    os.utime(folder / "data", (1, 1))
    assert cached("copied", KEY, build)[1] == first


def test_an_index_of_another_layout_or_of_nonsense_is_built_again() -> None:
    folder, said = cached("index", KEY, build)
    for text in ('{"schema": 1, "files": {}, "said": {}}', "[]", "null", "{" * 9999, '{"schema": 2, "files": 3}'):
        (folder / "index.json").write_text(text)
        built = cached("index", KEY, build)[1]
        assert built not in (said, {})
        said = built


def test_only_what_builds_left_is_swept(tmp_path: Path) -> None:
    folder, _ = cached("swept", KEY, build)
    old = time.time() - STALE_SECONDS - 60
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    link = folder.parent / f"{digest(['link'])}.0123abcd.tmp"
    link.symlink_to(outside)
    users, left = folder.parent / "x.tmp", folder.parent / f"{digest(['left'])}.0123abcd.tmp"
    for path in (users, left):
        path.mkdir()
        os.utime(path, (old, old))
    cached("swept", digest(["another"]), build)
    assert not left.exists()
    assert users.is_dir()
    assert (outside / "mine").exists()
