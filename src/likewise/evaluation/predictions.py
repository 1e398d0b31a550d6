"""Predictions in a file, made part by part: what was killed goes on with the part that it was at."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from likewise.atomic import own_folder, replacing, write_json
from likewise.data.label_values import is_number
from likewise.errors import UserError
from likewise.runs.files import DAMAGED, read_object
from likewise.runs.skipped import no_formula
from likewise.tasks.targets import SEPARATOR

SUFFIXES = (".parquet", ".csv", ".jsonl")
KEY = "key.json"
LABEL = {
    "classification": {"label": pa.string(), "probability": pa.float64(), "abstained": pa.bool_()},
    "multilabel": {
        "label": pa.list_(pa.string()),
        "probability": pa.list_(pa.float64()),
        "abstained": pa.bool_(),
    },
    "regression": {"value": pa.float64()},
}
"""The columns beside `id`, by task."""


def check_predictions_suffix(out: Path) -> None:
    """Raise `UserError` unless a file's suffix says what to write."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"out must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got {out}")
    if out.is_dir():
        raise UserError(f"out must be a file, got the folder {out}")


def schema_of(task: str) -> pa.Schema:
    return pa.schema({"id": pa.string(), **LABEL[task]})


class PredictionParts:
    """The parts of predictions that are done, in a hidden folder beside the file that they become.

    Args:
        out: the file.
        key: what the predictions depend on: parts of another key are thrown away.
        schema: of the rows.
    """

    def __init__(self, out: Path, key: str, schema: pa.Schema) -> None:
        self.out = out
        self.schema = schema
        self.folder = out.with_name(f".{out.name}.parts")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if not self._is_of(key):
            self.remove()
            own_folder(self.folder)
            write_json(self.folder / KEY, {"key": key})

    def _is_of(self, key: str) -> bool:
        try:
            return not self.folder.is_symlink() and read_object(self.folder / KEY).get("key") == key
        except DAMAGED:
            return False

    def read(self, part: int) -> pa.Table | None:
        """A part that is done; None for one that is not, or is damaged."""
        try:
            with pa.OSFile(str(self._path(part)), "rb") as file:
                table = pa.ipc.open_file(file).read_all()
        except (*DAMAGED, pa.ArrowException):
            return None
        return table if table.schema == self.schema else None

    def write(self, part: int, table: pa.Table) -> None:
        with (
            replacing(self._path(part)) as path,
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, self.schema) as writer,
        ):
            writer.write_table(table)

    def finish(self, count: int) -> None:
        """Put all parts into the file, and remove them."""
        with replacing(self.out) as path:
            write_tables(path, self.out.suffix, (self._whole(part) for part in range(count)), self.schema)
        self.remove()

    def remove(self) -> None:
        if self.folder.is_symlink():
            self.folder.unlink()
        elif self.folder.exists():
            shutil.rmtree(self.folder)

    def _whole(self, part: int) -> pa.Table:
        table = self.read(part)
        if table is None:
            raise UserError(f"{self._path(part)} was changed while it was needed: predict again")
        return table

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:08}.arrow"


def write_tables(path: Path, suffix: str, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    """Rows as Parquet, as CSV (several labels in one field, with `;`) or as one JSON object a line."""
    if suffix == ".parquet":
        with pq.ParquetWriter(path, schema) as writer:
            for table in tables:
                writer.write_table(table)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if suffix == ".csv":
            _write_csv(file, tables, schema.names)
        else:
            for table in tables:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())


def write_rows(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Replace a CSV file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A carriage return ends a line for readers; only Python 3.13 and later quote it for itself.
    quoting: Any = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n", quoting=quoting).writerows([head, *rows])


def _write_csv(file: IO[str], tables: Iterator[pa.Table], names: Sequence[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for table in tables:
        writer.writerows([_cell(value) for value in row.values()] for row in table.to_pylist())


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return SEPARATOR.join(str(_cell(each)) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    return safe_cell(value) if isinstance(value, str) else value


def safe_cell(text: str) -> str:
    """A text that no spreadsheet calculates: a quote before what would be a formula, but for numbers."""
    return text if is_number(text) else no_formula(text)
