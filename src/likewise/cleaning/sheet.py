"""A contact sheet of faults: one HTML file with what each sample looks like, or says, beside its partner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from markupsafe import Markup

from likewise.cleaning.faults import KINDS, Fault, counts
from likewise.data.source import Source
from likewise.report.contact_sheet import SIDE, CardGroup, contact_sheet
from likewise.report.sprites import SpriteSheet, picture_html, sprite_sheet
from likewise.runs.samples import Samples

MOST = 200
"""Faults of a kind that are shown."""
AT_ONCE = 256


def sheet_html(
    faults: Sequence[Fault], sources: Sequence[Source], show: Callable[[Source, torch.Tensor], Samples]
) -> str:
    """The page.

    Args:
        faults: sorted by kind.
        sources: what their indices count through.
        show: what the samples at some places of a source look like, or say.
    """
    sections = []
    for kind, count in counts(faults).items():
        of_kind = [fault for fault in faults if fault.kind == kind][:MOST]
        places = sorted({i for fault in of_kind for i in (fault.place, fault.partner_place) if i >= 0})
        samples = _shown(places, sources, show)
        sprites = None
        if samples is not None and samples.pictures is not None:
            sprites = sprite_sheet(kind, samples.pictures, side=SIDE)
        row = {place: i for i, place in enumerate(places)}
        more = f", the first {MOST} of them" if count > MOST else ""
        cards = [_card(fault, row, samples, sprites) for fault in of_kind]
        sections.append(CardGroup(f"{kind} ({count:,})", f"{KINDS[kind]}{more}", cards, sprites))
    summary = ", ".join(f"{count:,} {kind}" for kind, count in counts(faults).items()) or "nothing was found"
    return contact_sheet(f"Faults of {sources[0].name}", f"{len(sources[0]):,} samples: {summary}.", sections)


def _shown(
    places: Sequence[int], sources: Sequence[Source], show: Callable[[Source, torch.Tensor], Samples]
) -> Samples | None:
    """What the samples at places in ascending order look like, or say."""
    found, start = [], 0
    for source in sources:
        rows = torch.tensor([place - start for place in places if start <= place < start + len(source)])
        found += [show(source, some) for some in rows.split(AT_ONCE) if len(some)]
        start += len(source)
    return Samples.joined(found) if found else None


def _card(fault: Fault, row: dict[int, int], samples: Samples | None, sprites: SpriteSheet | None) -> Markup:
    both = [(fault.place, fault.id), (fault.partner_place, fault.partner)]
    seen, said = Markup(""), Markup("")
    for place, name in both:
        if place < 0 or samples is None:
            continue
        if sprites is not None:
            seen += picture_html(sprites, row[place], str(name))
        if samples.texts is not None:
            said += Markup("<blockquote>{}</blockquote>").format(samples.texts[row[place]])
    labels = "" if fault.label is None else f"label {fault.label}"
    labels += "" if fault.suggested is None else f", suggested {fault.suggested}"
    return Markup('<div class="side">{}</div>{}<b>{}</b><br>{}<br><small>{}</small>').format(
        seen, said, fault.id, fault.reason, labels
    )
