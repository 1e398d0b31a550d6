"""The page of an explanation: one file without scripts, that fetches nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path

import torch
from markupsafe import Markup

from likewise.atomic import write_text
from likewise.explanations.account import EncoderAccount
from likewise.explanations.compare import ExplainedSimilarity, SampleExplanation
from likewise.explanations.drawing import (
    bar_html,
    curves_html,
    matrix_html,
    player_html,
    sample_html,
    strongest,
)
from likewise.explanations.maps import WAYS, PartMap, PartMatches
from likewise.explanations.sample import ExplainedSample
from likewise.explanations.shortcuts import ShortcutVerdict
from likewise.report.pieces import joined

SHOWN_MATCHES = 4
MOST_TOKENS = 40  # of a text whose matches with another are a table

PAGE = Markup("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>{style}</style></head>
<body><header><p class="brand">likewise</p><h1>{title}</h1>{head}</header><main>{body}</main></body></html>
""")
SUMS = {
    "places": "The embedding is the mean of its places, so the similarity is divided exactly: the values sum to {}.",
    "gradients": (
        "What each part adds to the cosine on the way from a sample in which all parts are hidden to this one: the "
        "values sum to the difference of the two cosines."
    ),
    "occlusion": "A part counts as much as the cosine falls when it is hidden. The values need not sum to anything.",
}


def similarity_page(run: str, found: ExplainedSimilarity) -> str:
    """The page of one sample or of two."""
    names = " and ".join(each.sample.name for each in found.samples)
    title = f"What the embedding of {names} rests on" if found.similarity is None else f"What makes {names} alike"
    head = Markup("<p>The encoder of {}.</p>").format(run)
    if found.similarity is not None:
        head = Markup("<p>Cosine of the embeddings: <b>{}</b>. The encoder of {}.</p>").format(
            f"{found.similarity:.3f}", run
        )
    head += Markup('<p class="scale">makes it less alike <span class="ramp"></span> makes it more alike</p>')
    first, second = found.samples[0].sample, found.samples[-1].sample
    sections = [_matches_section(each, first, second) for each in found.matches]
    sections += [_sample_section(each, found.similarity) for each in found.samples]
    return _page(title, head, sections)


def account_page(run: str, accounts: Sequence[EncoderAccount]) -> str:
    """The page of a whole encoder."""
    sections = [section for account in accounts for section in _account_sections(account, len(accounts) > 1)]
    names = ", ".join(dict.fromkeys(account.data for account in accounts))
    head = Markup("<p>Measured on samples of {}, without their labels.</p>").format(names)
    return _page(f"What the encoder of {run} ignores and knows", head, sections)


def write_page(path: Path, page: str) -> None:
    """Write a page; its folder is made where it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def _page(title: str, head: Markup, sections: Iterable[Markup]) -> str:
    report, here = (resources.files(f"likewise.{room}") for room in ("report", "explanations"))
    style = "".join(folder.joinpath("page.css").read_text(encoding="utf-8") for folder in (report, here))
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; media-src data:; "
        f"style-src 'sha256-{digest}'"
    )
    return PAGE.format(policy=policy, title=title, style=Markup(style), head=head, body=joined(sections))


def _section(title: str, *parts: str) -> Markup:
    return Markup("<section><h2>{}</h2>{}</section>").format(title, joined(parts))


def _sample_section(explained: SampleExplanation, similarity: float | None) -> Markup:
    sample = explained.sample
    shown = [sample_html(sample, caption="as it is")]
    shown += [
        sample_html(sample, each.shape, each.names, each.values, caption=WAYS[each.by]) for each in explained.maps
    ]
    total = "1, the similarity to itself" if similarity is None else f"{similarity:.3f}, the similarity"
    notes = [Markup("<p>{}</p>").format(SUMS[each.by].format(total)) for each in explained.maps]
    kind = "maps broad" if sample.modality == "audio" else "maps"
    maps = Markup('<div class="{}">{}</div>').format(kind, joined(shown))
    curves = [_curves(each, similarity is None) for each in explained.maps]
    grid = Markup('<div class="grid two">{}</div>').format(joined(curves))
    checks = joined(_check(each) for each in explained.maps)
    title, question = f"What counts in {sample.name}", Markup("<h3>Is it true?</h3>")
    return _section(title, maps, player_html(sample), *notes, question, checks, grid, _cascade(explained))


def _curves(found: PartMap, alone: bool) -> Markup:
    curves, way = found.curves, WAYS[found.by]
    to = "its own embedding" if alone else "the other sample"
    shares = curves.shares.tolist()
    deletion = {
        "in the order of the map": curves.deletion.tolist(),
        "in random orders": curves.random_deletion.tolist(),
    }
    insertion = {
        "in the order of the map": curves.insertion.tolist(),
        "in random orders": curves.random_insertion.tolist(),
    }
    less = f"What makes it less alike: cosine with {to} while parts are hidden ({way})"
    more = f"What makes it alike: cosine with {to} while parts are shown ({way})"
    return curves_html(shares, deletion, less, "parts hidden") + curves_html(shares, insertion, more, "parts shown")


def _check(found: PartMap) -> Markup:
    areas = found.curves.areas
    untrained = ""
    if found.untrained is not None:
        untrained = f" Rank correlation with the map of untrained encoders: {found.untrained:.2f}; near 0 is good."
    return Markup(
        "<p><b>{}</b>: area under the deletion curve {} ({} in random orders, lower is better), under the insertion "
        "curve {} ({}, higher is better).{}</p>"
    ).format(
        WAYS[found.by],
        *(f"{areas[name]:.3f}" for name in ("deletion", "random_deletion", "insertion", "random_insertion")),
        untrained,
    )


def _cascade(explained: SampleExplanation) -> Markup:
    """How the maps change while the encoder loses what it has learned, if that was measured."""
    curves = {WAYS[each.by]: each.cascade for each in explained.maps if each.cascade is not None}
    if not curves or explained.stages is None:
        return Markup("")
    steps = len(next(iter(curves.values()))) - 1
    said = Markup(
        "<p>Stages of the encoder, in the order of use: {}. While they become untrained, a map of what was learned "
        "falls, and a map of the data alone stays near 1.</p>"
    ).format(", ".join(explained.stages))
    title = "Rank correlation with the map while stages are newly initialized, the last one first"
    return said + curves_html([step / steps for step in range(steps + 1)], curves, title, "untrained stages")


def _matches_section(matches: PartMatches, first: ExplainedSample, second: ExplainedSample) -> Markup:
    values, title = matches.values, f"Which parts match: {WAYS[matches.by]}"
    if matches.by == "places":
        said = f"Exact: the values of all pairs of parts sum to {float(values.sum()):.4f}, the cosine."
    else:
        said = (
            "The value of two parts is how much of the cosine only both together make up: what it loses when both are "
            "hidden is less, by this, than the sum of what it loses when either is."
        )
    blocks = [Markup("<p>{}</p>").format(said)]
    names = matches.names
    if names[0] and names[1] and max(values.shape) <= MOST_TOKENS:
        caption = f"{first.name} (rows) against {second.name} (columns)"
        return _section(title, *blocks, matrix_html(names[0], names[1], values, caption))
    for part in strongest(values.sum(1), SHOWN_MATCHES):
        alone = torch.zeros_like(values[:, 0])
        alone[part] = values[part].sum()
        left = sample_html(first, matches.shapes[0], names[0], alone, mark=part, caption="this part …")
        best = int(values[part].argmax())
        caption = f"… matches this: {float(values[part].sum()):+.4f} in all"
        right = sample_html(second, matches.shapes[1], names[1], values[part], mark=best, caption=caption)
        blocks.append(Markup('<div class="both">{}{}</div>').format(left, right))
    return _section(title, blocks[0], Markup('<div class="blocks">{}</div>').format(joined(blocks[1:])))


def _account_sections(account: EncoderAccount, several: bool) -> list[Markup]:
    of = f" of {account.modality} samples" if several else ""
    notes = joined(Markup("<p>{}</p>").format(note) for note in account.notes)
    sections = []
    if account.invariances:
        rows = [
            [
                each.change,
                f"{each.cosine:.3f}",
                Markup(bar_html(each.ignored)),
                _share(each.ignored),
                _share(each.untrained),
            ]
            for each in account.invariances
        ]
        said = Markup(
            "<p>Cosine of the embeddings of a sample and of the same sample changed, the mean of {} samples. Two "
            "different samples have {}. 100 %: the change is ignored. 0 %: it changes a sample into another one.</p>"
        ).format(account.samples, f"{account.between:.3f}")
        head = ["change", "cosine", "", "ignored", "untrained"]
        sections.append(_section(f"What it ignores{of}", said, _table(head, rows)))
    if account.probes:
        rows = [
            [
                each.property,
                f"{each.r2:.2f}",
                Markup(bar_html(each.r2)),
                "" if each.untrained is None else f"{each.untrained:.2f}",
            ]
            for each in account.probes
        ]
        said = Markup(
            "<p>R² of a linear probe on samples that it has not learned from. 1: it is all there. 0: none.</p>"
        )
        sections.append(_section(f"What it knows{of}", said, _table(["property", "R²", "", "untrained"], rows)))
    if account.verdict is not None:
        sections.append(_shortcut_section(account.verdict, of))
    return [*sections, notes] if account.notes else sections


def _shortcut_section(verdict: ShortcutVerdict, of: str) -> Markup:
    said = joined(Markup('<p class="caveat">Shortcut: {}.</p>').format(reason) for reason in verdict.reasons)
    if not verdict.reasons:
        said = Markup("<p>No shortcut was found.</p>")
    rows = [[each.nuisance, _percent(each.matched), _percent(each.followed)] for each in verdict.shortcuts]
    if verdict.encoder is not None:
        rows += [["the embedding", _percent(verdict.encoder), ""], ["chance", _percent(verdict.chance), ""]]
    about = Markup(
        "<p>Matched: how often the other view of a sample is the nearest one in the batch, by this alone. Followed: "
        "how often a sample that gets it from another one is then nearer to that one than to itself.</p>"
    )
    return _section(f"Which shortcut it took{of}", said, about, _table(["by", "matched", "followed"], rows))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table; a cell that is `Markup` is a bar."""
    heads = joined(Markup('<th scope="col">{}</th>').format(name) for name in head)
    lines = []
    for name, *cells in rows:
        shown = joined(
            Markup("<td{}>{}</td>").format(Markup(' class="bars"') if isinstance(cell, Markup) else "", cell)
            for cell in cells
        )
        lines.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, shown))
    return Markup(
        '<div class="scroll" tabindex="0"><table class="measures"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(heads, joined(lines))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
