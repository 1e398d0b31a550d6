"""Recordings: every format decodes to what was written, once; what is skipped, cut, silent, clipped, labelled."""

from __future__ import annotations

import errno
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.data import audio
from likewise.data.audio import AudioSource, convert
from likewise.data.batches import Ragged
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.errors import UserError

RATE = 8000


def tone(seconds: float = 0.5, *, rate: int = RATE, hertz: float = 440, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, wave: np.ndarray | None = None, rate: int = RATE, **how: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if wave is None else wave, rate, **how)
    return path


def opened(data: Any, split: str | None = None, *, progress: bool = False, **read_options: Any) -> AudioSource:
    source = audio.open_source(Request(data, split, read_options=ReadOptions(**read_options), progress=progress))
    assert isinstance(source, AudioSource)
    return source


def whole(source: AudioSource, index: int = 0) -> np.ndarray:
    """A sample, in [-1, 1)."""
    batch = source.read(torch.tensor([index]))
    assert batch.values.shape == (1, int(batch.lengths))
    return batch.values[0].numpy() / 32768


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "calls"
    for i, name in enumerate(["class10/a.wav", "class2/b.WAV", "class2/deep/c.flac", "class1/d.ogg"]):
        write(root / name, tone(0.1 * (i + 1)))
    return root


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, as they are."""
    seen: list[str] = []
    real = audio.decode

    def decode(path: Path, rate: int) -> audio.Sound:
        seen.append(path.name)
        return real(path, rate)

    monkeypatch.setattr(audio, "decode", decode)
    return seen


FORMATS = [
    ("wav", {"subtype": "PCM_U8"}, 1 / 128),
    ("wav", {"subtype": "PCM_16"}, 1e-4),
    ("wav", {"subtype": "PCM_24"}, 2e-5),
    ("wav", {"subtype": "FLOAT"}, 2e-5),
    ("wav", {"subtype": "DOUBLE"}, 2e-5),
    ("wav", {"subtype": "ULAW"}, 0.03),
    ("flac", {"subtype": "PCM_16"}, 1e-4),
    ("flac", {"subtype": "PCM_24"}, 2e-5),
    ("aiff", {"subtype": "PCM_16"}, 1e-4),
    ("aif", {"subtype": "PCM_16", "format": "AIFF"}, 1e-4),
    ("ogg", {"subtype": "VORBIS"}, 0.1),
    ("oga", {"subtype": "VORBIS", "format": "OGG"}, 0.1),
    ("opus", {"subtype": "OPUS", "format": "OGG"}, 0.1),
    ("mp3", {"format": "MP3"}, 0.1),
]


@pytest.mark.parametrize(("suffix", "how", "tolerance"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(tmp_path: Path, suffix: str, how: dict[str, str], tolerance: float, channels: int) -> None:
    if how.get("format", suffix.upper()) not in soundfile.available_formats():
        pytest.skip(f"this libsndfile has no {suffix}")
    wave = tone()
    # The second channel is as loud as the first, and softer by half.
    both = np.stack([wave, 0.5 * wave], axis=1)[:, :channels]
    write(tmp_path / f"a.{suffix}", both, **how)
    source = opened(tmp_path)
    assert source.sample_rate == RATE
    heard = whole(source)
    assert len(heard) == len(wave)
    expected = both.mean(axis=1)
    # Lossy formats start and end badly.
    middle = slice(400, -400) if tolerance == 0.1 else slice(None)
    assert np.abs(heard - expected)[middle].max() < tolerance


def test_sixteen_bits_stay_what_they_are(tmp_path: Path) -> None:
    wave = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)
    write(tmp_path / "a.wav", wave)
    assert np.array_equal(opened(tmp_path).read(torch.tensor([0])).values[0].numpy(), wave)


@pytest.mark.parametrize(("given", "wanted"), [(44_100, 16_000), (48_000, 8000), (8000, 16_000), (11_025, 8000)])
def test_a_tone_stays_a_tone(tmp_path: Path, given: int, wanted: int) -> None:
    write(tmp_path / "a.wav", tone(1.0, rate=given), given)
    source = opened(tmp_path, sample_rate=wanted)
    heard = whole(source)
    assert abs(len(heard) - wanted) <= 1
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    assert spectrum.argmax() == 440
    assert spectrum[437:444].sum() > 0.9999 * spectrum.sum()
    assert np.abs(heard[:wanted] - tone(1.0, rate=wanted)[: len(heard)])[wanted // 10 : -wanted // 10].max() < 1e-3


def test_what_is_above_half_the_rate_does_not_come_back(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone(1.0, rate=16_000, hertz=6000), 16_000)
    assert np.abs(whole(opened(tmp_path, sample_rate=8000))[200:-200]).max() < 1e-3


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((8000, 8000, 44_100), 8000), ((44_100, 48_000, 8000), 16_000), ((8000, 11_025), 11_025), ((22_050,), 16_000)],
)
def test_the_usual_rate_is_that_of_most_files_and_16_khz_at_most(
    tmp_path: Path, rates: tuple[int, ...], expected: int
) -> None:
    for i, rate in enumerate(rates):
        write(tmp_path / f"{i}.wav", rate=rate)
    (tmp_path / "z.wav").write_text("no recording")
    source = opened(tmp_path)
    assert source.sample_rate == expected
    assert [round(s * expected) for s in source.seconds.tolist()] == pytest.approx([expected / 2] * len(rates), abs=1)
    assert opened(tmp_path, sample_rate=4000).sample_rate == 4000


def test_nested_folder(folder: Path) -> None:
    source = opened(folder)
    assert (source.name, source.modality, len(source)) == ("calls", "audio", 4)
    assert source.ids == ["class1/d.ogg", "class10/a.wav", "class2/b.WAV", "class2/deep/c.flac"]
    assert source.classes == ["class1", "class2", "class10"]
    assert source.labels().tolist() == [0, 2, 1, 1]
    assert source.labels().dtype == torch.int64
    assert source.recordings.tolist() == [0, 1, 2, 3]
    assert (source.skipped, source.notes) == ([], [])
    assert source.lengths is None  # crops are of one length


def test_reading(folder: Path) -> None:
    source = opened(folder)
    batch = source.read(torch.tensor([3, 1, 3]))
    assert isinstance(batch, Ragged)
    assert batch.values.dtype == torch.int16
    assert batch.values.shape == (3, 2400)
    assert batch.lengths.tolist() == [2400, 800, 2400]
    assert batch.values.is_contiguous()
    assert torch.equal(batch.values[0], batch.values[2])
    assert np.array_equal(batch.values[1, :800].numpy() / 32768, whole(source, 1))
    assert not batch.values[1, 800:].any()
    batch.values.zero_()
    assert source.read(torch.arange(4)).values.any()
    assert source.read(torch.arange(0)).values.shape == (0, 0)
    assert source.seconds.tolist() == [0.4, 0.1, 0.2, 0.3]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8), data=st.data())
def test_every_sample_is_its_own(lengths: list[int], data: st.DataObject) -> None:
    waves = [np.random.default_rng(i).integers(-9999, 9999, n).astype(np.int16) for i, n in enumerate(lengths)]
    source = opened(waves, sample_rate=RATE)
    chosen = data.draw(st.lists(st.integers(0, len(waves) - 1), max_size=8))
    batch = source.read(torch.tensor(chosen, dtype=torch.long))
    expected = Ragged.of([torch.from_numpy(waves[i]) for i in chosen]) if chosen else batch
    assert torch.equal(batch.values, expected.values)
    assert batch.lengths.tolist() == [lengths[i] for i in chosen]


def test_loose_files_have_no_label(folder: Path) -> None:
    before = opened(folder)
    write(folder / "loose.wav")
    source = opened(folder)
    assert source.classes == before.classes
    assert source.labels()[source.ids.index("loose.wav")] == -1
    assert sorted(source.labels().tolist()) == [-1, *sorted(before.labels().tolist())]
    assert source.notes == ["labels: 4 of 5 recordings"]


def test_subfolder_as_split(folder: Path) -> None:
    source = opened(folder, "class2")
    assert (source.name, source.ids) == ("calls:class2", ["b.WAV", "deep/c.flac"])
    with pytest.raises(UserError, match="has no subfolder 'class3', did you mean 'class"):
        opened(folder, "class3")


def test_what_is_for_others(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("text,section\nhello,a\n")
    (tmp_path / "sounds.csv").write_text("audio,label\na.wav,b\n")
    for data, read_options in [
        (tmp_path / "empty", {}),
        (tmp_path / "nowhere", {}),
        (folder, {"modality": "image"}),
        (tmp_path / "table.csv", {}),
        (tmp_path / "sounds.csv", {"columns": ("audio", "label")}),
        (tmp_path / "sounds.csv", {"text_column": "label"}),
        (["some", "texts"], {}),
        ([], {}),
        (np.zeros((4, 4)), {}),
        ([np.zeros((4, 4))], {}),
        (("a", "b"), {}),
    ]:
        assert audio.open_source(Request(data, read_options=ReadOptions(**read_options))) is None


def test_second_start_decodes_nothing(folder: Path, decodings: list[str]) -> None:
    (folder / "class1" / "bad.wav").write_text("no recording")
    first = opened(folder)
    assert sorted(decodings) == ["a.wav", "b.WAV", "bad.wav", "c.flac", "d.ogg"]
    decodings.clear()
    second = opened(folder)
    assert decodings == []
    assert torch.equal(second.read(torch.arange(4)).values, first.read(torch.arange(4)).values)
    assert second.ids == first.ids
    assert second.notes == first.notes
    assert second.skipped == first.skipped
    assert torch.equal(second.labels(), first.labels())


@pytest.mark.parametrize("change", ["content", "time", "name", "removed", "rate"])
def test_the_cache_knows_what_has_changed(folder: Path, decodings: list[str], change: str) -> None:
    opened(folder)
    decodings.clear()
    file, read_options = folder / "class10" / "a.wav", {}
    if change == "content":
        stat = file.stat()
        write(file, tone(0.3))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "time":
        os.utime(file, ns=(1, 1))
    elif change == "name":
        file.rename(file.with_name("z.wav"))
    elif change == "removed":
        file.unlink()
    else:
        read_options = {"sample_rate": 4000}
    source = opened(folder, **read_options)
    assert len(decodings) == len(source) == (3 if change == "removed" else 4)
    if change == "content":
        assert source.seconds[1] == 0.3


def test_another_rate_is_made_from_the_originals(folder: Path, decodings: list[str]) -> None:
    write(folder / "class1" / "high.wav", tone(0.5, rate=16_000, hertz=6000), 16_000)
    (folder / "class1" / "bad.wav").write_text("no recording")
    source = opened(folder)
    assert source.sample_rate == 8000
    assert source.fitted(ReadOptions()) is source
    assert source.fitted(ReadOptions(sample_rate=8000)) is source
    decodings.clear()
    higher = source.fitted(ReadOptions(sample_rate=16_000))
    assert len(decodings) == 6
    assert (higher.sample_rate, higher.ids, higher.skipped) == (16_000, source.ids, source.skipped)
    assert np.abs(whole(higher, source.ids.index("class1/high.wav"))).max() > 0.4
    assert higher.fitted(ReadOptions(sample_rate=8000)).sample_rate == 8000
    (folder / "class10" / "a.wav").unlink()
    with pytest.raises(UserError, match="calls: its recordings have changed since it was opened; open it again"):
        source.fitted(ReadOptions(sample_rate=4000))


def test_a_source_can_be_sent_to_another_process(folder: Path) -> None:
    source = opened(folder)
    again = pickle.loads(pickle.dumps(source))
    assert torch.equal(again.read(torch.arange(4)).values, source.read(torch.arange(4)).values)
    assert again.fitted(ReadOptions(sample_rate=4000)).ids == source.ids


def test_bad_files_are_left_out_with_their_reasons(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write(folder / "nan.wav", np.array([0.1, np.nan, 0.1]), subtype="FLOAT")
    write(folder / "infinite.wav", np.array([0.1, np.inf]), subtype="DOUBLE")
    write(folder / "none.wav", np.zeros(0))
    (folder / "empty.wav").touch()
    (folder / "text.flac").write_text("hello" * 100)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    cut = write(folder / "cut.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 20_000))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "folder.wav").mkdir()
    source = opened(folder, progress=True)
    assert len(source) == 4
    assert dict(source.skipped) == {
        "cut.flac": "damaged: flac decoder lost sync",
        "empty.wav": "empty file",
        "gone.wav": "No such file or directory",
        "infinite.wav": "holds samples that are NaN or infinite",
        "nan.wav": "holds samples that are NaN or infinite",
        "none.wav": "no samples",
        "text.flac": "not a recording of a known type, or its start is damaged",
    }
    said = capfd.readouterr()
    assert said.out == ""
    assert "calls: decoding 10 recordings, once" in said.err
    assert "calls: decoded 4 recordings (1 s) to 8,000 Hz in" in said.err
    assert "skipped 6 that cannot be read" in said.err


def test_a_file_that_ends_early_is_what_there_is_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1.0))
    path.write_bytes(path.read_bytes()[:-8000])
    heard = whole(opened(tmp_path))
    assert np.abs(heard - tone(1.0)[:4000]).max() < 1e-4


@pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="this libsndfile has no MP3")
def test_an_mp3_that_ends_early_holds_nothing_that_was_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", tone(2.0), format="MP3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    heard = whole(opened(tmp_path))
    assert 4000 < len(heard) < 12_000
    assert np.abs(heard[400:-1200] - tone(2.0)[400 : len(heard) - 1200]).max() < 0.1


def test_a_vanished_file_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = audio.scan

    def scan(*arguments: Any) -> Any:
        found = real(*arguments)
        (folder / "class1" / "d.ogg").unlink()
        return found

    monkeypatch.setattr(audio, "scan", scan)
    assert opened(folder).skipped == [("class1/d.ogg", os.strerror(errno.ENOENT))]


def test_no_readable_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(UserError, match=r"none of its 1 recordings can be read \(a.wav: empty file\)"):
        opened(tmp_path)


def test_no_progress_says_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(folder)
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no text")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9")
    write(tmp_path / "a.wav")
    (folder / "thé").mkdir(parents=True)
    (tmp_path / "a.wav").rename(folder / "thé" / os.fsdecode(b"caf\xe9.wav"))
    for source in (opened(folder), opened(folder)):
        assert (source.name, source.ids) == ("\\xe9t\\xe9", ["thé/caf\\xe9.wav"])
        assert source.classes == ["thé"]


def test_long_recordings_are_cut_into_equal_pieces(tmp_path: Path) -> None:
    rate, rng = 1000, np.random.default_rng(0)
    waves = {
        "a/short.wav": rng.integers(-999, 999, 30 * rate),
        "b/longer.wav": rng.integers(-999, 999, 30 * rate + 1),
        "b/minutes.wav": rng.integers(-999, 999, 100 * rate + 3),
    }
    for name, wave in waves.items():
        write(tmp_path / name, wave.astype(np.int16), rate)
    source = opened(tmp_path)
    assert source.ids == [
        *("a/short.wav", "b/longer.wav#0s", "b/longer.wav#15s"),
        *(f"b/minutes.wav#{second}s" for second in (0, 25, 50, 75)),
    ]
    assert source.recordings.tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert source.labels().tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert source.seconds.tolist() == [30, 15, 15.001, 25, 25.001, 25.001, 25.001]
    batch = source.read(torch.arange(7))
    for i, wave in enumerate(waves.values()):
        pieces = [batch.values[j, : batch.lengths[j]] for j in (source.recordings == i).nonzero()[:, 0]]
        assert np.array_equal(torch.cat(pieces).numpy(), wave)
    assert source.notes == ["2 of 3 recordings are longer than 30 s: cut into 6 pieces"]


@pytest.mark.parametrize("frames", [1_323_000, 1_323_001])
def test_the_pieces_are_the_same_at_every_rate(frames: int) -> None:
    """30 s at 44.1 kHz, and one sample more: at 8 kHz they are equally long."""
    source = opened([np.zeros(frames, np.int16), np.zeros(1, np.int16)], sample_rate=44_100)
    lower = source.fitted(ReadOptions(sample_rate=8000))
    assert lower.ids == source.ids
    assert len(source) == (2 if frames == 1_323_000 else 3)
    assert lower.seconds.sum() == pytest.approx(30 + 1 / 8000)
    assert lower.seconds.max() <= 30


def test_silence_and_clipping_are_counted(tmp_path: Path) -> None:
    loud = 0.9 * np.random.default_rng(0).uniform(-1, 1, 4000)
    for name, wave, how in [
        ("silent", tone(level=0.0009), "PCM_16"),
        ("zero", np.zeros(4000), "PCM_16"),
        ("quiet", tone(level=0.0015), "PCM_16"),
        ("opposite", np.stack([loud, -loud], axis=1), "PCM_16"),  # nothing is left of the mean
        ("clipped", np.clip(3 * tone(), -1, 1), "PCM_16"),
        ("clipped24", np.clip(3 * tone(), -1, 1), "PCM_24"),
        ("clipped8", np.clip(3 * tone(), -1, 1), "PCM_U8"),
        ("clippedlaw", np.clip(3 * tone(), -1, 1), "ULAW"),
        ("beyond", 3 * tone(), "FLOAT"),
        ("right", np.stack([tone(), np.clip(3 * tone(), -1, 1)], axis=1), "PCM_16"),
        ("peaks", np.where(np.arange(4000) % 3, 1.0, 0.0), "PCM_16"),  # never three in a row
    ]:
        write(tmp_path / f"{name}.wav", wave, subtype=how)
    notes = [
        "3 of 11 recordings are silent (below -60 dBFS)",
        "6 of 11 recordings are clipped (3 or more full-scale samples in a row)",
    ]
    assert opened(tmp_path).notes == opened(tmp_path).notes == notes
    assert opened([np.zeros(9), tone()], sample_rate=RATE).notes == ["1 of 2 recordings is silent (below -60 dBFS)"]


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 19), max_size=4),
    level=st.sampled_from([32766 / 32768, 32767 / 32768, 1.0]),
    start=st.integers(0, 16),
    length=st.integers(1, 4),
)
def test_a_recording_is_the_same_in_parts(cuts: list[int], level: float, start: int, length: int) -> None:
    wave = np.zeros((20, 2), np.float32)
    wave[start : start + length, 1] = level
    parts = [part for part in np.split(wave, sorted(cuts)) if len(part)]
    one, several = (convert(blocks, 8000, 8000, full_scale=32767 / 32768) for blocks in ([wave], parts))
    assert np.array_equal(one.samples, several.samples)
    assert one[1:] == several[1:] == (1, False, level > 0.99995 and length >= 3)
    resampled = convert(parts, 8000, 16_000, full_scale=1.0)
    # Resampled in other pieces: what lies between two whole numbers becomes either.
    at_once = convert([wave], 8000, 16_000, full_scale=1.0).samples
    np.testing.assert_allclose(resampled.samples, at_once, rtol=0, atol=1)


def table(path: Path, rows: dict[str, list[Any]]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table(rows), path)
    else:
        lines = [rows.keys(), *zip(*rows.values(), strict=True)]
        separator = "\t" if path.suffix == ".tsv" else ","
        path.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_of_recordings(folder: Path, suffix: str, decodings: list[str]) -> None:
    (folder / "bad.wav").write_text("no recording")
    last = str(folder / "class1" / "d.ogg")
    files = ["gone.wav", "class2/b.WAV", "bad.wav", "class10/a.wav", last, "class2/b.WAV"]
    path = table(folder / f"list{suffix}", {"id": [0, 1, 2, 3, 4, 5], "file": files, "language": list("xfyefe")})
    source = opened(path)
    assert (source.name, source.ids) == ("list", ["class2/b.WAV", "class10/a.wav", last, "class2/b.WAV"])
    assert source.skipped == [
        ("bad.wav", "not a recording of a known type, or its start is damaged"),
        ("gone.wav", "No such file or directory"),
    ]
    assert source.seconds.tolist() == [0.2, 0.1, 0.4, 0.2]
    assert source.classes == []
    with pytest.raises(UserError, match=rf"list{suffix} gives no labels: name their column with label_column"):
        source.labels()
    decodings.clear()
    source = opened(path, label_column="language")
    assert source.classes == ["e", "f"]
    assert source.labels().tolist() == [1, 0, 1, 0]
    assert opened(path, label_column="id").classes == ["1", "3", "4", "5"]
    assert decodings == []
    assert source.fitted(ReadOptions(sample_rate=4000)).labels().tolist() == [1, 0, 1, 0]


def test_the_first_column_of_paths_is_taken(folder: Path) -> None:
    rows = {"speaker": ["x", "y"], "near": ["class2/b.WAV", ""], "far": ["class1/d.ogg", "class10/a.wav"]}
    assert opened(table(folder / "list.csv", rows)).ids == ["class2/b.WAV"]


def test_a_label_column_of_the_usual_name_is_taken(folder: Path) -> None:
    path = table(folder / "list.csv", {"Label": ["10", "9"], "path": ["class2/b.WAV", "class10/a.wav"]})
    source = opened(path)
    assert source.classes == ["9", "10"]
    assert source.labels().tolist() == [1, 0]
    assert source.notes == ["recordings are column 'path', labels are column 'Label'"]
    table(path, {"topic": ["10", "9"], "path": ["class2/b.WAV", "class10/a.wav"], "genre": ["10", "9"]})
    assert opened(path).classes == []
    assert opened(path).notes == [
        "no labels are taken: topic or genre could be, say which with label_column",
        "recordings are column 'path', without labels",
    ]


def test_what_is_wrong_with_a_table(folder: Path) -> None:
    rows = {"path": ["class2/b.WAV", "", "class10/a.wav"], "label": ["x", "y", ""]}
    path = table(folder / "list.csv", rows)
    source = opened(path)
    assert source.ids == ["class2/b.WAV", "class10/a.wav"]
    assert source.skipped == [("row 2", "no path")]
    assert (source.classes, source.labels().tolist()) == (["x"], [0, -1])
    assert source.notes[-1] == "labels: 1 of 2 recordings"
    table(path, rows | {"label": ["", "y", "nan"]})
    assert opened(path).classes == []
    with pytest.raises(UserError, match=r"list\.csv gives no labels: its column 'label' has none"):
        opened(path).labels()
    with pytest.raises(UserError, match=r"label_column: .*list\.csv has no column 'lable', did you mean 'label'"):
        opened(path, label_column="lable")
    with pytest.raises(UserError, match=r"list\.csv is one file and has no split 'dev'"):
        opened(path, "dev")
    texts = table(folder / "texts.csv", {"text": ["a", "b"], "section": ["c", "d"]})
    with pytest.raises(UserError, match=r"no column of recordings, whose values end in \.wav .*; it has text, section"):
        opened(texts, modality="audio")
    gone = table(folder / "gone.csv", {"path": ["x.wav", "y.wav"]})
    with pytest.raises(UserError, match=r"none of its 2 recordings can be read \(x.wav: No such file or directory\)"):
        opened(gone)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int16, torch.float32, torch.bfloat16])
def test_waves_in_memory(kind: Any) -> None:
    levels = [np.array([0.5, -0.25, 0.125]), np.array([-1.0, 0.0])]
    if isinstance(kind, torch.dtype):
        waves: list[Any] = [torch.from_numpy(wave).to(kind).requires_grad_() for wave in levels]
    else:
        waves = [(wave * 32768 if kind is np.int16 else wave).astype(kind) for wave in levels]
    source = opened(waves, sample_rate=RATE)
    assert (source.name, source.modality, source.ids) == ("recordings", "audio", ["0", "1"])
    batch = source.read(torch.arange(2))
    assert batch.values.tolist() == [[16384, -8192, 4096], [-32768, 0, 0]]
    assert batch.lengths.tolist() == [3, 2]
    with pytest.raises(UserError, match="the recordings have no labels; give them as a pair"):
        source.labels()


def test_labelled_waves_in_memory() -> None:
    waves = [tone(), np.zeros(0), np.array([np.nan]), tone(0.1)]
    source = opened((waves, ["dog", "cat", "cat", "ant"]), sample_rate=RATE)
    assert (source.ids, source.classes) == (["0", "3"], ["ant", "cat", "dog"])
    assert source.labels().tolist() == [2, 0]
    assert source.skipped == [("1", "no samples"), ("2", "holds samples that are NaN or infinite")]
    lower = source.fitted(ReadOptions(sample_rate=4000))
    assert lower.seconds.tolist() == [0.5, 0.1]
    assert lower.labels().tolist() == [2, 0]
    assert np.abs(whole(lower) - tone(rate=4000))[200:-200].max() < 1e-3
    rows = opened((np.stack([tone(), tone()]), torch.tensor([7, 7])), sample_rate=RATE, modality="audio")
    assert rows.classes == ["7"]


@pytest.mark.parametrize(
    ("data", "read_options", "message"),
    [
        ([tone()], {}, "sample_rate must be given for recordings in memory, in Hz"),
        ([tone(), 3 * tone()], {"sample_rate": 8000}, "recording 1 must lie between -1 and 1, it reaches 1.5"),
        (
            [tone(), np.zeros((2, 9), np.float32)],
            {"sample_rate": 8000},
            r"recording 1 must be a 1-D array of floats in \[-1, 1\] or of int16, got float32 of shape \(2, 9\)",
        ),
        ([tone(), "a"], {"sample_rate": 8000}, "recording 1 must be a 1-D array of .*, got a str"),
        ([np.zeros(9, np.int64)], {"sample_rate": 8000}, "recording 0 must be .*, got int64 of shape"),
        (([tone()], [1, 2]), {"sample_rate": 8000}, r"1 recordings need as many labels, got labels of shape \(2,\)"),
        (([tone()], 8000), {"sample_rate": 8000}, r"1 recordings need as many labels, got labels of shape \(\)"),
        (([tone()], [0.5]), {"sample_rate": 8000}, "labels must be whole numbers or text, got float64"),
        ([np.zeros(0)], {"sample_rate": 8000}, r"none of the 1 recordings can be used \(0: no samples\)"),
    ],
)
def test_what_is_wrong_with_waves_in_memory(data: Any, read_options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(data, **read_options)


@pytest.mark.parametrize("module", ["soundfile", "soxr"])
def test_a_package_that_is_missing_is_named(folder: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"needs {module}, which is not installed: pip install 'likewise\[audio\]'"):
        opened(folder)


def header(rate: int, frames: int) -> bytes:
    """Of a WAV of 16 bits that promises so many frames and holds a thousand."""
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI", 2**31, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", 2 * frames
    )


@pytest.mark.parametrize(
    ("rate", "frames", "why"),
    [
        (1, 60_000, "its rate must be from 100 to 6,000,000 Hz, got 1"),
        (100, 10**7, "it must be 12 hours at most, got 28"),
    ],
)
def test_sizes_are_bounded_before_anything_is_decoded(rate: int, frames: int, why: str, tmp_path: Path) -> None:
    write(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(header(rate, frames) + bytes(2 * frames))
    source = opened(tmp_path)
    assert source.ids == ["good.wav"]
    assert source.skipped == [("bad.wav", why)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_listed_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "good.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert opened(tmp_path).skipped == [("pipe.wav", "not a regular file")]
    (tmp_path / "table.csv").write_text("path,label\ngood.wav,a\npipe.wav,b\n")
    source = opened(tmp_path / "table.csv")
    assert (source.ids, source.skipped) == (["good.wav"], [("pipe.wav", "not a regular file")])
