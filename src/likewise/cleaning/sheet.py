"""A contact sheet of faults: one HTML file with what each sample looks like, or says, beside its partner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from markupsafe import Markup

from likewise.cleaning.faults import KINDS, Fault, counts
from likewise.data.source import Source
from likewise.report.sprites import SpriteSheet, picture_html, sprite_sheet
from likewise.runs.samples import Samples

MOST = 200
"""Faults of a kind that are shown."""
SIDE = 128  # pixels of a picture, at most
AT_ONCE = 256

PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1><p>{summary}</p>{body}</body></html>
""")
STYLE = Markup("""
:root{color-scheme:light dark}
body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
.faults{display:grid;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr));gap:1rem;list-style:none;padding:0}
.faults li{border:1px solid #8886;border-radius:6px;padding:.6rem;overflow-wrap:anywhere}
.pair{display:flex;gap:.4rem}.sample{display:block;width:7rem}blockquote{margin:.2rem 0;max-height:9rem;overflow:auto}
small{opacity:.75}
""")


def sheet_html(
    faults: Sequence[Fault], sources: Sequence[Source], show: Callable[[Source, torch.Tensor], Samples]
) -> str:
    """The page.

    Args:
        faults: sorted by kind.
        sources: what their indices count through.
        show: what the samples at some places of a source look like, or say.
    """
    sections, rules = [], [STYLE]
    for kind, count in counts(faults).items():
        of_kind = [fault for fault in faults if fault.kind == kind][:MOST]
        places = sorted({i for fault in of_kind for i in (fault.place, fault.partner_place) if i >= 0})
        samples = _shown(places, sources, show)
        sheet = None
        if samples is not None and samples.pictures is not None:
            sheet = sprite_sheet(kind, samples.pictures, side=SIDE)
            rules.append(Markup(sheet.css()))
        row = {place: i for i, place in enumerate(places)}
        items = Markup("").join(_item(fault, row, samples, sheet) for fault in of_kind)
        more = f", the first {MOST} of them" if count > MOST else ""
        head = Markup("<h2>{} ({:,})</h2><p>{}{}</p>").format(kind, count, KINDS[kind], more)
        sections.append(head + Markup('<ul class="faults">{}</ul>').format(items))
    summary = ", ".join(f"{count:,} {kind}" for kind, count in counts(faults).items()) or "nothing was found"
    return PAGE.format(
        title=f"Faults of {sources[0].name}",
        style=Markup("").join(rules),
        summary=f"{len(sources[0]):,} samples: {summary}.",
        body=Markup("").join(sections),
    )


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


def _item(fault: Fault, row: dict[int, int], samples: Samples | None, sheet: SpriteSheet | None) -> Markup:
    both = [(fault.place, fault.id), (fault.partner_place, fault.partner)]
    seen, said = Markup(""), Markup("")
    for place, name in both:
        if place < 0 or samples is None:
            continue
        if sheet is not None:
            seen += picture_html(sheet, row[place], str(name))
        if samples.texts is not None:
            said += Markup("<blockquote>{}</blockquote>").format(samples.texts[row[place]])
    labels = "" if fault.label is None else f"label {fault.label}"
    labels += "" if fault.suggested is None else f", suggested {fault.suggested}"
    return Markup('<li><div class="pair">{}</div>{}<b>{}</b><br>{}<br><small>{}</small></li>').format(
        seen, said, fault.id, fault.reason, labels
    )
