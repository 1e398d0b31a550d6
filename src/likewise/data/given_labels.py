"""Labels of some samples, as words: those of their source, or those that a table gives to their ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likewise.data import tables
from likewise.data.file_tables import NAMED
from likewise.data.label_values import mean_no_label
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.errors import UserError

ID = "id"
"""The column of ids, as `likewise embed`, `predict` and `suggest` write it."""


def words_of(source: Source) -> list[str | None]:
    """The label of each sample as it is written, None for a sample without one.

    Raises:
        UserError: for a source without labels.
    """
    labels = source.labels()
    return [source.classes[label] if label >= 0 else None for label in labels.tolist()]


def has_ids(path: Path) -> bool:
    """Whether a table has a column of ids."""
    return ID in tables.columns_of(path)


def words_by_id(path: Path, source: Source, read_options: ReadOptions) -> tuple[list[str | None], list[str]]:
    """The label that a table gives to each sample of a source by its id, and what people should know.

    Raises:
        UserError: for a table without labels, or whose ids are none of the source's.
    """
    table = tables.read_table(path)
    label, notes = tables.label_column(table.column_names, read_options, where=path, taken=(ID,))
    others = [name for name in table.column_names if name != ID]
    if label is None and len(others) == 1:
        label = others[0]
    if label is None:
        raise UserError(
            f"label_column: say which column of {path} has the labels; it has {', '.join(others) or 'none'}"
        )
    ids, words = (list(tables.Texts(tables.text_of(table, name, where=path))) for name in (ID, label))
    return _by_id(ids, words, source, str(path), notes)


def words_by_mapping(labels: Mapping[Any, Any], source: Source) -> tuple[list[str | None], list[str]]:
    """The same for labels by id that are given from Python."""
    return _by_id(
        [str(id) for id in labels], ["" if v is None else str(v) for v in labels.values()], source, "labels", []
    )


def _by_id(
    ids: list[str], words: list[str], source: Source, where: str, notes: list[str]
) -> tuple[list[str | None], list[str]]:
    known = list(set(words))
    none = {word for word, missing in zip(known, mean_no_label(known), strict=True) if missing}
    place = {str(id): i for i, id in enumerate(source.ids)}
    found: list[str | None] = [None] * len(source)
    unknown = []
    for row, (id, word) in enumerate(zip(ids, words, strict=True), start=1):
        if id not in place:
            unknown.append(f"row {row:,} {id[:60]!r}")
        elif word not in none:
            before = found[place[id]]
            if before not in (None, word):
                raise UserError(f"{where}: row {row:,} gives {id} the label {word!r}, an earlier one {before!r}")
            found[place[id]] = word
    if len(unknown) == len(ids):
        first = (
            f"the first is {ids[0][:60]!r}, those of the samples begin with {str(source.ids[0])[:60]!r}"
            if ids
            else "none"
        )
        raise UserError(f"labels: no id in {where} is of a sample of {source.name}: {first}")
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        verb = "names" if len(unknown) == 1 else "name"
        notes = [
            *notes,
            f"{len(unknown):,} of {len(ids):,} rows of {where} {verb} no sample of {source.name}: "
            f"{', '.join(unknown[:NAMED])}{more}",
        ]
    return found, notes
