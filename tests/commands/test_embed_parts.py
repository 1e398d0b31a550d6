"""`likewise embed` in parts: the union is what one process writes, and a killed process goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import likewise as lw
from likewise.evaluation import embedding_parts
from likewise.evaluation.embedding_parts import SharePart
from typed_commands import answered, refused

Text = pytest.CaptureFixture[str]


def union(folder: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(Path(folder).glob("part-*.parquet"))])


def check_same(found: pa.Table, single: pa.Table, *, most: float = 0.0) -> None:
    assert found.column_names == single.column_names
    for name in ("id", "label"):
        assert found[name].to_pylist() == single[name].to_pylist()
    one, other = (np.stack(table["vector"].to_numpy()) for table in (found, single))
    np.testing.assert_allclose(one, other, rtol=0, atol=most)


def test_parts_are_rows_of_whole_batches() -> None:
    rows = [SharePart(number, 3).rows(500, 64) for number in range(3)]
    assert [(each.start, each.stop) for each in rows] == [(0, 128), (128, 320), (320, 500)]
    assert SharePart.of("2/4") == SharePart(1, 4)
    assert SharePart(1, 4).file == "part-00002-of-00004.parquet"


def test_the_union_of_the_parts_is_the_single_result(digits_run: Path, capsys: Text) -> None:
    words = ["embed", digits_run, "digits:test", "--batch-size", 64, "--no-progress"]
    answered(capsys, *words, "--out", "single.parquet")
    single = pq.read_table("single.parquet")
    found = [answered(capsys, *words, "--out", "parts", "--part", f"{i}/3") for i in (1, 2, 3)]
    assert [each["rows"] for each in found] == [128, 192, 180]
    assert found[1]["out"] == "parts/part-00002-of-00003.parquet"
    check_same(union("parts"), single)  # the same bits
    assert sorted(path.name for path in Path("parts").iterdir()) == [SharePart(i, 3).file for i in range(3)]


def test_a_process_of_a_launcher_takes_the_part_of_its_rank(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    done = lw.embed(digits_run, "digits:test", out="parts", batch_size=64, progress=False)
    assert done.out == "parts/part-00002-of-00002.parquet"
    assert done.rows == 500 - 4 * 64


def test_a_killed_process_goes_on_where_it_stopped(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    monkeypatch.setattr(embedding_parts, "SEGMENT", 64)
    how: dict[str, Any] = {"out": "parts", "part": "1/1", "batch_size": 64, "progress": False}
    made: list[int] = []
    write = embedding_parts.write_parquet

    def killed(path: Path, *rest: Any, first: int, **more: Any) -> int:
        made.append(first)
        if len(made) == 4:
            raise KeyboardInterrupt
        return write(path, *rest, first=first, **more)

    monkeypatch.setattr(embedding_parts, "write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        lw.embed(digits_run, "digits:test", **how)
    assert not list(Path("parts").glob("*.parquet"))
    assert made == [0, 64, 128, 192]
    lw.embed(digits_run, "digits:test", **how)
    assert made[4:] == [192, 256, 320, 384, 448]
    before = len(made)
    assert lw.embed(digits_run, "digits:test", **how).rows == 500
    assert len(made) == before  # what is done is kept
    lw.embed(digits_run, "digits:test", out="single.parquet", batch_size=64, progress=False)
    check_same(union("parts"), pq.read_table("single.parquet"))
    told = refused(capsys, "embed", digits_run, "digits:train", "--out", "parts", "--part", "1/1", "--batch-size", 64)
    assert told.startswith("parts/part-00001-of-00001.parquet is of another encoder, of other samples, or damaged")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--out v.parquet --part 1/2", "out must be a folder where embeddings are written in parts, got v.parquet"),
        ("--out parts --part 3/2", "part must be one of several, such as 2/4, got '3/2'"),
        ("--out parts --part x", "part must be one of several, such as 2/4, got 'x'"),
        ("--out parts --part 1/9 --batch-size 100", "part: 9 parts need as many batches, and there are 5: take fewer"),
        ("--out parts --part 1/2 --devices 2", "--part and --devices exclude each other: the second starts a process "),
        ("--out lance://x --part 1/2", "--part, --devices and --engine need a folder for Parquet files as --out"),
        ("--out parts --devices 0", "devices must be from 1 to 1024, got 0"),
        (
            "--out parts --engine ray --part 1/2",
            "--part and --engine exclude each other: the second starts a task for ",
        ),
        ("--out v.npy --engine ray", "out must be a folder where embeddings are written in parts, got v.npy"),
        ("--out lance://x --engine ray", "--part, --devices and --engine need a folder for Parquet files as --out"),
    ],
)
def test_mistakes_about_parts(words: str, told: str, digits_run: Path, capsys: Text) -> None:
    assert refused(capsys, "embed", digits_run, "digits:test", *words.split()).startswith(told)


@pytest.mark.slow
def test_two_processes_write_two_parts(digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["embed", digits_run, "digits:test", "--batch-size", 64, "--no-progress"]
    done = answered(capsys, *words, "--out", "parts", "--devices", 2)
    assert done == {"out": "parts", "rows": 500, "dim": 256}
    answered(capsys, *words, "--out", "single.parquet")
    check_same(union("parts"), pq.read_table("single.parquet"), most=1e-5)  # other threads round otherwise
    told = refused(capsys, "embed", digits_run, "nowhere.tar", "--out", "other", "--devices", 2, "--no-progress")
    assert told.endswith("embedding failed in part 1/2, 2/2, whose message is above: the same command goes on")


def test_without_ray_the_extra_is_named(digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    told = refused(capsys, "embed", digits_run, "digits:test", "--out", "parts", "--engine", "ray", "--no-progress")
    assert "pip install 'likewise[ray]'" in told


@pytest.mark.slow
def test_tasks_of_a_ray_cluster_write_the_parts(digits_run: Path, capsys: Text) -> None:
    pytest.importorskip("ray")
    words = ["embed", digits_run, "digits:test", "--batch-size", 64, "--no-progress"]
    ray = ["--engine", "ray", "--devices", 3]
    done = answered(capsys, *words, "--out", "parts", *ray)
    assert done == {"out": "parts", "rows": 500, "dim": 256}
    assert sorted(path.name for path in Path("parts").iterdir()) == [SharePart(i, 3).file for i in range(3)]
    answered(capsys, *words, "--out", "single.parquet")
    check_same(union("parts"), pq.read_table("single.parquet"), most=1e-5)  # other threads round otherwise
    told = refused(capsys, "embed", digits_run, "nowhere.tar", "--out", "other", *ray, "--no-progress")
    assert told.startswith("embedding failed in part 1/3, 2/3, 3/3 (")
    assert "nowhere.tar" in told
    assert told.endswith("): the same command goes on")


def test_a_cluster_that_is_not_there_is_told_in_one_line(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    ray = pytest.importorskip("ray")

    def unreachable(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance\nat head:6379")

    monkeypatch.setattr(ray, "init", unreachable)
    told = refused(capsys, "embed", digits_run, "digits:test", "--out", "parts", "--engine", "ray", "--no-progress")
    assert told == (
        "the Ray cluster cannot embed: Could not find any running Ray instance at head:6379; the same command goes on"
    )
