"""Recordings: a folder or a table of sound files, decoded once into the cache, or arrays in memory."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int16, Shaped
from torch import Tensor
from torch.utils.data import get_worker_info

from likewise.console import count_of, tell
from likewise.data import endings
from likewise.data.arrays import numbered
from likewise.data.batches import Ragged
from likewise.data.cache import cache_use, cached, digest
from likewise.data.content import AnyFile
from likewise.data.file_tables import file_rows
from likewise.data.files import File, check_same, folder_of, in_threads, own_note, printable, progress_bar, scan
from likewise.data.folder_labels import folder_labelling
from likewise.data.labelling import Labelling
from likewise.data.path_lists import listed_files
from likewise.data.pictures import reason
from likewise.data.random_rows import foreseen
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Joined, Source, Subset, label_note
from likewise.errors import UserError, needs

SUFFIXES = endings.RECORDINGS
READ = (  # the first bytes of what libsndfile reads
    *(b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST_1A", b"Creative Voice File"),
    *(b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"),
)
UNREAD = {  # where a file of the kind has which bytes
    "MPEG-4 (AAC)": (4, (b"ftypM4A", b"ftypM4B", b"ftypmp4", b"ftypisom", b"ftypqt", b"ftyp3gp")),
    "AAC": (0, (b"\xff\xf1", b"\xff\xf9", b"ADIF")),
    "Windows Media": (0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
    "AMR": (0, (b"#!AMR",)),
    "Matroska": (0, (b"\x1a\x45\xdf\xa3",)),
}
START = 32  # bytes of a file that tell what it is
HIGHEST = 16_000  # Hz, unless a higher rate is asked for: speech has little above 8 kHz
LONGEST = 30  # s; longer recordings are cut into pieces
RATES = (100, 6_000_000)  # Hz, of files: from what animals feel to what bats and radios hear
LONGEST_FILE = 12 * 3600  # s
SILENT = 1e-3  # peak of full scale: -60 dBFS
# What the codes of few bits reach; full scale for all others is 32767/32768.
FULL_SCALE = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32124 / 32768, "ALAW": 32256 / 32768}
SAMPLED = 256
BLOCK = 2**20  # frames decoded at a time
# Part of every cache key: raise it when the same file would become other samples.
DECODER = 1
AHEAD = 4  # decoded recordings that may wait for an earlier one, of those that are decoded when they are read


class Sound(NamedTuple):
    """A decoded recording."""

    samples: Int16[np.ndarray, " samples"]
    pieces: int
    """It is cut into, by its own length: at every rate the same."""
    silent: bool
    clipped: bool


class Sounds(NamedTuple):
    """Decoded recordings, one after the other."""

    samples: Int16[np.ndarray, " all"]
    lengths: Int[np.ndarray, " n"]
    pieces: Int[np.ndarray, " n"]
    silent: Bool[np.ndarray, " n"]
    clipped: Bool[np.ndarray, " n"]


def open_source(request: Request) -> AudioSource | None:
    """The source of a folder or table of recordings, or of paths or arrays in memory; None for anything else."""
    if request.read_options.modality not in (None, "audio"):
        return None
    if not isinstance(request.data, Path):
        return _listed(request) or _open_arrays(request)
    asked = folder_of(request)
    if asked is None:
        return _open_table(request)
    folder, name = asked
    files, unreadable = scan(folder, SUFFIXES, recognises, "a recording")
    if not files:
        return None
    labelling, notes = folder_labelling(request, folder, files, "recordings")
    return from_files(
        folder,
        files,
        unreadable,
        labelling,
        name=name,
        progress=request.progress,
        sample_rate=request.read_options.sample_rate,
        notes=notes,
    )


class AudioSource(Source):
    """Recordings as int16 samples of one channel, `Ragged`, all at one rate.

    Recordings of more than 30 s are cut into the fewest pieces of equal length that are not longer; each piece is a
    sample of its own, `file.wav#30s`, and has the label of its recording.

    Attributes:
        sample_rate: in Hz.
        recordings: which recording each sample is from, counted from 0; they are held out as a whole (`groups`).
        seconds: how long each sample is.
        clipped: whether the recording of each sample has 3 or more full-scale samples in a row.
        notes: how many recordings were cut, are silent, or are clipped.
    """

    modality = "audio"

    def __init__(
        self,
        sounds: Sounds,
        ids: Sequence[str],
        labels: tuple[list[str], Int[Tensor, " recordings"] | str],
        *,
        name: str,
        sample_rate: int,
        skipped: Sequence[tuple[str, str]],
        notes: Iterable[str] = (),
        resample: Callable[..., AudioSource],
    ) -> None:
        """`resample(sample_rate=...)`: the same recordings, made from their originals."""
        self.name = name
        self.sample_rate = sample_rate
        self.skipped = list(skipped)
        self.classes, self._labels = labels
        self._resample = resample
        self._samples = sounds.samples
        recording = np.repeat(np.arange(len(sounds.lengths)), sounds.pieces)
        piece = np.arange(len(recording)) - (sounds.pieces.cumsum() - sounds.pieces)[recording]
        first = (sounds.lengths.cumsum() - sounds.lengths)[recording]
        length, pieces = sounds.lengths[recording], sounds.pieces[recording]
        self._starts, self._ends = first + piece * length // pieces, first + (piece + 1) * length // pieces
        self.recordings = self.groups = torch.from_numpy(recording)
        self.clipped = torch.from_numpy(sounds.clipped[recording])
        begins = np.rint((self._starts - first) / sample_rate).astype(int)
        self.decoded_bytes = 2 * int(sounds.lengths.sum())
        self.ids = [
            ids[i] if whole else f"{ids[i]}#{begin}s"
            for i, whole, begin in zip(recording.tolist(), (pieces == 1).tolist(), begins.tolist(), strict=True)
        ]
        self.notes = [*notes, *_notes(sounds)]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seconds(self) -> Float[Tensor, " len"]:
        return torch.from_numpy((self._ends - self._starts) / self.sample_rate)

    def read(self, indices: Int[Tensor, " n"]) -> Ragged:
        chosen = indices.cpu().numpy()
        starts, ends = self._starts[chosen], self._ends[chosen]
        values = np.zeros((len(chosen), (ends - starts).max(initial=0)), dtype=np.int16)
        with foreseen(self._samples, starts, ends):
            for row, start, end in zip(values, starts.tolist(), ends.tolist(), strict=True):
                row[: end - start] = self._samples[start:end]
        return Ragged(torch.from_numpy(values), torch.from_numpy(ends - starts))

    def labels(self) -> Int[Tensor, " len"]:
        if isinstance(self._labels, str):
            raise UserError(self._labels)
        return self._labels[self.recordings]

    def fitted(self, read_options: ReadOptions) -> AudioSource:
        """The same samples at the rate of `read_options`, made from the originals; itself where it has that rate."""
        if read_options.sample_rate in (None, self.sample_rate):
            return self
        resampled = self._resample(sample_rate=read_options.sample_rate)
        if resampled.ids != self.ids:
            raise UserError(f"{self.name}: its recordings have changed since it was opened; open it again")
        return resampled


class LiveSounds(AudioSource):
    """Recordings that are decoded when they are read: a subclass has `files_of`."""

    reads_slowly = True

    def files_of(self, recordings: Int[np.ndarray, " n"]) -> tuple[Sequence[AnyFile], Callable[[int], str]]:
        """The files of some recordings, and what messages call the one at a place."""
        raise NotImplementedError

    def read(self, indices: Int[Tensor, " n"]) -> Ragged:
        chosen = indices.cpu().numpy()
        recordings, place = np.unique(self.recordings.numpy()[chosen], return_inverse=True)
        files, name_of = self.files_of(recordings)
        sound = partial(decode, rate=self.sample_rate)
        each = in_threads(sound, files, ahead=AHEAD) if get_worker_info() is None else map(sound, files)
        decoded: list[np.ndarray] = []
        for number in torch.arange(len(files)).tolist():
            try:
                decoded.append(next(each).samples)
            except Exception as error:
                raise UserError(f"{name_of(number)} cannot be read: {reason(error)}") from error
        first = self._starts[self.first_pieces[self.recordings.numpy()[chosen]]]
        starts, ends = self._starts[chosen] - first, self._ends[chosen] - first
        values = np.zeros((len(chosen), (ends - starts).max(initial=0)), dtype=np.int16)
        for row, which, start, end in zip(values, place.tolist(), starts.tolist(), ends.tolist(), strict=True):
            piece = decoded[which][start:end]  # resampling rounds: a sample more or less
            row[: len(piece)] = piece
        return Ragged(torch.from_numpy(values), torch.from_numpy(ends - starts))

    @cached_property
    def first_pieces(self) -> Int[np.ndarray, " recordings"]:
        """The first piece of each recording."""
        recordings = self.recordings.numpy()
        return np.searchsorted(recordings, np.unique(recordings))


class FileSounds(LiveSounds):
    """Recordings in files that are decoded when they are read."""

    def __init__(self, folder: Path, files: Sequence[File], *arguments: Any, **how: Any) -> None:
        """`files`: of the recordings; what follows is as of `AudioSource`."""
        super().__init__(*arguments, **how)
        self.folder, self.files = folder, files

    def files_of(self, recordings: Int[np.ndarray, " n"]) -> tuple[Sequence[AnyFile], Callable[[int], str]]:
        files = [self.files[recording] for recording in recordings.tolist()]
        for file in files:
            check_same(self.folder, file)
        return [self.folder / file.id for file in files], lambda place: printable(files[place].id)


def source_sample_rate(source: Any) -> int:
    """The rate in Hz of recordings, or of a subset or a union of such sources."""
    while isinstance(source, Subset | Joined):
        source = source.sources[0] if isinstance(source, Joined) else source.source
    return source.sample_rate


def num_samples(source: Any) -> Int[Tensor, " len"]:
    """How many audio samples each recording has, also of a subset."""
    if isinstance(source, Subset):
        return num_samples(source.source)[source.indices]
    return (source.seconds * source.sample_rate).round().long()


def clipped_recordings(source: Any) -> Bool[Tensor, " len"]:
    """Which samples are of clipped recordings, also of a subset or a union; none of sources that do not know."""
    if isinstance(source, Subset):
        return clipped_recordings(source.source)[source.indices]
    if isinstance(source, Joined):
        return torch.cat([clipped_recordings(part) for part in source.sources])
    return source.clipped if isinstance(source, AudioSource) else torch.zeros(len(source), dtype=torch.bool)


def from_files(
    folder: Path,
    files: list[File],
    unreadable: Iterable[tuple[str, str]],
    labelling: Labelling,
    *,
    name: str,
    progress: bool,
    sample_rate: int | None,
    notes: Sequence[str] = (),
) -> AudioSource:
    """The recordings in `files`, decoded once into the cache. Raises `UserError` where none can be read."""
    for module in ("soundfile", "soxr"):
        needs(module, "audio")  # in a thread, what is missing would be taken for what is wrong with a file
    rate = sample_rate or usual_rate(folder, files)
    most = cache_use().most
    keeps = most is None or decoded_size(folder, files, rate) <= most
    key = digest([DECODER, folder.resolve(), rate, *files])
    how = (folder, files, rate, name, progress, keeps)
    path, metadata = cached("audio" if keeps else "heard", key, lambda building: build(building, *how))
    wrong = [(files[i].id, why) for i, why in metadata["skipped"]]
    skipped = sorted((printable(file), why) for file, why in [*unreadable, *wrong])
    kept = np.delete(np.arange(len(files)), [i for i, _ in metadata["skipped"]])
    if not len(kept):
        file, why = wrong[0]
        raise UserError(f"{folder}: none of its {len(files):,} recordings can be read ({printable(file)}: {why})")
    sounds = Sounds(
        np.asarray(np.memmap(path / "samples.i16", dtype=np.int16, mode="r")) if keeps else np.empty(0, np.int16),
        np.array(metadata["lengths"], dtype=np.int64),
        np.array(metadata["pieces"], dtype=np.int64),
        np.array(metadata["silent"], dtype=bool),
        np.array(metadata["clipped"], dtype=bool),
    )
    ids = [printable(files[i].id) for i in kept]
    resample = partial(from_files, folder, files, unreadable, labelling, name=name, progress=progress, notes=notes)
    labels = labelling(kept)
    notes = [*notes, *own_note(skipped), *label_note(labels[1], "recordings")]
    make = AudioSource if keeps else partial(FileSounds, folder, [files[i] for i in kept])
    return make(sounds, ids, labels, name=name, sample_rate=rate, skipped=skipped, notes=notes, resample=resample)


def usual_rate(folder: Path, files: list[File]) -> int:
    """The rate that most files have, but 16,000 Hz at most: from the headers of up to 256, spread over the folder."""
    import soundfile

    rates = [HIGHEST]
    for i in np.linspace(0, len(files) - 1, min(SAMPLED, len(files))).astype(int):
        # What cannot be opened is listed when it is decoded.
        with suppress(Exception):
            rates.append(min(HIGHEST, soundfile.info(_name(folder / files[i].id)).samplerate))
    counts = Counter(rates[1:] or rates)
    return max(counts, key=lambda rate: (counts[rate], rate))


def decoded_size(folder: Path, files: list[File], rate: int) -> int:
    """The bytes that the decoded recordings take, by their headers."""
    import soundfile

    seconds = 0.0
    for file in files:
        with suppress(Exception):  # what cannot be opened is listed when it is decoded
            seconds += soundfile.info(_name(folder / file.id)).duration
    return round(2 * rate * seconds)


def build(
    building: Path, folder: Path, files: list[File], rate: int, name: str, progress: bool, keeps: bool = True
) -> dict[str, list[Any]]:
    """Decode `files` in parallel into `building/samples.i16`, one after the other; say what they are.

    `keeps`: whether the file is written.
    """

    def sound(file: File) -> Sound | str:
        try:
            return "empty file" if file.size == 0 else decode(folder / file.id, rate)
        except Exception as error:
            return reason(error)

    skipped: list[tuple[int, str]] = []
    kept: list[tuple[int, int, bool, bool]] = []
    started = time.perf_counter()
    with (
        (building / "samples.i16").open("wb") if keeps else nullcontext() as out,
        progress_bar(name, "recordings", len(files), progress) as done,
        # libsndfile and soxr are called without the GIL. Hours wait in memory: no more of them than there are threads.
        closing(in_threads(sound, files, ahead=os.cpu_count() or 1)) as sounds,
    ):
        for i, decoded in enumerate(sounds):
            if isinstance(decoded, str):
                skipped.append((i, decoded))
            else:
                if out is not None:
                    out.write(decoded.samples.tobytes())
                kept.append((len(decoded.samples), *decoded[1:]))
            done()
    if progress:
        done_with = "decoded" if keeps else "heard"
        length = sum(samples for samples, *_ in kept) / rate
        tell(
            f"{name}: {done_with} {count_of(len(kept), 'recording')} ({_duration(length)}) to {rate:,} Hz "
            f"in {time.perf_counter() - started:.1f} s"
            + (f", skipped {len(skipped):,} that cannot be read" if skipped else "")
        )
    fields = ("lengths", "pieces", "silent", "clipped")
    return {"skipped": skipped} | {field: [sound[i] for sound in kept] for i, field in enumerate(fields)}


def recognises(path: AnyFile) -> bool:
    """Whether a file holds a recording, by its first bytes, also of a kind that is not read."""
    with path.open("rb") as file:
        start = file.read(START)
    if start[:4] in (b"RIFF", b"FORM"):
        return start[8:12] in (b"WAVE", b"AIFF", b"AIFC")
    return start.startswith(READ) or _unread(path) is not None


def _unread(path: AnyFile) -> str | None:
    """The kind of a recording that libsndfile does not read; None for another file."""
    with path.open("rb") as file:
        start = file.read(START)
    return next((kind for kind, (place, signs) in UNREAD.items() if start.startswith(signs, place)), None)


def rate_of(path: AnyFile) -> int:
    """The rate in Hz of the recording in a file. Raises what says what is wrong with it."""
    with _sound_file(path) as file:
        return file.samplerate


def _sound_file(path: AnyFile) -> Any:
    """A recording before it is decoded. Raises what says what is wrong with it."""
    import soundfile

    if isinstance(path, Path):
        path.stat()  # of a file that is not there, libsndfile says "System error"
    try:
        return soundfile.SoundFile(_name(path) if isinstance(path, Path) else path.open())
    except soundfile.LibsndfileError as error:
        if kind := _unread(path):
            raise ValueError(f"{kind}, which is not read: convert it to WAV or FLAC") from error
        raise ValueError("not a recording of a known type, or its start is damaged") from error


def decode(path: AnyFile, rate: int) -> Sound:
    """The recording in a file, at `rate` Hz. Raises what says what is wrong with it."""
    import soundfile

    with _sound_file(path) as file:
        check_length(file.frames, file.samplerate, rate)

        def blocks() -> Iterator[Float32[np.ndarray, "_ channels"]]:
            # Not `file.blocks`: of a file that ends early, it gives what was in memory.
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield block

        try:
            full_scale = FULL_SCALE.get(file.subtype, 32767 / 32768)
            return convert(blocks(), file.samplerate, rate, full_scale=full_scale)
        except soundfile.LibsndfileError as error:
            raise ValueError("damaged: " + error.error_string.removeprefix("Error : ").rstrip(".")) from error


def check_length(frames: int, given: int, wanted: int) -> None:
    """Before anything is decoded: a header of a few bytes can promise hours, or a rate that makes hours of them.

    Raises:
        ValueError: for what is no recording of a day at most at a rate that sounds have.
    """
    if not RATES[0] <= given <= RATES[1]:
        raise ValueError(f"its rate must be from {RATES[0]:,} to {RATES[1]:,} Hz, got {given:,}")
    if frames > LONGEST_FILE * given:
        raise ValueError(f"it must be {LONGEST_FILE // 3600} hours at most, got {frames / given / 3600:,.0f}")


def convert(
    blocks: Iterable[Float32[np.ndarray, "_ channels"]], given: int, wanted: int, *, full_scale: float
) -> Sound:
    """A recording from its parts: the mean of its channels, resampled from `given` to `wanted` Hz.

    It is silent where no sample of the mean reaches 1/1000 (-60 dBFS), clipped where three in a row of one channel
    reach `full_scale`.

    Raises:
        ValueError: where there are no samples, or one is NaN or infinite.
    """
    resampler = needs("soxr", "audio").ResampleStream(given, wanted, 1) if given != wanted else None
    parts: list[np.ndarray] = []
    frames, peak, clipped = 0, 0.0, False
    last: Any = None  # of a plateau across two blocks, the first part
    for block in blocks:
        if not np.isfinite(block).all():
            raise ValueError("holds samples that are NaN or infinite")
        full = np.abs(block) >= full_scale
        full = full if last is None else np.concatenate([last, full])
        clipped = clipped or bool((full[:-2] & full[1:-1] & full[2:]).any())
        last = full[-2:]
        mono = block.mean(axis=1)
        frames += len(mono)
        peak = max(peak, float(np.abs(mono).max()))
        parts.append(_int16(mono if resampler is None else resampler.resample_chunk(mono)))
    if not frames:
        raise ValueError("no samples")
    if resampler is not None:
        parts.append(_int16(resampler.resample_chunk(np.empty(0, np.float32), last=True)))
    samples = np.concatenate(parts)
    # Less than one sample at the wanted rate is one: what can be read must not depend on the rate.
    samples = samples if len(samples) else _int16(mono[:1])
    return Sound(samples, -(-frames // (LONGEST * given)), peak < SILENT, clipped)


def _int16(samples: Float32[np.ndarray, " n"]) -> Int16[np.ndarray, " n"]:
    return np.rint(samples * 32768).clip(-32768, 32767).astype(np.int16)


def _name(path: Path) -> str | bytes:
    """A path as soundfile takes it: on Windows as text, elsewhere as bytes, which need not be UTF-8."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _notes(sounds: Sounds) -> list[str]:
    """What a person should know about recordings before training on them."""
    total = len(sounds.lengths)

    def count(which: Bool[np.ndarray, " n"], one: str, many: str, remark: str) -> list[str]:
        n = int(which.sum())
        return [f"{n:,} of {total:,} recordings {one if n == 1 else many} {remark}"] if n else []

    pieces = int(sounds.pieces[sounds.pieces > 1].sum())
    return [
        *count(sounds.pieces > 1, "is", "are", f"longer than {LONGEST} s: cut into {pieces:,} pieces"),
        *count(sounds.silent, "is", "are", "silent (below -60 dBFS)"),
        *count(sounds.clipped, "is", "are", "clipped (3 or more full-scale samples in a row)"),
    ]


def from_arrays(
    waves: list[Shaped[np.ndarray, " _"]], labelling: Labelling, *, given: int, sample_rate: int
) -> AudioSource:
    """Waves of a rate `given`, held in memory at `sample_rate`. Raises `UserError` where none can be used."""
    needs("soxr", "audio")

    def sound(wave: Shaped[np.ndarray, " _"]) -> Sound | str:
        scaled = wave.astype(np.float32) / (32768 if wave.dtype == np.int16 else 1)
        try:
            return convert([scaled[:, None]] if len(wave) else [], given, sample_rate, full_scale=32767 / 32768)
        except ValueError as error:
            return str(error)

    converted = list(in_threads(sound, waves, ahead=os.cpu_count() or 1))
    skipped = [(str(i), each) for i, each in enumerate(converted) if isinstance(each, str)]
    kept = [each for each in converted if isinstance(each, Sound)]
    if not kept:
        raise UserError(f"none of the {len(waves):,} recordings can be used ({skipped[0][0]}: {skipped[0][1]})")
    samples, pieces, silent, clipped = zip(*kept, strict=True)
    sounds = Sounds(
        np.concatenate(samples), np.array([*map(len, samples)]), np.array(pieces), np.array(silent), np.array(clipped)
    )
    at = np.array([i for i, each in enumerate(converted) if isinstance(each, Sound)])
    resample = partial(from_arrays, waves, labelling, given=given)
    ids = [str(i) for i in at]
    return AudioSource(
        sounds, ids, labelling(at), name="recordings", sample_rate=sample_rate, skipped=skipped, resample=resample
    )


def _open_table(request: Request) -> AudioSource | None:
    """The source of a table of recordings: see `file_rows`."""
    rows = file_rows(request, SUFFIXES, recognises, "recordings")
    if rows is None:
        return None
    return from_files(
        rows.folder,
        rows.files,
        rows.missing,
        rows.labelling,
        name=printable(request.data.stem),
        progress=request.progress,
        sample_rate=request.read_options.sample_rate,
        notes=rows.notes,
    )


def _listed(request: Request) -> AudioSource | None:
    """The source of a list of paths of recordings."""
    found = listed_files(request, SUFFIXES, recognises, "audio", "recordings")
    if found is None:
        return None
    return from_files(
        Path(),
        found.files,
        found.missing,
        found.labelling,
        name="recordings",
        progress=request.progress,
        sample_rate=request.read_options.sample_rate,
    )


def _open_arrays(request: Request) -> AudioSource | None:
    """The source of waves in memory, each at the rate that is asked for."""
    data: Any = request.data
    labels: Any = None
    if isinstance(data, tuple) and len(data) == 2:
        data, labels = data
    if isinstance(data, np.ndarray | Tensor) and data.ndim == 2 and request.read_options.modality == "audio":
        data = list(data)
    if not isinstance(data, list) or not data or not _is_wave(data[0]):
        return None
    rate = request.read_options.sample_rate
    if rate is None:
        raise UserError("sample_rate must be given for recordings in memory, in Hz")
    waves = [_wave(wave, i) for i, wave in enumerate(data)]
    numbers: Any = None
    classes: list[str] = []
    if labels is not None:
        labels = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
        if labels.shape[:1] != (len(waves),):
            raise UserError(f"{len(waves):,} recordings need as many labels, got labels of shape {labels.shape}")
        numbers, classes = numbered(labels, len(waves), "recordings")
    return from_arrays(waves, partial(_labels_given, classes, numbers), given=rate, sample_rate=rate)


def _is_wave(data: Any) -> bool:
    return isinstance(data, np.ndarray | Tensor) and data.ndim == 1


def _wave(data: Any, index: int) -> Shaped[np.ndarray, " samples"]:
    """A wave as an array. Raises `UserError` for what is none."""
    if _is_wave(data):
        if isinstance(data, Tensor):
            data = data.detach().cpu()
            data = data.float() if data.is_floating_point() else data
        wave = np.asarray(data)
        if wave.dtype == np.int16:
            return wave
        if wave.dtype.kind == "f":
            peak = np.abs(wave).max(initial=0)
            if peak > 1 and np.isfinite(peak):
                raise UserError(f"recording {index} must lie between -1 and 1, it reaches {peak:g}; scale it")
            return wave
    what = f"{data.dtype} of shape {tuple(data.shape)}" if hasattr(data, "dtype") else f"a {type(data).__name__}"
    raise UserError(f"recording {index} must be a 1-D array of floats in [-1, 1] or of int16, got {what}")


def _labels_given(
    classes: list[str], numbers: Int[np.ndarray, " n"] | None, kept: Int[np.ndarray, " kept"]
) -> tuple[list[str], Int[Tensor, " kept"] | str]:
    if numbers is None or not classes:
        return [], "the recordings have no labels; give them as a pair (recordings, labels)"
    return classes, torch.from_numpy(numbers[kept])
