"""Shards: an index of members, read where they are, on this machine and over HTTP, and what of them is no sample."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import multiprocessing
import struct
import tarfile
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from likewise.data import shard_index, stores
from likewise.data.addresses import Address, address_of, expanded
from likewise.data.loader import Loader
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.sampling import by_blocks
from likewise.data.shard_images import ShardImages
from likewise.data.splits import splits
from likewise.errors import UserError
from shard_files import noise, picture, tar


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "PAUSE", 0.001)
    return tmp_path / "cache"


def some(folder: Path, shards: int = 2, each: int = 6) -> Path:
    """Shards of pictures whose level is their number, with the class of each."""
    for shard in range(shards):
        members: dict[str, bytes | str] = {}
        for number in range(shard * each, (shard + 1) * each):
            members |= {f"{number:03d}.png": picture(number), f"{number:03d}.cls": str(number % 2)}
        tar(folder / f"{shard:02d}.tar", members)
    return folder


def opened(data: Any, **how: Any) -> Any:
    return open_source(data, progress=False, **how)


def levels(source: Any) -> list[int]:
    return source.read(torch.arange(len(source)))[:, 0, 0, 0].tolist()


def test_images_are_read_where_they_are(tmp_path: Path, cache: Path) -> None:
    source = opened(some(tmp_path / "set"))
    assert isinstance(source, ShardImages)
    assert (source.name, len(source), source.size, source.channels) == ("set", 12, 12, 3)
    assert levels(source) == list(range(12))
    assert source.read(torch.tensor([7, 0, 7]))[:, 0, 5, 5].tolist() == [7, 0, 7]
    assert source.ids[6] == "01.tar/006.png"
    assert source.classes == ["0", "1"]
    assert source.labels().tolist() == [0, 1] * 6
    assert source.blocks is None
    kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    assert kept < 40_000  # the index, not the pictures
    assert levels(source.fitted(ReadOptions(size=6, channels=1)))[11] == (19595 * 11 + 7471 * 255 + 2**15) >> 16


def test_the_index_is_made_once_and_anew_for_a_shard_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = some(tmp_path / "set")
    source = opened(folder)
    looked: list[str] = []
    look = dict(shard_index.LOOK)
    monkeypatch.setattr(
        shard_index, "LOOK", {**look, "image": lambda content: (looked.append(content.name), look["image"](content))[1]}
    )
    assert levels(opened(folder)) == list(range(12))
    assert looked == []
    tar(folder / "01.tar", {"new.png": picture(99)})
    with pytest.raises(UserError, match=r"01\.tar has changed since it was opened: start again$"):
        source.read(torch.tensor([8]))
    assert levels(opened(folder)) == [*range(6), 99]
    assert looked == ["new.png"]


def test_labels_by_json_by_the_manifest_and_by_folders(tmp_path: Path) -> None:
    described = {f"{i}.png": picture(i) for i in range(4)}
    described |= {f"{i}.json": json.dumps({"label": ["cat", "dog"][i % 2], "width": 3}) for i in range(4)}
    source = opened(tar(tmp_path / "a.tar", described))
    assert (source.classes, source.labels().tolist()) == (["cat", "dog"], [0, 1, 0, 1])
    folder = some(tmp_path / "set")
    (folder / "shards.json").write_text(json.dumps({"classes": ["odd one", "even one"]}))
    source = opened(folder)
    assert (source.classes, source.labels().tolist()[:2]) == (["even one", "odd one"], [1, 0])
    for damaged in ("[]", '{"classes": 3}', "{", "[" * 100_000):
        (folder / "shards.json").write_text(damaged)
        assert opened(folder).classes == ["0", "1"]
    source = opened(tar(tmp_path / "b.tar", {f"{'xy'[i % 2]}/{i}.png": picture(i) for i in range(4)}))
    assert (source.classes, source.labels().tolist()) == (["x", "y"], [0, 1, 0, 1])
    source = opened(tar(tmp_path / "c.tar", {f"{i}.png": picture(i) for i in range(4)}))
    assert source.classes == []
    with pytest.raises(UserError, match=r"^c gives no labels: no \.cls"):
        source.labels()


def test_members_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    whole = noise(3, size=64)
    members = {
        "good.jpg": noise(1),
        "cut.jpg": whole[: len(whole) // 2],
        "none.png": b"",
        "words.png": b"no picture",
        "notes.md": "notes",
        "strange": b"\0\1\2",
    }
    source = opened(tar(tmp_path / "a.tar", members))
    assert list(source.ids) == ["good.jpg"]
    reasons = dict(source.skipped)
    assert reasons.pop("cut.jpg").startswith("image file is truncated")
    assert reasons == {
        "none.png": "empty file",
        "words.png": "not an image of a known type, or its start is damaged",
        "strange": "no image, recording or caption by its content",
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no archive" * 100, r"a\.tar cannot be read as a tar file: \w"),
        (b"", r"a\.tar cannot be read as a tar file: \w"),
    ],
)
def test_a_file_that_is_no_archive(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=told):
        opened(tmp_path / "a.tar")


def test_a_shard_that_was_cut_says_where(tmp_path: Path) -> None:
    whole = some(tmp_path / "set", shards=1).joinpath("00.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: 1024 * 2 + 600])  # a picture, and the beginning of another
    with pytest.raises(UserError, match=r"cut\.tar cannot be read as a tar file: unexpected end of data$"):
        opened(tmp_path / "cut.tar")
    (tmp_path / "between.tar").write_bytes(whole[:1024])
    source = opened(tmp_path / "between.tar")
    assert source.skipped == [("between.tar, byte 1,024", "no end mark, the archive may have been cut")]


def hostile(path: Path, *headers: tarfile.TarInfo, content: bytes = b"") -> Path:
    with path.open("wb") as file:
        for header in headers:
            file.write(header.tobuf(tarfile.GNU_FORMAT))
            file.write(content)
        file.write(bytes(1024))
    return path


def test_shards_of_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path is written, no link is followed, and sizes are bounded before anything is read."""
    outside = tmp_path / "outside.png"
    members: dict[str, bytes | str] = {"../../outside.png": picture(1), str(tmp_path / "abs.png"): picture(2)}
    path = tar(tmp_path / "a.tar", members)
    with tarfile.open(path, "a") as archive:
        for kind, name in (
            (tarfile.SYMTYPE, "link.png"),
            (tarfile.LNKTYPE, "hard.png"),
            (tarfile.FIFOTYPE, "pipe.png"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    source = opened(path)
    assert levels(source) == [1, 2]
    assert not outside.exists()
    assert not (tmp_path / "abs.png").exists()
    assert [why for _, why in source.skipped] == ["not a regular file"] * 3

    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    with pytest.raises(UserError, match=r"cannot be read as a tar file: a header of 8,589,934,592 bytes$"):
        opened(hostile(tmp_path / "long.tar", long))

    monkeypatch.setattr("likewise.data.tar_shards.MOST_BYTES", 1000)
    large = tar(tmp_path / "large.tar", {"small.png": picture(1), "large.png": picture(2) + bytes(2000)})
    assert opened(large).skipped == [("large.png", "larger than 1,000 bytes")]

    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(bytes(99))]
    parts = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    source = opened(tar(tmp_path / "bomb.tar", {"bomb.png": bomb, "good.png": picture(3)[:900]}))
    assert [(name, why.partition(":")[0]) for name, why in source.skipped] == [
        ("bomb.png", "too large to be decoded safely")
    ]


class Ranges(SimpleHTTPRequestHandler):
    """Files with parts of them, as web servers give them; some of them only to who has a key."""

    asked: list[tuple[str, str | None]]
    whole_only = False
    failing = 0

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        type(self).asked.append((self.path, given))
        if self.path.startswith("/secret"):
            self.send_error(403)
            return
        if type(self).failing:
            type(self).failing -= 1
            self.send_error(503)
            return
        path = Path(self.translate_path(self.path))
        if given is None or self.whole_only or not path.is_file():
            super().do_GET()
            return
        start, end = given.removeprefix("bytes=").split("-")
        content = path.read_bytes()
        part = content[int(start) : int(end or len(content)) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)

    def do_HEAD(self) -> None:
        if self.path.startswith("/secret"):
            self.send_error(403)
        else:
            super().do_HEAD()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, type[Ranges]]]:
    handler = type("Handler", (Ranges,), {"asked": []})
    web = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path)))
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", handler
    web.shutdown()
    web.server_close()
    thread.join()


def test_shards_on_a_web_server(tmp_path: Path, server: tuple[str, type[Ranges]]) -> None:
    address, handler = server
    some(tmp_path / "set")
    source = opened(f"{address}/set/{{00..01}}.tar", modality="image")
    assert levels(source) == list(range(12))
    assert source.name == "set"
    assert source.ids[6] == "01.tar/006.png"
    assert source.labels().tolist() == [0, 1] * 6
    assert source.blocks is not None
    assert source.blocks.tolist() == [0] * 6 + [1] * 6
    handler.asked.clear()
    again = opened(f"{address}/set/{{00..01}}.tar", modality="image")
    assert levels(again) == list(range(12))
    assert all(part is not None for _, part in handler.asked if "tar" in _)  # parts only: the index is known
    handler.failing = 2
    stores._kept.blocks.clear()
    assert levels(again) == list(range(12))  # asked for again


def test_what_a_web_server_refuses(
    tmp_path: Path, server: tuple[str, type[Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    some(tmp_path / "set", shards=1)
    with pytest.raises(UserError, match=rf"^there is no {address}/set/07\.tar$"):
        opened(f"{address}/set/07.tar")
    with pytest.raises(UserError, match=rf"^{address}/secret/a\.tar cannot be read, access is refused: give its store"):
        opened(f"{address}/secret/a.tar")
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:9/a\.tar cannot be read|^there is no"):
        opened("http://127.0.0.1:9/a.tar")
    source = opened(f"{address}/set/00.tar", modality="image")
    handler.whole_only = True
    monkeypatch.setattr(stores, "BLOCK", 1024)
    with pytest.raises(UserError, match=r"cannot be read: its server gives no parts of files$"):
        source.read(torch.tensor([3]))


def test_stores_of_other_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    for path in some(tmp_path / "set").iterdir():
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    for data in ("memory://bucket/*.tar", "memory://bucket/", "memory://bucket/{00,01}.tar"):
        source = opened(data, modality="image")
        assert levels(source) == list(range(12)), data
    with pytest.raises(UserError, match=r"^nowhere://a/b\.tar cannot be read: Protocol not known: nowhere"):
        opened("nowhere://a/b.tar")
    with pytest.raises(
        UserError, match=r"^there is no shard memory://bucket/x\*\.tar: name files that end in \.tar or"
    ):
        opened("memory://bucket/x*.tar")

    class NoCredentialsError(Exception):
        pass

    def refuse(*_: Any, **__: Any) -> None:
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(type(memory), "info", refuse)
    with pytest.raises(UserError, match=r"^memory://bucket/00\.tar cannot be read, access is refused: give its store"):
        opened("memory://bucket/00.tar")
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(UserError, match=r"^s3://bucket/a\.tar needs another package: \w"):
            opened("s3://bucket/a.tar")


def test_patterns_and_addresses() -> None:
    assert expanded("a-{08..11}.tar") == [f"a-{i}.tar" for i in ("08", "09", "10", "11")]
    assert expanded("{a,b}/{0..1}.tar") == ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]
    for wrong in ("{5..1}.tar", "{0..100000}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(UserError, match=r"must"):
            expanded(wrong)
    assert address_of("photos/*.tar") == (Address("photos/*.tar"), None)
    assert address_of("s3://b/x.tar:train") == (Address("s3://b/x.tar"), "train")
    assert address_of("https://h:80/x.tar?key=a{b") == (Address("https://h:80/x.tar?key=a{b"), None)
    for other in ("digits", "photos:train", "photos/", "lance://index", "a*b", "x.tar"):
        assert address_of(other) is None, other
    assert [Address(text).name for text in ("s3://b/set/{0..9}.tar", "https://h/set-1.tar?x=1", "a/*.tar")] == [
        "set", "set-1", "a",
    ]  # fmt: skip


SPLITS = ("pretrain", "train", "test")


def parquet(path: Path, count: int = 6, **columns: Any) -> Path:
    images = [{"bytes": picture(i), "path": f"{i}.png"} for i in range(count)]
    table = pa.table({"image": images, "label": [i % 2 for i in range(count)], **columns})
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=2)
    return path


def test_parquet_files_with_pictures(tmp_path: Path) -> None:
    parquet(tmp_path / "set" / "a.parquet")
    parquet(tmp_path / "set" / "b.parquet", 4)
    source = opened(tmp_path / "set")
    assert levels(source) == [*range(6), *range(4)]
    assert source.read(torch.tensor([9, 0, 5]))[:, 0, 0, 0].tolist() == [3, 0, 5]
    assert (source.classes, source.labels().tolist()) == (["cat", "dog"], [0, 1] * 5)
    assert source.blocks.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert source.ids[0] == "a.parquet/row 1"
    one = opened(tmp_path / "set" / "a.parquet")
    assert (one.name, len(one)) == ("a", 6)
    plain = pa.table({"jpg": [picture(7), b"", b"no picture"], "id": ["x", "y", "z"]})
    pq.write_table(plain, tmp_path / "plain.parquet")
    source = opened(tmp_path / "plain.parquet")
    assert (list(source.ids), levels(source)) == (["x"], [7])
    assert [name for name, _ in source.skipped] == ["y", "z"]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"broken\.parquet cannot be read as a table: \w"):
        opened(tmp_path / "broken.parquet")
    with pytest.raises(UserError, match=r"broken\.parquet cannot be read as a Parquet file: \w"):
        opened(str(tmp_path / "b*n.parquet"))


@pytest.mark.parametrize("inside", ["", "data"])
def test_parts_of_shards(inside: str, tmp_path: Path) -> None:
    """By their names, as Hugging Face's data sets have them: these are splits of their own."""
    folder = tmp_path / "set"
    for name, count in (("train-00000-of-00002", 6), ("train-00001-of-00002", 4), ("validation", 2)):
        parquet(folder / inside / f"{name}.parquet", count)
    (folder / "README.md").write_text("")
    assert len(opened(folder)) == 12
    train = f"{folder}:train"
    assert splits(folder) == {"pretrain": train, "train": train, "test": f"{folder}:validation"}
    learned = opened(train)
    assert (len(learned), learned.name, learned.classes) == (10, "set:train", ["cat", "dog"])
    assert learned.ids[6] == "train-00001-of-00002.parquet/row 1"
    assert len(opened(f"{folder}:validation")) == len(opened(f"{folder}:val")) == 2
    with pytest.raises(UserError, match="has no subfolder 'tarin'"):
        opened(f"{folder}:tarin")


def test_one_part_alone_is_no_split(tmp_path: Path) -> None:
    """A fifth of it is held out, of which the rest has nothing."""
    parquet(tmp_path / "train-00000-of-00001.parquet", 10)
    parts = splits(tmp_path)
    assert parts == {part: f"{tmp_path}:{name}" for part, name in zip(SPLITS, ("train", "train", "test"), strict=True)}
    train, test = (set(opened(parts[part]).ids) for part in ("train", "test"))
    assert (len(train), len(test), train & test) == (8, 2, set())


@pytest.mark.parametrize("in_folders", [False, True])
def test_nothing_is_held_out_beside_a_part_to_train_on(in_folders: bool, tmp_path: Path) -> None:
    """It would have samples of that part."""
    for part in ("train", "unlabeled"):
        parquet(tmp_path / (f"{part}/a.parquet" if in_folders else f"{part}-0.parquet"), 10)
    assert splits(tmp_path) == {"pretrain": f"{tmp_path}:unlabeled"}
    assert [len(opened(f"{tmp_path}:{part}")) for part in ("train", "unlabeled")] == [10, 10]
    with pytest.raises(UserError, match="has no subfolder 'test'"):
        opened(f"{tmp_path}:test")


def test_parts_in_folders_of_their_own(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 4)):
        parquet(tmp_path / part / "a.parquet", count)
    assert [len(opened(f"{tmp_path}:{part}")) for part in ("train", "test")] == [6, 4]


def test_pairs_in_parquet_files(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", 4, caption=["one", "", "two", "three"])
    source = opened(path, modality="pair")
    assert source.names == ["image", "caption"]
    assert source.parts[0].read(torch.arange(3))[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert list(source.parts[1].documents) == ["one", "two", "three"]
    assert source.skipped == [("row 2", "its caption is empty")]


def test_columns_of_parquet_files_that_are_named(tmp_path: Path) -> None:
    """Bytes, and records of bytes and a path as Hugging Face keeps them, under names that nobody would guess."""
    scans = [{"bytes": picture(i), "path": None} for i in range(3)]
    rows: dict[str, list[Any]] = {"scan": scans, "thumb": [picture(9)] * 3, "remark": ["a", "b", "c"]}
    rows |= {"text": ["x", "y", "z"], "grade": ["low", "high", "low"]}
    path = tmp_path / "set" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(rows), path)
    for data in (path, path.parent, str(tmp_path / "set" / "*.parquet")):
        source = opened(data, modality="pair", columns=("scan", "remark"), label_column="grade")
        assert source.parts[0].read(torch.arange(3))[:, 0, 0, 0].tolist() == [0, 1, 2]
        assert list(source.parts[1].documents) == ["a", "b", "c"]
        assert (source.classes, source.labels().tolist()) == (["high", "low"], [1, 0, 1])
    source = opened(path, modality="pair", columns=("text", "thumb"))
    assert source.parts[0].read(torch.arange(3))[:, 0, 0, 0].tolist() == [9, 9, 9]
    assert list(source.parts[1].documents) == ["x", "y", "z"]
    assert opened(path, modality="pair", columns=("text", "remark")).parts[0].modality == "text"  # a table's
    with pytest.raises(UserError, match=r"^columns must be a column of pictures or recordings and one of texts of "):
        opened(path, modality="pair", columns=("scan", "thumb"))
    with pytest.raises(UserError, match=r"^columns: .*a\.parquet has no column 'remarks', did you mean 'remark'"):
        opened(path, modality="pair", columns=("scan", "remarks"))


def test_texts_in_shards(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {f"{i}.txt": f"text number {i}\nof two lines" for i in range(3)}
    members |= {"0.cls": "a", "1.cls": "b", "2.cls": "a", "bad.txt": "café".encode("latin1"), "none.txt": " "}
    source = opened(tar(tmp_path / "a.tar", members))
    assert source.modality == "text"
    assert list(source.documents) == [f"text number {i}\nof two lines" for i in range(3)]
    assert source.documents[2].startswith("text number 2")
    assert (source.classes, source.labels().tolist()) == (["a", "b"], [0, 1, 0])
    pq.write_table(pa.table({"text": ["x", "y"]}), tmp_path / "t-0.parquet")
    pq.write_table(pa.table({"text": ["z"], "n": [1]}), tmp_path / "t-1.parquet")
    assert list(opened(str(tmp_path / "t-*.parquet")).documents) == ["x", "y", "z"]


def test_recordings_in_shards(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")

    def sound(seconds: float, rate: int, level: float) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.full(round(seconds * rate), level, dtype=np.float32), rate, format="FLAC")
        return file.getvalue()

    members = {"a.flac": sound(0.5, 8000, 0.25), "b.flac": sound(70, 8000, 0.5), "c.flac": b"no recording"}
    source = opened(tar(tmp_path / "a.tar", members))
    assert (source.modality, source.sample_rate) == ("audio", 8000)
    assert list(source.ids) == ["a.flac", "b.flac#0s", "b.flac#23s", "b.flac#47s"]
    assert source.skipped == [("c.flac", "not a recording of a known type, or its start is damaged")]
    batch = source.read(torch.tensor([3, 0]))
    assert batch.lengths.tolist() == [560_000 - 560_000 * 2 // 3, 4000]
    assert batch.values[1, :4000].unique().tolist() == [8192]
    assert batch.values[0].unique().tolist() == [16384]
    slower = source.fitted(ReadOptions(sample_rate=4000))
    assert slower.read(torch.tensor([0])).lengths.tolist() == [2000]
    assert any("cut into 3 pieces" in note for note in source.notes)


def test_the_order_and_the_batches_are_those_of_a_folder_that_is_decoded_once(tmp_path: Path) -> None:
    """Read ahead by processes, from any step on."""
    members = {f"{i:02d}.jpg": noise(i) for i in range(16)}
    for name, content in members.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_bytes(content)
    shards, folder = opened(tar(tmp_path / "a.tar", members)), opened(tmp_path / "files")
    loaders = [Loader(source, batch_size=4, epochs=2, seed=1) for source in (folder, shards)]
    for start in (0, 5):
        for loader in loaders:
            loader.load_state_dict({"step": start})
        pairs = list(zip(*loaders, strict=True))
        assert len(pairs) == 8 - start
        for one, other in pairs:
            assert torch.equal(one.indices, other.indices)
            assert torch.equal(one.samples, other.samples)
        for loader in loaders:
            loader.close()


def test_a_mistake_in_a_reader_is_told_in_one_line(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{i:02d}.png": picture(i) for i in range(8)})
    loader = Loader(opened(path), batch_size=4, epochs=100, seed=1)
    path.write_bytes(path.read_bytes() + bytes(512))
    before = multiprocessing.active_children()
    with pytest.raises(UserError, match=r"a\.tar has changed since it was opened: start again$") as error:
        list(loader)
    loader.close()
    assert set(multiprocessing.active_children()) <= set(before)  # though the error, which is still here, has seen them
    assert error.tb is not None


def test_samples_of_a_block_come_near_each_other() -> None:
    blocks = torch.arange(400) // 4
    first, again, other = (by_blocks(blocks, seed=3, epoch=epoch) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.sort().values.tolist() == list(range(400))
    pools = blocks[first].reshape(-1, 16 * 4) if len(first) % 64 == 0 else blocks[first][:384].reshape(-1, 64)
    assert all(len(pool.unique()) == 16 for pool in pools)  # of 100 blocks, 16 at a time
    assert not torch.equal(blocks[first].diff().sign().abs(), torch.zeros(399, dtype=torch.long))
