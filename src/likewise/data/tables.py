"""Tables in files, as Arrow: rows that were read once, in memory or mapped from the cache."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from jaxtyping import Int

from likewise.data.cache import cached, digest
from likewise.data.read_options import ReadOptions
from likewise.data.source import Lazy
from likewise.errors import UserError, nearest

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
LABELS = ("label", "labels", "class", "category", "section", "topic", "target", "genre", "sentiment")
# Files of so many bytes are not held in memory: their rows are written to the cache once and mapped from there.
LARGE = 64 << 20
# A row must fit into a block of so many bytes.
BLOCK = 64 << 20
# Lines of a .jsonl whose keys tell its columns, and values that tell whether a column of text holds numbers or paths.
LOOKED_AT = 1000
SCHEMES = ("http://", "https://")
ADDRESS = re.compile(r"(.*[_ -])?(url|uri|link|href)s?", re.IGNORECASE)
# Part of every cache key: raise it when the same file would become another table.
READER = 2
DELIMITERS = (",", "\t", ";", "|")
# Rows that must agree on a delimiter before it is believed.
SNIFFED = 50
# Whole lines inside one quoted field that all look like rows: a quote was never closed, and swallowed them.
SWALLOWED = 5
LONGEST_FIELD = 2**27
BYTES = "bytes"  # of the records that Hugging Face keeps files in
BOM = b"\xef\xbb\xbf"


def is_table(path: Any) -> bool:
    """Whether this is the path of a file that `read_table` reads, by its name."""
    return isinstance(path, Path) and path.suffix.lower() in SUFFIXES and path.is_file()


def holds_files(path: Path, columns: Collection[str] | None = None) -> bool:
    """Whether a Parquet file holds the bytes of files, such as pictures, not their paths: it is no table then.

    `columns`: in which; None: in any.
    """
    if path.suffix.lower() != ".parquet":
        return False
    with suppress(pa.ArrowException, OSError):
        fields = [field for field in pa.parquet.read_schema(path) if columns is None or field.name in columns]
        return any(holds_bytes(field.type) for field in fields)
    return False


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes, or records with bytes, as Hugging Face keeps files."""
    if pa.types.is_struct(kind):
        return any(field.name == BYTES and holds_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def read_table(path: Path) -> pa.Table:
    """The rows of a .csv, .tsv, .jsonl or .parquet file.

    Every column of a .csv or .tsv is text (see `text_columns` for those that are meant as such), for a type guessed
    from its beginning could be wrong further down; an empty field is "". Files are UTF-8, with or without a mark.

    Raises:
        UserError: for a file that is empty, broken (in which line), not UTF-8 (where), or has two columns of one name.
    """
    names = columns_of(path)
    with _readable(path):
        if path.stat().st_size < LARGE:
            with path.open("rb") as file:
                table = _rows(path, file, names).read_all()
        else:
            table = _mapped(path, names)
    if table.num_rows == 0:
        raise UserError(f"{path} has no rows, only the columns {', '.join(names)}")
    return table


def columns_of(path: Path) -> list[str]:
    """The names of the columns, from the beginning of the file: of a .jsonl the keys of its first lines.

    Raises:
        UserError: as `read_table`, for what its beginning shows.
    """
    with _readable(path), path.open("rb") as file:
        if path.suffix.lower() == ".parquet":
            names = list(pa.parquet.read_schema(file).names)
        elif path.suffix.lower() == ".jsonl":
            names = list(dict.fromkeys(key for _, line in islice(_objects(path, file), LOOKED_AT) for key in line))
        else:
            form = layout(path)
            lines = islice((line.decode("utf-8-sig") for line in file), form.skipped, None)
            names = next((row for row in csv.reader(lines, delimiter=form.delimiter) if row), [])
    if not names:
        raise UserError(f"{path} is empty")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UserError(f"{path} has two columns named {twice[0]!r}; rename one of them")
    return names


def text_columns(table: pa.Table) -> list[str]:
    """The columns that hold text, but not those where all of the first values that are not empty are numbers."""
    return [name for name in table.column_names if is_text(table.schema.field(name).type) and not _numeric(table[name])]


def addresses(table: pa.Table) -> list[str]:
    """The columns that hold addresses on the web: by their name, or because most of the first values are such."""
    return [
        name
        for name in table.column_names
        if is_text(table.schema.field(name).type)
        and (ADDRESS.fullmatch(name) or mostly(table[name], lambda value: value.startswith(SCHEMES)))
    ]


def mostly(column: pa.ChunkedArray, is_so: Callable[[str], bool]) -> bool:
    """Whether more than half of the first texts of a column are so, of those that are not empty, in lower case."""
    values = [value.strip().lower() for value in column[:LOOKED_AT].to_pylist() if value]
    return sum(map(is_so, values)) > len(values) / 2


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def column_named(name: str, columns: Sequence[str], *, where: object, option: str) -> str:
    """`name`, which `option` asked for.

    Raises:
        UserError: where there is no such column, with those that there are.
    """
    if name in columns:
        return name
    raise UserError(f"{option}: {where} has no column {name!r}{nearest(name, columns)}; it has {', '.join(columns)}")


def usual_columns(columns: Iterable[str], usual: Sequence[str]) -> list[str]:
    """Those of `columns` that have one of the usual names, in any case of letters, the most usual first."""
    found = [name for name in columns if name.lower() in usual]
    return sorted(found, key=lambda name: usual.index(name.lower()))


def label_column(
    columns: list[str], read_options: ReadOptions, *, where: object, taken: Collection[str | None] = ()
) -> tuple[str | None, list[str]]:
    """The column that labels are in, None without any, and what to say about it.

    It is `read_options.label_column`, or the only one with a usual name that is not `taken` by something else.
    """
    if read_options.label_column is not None:
        return column_named(read_options.label_column, columns, where=where, option="label_column"), []
    usual = [name for name in usual_columns(columns, LABELS) if name not in taken]
    if len(usual) > 1:
        return None, [f"no labels are taken: {' or '.join(usual)} could be, say which with label_column"]
    return (usual[0] if usual else None), []


def text_of(table: pa.Table, name: str, *, where: object) -> pa.ChunkedArray:
    """A column as text: numbers and dates as they are written.

    Raises:
        UserError: for a column of lists, records or bytes.
    """
    column = table[name]
    if is_text(column.type):
        return column
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise UserError(f"{where}: column {name!r} must hold text, got {column.type}")
    return column.cast(pa.string())


class Texts(Lazy):
    """The values of an Arrow column of text, those at `rows` (ascending) if given; strings when looked at.

    A value that is missing is "".
    """

    CHUNK = 1024

    def __init__(self, column: pa.ChunkedArray, rows: Int[np.ndarray, " n"] | None = None) -> None:
        self.column = column
        self.rows = rows

    def __len__(self) -> int:
        return len(self.column) if self.rows is None else len(self.rows)

    def one(self, index: int) -> str:
        return self.column[index if self.rows is None else int(self.rows[index])].as_py() or ""

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), self.CHUNK):
            yield from self._run(start, min(start + self.CHUNK, len(self)))

    def _run(self, start: int, stop: int) -> list[str]:
        """Those from `start` to before `stop`, at once."""
        if self.rows is None:
            values = self.column.slice(start, stop - start)
        else:
            # Only what lies between the first and the last is looked through.
            rows = self.rows[start:stop]
            values = self.column.slice(rows[0], rows[-1] + 1 - rows[0]).take(pa.array(rows - rows[0]))
        return [value or "" for value in values.to_pylist()]


def check_utf8(path: Path) -> None:
    """Read a file through and say where it stops to be UTF-8.

    Raises:
        UserError: naming the line and the byte in it, both counted from 1.
    """
    line = 1
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(f"{path} is not UTF-8: it looks like UTF-16; save it as UTF-8")
        file.seek(0)
        while lines := b"".join(file.readlines(1 << 20)):
            try:
                lines.decode()
            except UnicodeDecodeError as error:
                before = lines[: error.start]
                line += before.count(b"\n")
                byte = error.start - before.rfind(b"\n")
                raise UserError(
                    f"{path} is not UTF-8: line {line:,}, byte {byte:,} is 0x{lines[error.start]:02x}; "
                    "save it as UTF-8 (iconv -f latin1 -t utf-8, if it is Latin-1)"
                ) from error
            line += lines.count(b"\n")


class Layout(NamedTuple):
    """How the fields of a .csv or .tsv are separated, and the lines before its header that are no rows."""

    delimiter: str
    skipped: int = 0


def layout(path: Path) -> Layout:
    """What its first rows say of a .csv or .tsv.

    The delimiter of its ending is taken where it separates the header. Otherwise it is another one that separates the
    header and all of the first rows into equally many fields. A first line `sep=;`, which Excel reads, decides.
    """
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        lines = [line.decode("utf-8-sig", "replace") for line in islice(file, SNIFFED)]
    declared = re.fullmatch(r"sep=(.)\r?\n", lines[0], re.IGNORECASE) if lines else None
    if declared:
        return Layout(declared[1], 1)
    for delimiter in (usual, *DELIMITERS):
        with suppress(csv.Error):
            counts = {len(row) for row in list(csv.reader(lines[:-1] or lines, delimiter=delimiter)) if row}
            if len(counts) == 1 and counts != {1}:
                return Layout(delimiter)
    return Layout(usual)


def check_quotes(path: Path) -> None:
    """Read a .csv or .tsv through and say where a quote opens that is not closed, or not where it should be.

    Such a quote swallows rows into one field, which no reader of tables can know.

    Raises:
        UserError: naming the line.
    """
    form = layout(path)
    with path.open("rb") as file:
        if not any(b'"' in block for block in iter(lambda: file.read(BLOCK), b"")):
            return
    fix = 'close it, or write it twice ("") inside a field in quotes'
    with _long_fields(), path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(islice(file, form.skipped, None), delimiter=form.delimiter, strict=True)
        first, width = 1 + form.skipped, 0
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise UserError(f"{path}: a quote in or after line {first:,} is not closed: {fix}") from error
            width = width or len(row)
            for field in row:
                inside = field.splitlines()[1:-1]
                if (
                    len(inside) >= SWALLOWED
                    and width > 1
                    and all(line.count(form.delimiter) == width - 1 for line in inside)
                ):
                    last = rows.line_num + form.skipped
                    raise UserError(
                        f"{path}: a quote opens in line {first:,} and closes in line {last:,}, over lines that look "
                        f"like rows: {fix}; a text that is meant so can be saved as .jsonl"
                    )
            first = rows.line_num + form.skipped + 1


@contextmanager
def _long_fields() -> Iterator[None]:
    """Fields of a csv may be long meanwhile; the limit is one of the whole process."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, file: IO[bytes], names: list[str]) -> Any:
    """A stream of record batches; of a .jsonl, which has no types until its end is read, those of a table."""
    if path.suffix.lower() == ".parquet":
        opened = pa.parquet.ParquetFile(file)
        plain = pa.schema([(field.name, _plain(field.type)) for field in opened.schema_arrow])
        batches = (batch.cast(plain) for batch in opened.iter_batches())
        return pa.RecordBatchReader.from_batches(plain, batches)
    block = min(BLOCK, path.stat().st_size + 1)
    if path.suffix.lower() == ".jsonl":
        check_utf8(path)  # Arrow would take it as it is
        return pa.json.read_json(file, read_options=pa.json.ReadOptions(block_size=block)).to_reader()
    check_quotes(path)
    form = layout(path)
    return pa.csv.open_csv(
        file,
        read_options=pa.csv.ReadOptions(block_size=block, skip_rows=form.skipped),
        parse_options=pa.csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Categories are what they stand for."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _mapped(path: Path, names: list[str]) -> pa.Table:
    def build(building: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            rows = _rows(path, file, names)
            with pa.OSFile(str(building / "table.arrow"), "wb") as out, pa.ipc.new_file(out, rows.schema) as writer:
                for batch in rows:
                    writer.write_batch(batch)
        return {}

    stat = path.stat()
    folder, _ = cached("tables", digest([READER, path.resolve(), stat.st_size, stat.st_mtime_ns]), build)
    return pa.ipc.open_file(pa.memory_map(str(folder / "table.arrow"))).read_all()


def _objects(path: Path, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a .jsonl with the numbers of their lines."""
    for number, line in enumerate(file, start=1):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        if not text:
            continue
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: line {number:,} is not JSON: {error.msg} at column {error.colno:,}") from error
        if not isinstance(found, dict):
            raise UserError(f'{path}: line {number:,} must be an object like {{"text": "…"}}, got {text[:40]}')
        yield number, found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What is wrong with a file is the user's to mend: say what it is, and where."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        is_text_file = path.suffix.lower() != ".parquet"
        if is_text_file and not isinstance(error, PermissionError):
            check_utf8(path)
        if path.suffix.lower() == ".jsonl":
            _explain(path, error)
        why = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        if "columns, got" in why:
            why += "; put what holds a comma, a tab or a quote in double quotes"
        raise UserError(f"{path} cannot be read as a table: {why}") from error


def _explain(path: Path, error: Exception) -> None:
    """Raise what Arrow's error about a .jsonl means to the person who wrote it."""
    changed = re.search(r"Column\(/(.+?)\) changed from (\w+) to (\w+)", str(error))
    if changed:
        name, one, other = changed.groups()
        raise UserError(f"{path}: {name!r} is {one} in one line and {other} in another; give one type") from error
    with path.open("rb") as file:
        for _ in _objects(path, file):
            pass


def _numeric(column: pa.ChunkedArray) -> bool:
    for chunk in column.chunks:
        values = pa.compute.utf8_trim_whitespace(chunk[:LOOKED_AT].drop_null())
        values = values.filter(pa.compute.not_equal(values, ""))
        if len(values):
            try:
                values.cast(pa.float64())
            except pa.ArrowInvalid:
                return False
            return True
    return False
