"""The table of an index: rows, searches that are approximate, and tables that are not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from likewise.errors import UserError
from likewise.index import table
from likewise.index.address import index_folder
from likewise.index.table import EmbeddingIndex, schema_of

lancedb = pytest.importorskip("lancedb")

INFO = {
    "likewise": "0",
    "created": "now",
    "encoder": {"run": "run", "relative": None, "digest": "d", "dim": 16, "modality": "image"},
}


def clustered(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, 16))
    return (centres[random.integers(20, size=count)] + 0.4 * random.normal(size=(count, 16))).astype(np.float32)


def rows(vectors: np.ndarray, start: int = 0) -> pa.Table:
    numbers = range(start, start + len(vectors))
    columns = {
        "id": [f"s{i}" for i in numbers],
        "label": ["even" if i % 2 == 0 else None for i in numbers],
        "content": [f"{i:016x}" for i in numbers],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    return pa.table(columns, schema=schema_of(INFO))


def nearest_of(vectors: np.ndarray, query: np.ndarray, among: Any = slice(None)) -> list[str]:
    """Ids of the ten nearest, by NumPy in float64."""
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    places = np.arange(len(vectors))[among]
    return [f"s{i}" for i in places[np.argsort(-(unit[places] @ query), kind="stable")[:10]].tolist()]


@pytest.fixture
def index(tmp_path: Path) -> EmbeddingIndex:
    found = EmbeddingIndex.create(tmp_path / "index", INFO)
    found.add(rows(clustered(6000, seed=0)))
    return found


def test_an_exact_search_is_that_of_numpy(index: EmbeddingIndex) -> None:
    vectors = clustered(6000, seed=0)
    for query in clustered(5, seed=1):
        found = index.nearest(query, 10)
        assert [row.id for row in found] == nearest_of(vectors, query)
        cosine = vectors[int(found[0].id[1:])] @ query
        cosine /= np.linalg.norm(vectors[int(found[0].id[1:])]) * np.linalg.norm(query)
        assert found[0].similarity == pytest.approx(float(cosine), abs=1e-6)
        assert [row.similarity for row in found] == sorted((row.similarity for row in found), reverse=True)
        even = index.nearest(query, 10, where="label = 'even'")
        assert [row.id for row in even] == nearest_of(vectors, query, slice(0, None, 2))
        odd = index.nearest(query, 10, where="label IS NULL")
        assert [row.id for row in odd] == nearest_of(vectors, query, slice(1, None, 2))


def recall(index: EmbeddingIndex, vectors: np.ndarray, **how: Any) -> float:
    queries = clustered(30, seed=2)
    shares = [
        len({row.id for row in index.nearest(query, 10, **how)} & set(nearest_of(vectors, query))) / 10
        for query in queries
    ]
    return float(np.mean(shares))


def test_a_large_index_is_searched_approximately(index: EmbeddingIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(6000, seed=0)
    assert not index.needs_building()
    monkeypatch.setattr(table, "INDEXED_FROM", 5000)
    assert index.needs_building()
    index.settle(build=True)
    assert not index.needs_building()

    monkeypatch.setattr(table, "PROBED", 0.25)
    assert recall(index, vectors) >= 0.95
    monkeypatch.setattr(table, "PROBED", 0.0)  # one partition
    assert recall(index, vectors) < 0.9
    assert recall(index, vectors, exact=True) == 1
    assert len(index.nearest(vectors[0], 200)) == 200  # more than an approximate search gives
    monkeypatch.setattr(table, "MOST_APPROXIMATE", 5)
    assert recall(index, vectors) == 1
    monkeypatch.setattr(table, "MOST_APPROXIMATE", 100)
    # A filter that leaves few rows: these are compared one by one.
    for start, where in enumerate(("label = 'even'", "label IS NULL")):
        few = index.nearest(vectors[0], 10, where=where)
        assert [row.id for row in few] == nearest_of(vectors, vectors[0], slice(start, None, 2))

    # Rows that are added are found, before they are indexed and after it.
    more = clustered(500, seed=3)
    index.add(rows(more, start=6000))
    for _ in range(2):
        assert index.nearest(more[7], 1)[0].id == "s6007"
        assert not index.needs_building()
        index.settle(build=False)
    index.add(rows(clustered(7000, seed=4), start=6500))
    assert index.needs_building()
    assert EmbeddingIndex.open(index.folder).info == INFO


def test_rows_are_deleted(index: EmbeddingIndex) -> None:
    [batch] = [one.slice(0, 3) for one in index.rows(["id"])][:1]
    index.delete(batch["_rowid"].to_pylist())
    assert len(index) == 5997
    left = {id for one in index.rows(["id"]) for id in one["id"].to_pylist()}
    assert left == {f"s{i}" for i in range(6000)} - set(batch["id"].to_pylist())


@pytest.mark.parametrize(
    "where",
    ["label = even", "label", "label = ", "lable = 'even'", "label > 5", "1 / 0 = 1", "DROP TABLE embeddings", "", "("],
)
def test_a_filter_that_is_none_is_one_line(where: str, index: EmbeddingIndex) -> None:
    with pytest.raises(UserError, match="where must be a condition on id, label, content, such as") as told:
        index.nearest(np.ones(16, np.float32), 3, where=where)
    assert "\n" not in str(told.value)
    assert ".rs:" not in str(told.value)


def test_addresses() -> None:
    assert index_folder("lance://some/folder") == Path("some/folder")
    assert index_folder("lance:///some/folder") == Path("/some/folder")
    assert index_folder("lance://~/x") == Path("~/x").expanduser()
    assert index_folder("x.parquet") is index_folder(None) is index_folder(np.zeros(3)) is None
    for wrong in ("lance:x", "lance:/x", "lance://", Path("lance://x")):
        with pytest.raises(UserError, match=r"an index is named lance://FOLDER, as text, got lance:"):
            index_folder(wrong)


# --- Tables from elsewhere


def foreign(folder: Path, schema: pa.Schema) -> Path:
    lancedb.connect(folder).create_table("embeddings", schema=schema)
    return folder


def told(metadata: Any) -> pa.Schema:
    """The columns of an index with other metadata."""
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return schema_of(INFO).with_metadata({b"likewise": text})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (schema_of(INFO).with_metadata(None), "holds a table that likewise did not write"),
        (told(b"no JSON"), "can't be read: JSONDecodeError"),
        (told(b"[" * 10_000), "its metadata must be nested at most 64 levels deep"),
        (told(b" " * 100_000), "its metadata must have at most 65,536 bytes, it has 100,000"),
        (told({}), "likewise must be given, it is absent"),
        (told(INFO | {"encoder": INFO["encoder"] | {"dim": "9"}}), "encoder.dim must be a whole number"),
        (told(INFO | {"encoder": INFO["encoder"] | {"dim": 17}}), "its columns must be id, label, content, vector, as"),
        (schema_of(INFO).append(pa.field("more", pa.string())), "its columns must be id, label, content, vector, as"),
    ],
)
def test_a_table_that_is_not_ours_is_refused(schema: pa.Schema, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        EmbeddingIndex.open(foreign(tmp_path / "x", schema))
    assert "\n" not in str(refusal.value)


def test_links_in_an_index_are_not_followed(index: EmbeddingIndex, tmp_path: Path) -> None:
    inside = index.folder / "embeddings.lance"
    for path in (inside / "data", inside):
        outside = tmp_path / f"outside-{path.name}"
        path.rename(outside)
        path.symlink_to(outside)
        with pytest.raises(UserError, match="must be a folder, got a link"):
            EmbeddingIndex.open(index.folder)
        path.unlink()
        outside.rename(path)
    assert len(EmbeddingIndex.open(index.folder)) == 6000


def test_a_table_with_files_in_other_places_is_refused(index: EmbeddingIndex, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    lancedb.connect(folder).clone_table("embeddings", str(index.folder / "embeddings.lance"))
    with pytest.raises(UserError, match="has files in other places, which are not read: name another folder"):
        EmbeddingIndex.open(folder)


def test_a_damaged_index_is_one_line(index: EmbeddingIndex) -> None:
    """Whatever part of it is cut off or overwritten."""
    query = np.ones(16, np.float32)
    refusals = []
    files = [path for path in (index.folder / "embeddings.lance").rglob("*") if path.is_file()]
    assert {"_versions", "data"} <= {path.parent.name for path in files}
    random = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        noise = bytearray(whole)
        for place in random.integers(len(whole), size=20).tolist():
            noise[place] = int(random.integers(256))
        for content in (b"", b"no table", whole[: len(whole) // 2], bytes(noise)):
            path.write_bytes(content)
            try:
                assert len(EmbeddingIndex.open(index.folder).nearest(query, 3)) == 3
            except UserError as error:
                refusals.append(str(error))
        path.write_bytes(whole)
    assert len(refusals) >= 4
    assert all(f"the index {index.folder}" in one and "\n" not in one for one in refusals)
    assert len(EmbeddingIndex.open(index.folder).nearest(query, 3)) == 3
