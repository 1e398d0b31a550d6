"""Embeddings are written whole or not at all, without following links."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.embedding_file import StoredEmbeddings, write_embeddings

ROWS = 2000


@pytest.fixture
def source() -> Source:
    return open_source(np.zeros((ROWS, 8, 8), np.uint8))


def vectors() -> torch.Tensor:
    return torch.randn(ROWS, 64, generator=torch.Generator().manual_seed(0))


def test_an_npy_file_is_what_numpy_writes(source: Source, tmp_path: Path) -> None:
    assert write_embeddings(iter(vectors().split(300)), source, tmp_path / "new" / "x.npy") == 64
    np.save(tmp_path / "y.npy", vectors().numpy())
    assert (tmp_path / "new" / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


@pytest.fixture
def little_space() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["x.npy", "x.parquet"])
def test_a_failed_write_is_one_line_and_leaves_what_was_there(
    name: str, source: Source, tmp_path: Path, little_space: None
) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(UserError, match=rf"could not write .*{name}: the file would be larger than is allowed"):
        write_embeddings(iter(vectors().split(300)), source, tmp_path / name)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "before")]


@pytest.mark.parametrize("name", ["x.npy", "x.parquet"])
def test_a_planted_link_is_replaced_not_written_through(name: str, source: Source, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / name).symlink_to(outside)
    write_embeddings(iter(vectors().split(300)), source, tmp_path / name)
    assert outside.read_text() == "mine"
    if name == "x.parquet":
        stored = StoredEmbeddings.open(tmp_path / name)
        assert stored is not None
        assert torch.equal(torch.cat(list(stored.parts())), vectors())
