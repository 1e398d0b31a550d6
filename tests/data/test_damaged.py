"""What damaged files of data once did: each ended in a traceback, or lost samples in silence."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.data.open import open_source
from likewise.errors import UserError
from likewise.training.recipe import load_recipe


def refused(path: Path, message: str, **how: object) -> None:
    with pytest.raises(UserError, match=message):
        open_source(path, progress=False, **how)


def test_the_header_of_an_array_is_an_expression_that_does_not_end(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 8, 8), np.uint8))
    path.write_bytes(path.read_bytes().replace(b")", b"(").replace(b"}", b"("))
    refused(path, r"a\.npy cannot be read as an array: ")


def idx_files(folder: Path, labels: bytes) -> Path:
    head = bytes((0, 0, 8))
    for stem in ("train", "t10k"):
        shape = b"".join(n.to_bytes(4, "big") for n in (2, 28, 28))
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(head + b"\x03" + shape + bytes(2 * 28 * 28))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(head + b"\x01" + labels)
    return folder


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (b"\x00\x00\x00\x02\x03\x63", "labels from 0 to 9, got 99"),
        (b"\x00\x00", "is not a whole IDX file"),
        (b"\x00\x00\x00\x02\x03", "is not a whole IDX file"),
    ],
)
def test_labels_of_a_named_set(labels: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        open_source("mnist:train", root=idx_files(tmp_path, labels), progress=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"method: simclr\nlr: \xff", "recipe .* must be UTF-8, byte 20 is not"),
        (b"epochs: 2024-13-45", "recipe .* is not YAML: month must be in 1..12"),
        (b"augment: " + b"[" * 5000, "recipe .* is not YAML"),
    ],
)
def test_recipes(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        load_recipe(str(tmp_path / "r.yaml"))
    assert "\n" not in str(raised.value)


def shard(path: Path) -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    with tarfile.open(path, "w") as archive:
        for i in range(3):
            for name, content in ((f"{i}.png", picture.getvalue()), (f"{i}.txt", f"picture {i}".encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path.read_bytes()


@pytest.mark.parametrize(("damage", "why"), [("header", "damaged, the rest was not read"), ("cut", "no end mark")])
def test_what_is_behind_a_damage_of_a_shard_is_not_lost_in_silence(damage: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    content = shard(path)
    last = content.index(b"2.png")
    path.write_bytes(content[:last] + (b"\xff" * 200 + content[last + 200 :] if damage == "header" else b""))
    source = open_source(path, modality="pair", progress=False)
    assert len(source) == 2
    assert dict(source.skipped)[f"s.tar, byte {last:,}"].startswith(why)
    shard(path)
    assert open_source(path, modality="pair", progress=False).skipped == []
