"""From what a request holds to samples as an encoder takes them, with bounds on what they may take to decode."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from likewise.console import count_of, one_line
from likewise.data import audio, pictures
from likewise.data.batches import Ragged
from likewise.data.items import TextEncoding
from likewise.data.levels import Levels
from likewise.data.read_options import ReadOptions
from likewise.errors import UserError, needs
from likewise.registry import load_modality
from likewise.serving.refusal import Refusal

LONGEST = 600  # s, of a recording: some seconds of it are looked at, all of it is decoded
MOST_CHANNELS = 64
MOST_VALUES = 2**28  # of all channels
SHOWN = 200  # letters of a reason


class Prepared(NamedTuple):
    """One sample, decoded."""

    row: Any
    is_cut: bool = False
    """Whether the encoder sees a part of it only."""


class SampleReader(ABC):
    """What makes samples of one modality of what a request holds."""

    modality: ClassVar[str]

    @abstractmethod
    def prepare(self, given: Any) -> Prepared:
        """One sample, from the bytes of a file or from a text.

        Raises:
            Exception: that says what is wrong with it.
        """

    @abstractmethod
    def join(self, rows: Sequence[Any]) -> Any:
        """A batch of prepared samples."""

    def cut_note(self, count: int) -> str:
        """That of some samples only a part is embedded; a reader that cuts none has no such note."""
        raise NotImplementedError


class ImageReader(SampleReader):
    """Images in files of any format that `likewise.data.pictures` reads."""

    modality = "image"

    def __init__(self, read_options: ReadOptions) -> None:
        assert read_options.size is not None
        assert read_options.channels is not None
        self.size, self.channels = read_options.size, read_options.channels
        self.range = read_options.range

    def prepare(self, given: bytes) -> Prepared:
        with _as_file(given) as path:
            pixels = pictures.decode(path, self.size, self.channels, self.range and Levels(self.range))
        return Prepared(torch.from_numpy(pixels))

    def join(self, rows: Sequence[UInt8[Tensor, "c h w"]]) -> UInt8[Tensor, "n c h w"]:
        return torch.stack(list(rows))


class RecordingReader(SampleReader):
    """Recordings in files of any format that libsndfile reads; of a long one, the first piece."""

    modality = "audio"

    def __init__(self, read_options: ReadOptions) -> None:
        for module in ("soundfile", "soxr"):
            needs(module, "audio")
        assert read_options.sample_rate is not None
        self.rate = read_options.sample_rate

    def prepare(self, given: bytes) -> Prepared:
        with _as_file(given) as path:
            _check_recording(path)
            sound = audio.decode(path, self.rate)
        first = sound.samples[: len(sound.samples) // sound.pieces]
        return Prepared(torch.from_numpy(first), sound.pieces > 1)

    def join(self, rows: Sequence[Tensor]) -> Ragged:
        return Ragged.of(rows)

    def cut_note(self, count: int) -> str:
        longer = count_of(count, "recording is", "recordings are")
        return f"{longer} longer than {audio.LONGEST} s: only the first piece is embedded"


class TextReader(SampleReader):
    """Texts as token ids."""

    modality = "text"

    def __init__(self, views: TextEncoding) -> None:
        self.views = views

    def prepare(self, given: str) -> Prepared:
        if not given.strip():
            raise ValueError("it is empty")
        given.encode()  # half a letter (\ud800) is no text
        [ids] = self.views.tokenize([given])
        return Prepared(ids, len(ids) + 2 > self.views.max_tokens)

    def join(self, rows: Sequence[list[int]]) -> Int[Tensor, "n t"]:
        return self.views.framed(list(rows))

    def cut_note(self, count: int) -> str:
        longer = count_of(count, "text is", "texts are")
        return f"{longer} longer than {self.views.max_tokens} tokens: only the beginning is embedded"


def reader_for(modality: str, read_options: ReadOptions, views: Any) -> SampleReader:
    """What reads samples of a modality for an encoder, whose views and ways to read its data these are."""
    if modality == "image":
        return ImageReader(read_options)
    return RecordingReader(read_options) if modality == "audio" else TextReader(views)


def prepare_all(reader: SampleReader, given: Sequence[Any]) -> list[Prepared]:
    """All samples of a request.

    Raises:
        Refusal: for the first one that is none, which is named by its place.
    """
    prepared = []
    for place, one in enumerate(given):
        try:
            prepared.append(reader.prepare(one))
        except Exception as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
                raise  # of this machine, not of the sample
            why = one_line(str(error) if isinstance(error, UserError) else pictures.reason(error))[:SHOWN]
            raise Refusal(
                400, f"sample {place} is no {load_modality(reader.modality).nouns[0]} that can be read: {why}"
            ) from error
    return prepared


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    """A file with this content, under a name of our own: decoders take files."""
    if not content:
        raise ValueError("it is empty")
    with tempfile.TemporaryDirectory(prefix="likewise-") as folder:
        path = Path(folder) / "sample"
        path.write_bytes(content)
        yield path


def _check_recording(path: Path) -> None:
    """Raise `ValueError` for a recording that would take too long to decode, as its header says."""
    import soundfile

    try:
        about = soundfile.info(str(path))
    except soundfile.LibsndfileError:
        return  # decoding says what it is
    if about.frames > LONGEST * about.samplerate or about.frames * about.channels > MOST_VALUES:
        raise ValueError(f"it is longer than {LONGEST // 60} minutes")
    if about.channels > MOST_CHANNELS:
        raise ValueError(f"it has {about.channels} channels, and {MOST_CHANNELS} at most are read")
