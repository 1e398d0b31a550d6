"""`likewise clean`: what is wrong with samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.atomic import check_file_place, write_file
from likewise.checks import check_choice, check_int
from likewise.commands import FromPython
from likewise.console import count_of, plain, tell, tell_notes
from likewise.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from likewise.cleaning.faults import Fault
    from likewise.data.source import Source

SHOWN = 10  # faults that are printed
LETTERS = 60  # of a text that are printed


@dataclass(frozen=True, repr=False)
class Faults:
    """What is wrong with some samples."""

    samples: int
    """How many were looked at."""
    faults: list[Fault]
    """By kind, in each the surest first; a sample can have several."""
    counts: dict[str, int]
    """How many there are of each kind that there are some of."""
    notes: list[str] = field(default_factory=list)
    """What was not looked for, and why."""
    out: str | None = None
    sheet: str | None = None
    moved: int | None = None
    """How many files were moved."""
    documents: Sequence[str] | None = None
    """The samples, where they are texts."""

    def __len__(self) -> int:
        return len(self.faults)

    def __repr__(self) -> str:
        return f"Faults(samples={self.samples}, {', '.join(f'{kind}: {n}' for kind, n in self.counts.items())})"

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "counts": self.counts,
            "faults": [fault.as_row() for fault in self.faults],
            "notes": self.notes,
            "out": self.out,
            "sheet": self.sheet,
            "moved": self.moved,
        }

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        if not self.faults:
            return plain(f"{count_of(self.samples, 'sample')}: nothing was found")
        summary = Table("kind", "found", box=None, header_style="bold")
        for kind, count in self.counts.items():
            summary.add_row(kind, f"{count:,}")
        texts = [] if self.documents is None else ["text"]
        first = Table("kind", "id", "reason", *texts, box=None, header_style="bold")
        for fault in self.first():
            first.add_row(*map(plain, (fault.kind, fault.id, fault.reason)), *self.text(fault))
        lines = [f"{count_of(self.samples, 'sample')}, {count_of(len(self), 'fault')}"]
        where = self.out or "--out faults.csv lists all"
        more = len(self) - len(self.first())
        after = [f"{more:,} more: {where}"] if more else [self.out] if self.out else []
        after += [self.sheet] if self.sheet else []
        after += [f"{count_of(self.moved, 'file')} moved"] if self.moved is not None else []
        return Group(*map(plain, lines), "", summary, "", first, *map(plain, after))

    def text(self, fault: Fault) -> list[Any]:
        """How the text with a fault begins; nothing where samples are no texts."""
        if self.documents is None:
            return []
        text = " ".join(self.documents[fault.place].split()) if fault.place >= 0 else ""
        return [plain(text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…")]

    def first(self) -> list[Fault]:
        """Those that are printed: of each kind as many, at least one."""
        each = max(1, SHOWN // max(1, len(self.counts)))
        seen: dict[str, int] = {}
        chosen = []
        for fault in self.faults:
            seen[fault.kind] = seen.get(fault.kind, 0) + 1
            if seen[fault.kind] <= each:
                chosen.append(fault)
        return chosen


def clean(
    run: Any,
    data: Any = None,
    *,
    test: Any = None,
    out: str | Path | None = None,
    sheet: str | Path | None = None,
    list: Sequence[str] | None = None,
    move_to: str | Path | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Faults:
    """Find copies, outliers, probable label errors, and broken and trivial files. Nothing is deleted.

    Kinds: unreadable, empty, blank, silent, clipped, repetitive; leak (a copy of a test sample), duplicate,
    near-duplicate; outlier; label-error; mismatched (pairs whose halves do not fit).

    Args:
        run: a finished run, or its folder.
        data: what to look at: see `likewise pretrain`; the run's own data if not given.
        test: other data that none of the samples may be copies of. Of a folder with splits, those are compared anyway.
        out: a .csv, .jsonl or .parquet file for the list: id, kind, reason, score, partner, label, suggested.
        sheet: an .html file that shows what was found: pictures and texts beside what they are copies of.
        list: the kinds to look for; all if not given.
        move_to: a folder that the files with faults are moved to, with their paths; `list` says of which kinds. Of
            copies the first stays. moved.jsonl in it says where each file was.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        What was found: each fault with its reason, and how many there are of each kind.

    Raises:
        UserError: for a run that is not finished, data that its encoder does not take, labels that were named and
            cannot be checked, or files that cannot be moved.
    """
    import torch

    from likewise.cleaning.faults import KINDS, counts
    from likewise.cleaning.find import find_faults
    from likewise.cleaning.move import check_target, move_files, planned
    from likewise.cleaning.sheet import sheet_html
    from likewise.cleaning.table import check_suffix, table_bytes
    from likewise.commands.options import (
        as_run,
        check_read_options,
        name_own_data,
        read_options_for,
        read_options_of,
    )
    from likewise.data.blocks import cut_notes
    from likewise.data.open import open_source
    from likewise.data.resolve import resolve
    from likewise.data.split_folders import split_folder, split_folders
    from likewise.data.text import corpus
    from likewise.evaluation import ComputeSettings
    from likewise.modalities.build import adopt_for
    from likewise.modalities.embed import stream_embeddings
    from likewise.modalities.encoding import known_modalities
    from likewise.modalities.towers import halves_for, views_of_whole
    from likewise.report.contact_sheet import check_sheet, write_sheet
    from likewise.runs.samples import clean_samples
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import device_name

    run = as_run(run)
    views = views or run.views
    check_int(batch_size=batch_size)
    kinds = tuple(KINDS) if list is None else tuple([list] if isinstance(list, str) else list)
    if not kinds:
        raise UserError(f"list must be some of {', '.join(KINDS)}, got none")
    for kind in kinds:
        check_choice(KINDS, list=kind)
    if out is not None:
        check_suffix(Path(out))
        check_file_place(Path(out))
    check_sheet(sheet)

    own = data is None
    if own:
        data = run.config["data"]
        if data is None:
            raise UserError(f"{run.path} learned from data in memory: name the data to look at")
    found, split = resolve(data)
    folder = found if isinstance(found, Path) and found.is_dir() else None
    if folder is not None and split is not None:
        folder = split_folder(folder, split) or folder
    if move_to is not None:
        if list is None:
            raise UserError("move_to needs list: say the files of which kinds are moved (--list duplicate blank …)")
        if own:
            # A run folder may come from elsewhere: it must not choose whose files are moved.
            raise UserError("move_to needs DATA: name the folder whose files are moved")
        if folder is None:
            raise UserError(f"move_to moves the files of a folder, {_name(data)} is none")
        check_target(folder, Path(move_to))

    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
        "columns": columns,
    }
    check_read_options({**reading, "root": root}, data, test)
    asked = read_options_of(modality, **reading)
    if own:
        name_own_data(run, None)
    source = open_source(data, root=root, read_options=read_options_for(run, asked, data), progress=progress)
    opened = [source]
    if test is not None:
        asked = dataclasses.replace(asked, labels=None)
        opened.append(open_source(test, root=root, read_options=read_options_for(run, asked, test), progress=progress))
    known = {*known_modalities(run), run.modality}
    for each in opened:
        if each.modality not in known or each.modality != source.modality:
            wanted = " or ".join(sorted(known)) if each is source else source.modality
            raise UserError(f"{each.name} is {each.modality}, it must be {wanted}: name other data, or another run")
        tell_notes(each.notes, show=progress)
    if move_to is not None and source.parts:
        raise UserError(f"move_to moves files that are samples, those of {source.name} are parts of pairs")
    if encoder is not None:
        run.load_encoder(adopt_for(encoder, views, source))
    tell_notes(cut_notes(source), show=progress)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)

    @contextmanager
    def stage(doing: str, total: int) -> Iterator[Callable[[int], None]]:
        with progress_bar(show=progress) as report:
            yield lambda done: report(done, total, doing)

    def embedded(each: Source, its_encoder: Any, its_views: Any) -> torch.Tensor:
        with stage("embedding", len(each)) as done:
            parts: Any = []
            for part in stream_embeddings(its_encoder, its_views, each, compute=compute):
                parts.append(part)
                done(sum(map(len, parts)))
        return torch.cat(parts)

    def embedded_halves(each: Source) -> tuple[torch.Tensor, torch.Tensor]:
        towers = halves_for(run.encoder, views)
        first, second = (embedded(part, *tower) for part, tower in zip(each.parts[:2], towers, strict=True))
        return first, second

    def shown(each: Source, places: torch.Tensor) -> Any:
        return clean_samples(views_of_whole(each.modality, run, views), [each.read(places)])

    result = find_faults(
        source,
        kinds=kinds,
        embed=lambda each: embedded(each, run.encoder, views),
        embed_halves=embedded_halves,
        stage=stage,
        test=opened[1] if test is not None else None,
        splits=split_folders(folder) if folder is not None and split is None else {},
        labels_wanted="label-error" in (list or ()) or labels is not None or label_column is not None,
    )
    tell_notes(result.notes, show=progress)
    faults = result.faults
    if out is not None:
        write_file(Path(out), table_bytes(faults, Path(out).suffix))
    if sheet is not None:
        write_sheet(Path(sheet), sheet_html(faults, opened, shown))
    moved = None
    if move_to is not None and folder is not None:
        moves, left = planned(folder, [fault.id for fault in faults], Path(move_to))
        move_files(moves, Path(move_to))
        moved = len(moves)
        if left:
            tell(f"{count_of(len(left), 'file')} not moved: {', '.join(left[:3])}{', …' if len(left) > 3 else ''}")
    return Faults(
        len(source),
        faults,
        counts(faults),
        result.notes,
        None if out is None else str(out),
        None if sheet is None else str(sheet),
        moved,
        corpus(source) if source.modality == "text" else None,
    )


def _name(data: Any) -> str:
    return str(data) if isinstance(data, (str, Path)) else "data in memory"
