"""`--cache`: decoded samples are kept in a folder, up to a size, or not at all, and are the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from likewise.data import audio, live
from likewise.data.cache import CacheUse, using_cache
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.shard_images import ShardImages
from likewise.errors import UserError
from shard_files import noise, picture, tar
from small_files import captioned

RATE = 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(data: Any, cache: Any = None, **how: Any) -> Any:
    with using_cache(cache):
        return open_source(data, progress=False, **how)


def read(source: Any) -> Any:
    return source.read(torch.tensor([len(source) - 1, *range(len(source))]))


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def pictures(folder: Path) -> Path:
    for i in range(8):
        path = folder / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(i, size=40))
    (folder / "a" / "cut.jpg").write_bytes(noise(9, size=40)[:500])
    return folder


def sounds(folder: Path) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for i, seconds in enumerate((0.5, 70.0, 0.3)):
        wave = (0.3 * random.standard_normal(round(seconds * 2 * RATE))).clip(-1, 1)
        soundfile.write(folder / f"{i}.flac", wave, 2 * RATE)
    (folder / "none.wav").write_bytes(b"no recording")
    return folder


@pytest.mark.parametrize(
    ("words", "use"),
    [
        ("none", CacheUse(most=0)),
        ("None", CacheUse(most=0)),
        ("20GB", CacheUse(most=20 * 10**9)),
        ("1.5 mb", CacheUse(most=1_500_000)),
        ("/somewhere/else", CacheUse(Path("/somewhere/else"))),
        ("2026-data", CacheUse(Path("2026-data").absolute())),
    ],
)
def test_what_the_option_may_say(words: str, use: CacheUse) -> None:
    assert CacheUse.of(words) == use


@pytest.mark.parametrize("words", ["", " ", "20", "-3GB", "0GB", "20 parsecs", "1,5GB", "x" * 5000, "file"])
def test_what_it_may_not_say(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(UserError, match=r"^cache must be none, a folder, or a size such as 20GB, got '"):
        CacheUse.of(words)


def test_images_that_are_not_kept_are_the_same(tmp_path: Path, cache: Path) -> None:
    folder = pictures(tmp_path / "set")
    slow = opened(folder, "none")
    assert kept(cache) < 2000 < slow.decoded_bytes == 9 * 3 * 40**2
    usual = opened(folder)
    assert (slow.reads_slowly, usual.reads_slowly) == (True, False)
    assert torch.equal(read(slow), read(usual))
    assert (slow.ids, slow.classes, slow.notes) == (usual.ids, usual.classes, usual.notes)
    assert [name for name, _ in slow.skipped] == [name for name, _ in usual.skipped] == ["a/cut.jpg"]
    small = [source.fitted(ReadOptions(size=16, channels=1)) for source in (slow, usual)]
    assert torch.equal(*map(read, small))
    assert [each.reads_slowly for each in small] == [True, False]
    assert opened(folder, "1KB", size=20).reads_slowly
    assert not opened(folder, "1MB", size=20).reads_slowly
    (folder / "b" / "1.jpg").write_bytes(noise(77, size=40))
    with pytest.raises(UserError, match=r"^b/1\.jpg has changed since it was opened: start again$"):
        read(slow)
    (folder / "b" / "1.jpg").unlink()
    with pytest.raises(UserError, match=r"^b/1\.jpg cannot be read: "):
        read(slow)


def test_recordings_that_are_not_kept_are_the_same(tmp_path: Path, cache: Path) -> None:
    folder = sounds(tmp_path / "set")
    for rate in (None, RATE):
        slow = opened(folder, "none", sample_rate=rate)
        usual = opened(folder, sample_rate=rate)
        assert isinstance(slow, audio.FileSounds)
        assert (slow.reads_slowly, usual.reads_slowly) == (True, False)
        one, other = read(slow), read(usual)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.lengths, other.lengths)
        assert (slow.ids, slow.skipped, slow.decoded_bytes) == (usual.ids, usual.skipped, usual.decoded_bytes)
    assert opened(folder, "100KB").reads_slowly
    assert not opened(folder, "1MB").reads_slowly


def test_a_folder_is_the_cache(tmp_path: Path, cache: Path) -> None:
    source = opened(pictures(tmp_path / "set"), tmp_path / "other")
    assert not cache.exists()
    assert kept(tmp_path / "other") > 8 * 3 * 40**2
    assert len(read(source)) == 9


def flac(seconds: float, level: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(seconds * RATE), level, dtype=np.float32), RATE, format="FLAC")
    return file.getvalue()


def test_samples_of_shards_are_kept_where_that_is_asked_for(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tar(tmp_path / "a.tar", {f"{i}.png": picture(i, size=40) for i in range(6)})
    usual = opened(path)
    assert isinstance(usual, ShardImages)
    assert opened(path, "1KB").reads_slowly
    assert opened(path, "none").reads_slowly
    with using_cache("1MB"):
        source = open_source(path, progress=False)
        assert not source.reads_slowly
        before = kept(cache)
        assert torch.equal(read(source), read(usual))
        assert kept(cache) - before > 6 * 3 * 40**2
        assert list(source.ids) == list(usual.ids)
        small = source.fitted(ReadOptions(size=16))
        assert torch.equal(read(small), read(usual.fitted(ReadOptions(size=16))))
        monkeypatch.setattr(live, "decode_images", None)  # it is decoded once
        again = open_source(path, progress=False)
        assert again.read(torch.tensor([4]))[0, 0, 0, 0] == 4


def test_recordings_and_pairs_in_shards_are_kept_too(tmp_path: Path) -> None:
    members = {"a.flac": flac(0.5, 0.25), "b.flac": flac(70, 0.5), "c.flac": flac(0.2, 0.75)}
    path = tar(tmp_path / "sounds.tar", members)
    with using_cache(tmp_path / "other"):
        source, usual = open_source(path, progress=False), opened(path, "none")
        one, other = read(source), read(usual)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.lengths, other.lengths)
        assert audio.source_sample_rate(source) == RATE
    captions: dict[str, bytes | str] = {f"{i}.txt": f"picture {i}" for i in range(4)}
    pairs = tar(tmp_path / "pairs.tar", captions | {f"{i}.png": picture(i) for i in range(4)})
    with using_cache(tmp_path / "other"):
        source = open_source(pairs, modality="pair", progress=False)
        assert not source.reads_slowly
        assert source.parts[0].read(torch.tensor([2, 0]))[:, 0, 0, 0].tolist() == [2, 0]


def test_pairs_of_files_that_are_not_kept_are_the_same(tmp_path: Path) -> None:
    folder = captioned(tmp_path / "pictures", 8)
    slow, usual = opened(folder, "none", modality="pair"), opened(folder, modality="pair")
    assert (slow.reads_slowly, usual.reads_slowly) == (True, False)
    assert torch.equal(read(slow.parts[0]), read(usual.parts[0]))
