"""The table of faults as a file: `.csv`, `.jsonl` or `.parquet`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from likewise.cleaning.faults import COLUMNS, Fault
from likewise.errors import UserError
from likewise.runs.skipped import csv_text

SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_suffix(out: Path) -> None:
    """Raise `UserError` unless a file's suffix says what to write."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"out must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got {out}")


def table_bytes(faults: Sequence[Fault], suffix: str) -> bytes:
    """The table, a row for each fault, as a file with this suffix holds it."""
    rows = [fault.as_row() for fault in faults]
    if suffix == ".jsonl":
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    if suffix == ".csv":
        cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
        return csv_text([list(COLUMNS), *cells]).encode("utf-8", "backslashreplace")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array([row[name] for row in rows], pa.float64() if name == "score" else pa.string())
        for name in COLUMNS
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()
