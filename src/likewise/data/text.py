"""Documents: lines of a file, files of a folder, rows of a table, or texts in memory."""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data import tables
from likewise.data.cache import cached, digest
from likewise.data.dispatch import folder_modalities
from likewise.data.files import File, folder_of, printable, progress_bar, scan
from likewise.data.folder_labels import folder_labelling
from likewise.data.label_values import ROWS_NEED, mean_no_label
from likewise.data.pictures import reason
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import ChosenIds, Indices, Joined, Lazy, Source, Subset, label_note, natural_sort
from likewise.data.tables import Texts, check_utf8
from likewise.data.tokens import Tokenised, chunks, fingerprint, read_tokenizer, tokenised
from likewise.errors import UserError

SUFFIXES = (".txt",)
TEXT = ("text", "document", "sentence", "description", "content", "body", "abstract", "review", "title")
TOKENS = 128
# Part of every cache key: raise it when the same file would become another text.
READER = 1

Labels = tuple[Int[Tensor, " n"], list[str]]
"""A number for each document, and the names of the numbers."""


class TextSource(Source):
    """Documents, and their token ids once they are `fitted` to a tokenizer.

    A batch is int64 `(n, longest in it)`: `[CLS] tokens [SEP]`, then padding. `lengths` says how many tokens each
    document has; None where there is no tokenizer yet.

    `tokens` are those of all documents, whole.

    Args:
        documents: none of them empty; they are looked at when they are needed.
        ids: one a document; their numbers if None.
        labels: gives them when they are asked for, or raises the `UserError` that says why it cannot.
        skipped: (file, reason) of what could not be read.
        notes: what people should know about the documents.
        empty: the ids of what is no document, because it holds no text.
        progress: whether to report on stderr when they are tokenised.
    """

    modality = "text"

    def __init__(
        self,
        documents: Sequence[str],
        *,
        name: str,
        ids: Sequence[str] | None = None,
        labels: Callable[[], Labels] | None = None,
        skipped: Iterable[tuple[str, str]] = (),
        notes: Iterable[str] = (),
        empty: Sequence[str] = (),
        progress: bool = True,
    ) -> None:
        self.documents = documents
        self.name = name
        self.ids = Indices(len(documents)) if ids is None else ids
        self.skipped = list(skipped)
        self._notes = list(notes)
        self.empty = empty
        self.progress = progress
        self.tokenizer: str | None = None
        self.max_tokens: int | None = None
        self._give_labels = labels
        self.tokens: Tokenised | None = None

    def __len__(self) -> int:
        return len(self.documents)

    def fitted(self, read_options: ReadOptions) -> TextSource:
        """The same documents as token ids, of at most `read_options.max_tokens` (128) each; itself if it has these.

        Raises:
            UserError: for a tokenizer that cannot be read, or lacks a special token.
        """
        if read_options.tokenizer is None:
            return self
        tokenizer = read_tokenizer(read_options.tokenizer)
        max_tokens = read_options.max_tokens or self.max_tokens or TOKENS
        if (tokenizer, max_tokens) == (self.tokenizer, self.max_tokens):
            return self
        content = self._content
        other = copy(self)
        other.tokenizer, other.max_tokens = tokenizer, max_tokens
        other.tokens = tokenised(
            self.documents, tokenizer, max_tokens, content=content, name=self.name, progress=self.progress
        )
        other.lengths = other.tokens.lengths
        return other

    @property
    def cut(self) -> int:
        """How many documents were longer than `max_tokens`."""
        return 0 if self.tokens is None else self.tokens.cut

    def read(self, indices: Int[Tensor, " n"]) -> Int[Tensor, "n longest"]:
        if self.tokens is None:
            raise UserError(f"{self.name} has no tokenizer yet: read it with tokenizer=, a tokenizer.json")
        return self.tokens.read(indices)

    def contents(self, indices: Int[Tensor, " n"]) -> list[str]:
        return [self.documents[i] for i in indices.tolist()]

    @cached_property
    def classes(self) -> list[str]:
        try:
            return self._labels[1]
        except UserError:
            return []

    def labels(self) -> Int[Tensor, " len"]:
        return self._labels[0]

    @cached_property
    def notes(self) -> list[str]:
        return [*self._notes, *(label_note(self._labels[0], "documents") if self.classes else [])]

    @cached_property
    def _labels(self) -> Labels:
        if self._give_labels is None:
            raise UserError(f"{self.name} has no labels; give a table with a column of them, or a pair (texts, labels)")
        return self._give_labels()

    @cached_property
    def _content(self) -> str:
        return fingerprint(self.documents)


def corpus(source: Source) -> Sequence[str]:
    """The documents of a `TextSource`, or of a subset or a union of such sources.

    Raises:
        UserError: for a source of another kind.
    """
    if isinstance(source, Subset):
        return ChosenIds(corpus(source.source), source.indices)
    if isinstance(source, Joined):
        return Chained([corpus(part) for part in source.sources])
    if not isinstance(source, TextSource):
        raise UserError(f"{source.name} holds no documents: its modality is {source.modality}, not text")
    return source.documents


def empty_texts(source: Source) -> list[str]:
    """The ids of what is no document of a source, of what it is a subset of or of what it joins: it holds no text."""
    if isinstance(source, Subset):
        return empty_texts(source.source)
    if isinstance(source, Joined):
        return [each for part in source.sources for each in empty_texts(part)]
    return list(source.empty) if isinstance(source, TextSource) else []


def open_source(request: Request) -> TextSource | None:
    """The source of anything that holds texts and is not some other kind's; None for anything else."""
    data = request.data
    if request.read_options.modality not in (None, "text"):
        return None
    if not isinstance(data, Path):
        return _hugging_face(request) if _is_hugging_face(data) else _in_memory(request)
    if data.is_dir():
        return _folder(request)
    if not tables.is_table(data) and not (data.suffix.lower() in SUFFIXES and data.is_file()):
        return None
    if request.split is not None:
        raise UserError(f"{data} is one file and has no split {request.split!r}: splits are made of labelled data only")
    if tables.is_table(data):
        table = tables.read_table(data)
        return _table(
            table,
            _text_columns(table, request.read_options, data),
            None,
            request,
            where=data,
            name=printable(data.stem),
        )
    return _file(request, data)


class Lines(Lazy):
    """Lines of a file in UTF-8, mapped; strings when looked at.

    Args:
        starts, ends: of each line, in bytes.
    """

    def __init__(self, path: Path, starts: Sequence[int], ends: Sequence[int]) -> None:
        with path.open("rb") as file:
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.starts = starts
        self.ends = ends

    def __len__(self) -> int:
        return len(self.starts)

    def one(self, index: int) -> str:
        return self.content[self.starts[index] : self.ends[index]].decode()


class Chained(Lazy):
    """Texts of several sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = parts
        self.starts = [0, *np.cumsum([len(part) for part in parts]).tolist()]

    def __len__(self) -> int:
        return self.starts[-1]

    def one(self, index: int) -> str:
        part = bisect_right(self.starts, index) - 1
        return self.parts[part][index - self.starts[part]]


def _file(request: Request, path: Path) -> TextSource:
    """A .txt file: a document a line, or as a whole."""
    name = printable(path.stem)
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty")
    if request.read_options.per_file:
        text = _whole(path)
        if not text:
            raise UserError(f"{path} holds no text, only white space")
        return TextSource([text], name=name, ids=[printable(path.name)], progress=request.progress)
    starts, ends, rows = array("q"), array("q"), array("q")
    count, at = 0, 0
    try:
        with path.open("rb") as file:
            for count, line in enumerate(file, start=1):
                begin = 3 if at == 0 and line.startswith(tables.BOM) else 0
                if line[begin:].decode().strip():
                    starts.append(at + begin)
                    ends.append(at + len(line.rstrip(b"\r\n")))
                    rows.append(count - 1)
                at += len(line)
    except UnicodeDecodeError:
        check_utf8(path)
        raise
    kept = None if len(rows) == count else np.frombuffer(rows, dtype=np.int64)
    ids, notes = _left(kept, count, "lines", path)
    lines = Lines(path, starts, ends)
    return TextSource(lines, name=name, ids=ids, notes=notes, empty=_empty_ids(kept, count), progress=request.progress)


def _folder(request: Request) -> TextSource | None:
    """A folder with .txt files below it: each is a document, whose label is its first subfolder."""
    asked = folder_of(request)
    if asked is None:
        return None
    folder, name = asked
    files, unreadable = scan(folder, SUFFIXES)
    if not files:
        return None
    path, metadata = cached(
        "texts",
        digest([READER, folder.resolve(), *files]),
        lambda building: _gather(building, folder, files, name, request.progress),
    )
    left_out = {file for file, _ in metadata["skipped"]} | set(metadata["empty"])
    kept = np.array([i for i, file in enumerate(files) if file.id not in left_out], dtype=np.int64)
    if not len(kept):
        first = "".join(f" ({printable(file)} {why})" for file, why in metadata["skipped"][:1])
        raise UserError(f"{folder}: none of its {len(files):,} .txt files holds text that can be read{first}")
    labelling, notes = folder_labelling(request, folder, files, "documents")

    def labels() -> Labels:
        classes, labels = labelling(kept)
        if isinstance(labels, str):
            raise UserError(labels)
        return labels, classes

    return TextSource(
        Texts(pa.ipc.open_file(pa.memory_map(str(path / "texts.arrow"))).read_all()["text"]),
        name=name,
        ids=[printable(files[i].id) for i in kept],
        labels=labels,
        skipped=sorted((printable(file), why) for file, why in [*unreadable, *metadata["skipped"]]),
        notes=[*notes, *_empty(len(metadata["empty"]), len(files), "files")],
        empty=[printable(file) for file in metadata["empty"]],
        progress=request.progress,
    )


def _gather(building: Path, folder: Path, files: list[File], name: str, progress: bool) -> dict[str, Any]:
    """Put what the files say into `building/texts.arrow`, one after the other; say which were left out."""
    skipped: list[tuple[str, str]] = []
    empty: list[str] = []
    schema = pa.schema([("text", pa.large_string())])
    with (
        pa.OSFile(str(building / "texts.arrow"), "wb") as out,
        pa.ipc.new_file(out, schema) as writer,
        progress_bar(name, "documents", len(files), progress) as done,
    ):

        def texts() -> Iterator[str]:
            for file in files:
                try:
                    text = _whole(folder / file.id)
                except OSError as error:
                    skipped.append((file.id, reason(error)))
                except UserError as error:  # one that is not UTF-8 does not stop the others
                    skipped.append((file.id, str(error).removeprefix(f"{folder / file.id} ")))
                else:
                    if text:
                        yield text
                    else:
                        empty.append(file.id)
                done()

        for chunk in chunks(texts()):
            writer.write_batch(pa.record_batch([pa.array(chunk, pa.large_string())], schema=schema))
    return {"skipped": skipped, "empty": empty}


def _whole(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        check_utf8(path)
        raise


def _table(
    table: pa.Table,
    texts: list[str],
    labels: tuple[str, list[str]] | None,
    request: Request,
    *,
    where: object,
    name: str,
) -> TextSource:
    """The rows of a table.

    Args:
        texts: the columns that hold text.
        labels: a column that is known to hold the numbers of classes, and the names of these.
    """
    read_options = request.read_options
    columns = table.column_names
    label, notes = (
        (labels[0], [])
        if labels
        else tables.label_column(columns, read_options, where=where, taken=(read_options.text_column,))
    )
    possible = [column for column in texts if column != label]
    if not possible and read_options.label_column is None:
        possible = texts  # a single column is the text, whatever its name
    text = _text_column(columns, possible, read_options, where)
    label = None if label == text else label
    if read_options.text_column is None and len(columns) > 1:
        notes.append(f"the text is column {text!r}, " + (f"labels are column {label!r}" if label else "without labels"))
    column = tables.text_of(table, text, where=where)
    try:
        kept = _kept(column)
    except pa.ArrowInvalid as error:
        raise UserError(f"{where}: column {text!r} is not UTF-8; write it anew") from error
    ids, told = _left(kept, len(column), "rows", where)
    give: Callable[[], Labels] | None = None
    if label is not None:
        names = labels[1] if labels else None
        give = lambda: _numbered(table[label], kept, f"{where}: column {label!r}", names)  # noqa: E731
    elif len(columns) > 1:
        give = partial(_no_labels, f"{where} gives no labels: {ROWS_NEED}")
    return TextSource(
        Texts(column, kept),
        name=name,
        ids=ids,
        labels=give,
        notes=[*notes, *told],
        empty=_empty_ids(kept, len(column)),
        progress=request.progress,
    )


def _text_columns(table: pa.Table, read_options: ReadOptions, where: object) -> list[str]:
    """The columns of a file that hold texts: no numbers, no paths of images or recordings, and no addresses.

    Raises:
        UserError: where all text is paths or addresses, and none of it was asked for.
    """
    texts, addresses = tables.text_columns(table), tables.addresses(table)
    media = tuple(end for each in folder_modalities(ReadOptions()) if each.column_names for end in each.suffixes)
    found = [
        name
        for name in texts
        if name not in addresses and not tables.mostly(table[name], lambda value: value.endswith(media))
    ]
    if texts and not found and read_options.text_column is None:
        raise UserError(
            f"{where} has no column of text: {' and '.join(map(repr, texts))} has paths or addresses; text_column "
            f"takes one as it is; it has {', '.join(table.column_names)}"
        )
    return found


def _text_column(columns: list[str], texts: list[str], read_options: ReadOptions, where: object) -> str:
    if read_options.text_column is not None:
        return tables.column_named(read_options.text_column, columns, where=where, option="text_column")
    usual = tables.usual_columns(texts, TEXT)
    if usual:
        return usual[0]
    if len(texts) == 1:
        return texts[0]
    if not texts:
        raise UserError(f"{where} has no column of text; it has {', '.join(columns)}")
    raise UserError(
        f"{where}: say with text_column which one is the text: {', '.join(texts)}; or take two as pairs, with method "
        f"clip and columns {' '.join(texts[:2])}"
    )


def _hugging_face(request: Request) -> TextSource | None:
    """A `datasets.Dataset` with a column of strings, unless it is one of images."""
    dataset = request.data
    kinds = {name: type(feature).__name__ for name, feature in dataset.features.items()}
    if request.read_options.modality is None and "Image" in kinds.values():
        return None
    texts = [name for name, feature in dataset.features.items() if getattr(feature, "dtype", "").endswith("string")]
    if not texts and request.read_options.modality is None:
        return None
    classes = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    wanted = request.read_options.label_column or (classes[0] if classes else "")
    labels = (wanted, list(dataset.features[wanted].names)) if wanted in classes else None
    name = str(dataset.info.dataset_name or "dataset")
    plain = [column for column, kind in kinds.items() if kind in ("Value", "ClassLabel")]
    table = dataset.select_columns(plain).with_format("arrow")[:]
    return _table(table, texts, labels, request, where=name, name=name)


def _in_memory(request: Request) -> TextSource | None:
    """A list of texts, or a pair (texts, labels)."""
    data, labels = request.data, None
    if isinstance(data, tuple) and len(data) == 2 and _is_texts(data[0]):
        data, labels = data
        if len(labels) != len(data):
            raise UserError(f"{len(data):,} texts need as many labels, got {len(labels):,}")
    elif not _is_texts(data):
        return None
    rows = array("q")
    for i, text in enumerate(data):
        if not isinstance(text, str):
            raise UserError(f"text {i:,} of {len(data):,} must be a string, got a {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"text {i:,} of {len(data):,} cannot be written in UTF-8: {error.reason}") from error
        if text.strip():
            rows.append(i)
    kept = None if len(rows) == len(data) else np.frombuffer(rows, dtype=np.int64)
    ids, notes = _left(kept, len(data), "texts", "the list")
    give: Callable[[], Labels] | None = None
    if labels is not None:
        values = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels).tolist()
        give = lambda: _numbered(_column(values), kept, "the list", None)  # noqa: E731
    return TextSource(
        data if kept is None else ChosenIds(data, torch.from_numpy(kept)),
        name="texts",
        ids=ids,
        labels=give,
        notes=notes,
        empty=_empty_ids(kept, len(data)),
        progress=request.progress,
    )


def _no_labels(why: str) -> Labels:
    raise UserError(why)


def _column(values: list[Any]) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError("labels must be all whole numbers or all text") from error


def _is_hugging_face(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "datasets" and all(
        hasattr(data, part) for part in ("features", "info", "__getitem__")
    )


def _is_texts(data: Any) -> bool:
    return (
        isinstance(data, Sequence) and not isinstance(data, str | bytes) and len(data) > 0 and isinstance(data[0], str)
    )


def _kept(column: pa.ChunkedArray) -> Int[np.ndarray, " n"] | None:
    """The rows that are not empty, None where all are not."""
    full = [
        pa.compute.greater(pa.compute.binary_length(pa.compute.utf8_trim_whitespace(chunk)), 0).fill_null(False)
        for chunk in column.chunks
    ]
    rows = np.concatenate([np.asarray(chunk) for chunk in full])
    return None if rows.all() else np.flatnonzero(rows)


def _left(
    kept: Int[np.ndarray, " n"] | None, total: int, things: str, where: object
) -> tuple[Sequence[str] | None, list[str]]:
    """The ids of what is not empty, which are its numbers among all, and what to say about the rest."""
    if kept is None:
        return None, []
    if len(kept) == 0:
        raise UserError(f"{where} holds no text: all of its {total:,} {things} are empty")
    return ChosenIds(Indices(total), torch.from_numpy(kept)), _empty(total - len(kept), total, things)


def _empty_ids(kept: Int[np.ndarray, " n"] | None, total: int) -> Sequence[str]:
    """The ids of what is empty, which are its numbers among all."""
    if kept is None:
        return ()
    is_empty = np.ones(total, dtype=bool)
    is_empty[kept] = False
    return ChosenIds(Indices(total), torch.from_numpy(np.flatnonzero(is_empty)))


def _empty(count: int, total: int, things: str) -> list[str]:
    return [f"{count:,} of {total:,} {things} {'is' if count == 1 else 'are'} empty: skipped"] if count else []


def _numbered(
    column: pa.ChunkedArray, rows: Int[np.ndarray, " n"] | None, where: str, names: list[str] | None
) -> Labels:
    """Labels of any kind (whole numbers, text) as numbers from 0, and the class names they stand for.

    What means that there is no label (`mean_no_label`) is -1.

    Raises:
        UserError: where there is no label at all, or labels of another kind.
    """
    column = column if rows is None else column.take(pa.array(rows))
    kind = column.type
    if pa.types.is_floating(kind):
        # Whole numbers with gaps, as data frames keep them.
        with suppress(pa.ArrowInvalid):
            column = pa.compute.if_else(pa.compute.is_nan(column), pa.scalar(None, kind), column).cast(pa.int64())
            kind = column.type
    if not (tables.is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise UserError(f"{where} must hold labels, whole numbers or text, got {kind}")
    values = column.combine_chunks().dictionary_encode()
    numbers = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = values.dictionary.to_pylist()
    none = {value for value, means_none in zip(known, mean_no_label(known), strict=True) if means_none}
    if names is not None:
        wrong = next((value for value in known if value not in none and not 0 <= value < len(names)), None)
        if wrong is not None:
            raise UserError(f"{where} must hold numbers below {len(names)}, or -1 for no label, got {wrong}")
        place, classes = {value: value for value in known}, names
    else:
        named = [value for value in known if value not in none]
        ordered = natural_sort(named) if tables.is_text(kind) else sorted(named)
        place, classes = {value: i for i, value in enumerate(ordered)}, [str(value) for value in ordered]
    if len(none) == len(known):
        raise UserError(f"{where} gives no labels: all of its {len(numbers):,} values say that there is none")
    place |= dict.fromkeys(none, -1)
    return torch.tensor([*(place[value] for value in known), -1])[torch.from_numpy(numbers)], classes
