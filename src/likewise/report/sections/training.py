"""What training saw and whether it learned: views, measurements by step, similarities by stage."""

from __future__ import annotations

from html import escape

import numpy as np
from jaxtyping import Float, Int

from likewise.report import figures
from likewise.report.contents import Contents
from likewise.report.figures import Figure
from likewise.report.pictures import sample_html, sheet
from likewise.report.pieces import Section, grid, noun

MOST_STAGES = 8


def views(contents: Contents) -> Section | None:
    """The pairs of views that training brings together."""
    if contents.pairs is None:
        return None
    first, second = contents.pairs
    pairs = sheet("pairs", np.concatenate([first, second]), side=144)
    columns = [
        f'<div class="pair">{sample_html(pairs, n, f"pair {n + 1}, first view")}'
        f"{sample_html(pairs, n + len(first), f'pair {n + 1}, second view')}</div>"
        for n in range(len(first))
    ]
    body = (
        f"<p>Each column shows one {noun(contents, 1)} twice, changed at random as in training: "
        "what the two have in common is what the encoder can rely on.</p>"
        f'<div class="pairs" style="--pairs:{len(first)}">{"".join(columns)}</div>'
    )
    return Section("What training sees", body, sheets=[pairs])


def training(contents: Contents) -> Section | None:
    """Every measurement of metrics.csv by step, beside its chance level."""
    if "step" not in contents.metrics or not len(contents.metrics["step"]):
        return Section("Is it learning?", "<p>No step has been logged yet.</p>") if contents.config else None
    step, chance = contents.metrics["step"], contents.chance
    measured = {
        name: values
        for name, values in contents.metrics.items()
        if name not in ("step", "epoch") and np.isfinite(values).any()
    }
    accuracies: figures.Columns = {n: measured.pop(n) for n in ("top1", "top5") if n in measured}
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
    others = [
        Figure(
            f"measured-{index}",
            "",
            {"": figures.measurement(step, {name: values}, chance)},
            heading=name.replace("_", " "),
            height=200,
        )
        for index, (name, values) in enumerate(measured.items())
    ]
    body = f"<p>{escape(_progress(contents))}</p>{grid(main, 'two')}"
    if others:
        body += f"<h3>Also measured</h3>{grid(others, 'three')}"
    return Section("Is it learning?", body, [*main, *others])


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
