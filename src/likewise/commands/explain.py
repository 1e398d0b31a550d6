"""`likewise explain`: why two samples are alike, what an embedding rests on, what an encoder ignores and knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.atomic import check_file_place
from likewise.checks import check_choice
from likewise.commands import FromPython
from likewise.console import plain
from likewise.errors import UserError

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.explanations.account import EncoderAccount
    from likewise.explanations.compare import ExplainedSimilarity

PRINTED = 5  # parts of a sample


@dataclass(frozen=True, repr=False)
class SamplesExplanation:
    """Why two samples are alike; or, of one, what its embedding rests on."""

    found: ExplainedSimilarity
    out: str | None

    @property
    def similarity(self) -> float | None:
        """The cosine of the embeddings; None of one sample."""
        return self.found.similarity

    def __repr__(self) -> str:
        return f"SamplesExplanation({', '.join(each.sample.name for each in self.found.samples)})"

    def to_json(self) -> dict[str, Any]:
        return {
            "similarity": self.similarity,
            "matches": [each.to_json() for each in self.found.matches],
            "samples": [each.to_json() for each in self.found.samples],
            "out": self.out,
        }

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Column, Table

        lines: list[Any] = []
        if self.similarity is not None:
            lines.append(plain(f"cosine {self.similarity:.3f}"))
        for each in self.found.samples:
            more = [Column("stage by stage", no_wrap=True)] if each.stages else []
            table = Table("map", "counts most", "deletion gain", "like untrained", *more, box=None, header_style="bold")
            for found in each.maps:
                order = found.values.argsort(descending=True)[:PRINTED].tolist()
                parts = ", ".join(f"{_part(found, place)} {float(found.values[place]):+.3f}" for place in order)
                untrained = "" if found.untrained is None else f"{found.untrained:.2f}"
                steps = [" ".join(f"{value:.2f}" for value in found.cascade or [])] if more else []
                table.add_row(found.by, plain(parts), f"{found.curves.gain:+.3f}", untrained, *steps)
            lines += [plain(each.sample.name, style="bold"), table]
        return Group(*lines, *([plain(self.out)] if self.out else []))


@dataclass(frozen=True, repr=False)
class EncoderExplanation:
    """What an encoder ignores, what it knows and which shortcut it took; of pairs, for each half."""

    accounts: list[EncoderAccount]
    out: str | None

    def __repr__(self) -> str:
        return f"EncoderExplanation({', '.join(each.modality for each in self.accounts)})"

    def to_json(self) -> dict[str, Any]:
        return {"accounts": [each.to_json() for each in self.accounts], "out": self.out}

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        lines: list[Any] = []
        for each in self.accounts:
            lines.append(plain(f"{each.data}: {each.samples} {each.modality} samples", style="bold"))
            changes = Table("change", "cosine", "ignored", "untrained", box=None, header_style="bold")
            for one in each.invariances:
                changes.add_row(one.change, f"{one.cosine:.3f}", _percent(one.ignored), _percent(one.untrained))
            known = Table("knows", "R²", "untrained", box=None, header_style="bold")
            for probe in each.probes:
                before = "" if probe.untrained is None else f"{probe.untrained:.2f}"
                known.add_row(probe.property, f"{probe.r2:.2f}", before)
            lines += [changes, known]
            if each.verdict is not None:
                lines += [plain(f"shortcut: {reason}") for reason in each.verdict.reasons or ["none was found"]]
            lines += [plain(note) for note in each.notes]
        return Group(*lines, *([plain(self.out)] if self.out else []))


def explain(
    run: Any,
    a: Any = None,
    b: Any = None,
    *,
    data: Any = None,
    by: Literal["places", "gradients", "occlusion"] | None = None,
    cascade: bool = False,
    out: str | Path | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> SamplesExplanation | EncoderExplanation:
    """Say why two samples are alike; of one, what its embedding rests on; of an encoder, what it ignores and knows.

    A sample is the path of a picture or a recording, the id of a row of the data, as `likewise search` prints it, or
    a text. Of pairs, a row alone is explained half against half. Without a sample, the whole encoder is explained.

    Args:
        run: a finished run, or its folder.
        a: a sample; from Python also a Pillow image or an array.
        b: another sample, to compare with the first.
        data: whose rows `a` and `b` can be, or on which the whole encoder is measured; the run's own if not given.
        by: places (exact, where the embedding is the mean of its places), gradients (integrated while the sample is
            faded in) or occlusion (parts are hidden); if not given occlusion, and places or, where these do not apply,
            gradients.
        cascade: also say how the maps change while the stages of the encoder are newly initialized one after the other,
            the last one first; it takes several times as long.
        out: an .html file, a page that opens in any browser without a network.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        How much each part of a sample counts, which parts match, and whether the maps are true to the encoder; or what
        the encoder ignores and knows, and which shortcut it took.

    Raises:
        UserError: for a run that is not finished, samples that its encoder does not take, `places` with an encoder
            whose embedding is not the mean of its places, or `cascade` with one that can't be built again.
    """
    import torch

    from likewise.commands.explained import before, explained_samples, halves_of, named_sample, untrained_towers
    from likewise.commands.labelled import open_samples, use_own
    from likewise.commands.options import as_run
    from likewise.evaluation import ComputeSettings
    from likewise.explanations.account import account_of
    from likewise.explanations.compare import compare_samples
    from likewise.explanations.maps import WAYS
    from likewise.explanations.page import account_page, similarity_page, write_page
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import device_name

    run = as_run(run)
    check_choice(WAYS, by=by)
    if out is not None:
        if Path(out).suffix not in (".html", ".htm"):
            raise UserError(f"out must end in .html, got {out}")
        check_file_place(Path(out))
    if a is None and b is not None:
        raise UserError("b is compared with a: name a, too")
    if a is None and by is not None:
        raise UserError("--by says how samples are explained, and none is named: name one, or leave it out")
    if a is None and cascade:
        raise UserError("--cascade says how maps of samples change, and none is named: name one, or leave it out")
    reading = {
        "modality": modality,
        "text_column": text_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    compute = ComputeSettings(torch.device(device_name()), channels_last=True)
    opened: list[Source] = []

    def rows() -> Source:
        if not opened:
            opened.append(open_samples(run, data, reading, root=root, progress=progress))
        return opened[0]

    if a is None:
        source = rows()
        its_views = use_own(run, encoder, views, source)
        halves = halves_of(run, its_views, source)
        accounts = []
        with progress_bar(show=progress) as report:
            for place, half in enumerate(halves):
                report(place, len(halves), "explaining")
                accounts.append(account_of(*half, compute=compute, seed=0))
        if out is not None:
            write_page(Path(out), account_page(run.path.name, accounts))
        return EncoderExplanation(accounts, None if out is None else str(out))
    first = named_sample(run, a, rows, own=data is None)
    second = None if b is None else named_sample(run, b, rows, own=data is None)
    its_views = use_own(run, encoder, views, first.source)
    named = explained_samples(run, its_views, first, second)
    both = before(run.encoder, its_views, named, compute)
    untrained = untrained_towers(run, its_views, named)
    if cascade and not untrained:
        raise UserError("cascade takes an encoder that can be built again, not a module of your own: leave it out")
    found = compare_samples(
        both[0],
        both[1] if len(both) > 1 else None,
        by=by,
        untrained=untrained,
        cascade=cascade,
        seed=0,
    )
    if out is not None:
        write_page(Path(out), similarity_page(run.path.name, found))
    return SamplesExplanation(found, None if out is None else str(out))


def _part(found: Any, place: int) -> str:
    """What a part is called."""
    if found.names is not None:
        return repr(found.names[place])
    if len(found.shape) == 1:
        return f"{place + 1} of {found.shape[0]}"
    row, column = divmod(place, found.shape[1])
    return f"row {row + 1} column {column + 1}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
