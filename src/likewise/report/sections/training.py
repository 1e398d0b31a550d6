"""The training: its views, its metrics by step, similarity matrices from its start to its end."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from markupsafe import Markup

from likewise.report import charts
from likewise.report.charts import Chart
from likewise.report.contents import Contents
from likewise.report.pieces import Section, columns, grid, joined, noun
from likewise.report.sample_html import sample_html, sprites_of
from likewise.report.sections.adaptation import COLUMN

MOST_STAGES = 8
MOST_PAIRS = 8
COLUMN_SIDE, SIDE = 144, 288
"""Of the pictures of pairs, in pixels: in narrow columns, and beside words or players."""

MEASURED = {  # what training logs beside loss and accuracy: heading, and how to read it
    "probe": (
        "Probe",
        "Accuracy of a nearest-neighbour classifier on labelled samples, measured after each epoch; training does not "
        "use these labels. Dashed: always predicting the most frequent class.",
    ),
    "spread": (
        "Spread of the embeddings",
        "Standard deviation per dimension of unit embeddings, times √dimensions: 1 is the most, 0 means that all "
        "embeddings are equal (collapsed).",
    ),
    "effective_rank": (
        "Effective rank",
        "About how many dimensions the embeddings of a batch use (RankMe). Some fall is usual; 1 or 2 means that they "
        "have collapsed to a line or a plane.",
    ),
    "alignment": (
        "Alignment",
        "Mean squared distance of the two views of a sample, or of the halves of a pair, on the unit sphere, from 0 "
        "(equal) to 4 (opposite). It should fall while the spread stays.",
    ),
    "pair_distance": (
        "Distance within pairs",
        "Squared distance of two views of a sample, or of the halves of a pair, divided by that of any two samples. It "
        "should fall from near 1.",
    ),
    "uniformity": (
        "Uniformity",
        "How evenly samples cover the unit sphere: 0 when all embeddings are equal; lower is more even.",
    ),
    "gradient_norm": (
        "Gradient norm",
        "Norm of the whole gradient before clipping: 0 means that nothing is learned; jumps mean that the learning "
        "rate is high.",
    ),
    "weight_norm": (
        "Weight norm",
        "Norm of all weights of the encoder. If it grows many times over, training is diverging.",
    ),
    "queue_filled": ("Queue filled", "The share of the queue that holds embeddings instead of random vectors."),
    "queue_age": ("Queue age", "The mean age of the embeddings in the queue, in steps."),
    "bank_freshness": (
        "Memory bank freshness",
        "Cosine of the stored embeddings of this batch with the new ones: near 1, the memory bank is up to date.",
    ),
    "code_entropy": (
        "Code entropy",
        "How evenly prototypes are used: 1 is equally, 0 means one prototype for all samples (collapsed).",
    ),
    "perplexity": (
        "Perplexity",
        "The exponential of the loss: the number of equally likely tokens that would be as hard to predict.",
    ),
    "by_frequency": (
        "Loss by frequency",
        "The loss of predicting tokens by their frequency alone: the loss must fall below it.",
    ),
    "code_perplexity": (
        "Codes in use",
        "The effective number of codes in use, over all codebooks: near one per codebook, they have collapsed.",
    ),
    "explained": (
        "Explained variance",
        "The share of the target's variance that is reconstructed: 0 is the mean of all samples, 1 is exact.",
    ),
    "reconstruction": ("Reconstruction error", "Half the squared error of a reconstructed sample, a part of the loss."),
    "kl": (
        "KL divergence",
        "Divergence of the codes from the prior, in nats: 0 means that they hold no information (posterior collapse).",
    ),
    "lr": ("Learning rate", ""),
    "samples_per_second": ("Samples per second", "Over the whole training so far."),
}


def training_views(contents: Contents) -> Section | None:
    """Pairs of views, as training sees them."""
    found = contents.pairs
    if found is None or not len(found.first):
        return None
    pictured = found.first.only_pictures and found.second.only_pictures
    if found.halves:
        names = ["first half", "second half"]
        text = "Pairs as training sees them. The encoder learns which halves belong together."
    elif found.unchanged:
        names = ["unchanged"]
        text = (
            f"Some {noun(contents, 2)} of the training data. They are not augmented; the method itself masks or drops "
            "parts of them."
        )
    else:
        names = ["first view", "second view"]
        text = (
            f"{'Each column shows' if pictured else 'Side by side,'} two random views of one {noun(contents, 1)}, "
            "augmented as in training. The encoder learns what the two have in common."
        )
    side = COLUMN_SIDE if pictured else SIDE
    parts = [
        (samples, sprites_of(samples, f"pairs-{number}", side=side), name)
        for number, (samples, name) in enumerate(zip((found.first, found.second), names, strict=False))
    ]
    cells = [
        joined(
            Markup("<div>{}</div>").format(sample_html(part, sheet, n, f"pair {n + 1}, {name}"))
            for part, sheet, name in parts
        )
        for n in range(min(MOST_PAIRS, len(found.first)))
    ]
    pairs = joined(Markup('<div class="pair">{}</div>').format(cell) for cell in cells)
    kind = "pairs" if pictured else "pairs wide"
    body = Markup('<p>{}</p><div class="{}" data-columns="{}">{}</div>').format(text, kind, columns(len(cells)), pairs)
    return Section("Training views", body, sprites=[sheet for _, sheet, _ in parts if sheet is not None])


def metrics(contents: Contents) -> Section | None:
    """The verdict, and every measurement of metrics.csv by step, beside its chance level."""
    if "step" not in contents.metrics or not len(contents.metrics["step"]):
        nothing = Markup("<p>No step has been logged yet.</p>")
        return Section("Training metrics", nothing) if contents.config else None
    step, chance = contents.metrics["step"], contents.chance
    measured = {
        name: values
        for name, values in contents.metrics.items()
        if name not in ("step", "epoch") and not COLUMN.fullmatch(name) and np.isfinite(values).any()
    }
    accuracies: charts.Columns = {n: measured.pop(n) for n in ("top1", "top5", "accuracy") if n in measured}
    main: list[Chart] = []
    if "loss" in measured:
        plot = charts.measurement(step, {"loss": measured.pop("loss")}, chance)
        caption = "The objective: every logged step (pale) and their running mean (strong)" + (
            "; dashed is chance." if "loss" in chance else "."
        )
        main.append(Chart("loss", caption, {"": plot}, heading="Loss"))
    if accuracies:
        plot = charts.measurement(step, accuracies, chance, share=True)
        caption = (
            "How often the correct answer is first (top1) or among the first five (top5). Where views are matched, the "
            "correct answer is the other view of the sample, among all candidates of the batch; in few-shot "
            "episodes it is the class of a query."
        )
        main.append(Chart("task-accuracy", caption, {"": plot}, heading="Accuracy on the training task"))
    if "probe" in measured:
        main.append(_measured("probe", step, measured.pop("probe"), chance, share=True))
    known = [name for name in MEASURED if name in measured]
    names = [*known, *(name for name in measured if name not in MEASURED)]
    others = [
        _measured(name, step, measured[name], chance, height=200, number=number) for number, name in enumerate(names)
    ]
    body = Markup("{}<p>{}</p>{}{}").format(
        _verdict(contents), _progress(contents), _ranks(contents), grid(main, "two")
    )
    if others:
        body += Markup("<h3>Other metrics</h3>{}").format(grid(others, "three"))
    return Section("Training metrics", body, [*main, *others])


def _measured(
    name: str,
    step: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    chance: dict[str, float],
    *,
    share: bool = False,
    height: int = 320,
    number: int = 0,
) -> Chart:
    """The chart of a column. Its id is a known name or `number`: any text may be a column's name in the file."""
    heading, caption = MEASURED.get(name, (name.replace("_", " ").capitalize(), ""))
    place = name.replace("_", "-") if name in MEASURED else f"column-{number}"
    plot = charts.measurement(step, {name: values}, chance, share=share)
    return Chart(f"measured-{place}", caption, {"": plot}, heading=heading, height=height)


def _verdict(contents: Contents) -> Markup:
    """The verdict on the training, with likely causes and a remedy."""
    verdict = contents.verdict
    if verdict is None:
        return Markup("")
    message = Markup("<strong>{}</strong>").format(verdict.message)
    if not verdict.causes:
        return Markup('<p class="verdict">{}</p>').format(message)
    causes = joined(Markup("<li>{}</li>").format(cause) for cause in verdict.causes)
    return Markup('<div class="caveat"><p>{}</p><p>Likely causes:</p><ul>{}</ul><p>Try {}.</p></div>').format(
        message, causes, verdict.remedy
    )


def _progress(contents: Contents) -> str:
    """How far the loss has come, against chance where chance is known."""
    loss = contents.metrics.get("loss", np.array([]))
    loss = loss[np.isfinite(loss)]
    if not len(loss):
        return "The metrics that training logged."
    last = charts.running_mean(loss)[-1]
    steps = f"{int(np.nanmax(contents.metrics['step'])):,} steps"
    if "loss" not in contents.chance:
        return f"In {steps} the loss went from {loss[0]:.3g} to {last:.3g}."
    level = contents.chance["loss"]
    where = "below" if last < 0.98 * level else "not below"
    return f"After {steps} the loss is {last:.3g}, {where} chance ({level:.3g})."


def _ranks(contents: Contents) -> Markup:
    """LiDAR beside RankMe: what chooses among runs without labels."""
    lidar = contents.config.get("lidar") or {}
    if not {"value", "samples", "views", "dimensions"} <= lidar.keys():
        return Markup("")
    ranks = contents.metrics.get("effective_rank", np.array([]))
    ranks = ranks[np.isfinite(ranks)]
    rankme = f"the effective rank of a batch (RankMe) was {ranks[-1]:.1f} and " if len(ranks) else ""
    most = max(1, min(lidar["samples"] - 1, lidar["dimensions"]))
    return Markup("<p>{}</p>").format(
        f"At the end {rankme}LiDAR was {lidar['value']:.1f} of at most {most:,}, over {lidar['samples']:,} "
        f"{noun(contents, lidar['samples'])} with {lidar['views']:,} random views each. LiDAR counts the directions in "
        "which samples differ more than the views of one sample. Both need no labels: larger is better among runs of "
        "one method and width on the same data."
    )


def similarity_snapshots(contents: Contents) -> Section | None:
    """The similarity matrix of one fixed batch of pairs, from the start of training to its end."""
    found = contents.snapshots
    if found is None or not len(found.steps):
        return None
    kept = stage_indices(found.steps)
    plots = [
        Chart(
            f"stage-{n}",
            f"epoch {found.epochs[index]:.3g}\nstep {int(found.steps[index]):,}",
            {"": charts.similarity(found.similarity[index])},
            height=None,
        )
        for n, index in enumerate(kept)
    ]
    half = found.similarity.shape[1] // 2
    before, after = (partners_and_others(found.similarity[index]) for index in (kept[0], kept[-1]))
    text = (
        f"Cosine similarity of every two of {2 * half} views: {half} first views, then the {half} second views of "
        "the same samples. An untrained encoder shows noise or one flat colour. A trained one shows two short "
        "diagonals beside the main one: each view is similar to the other view of its sample and to no other. "
        f"The mean went from {_cosine(before[0])} to {_cosine(after[0])} between views of one sample, "
        f"from {_cosine(before[1])} to {_cosine(after[1])} between views of different samples."
    )
    scale = Markup('<p class="scale"><span>−1</span><span class="ramp"></span><span>1</span> cosine similarity</p>')
    body = Markup("<p>{}</p>{}{}").format(text, grid(plots, "stages"), scale)
    return Section("Similarity matrices during training", body, plots)


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
