"""What was understood of some data: its classes and its first samples, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

from likewise.console import one_line, stderr_console, tell
from likewise.data.blocks import BlockSource
from likewise.data.text import corpus
from likewise.errors import UserError

if TYPE_CHECKING:
    from likewise.data.source import Source

FIRST = 3  # samples
CLASSES = 10  # that are named
LABEL = 30  # columns of the terminal


def tell_understood(source: Source, *, show: bool = True) -> None:
    """The classes of a source and its first samples, a line each, no longer than the terminal is wide."""
    if not show:
        return
    width = stderr_console().width
    labels = None
    if not source.slow_labels and source.classes:
        labels = source.labels()
        counts = labels[labels >= 0].bincount(minlength=len(source.classes)).tolist()
        most = [f"{name} {count:,}" for name, count in zip(source.classes, counts, strict=True)]
        more = f" and {len(most) - CLASSES:,} more" if len(most) > CLASSES else ""
        tell(shortened(f"  {len(most)} classes: {', '.join(most[:CLASSES])}{more}", width))
    for i in range(min(FIRST, len(source))):
        label = ""
        if labels is not None:
            label = source.classes[int(labels[i])] if labels[i] >= 0 else "no label"
            label = f"[{shortened(label, LABEL)}] "
        begin = f"  sample {i + 1}: {label}"
        shown = contents(source, i)
        room = max((width - cell_len(begin)) // len(shown) - 3, 8)
        tell(shortened(begin + " | ".join(shortened(each, room) for each in shown), width))


def contents(source: Source, index: int) -> list[str]:
    """What each part of a sample says, if it is a text; what it is called, if it is none."""
    shown: list[str] = []
    called = False
    for part in source.parts or [source]:
        text = document(part, index)
        # A pair is called by its first file.
        shown.append(str((part if called else source).ids[index]) if text is None else text)
        called = called or text is None
    return shown


def document(source: Source, index: int) -> str | None:
    """What a text says, None for another sample, and for texts of the user's own source."""
    if source.modality != "text":
        return None
    if isinstance(source, BlockSource):
        return source.text(index)
    try:
        return str(corpus(source)[index])
    except UserError:
        return None


def shortened(text: str, width: int) -> str:
    r"""The beginning of a text, with what is not printable as escapes ("\n"), in `width` columns of the terminal."""
    shown = one_line(text[:width])
    if cell_len(shown) <= width and len(text) <= width:
        return shown
    return chop_cells(shown, width - 1)[0] + "…"
