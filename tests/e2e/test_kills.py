"""Killed at random instants, or on a full disk: the same command again ends with the same bits.

A sample of the kills and of the points where a disk is full; LIKEWISE_KILLS=200 LIKEWISE_FULL_DISKS=50 asks for all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rough import EMBED, EVALUATE, PRETRAIN, REPORT, Commands, different, enlarge, photos, results, small_disk

KILLS = int(os.environ.get("LIKEWISE_KILLS", "12"))
FULL_DISKS = int(os.environ.get("LIKEWISE_FULL_DISKS", "6"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STEPS = {"pretrain": PRETRAIN, "evaluate": EVALUATE, "embed": EMBED, "report": REPORT}
TURNS = ("pretrain", "evaluate", "pretrain", "embed", "pretrain", "report")
"""Building the cache, checkpoints and what a finished training writes are parts of `pretrain`."""


class Reference(NamedTuple):
    """What commands leave that were never killed."""

    folder: Path
    commands: Commands
    before: dict[str, Path]
    """By command: a folder as it finds it."""
    wanted: dict[str, dict[str, Any]]
    """By command: what is there after it."""
    pages: dict[str, bytes]
    seconds: dict[str, float]
    sizes: dict[str, int]
    """By command: bytes on the disk after it."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    folder = tmp_path_factory.mktemp("rough")
    photos(folder / "photos", 24, seed=0)
    photos(folder / "others", 12, seed=1)
    found = Reference(folder, Commands(), {}, {}, {}, {}, {})
    work = folder / "whole"
    work.mkdir()
    for name, words in STEPS.items():
        found.before[name] = folder / f"before-{name}"
        shutil.copytree(work, found.before[name])
        ended = found.commands.run(words, work, cache=work / "cache")
        assert ended.status == 0, ended.err
        found.wanted[name], found.seconds[name] = results(work), ended.seconds
        found.sizes[name] = sum(path.stat().st_blocks * 512 for path in work.rglob("*"))
    found.pages["report"] = (work / "run" / "report.html").read_bytes()
    yield found
    found.commands.close()


def check_equal(name: str, work: Path, reference: Reference) -> None:
    assert different(results(work), reference.wanted[name]) == []
    if name in reference.pages:
        assert (work / "run" / "report.html").read_bytes() == reference.pages[name]


def check_sound(work: Path) -> None:
    """At any instant, a file that has its name is whole."""
    for path in (work / "run").glob("*.json"):
        json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.timeout(3600 + 120 * max(KILLS, FULL_DISKS))
def test_kills(reference: Reference) -> None:
    draw = random.Random(0)
    ends: dict[str, int] = {}
    for number in range(KILLS):
        name, which = TURNS[number % len(TURNS)], draw.choice(SIGNALS)
        work = reference.folder / f"kill-{number}"
        shutil.copytree(reference.before[name], work)
        instant = draw.uniform(0, 1.1) * reference.seconds[name]
        ended = reference.commands.run(STEPS[name], work, cache=work / "cache", kill=(which, instant))
        story = f"{name} got {which.name} after {instant:.3f} s: {ended.status} {ended.err[-500:]}"
        allowed = {signal.SIGKILL: (-9, 0), signal.SIGTERM: (-15, 143, 130, 0), signal.SIGINT: (130, -2, 0)}[which]
        assert ended.status in allowed, story
        assert "bug in likewise" not in ended.err, story
        assert "Traceback" not in ended.err, story
        ends[f"{name} {which.name} {ended.status}"] = ends.get(f"{name} {which.name} {ended.status}", 0) + 1
        check_sound(work)
        again = reference.commands.run(STEPS[name], work, cache=work / "cache")
        assert again.status == 0, f"{story}; then {again.err}"
        try:
            check_equal(name, work, reference)
        except AssertionError as error:
            raise AssertionError(f"{story}: {error}") from error
        shutil.rmtree(work)
    print(dict(sorted(ends.items())))
    assert any(not end.endswith(" 0") for end in ends)  # some were killed before their end


@pytest.mark.slow
@pytest.mark.timeout(3600 + 120 * max(KILLS, FULL_DISKS))
def test_full_disks(reference: Reference) -> None:
    """Disks that are full after some more bytes than there were: for each command from its first to its last one."""
    draw = random.Random(1)
    full: dict[str, int] = {}
    for number in range(FULL_DISKS):
        name = ("pretrain", "pretrain", "pretrain", "evaluate", "embed", "report")[number % 6]
        work = reference.folder / f"disk-{number}"
        before = sum(path.stat().st_blocks * 512 for path in reference.before[name].rglob("*"))
        grows = max(reference.sizes[name] - before, 2**16)
        size = before + 2**14 + int(draw.uniform(0, 1) * grows) // 4096 * 4096
        try:
            disk = small_disk(work, 2**26 + before)
            disk.__enter__()
        except PermissionError:
            pytest.skip("needs the right to mount a disk")
        try:
            shutil.copytree(reference.before[name], work, dirs_exist_ok=True)
            enlarge(work, size)
            ended = reference.commands.run(STEPS[name], work, cache=work / "cache")
            story = f"{name} with {size - before:,} bytes: {ended.status} {ended.err[-700:]}"
            assert ended.status in (0, 2), story
            if ended.status == 2:
                full[name] = full.get(name, 0) + 1
                lines = [line for line in ended.err.splitlines() if line.startswith("likewise: ")]
                assert len(lines) == 1, story
                assert "disk" in lines[0], story
                assert "full" in lines[0], story
            assert "bug in likewise" not in ended.err, story
            assert "Traceback" not in ended.err, story
            if name == "evaluate":
                assert '"summary"' in ended.out, story  # printed, though it could not be written
            check_sound(work)
            lost = set(results(reference.before[name])) - set(results(work))
            assert not lost, story
            enlarge(work, 2**27)
            again = reference.commands.run(STEPS[name], work, cache=work / "cache")
            assert again.status == 0, f"{story}; then {again.err}"
            try:
                check_equal(name, work, reference)
            except AssertionError as error:
                raise AssertionError(f"{story}: {error}") from error
        finally:
            disk.__exit__(None, None, None)
    print(full)
    assert full.get("pretrain")
