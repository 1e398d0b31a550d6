"""What training saw and whether it learned: views, measurements by step, similarities by stage."""

from __future__ import annotations

from html import escape

import numpy as np
from jaxtyping import Float, Int

from likewise.report import charts as figures
from likewise.report.charts import Figure
from likewise.report.contents import Contents
from likewise.report.pieces import Section, grid, noun
from likewise.report.samples import sample_html

MOST_STAGES = 8
MOST_PAIRS = 8
COLUMN_SIDE, SIDE = 144, 288
"""Of the pictures of pairs, in pixels: in narrow columns, and beside words or players."""

MEASURED = {  # what training logs beside loss and accuracy: heading, and how to read it
    "probe": (
        "Probe",
        "How often its nearest neighbours name a labelled sample's class, asked after each epoch; training never sees "
        "these labels. Dashed: always naming the most frequent class.",
    ),
    "spread": (
        "Spread of the embeddings",
        "Standard deviation per dimension of unit embeddings, times √dimensions: 1 is as spread as can be, 0 is one "
        "point for all samples (collapsed).",
    ),
    "effective_rank": (
        "Effective rank",
        "About how many dimensions the embeddings of a batch use (RankMe): some fall is usual, 1 or 2 means collapsed "
        "to a line or a plane.",
    ),
    "alignment": (
        "Alignment",
        "Mean squared distance of the two views of a sample, or of its halves, on the unit sphere, from 0 (the same) "
        "to 4 (opposite): it should fall, while the spread stays.",
    ),
    "pair_distance": (
        "Distance within pairs",
        "Squared distance of two views of a sample, or of its halves, as a share of that of any two samples: it should "
        "fall from near 1.",
    ),
    "uniformity": (
        "Uniformity",
        "How evenly samples cover the sphere: 0 when all lie in one point; the lower, the more even.",
    ),
    "gradient_norm": (
        "Gradient norm",
        "Length of the whole gradient before clipping: 0 means that nothing is learned, jumps that the rate is high.",
    ),
    "weight_norm": (
        "Weight norm",
        "Length of all weights of the encoder: where it grows many times over, training is diverging.",
    ),
    "queue_filled": ("Queue filled", "The share of the queue that holds embeddings and not random directions."),
    "queue_age": ("Queue age", "How many steps ago the queue's embeddings were made."),
    "bank_freshness": (
        "Bank freshness",
        "Cosine of the stored embeddings of this batch with the new ones: near 1, the memory keeps up.",
    ),
    "code_entropy": (
        "Code entropy",
        "How evenly prototypes are used: 1 all alike, 0 one for all samples (collapsed).",
    ),
    "perplexity": (
        "Perplexity",
        "Among how many equally likely ones the right token would be as hard to name: the exponential of the loss.",
    ),
    "by_frequency": (
        "Loss by frequency",
        "What naming tokens by how often they occur, whatever the text, would give: the loss must fall below it.",
    ),
    "code_perplexity": (
        "Codes in use",
        "How many codes are used in effect, over all codebooks: near one of each, they have collapsed.",
    ),
    "explained": (
        "Explained",
        "The share of the variance of what is to be rebuilt that is right: 0 is a mean for all samples, 1 is exact.",
    ),
    "reconstruction": ("Reconstruction error", "Half the squared error of a rebuilt sample, a part of the loss."),
    "kl": (
        "KL divergence",
        "How much codes say, in nats: their divergence from the prior; 0 means that they say nothing (collapsed).",
    ),
    "lr": ("Learning rate", ""),
    "samples_per_second": ("Samples a second", "Over the whole training so far."),
}


def views(contents: Contents) -> Section | None:
    """The pairs that training brings together."""
    found = contents.pairs
    if found is None or not len(found.first):
        return None
    pictured = found.first.only_pictures and found.second.only_pictures
    if found.halves:
        told = ["first half", "second half"]
        words = "Pairs as training sees them: that their halves belong together is what the encoder learns from."
    elif found.unchanged:
        told = ["as it is"]
        words = (
            f"Some {noun(contents, 2)} as they are: no random views are made of them; what training hides or drops, "
            "the method draws itself."
        )
    else:
        told = ["first view", "second view"]
        words = (
            f"{'Each column shows' if pictured else 'Side by side,'} one {noun(contents, 1)} twice, changed at random "
            "as in training: what the two have in common is what the encoder can rely on."
        )
    side = COLUMN_SIDE if pictured else SIDE
    parts = [
        (samples, samples.sheet(f"pairs-{number}", side=side), name)
        for number, (samples, name) in enumerate(zip((found.first, found.second), told, strict=False))
    ]
    cells = [
        "".join(f"<div>{sample_html(part, sheet, n, f'pair {n + 1}, {name}')}</div>" for part, sheet, name in parts)
        for n in range(min(MOST_PAIRS, len(found.first)))
    ]
    columns = "".join(f'<div class="pair">{cell}</div>' for cell in cells)
    kind = "pairs" if pictured else "pairs wide"
    body = f'<p>{words}</p><div class="{kind}" style="--pairs:{len(cells)}">{columns}</div>'
    return Section("What training sees", body, sheets=[sheet for _, sheet, _ in parts if sheet is not None])


def training(contents: Contents) -> Section | None:
    """The verdict, and every measurement of metrics.csv by step, beside its chance level."""
    if "step" not in contents.metrics or not len(contents.metrics["step"]):
        return Section("Is it learning?", "<p>No step has been logged yet.</p>") if contents.config else None
    step, chance = contents.metrics["step"], contents.chance
    measured = {
        name: values
        for name, values in contents.metrics.items()
        if name not in ("step", "epoch") and np.isfinite(values).any()
    }
    accuracies: figures.Columns = {n: measured.pop(n) for n in ("top1", "top5", "accuracy") if n in measured}
    main: list[Figure] = []
    if "loss" in measured:
        plot = figures.measurement(step, {"loss": measured.pop("loss")}, chance)
        caption = "The objective; pale is every logged step, strong their running mean" + (
            ", dashed what guessing would give." if "loss" in chance else "."
        )
        main.append(Figure("loss", caption, {"": plot}, heading="Loss"))
    if accuracies:
        plot = figures.measurement(step, accuracies, chance, share=True)
        caption = (
            "How often the right answer comes first (top1) or among the first five (top5); "
            "where views are matched, it is the partner among all candidates of the batch."
        )
        main.append(Figure("task-accuracy", caption, {"": plot}, heading="Accuracy at the training task"))
    if "probe" in measured:
        main.append(_measured("probe", step, measured.pop("probe"), chance, share=True))
    known = [name for name in MEASURED if name in measured]
    names = [*known, *(name for name in measured if name not in MEASURED)]
    others = [_measured(name, step, measured[name], chance, height=200) for name in names]
    body = f"{_verdict(contents)}<p>{escape(_progress(contents))}</p>{grid(main, 'two')}"
    if others:
        body += f"<h3>Also measured</h3>{grid(others, 'three')}"
    return Section("Is it learning?", body, [*main, *others])


def _measured(
    name: str,
    step: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    chance: dict[str, float],
    *,
    share: bool = False,
    height: int = 320,
) -> Figure:
    heading, caption = MEASURED.get(name, (name.replace("_", " ").capitalize(), ""))
    plot = figures.measurement(step, {name: values}, chance, share=share)
    return Figure(f"measured-{name.replace('_', '-')}", caption, {"": plot}, heading=heading, height=height)


def _verdict(contents: Contents) -> str:
    """What the training said of itself, and what to do about it."""
    verdict = contents.verdict
    if verdict is None:
        return ""
    words = f"<strong>{escape(str(verdict['words']))}</strong>"
    if not verdict["causes"]:
        return f'<p class="verdict">{words}</p>'
    causes = "".join(f"<li>{escape(str(cause))}</li>" for cause in verdict["causes"])
    return (
        f'<div class="caveat"><p>{words}</p><p>Likely causes:</p><ul>{causes}</ul>'
        f"<p>Try {escape(str(verdict['remedy']))}.</p></div>"
    )


def _progress(contents: Contents) -> str:
    """How far the loss has come, against chance where chance is known."""
    loss = contents.metrics.get("loss", np.array([]))
    loss = loss[np.isfinite(loss)]
    if not len(loss):
        return "The measurements that training logged."
    last = figures.running_mean(loss)[-1]
    steps = f"{int(np.nanmax(contents.metrics['step'])):,} steps"
    if "loss" not in contents.chance:
        return f"In {steps} the loss went from {loss[0]:.3g} to {last:.3g}."
    level = contents.chance["loss"]
    where = "below" if last < 0.98 * level else "no better than"
    return f"After {steps} the loss is {last:.3g}, {where} the {level:.3g} of guessing."


def stages(contents: Contents) -> Section | None:
    """The similarity matrix of one batch of pairs, from the start of training to its end."""
    found = contents.snapshots
    if found is None or not len(found.steps):
        return None
    kept = stage_indices(found.steps)
    plots = [
        Figure(
            f"stage-{n}",
            f"epoch {found.epochs[index]:.3g}\nstep {int(found.steps[index]):,}",
            {"": figures.similarity(found.similarity[index])},
            height=None,
        )
        for n, index in enumerate(kept)
    ]
    half = found.similarity.shape[1] // 2
    before, after = (partners_and_others(found.similarity[index]) for index in (kept[0], kept[-1]))
    body = (
        f"<p>Cosine similarity of every two among {2 * half} views, {half} first ones and then their {half} "
        "partners. An encoder that knows nothing shows noise or one flat colour; one that has learned shows "
        "two short diagonals beside the main one: each view alike to its partner and to nothing else. "
        f"Here the mean went from {_cosine(before[0])} to {_cosine(after[0])} between partners, "
        f"from {_cosine(before[1])} to {_cosine(after[1])} between others.</p>"
        f"{grid(plots, 'stages')}"
        '<p class="scale"><span>−1</span><span class="ramp"></span><span>1</span> cosine similarity</p>'
    )
    return Section("Similarity, stage by stage", body, plots)


def partners_and_others(matrix: Float[np.ndarray, "views views"]) -> tuple[float, float]:
    """Mean similarity of the two views of a sample, and of views of different samples."""
    sample = np.arange(len(matrix)) % (len(matrix) // 2)
    same = sample[:, None] == sample[None]
    partners = same & ~np.eye(len(matrix), dtype=bool)
    return float(matrix[partners].mean()), float(matrix[~same].mean()) if (~same).any() else 0.0


def stage_indices(steps: Int[np.ndarray, " k"]) -> list[int]:
    """At most eight stages, the first and the last among them, the others evenly between."""
    chosen = np.linspace(0, len(steps) - 1, min(MOST_STAGES, len(steps)))
    return np.unique(np.round(chosen).astype(np.int64)).tolist()


def _cosine(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
