"""`likewise suggest`: which samples to label next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.atomic import check_file_place, telling_of_the_disk
from likewise.checks import check_choice, check_int, check_seed
from likewise.commands import FromPython
from likewise.commands.written_file import WrittenFile
from likewise.console import count_of, plain, tell
from likewise.errors import UserError

STRATEGIES = ("typical", "uncertain")
ENOUGH = 5
"""Labels of each class, on average, from which on samples are chosen that the head is unsure of."""


class Suggestion(NamedTuple):
    """A sample to label."""

    rank: int
    id: str
    strategy: str
    predicted: str | None = None
    """What a head says of it that has learned from the labels so far."""
    probability: float | None = None
    text: str | None = None
    """The sample itself, where it is a text."""


class Suggestions(list[Suggestion]):
    """The samples that `suggest` found, the most useful first."""

    out: WrittenFile | None = None
    """The file to fill in."""

    def to_json(self) -> dict[str, Any]:
        return {"out": None if self.out is None else str(self.out), "samples": [each._asdict() for each in self]}

    def __rich__(self) -> Any:
        from rich.table import Table

        predicted, texts = any(each.predicted for each in self), any(each.text for each in self)
        head = ["rank", "id", *(["predicted", "probability"] if predicted else []), *(["text"] if texts else [])]
        table = Table(*head, box=None, header_style="bold")
        for each in self:
            row = [str(each.rank), each.id]
            if predicted:
                row += [each.predicted or "", "" if each.probability is None else f"{each.probability:.3f}"]
            table.add_row(*map(plain, [*row, *([" ".join((each.text or "").split())[:80]] if texts else [])]))
        return table


def suggest(
    run: Any,
    data: Any = None,
    *,
    labels: Any = None,
    budget: int = 50,
    out: str | Path | None = None,
    strategy: str | None = None,
    seed: int = 0,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Suggestions:
    """Suggest which samples to label next.

    While there are few labels, these are typical samples that are unlike each other and unlike those with a label
    (TypiClust, arXiv:2202.02794). With about five labels of each class, they are samples that a head is unsure of and
    that are unlike each other (arXiv:1901.05954).

    Args:
        run: a finished run, or its folder.
        data: the samples to choose from; those that the run has learned from if not given.
        labels: those that there are, as `likewise fit` takes them; none if not given.
        budget: how many samples to suggest.
        out: a .csv file with the columns id, label (to be filled in) and, of texts, text: `likewise fit` takes it as
            --labels.
        strategy: typical or uncertain; what suits the number of labels if not given.
        seed: of the choice.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The samples, the most useful first: rank, id, strategy, and what is predicted of them where there are labels.

    Raises:
        UserError: for a budget larger than the samples without a label, or labels that name no sample.
    """
    import numpy as np

    from likewise.commands.labelled import features_of, labelled_pool, use_own
    from likewise.commands.options import as_run
    from likewise.data.text import corpus
    from likewise.evaluation.predictions import safe_cell, write_rows
    from likewise.tasks.cross_validation import choose_variance
    from likewise.tasks.linear_head import Classification, LinearHead, softmax, standardisation
    from likewise.tasks.selection import margin_doubt, typical_samples, uncertain_samples
    from likewise.tasks.targets import targets_of
    from likewise.training.callbacks.progress import progress_bar

    run = as_run(run)
    check_int(budget=budget, batch_size=batch_size)
    check_choice(STRATEGIES, strategy=strategy)
    check_seed(seed)
    if out is not None and Path(out).suffix != ".csv":
        raise UserError(f"out must end in .csv, got {out}")
    if out is not None:
        check_file_place(Path(out))
    reading = {
        "modality": modality,
        "text_column": text_column,
        "label_column": label_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    pool, given, copies = labelled_pool(run, data, labels, reading, root=root, progress=progress)
    free = len(pool.words) - len(pool.known) - len(copies)
    if budget > free:
        raise UserError(
            f"budget must be at most {free:,}, as many samples of {pool.source.name} have no label, got {budget:,}"
        )
    if given is not None and given.source.modality != pool.source.modality:
        raise UserError(
            f"labels must be of {pool.source.modality} samples, as {pool.source.name} has them, got those of "
            f"{given.source.name}, which is {given.source.modality}"
        )
    known = [*pool.known, *(given.known if given else [])]
    found = targets_of(known, None, "labels") if len(set(known)) > 1 else None
    if strategy == "uncertain" and (found is None or found.task != "classification"):
        raise UserError("strategy uncertain needs labels of at least two classes, one a sample: leave it out")
    enough = found is not None and found.task == "classification" and len(known) >= ENOUGH * len(found.classes)
    strategy = strategy or ("uncertain" if enough else "typical")
    views = use_own(run, encoder, views, pool.source)
    with progress_bar(show=progress) as report:
        how: dict[str, Any] = {"batch_size": batch_size, "report": report, "progress": progress}
        features = features_of(run, views, pool.source, np.arange(len(pool.words)), **how)
        learned = features[pool.places]
        others = features_of(run, views, given.source, given.places, **how) if given else features[:0]
        report(0, 1, "choosing")
        probability = None
        if found is not None and found.task == "classification":
            mean, scale = standardisation(features)
            standard = (np.concatenate([learned, others]) - mean) / scale
            variance = choose_variance(Classification(), standard, found.targets, seed)
            weights = Classification().fit(standard, found.targets, variance)
            probability = softmax(LinearHead(*weights, mean, scale).scores(features).astype(np.float64))
        labelled = np.zeros(len(features) + len(others), dtype=bool)
        labelled[pool.places] = labelled[copies] = True
        labelled[len(features) :] = True
        if strategy == "typical":
            places = typical_samples(np.concatenate([features, others]), labelled, budget, seed)
        else:
            assert probability is not None
            doubt = margin_doubt(probability)
            places = uncertain_samples(features, doubt, labelled[: len(features)], budget, seed)
    documents = corpus(pool.source) if pool.source.modality == "text" else None
    suggestions = Suggestions()
    for rank, place in enumerate(places.tolist(), start=1):
        predicted = None if probability is None or found is None else int(probability[place].argmax())
        suggestions.append(
            Suggestion(
                rank,
                str(pool.source.ids[place]),
                strategy,
                None if predicted is None or found is None else found.classes[predicted],
                None if predicted is None or probability is None else round(float(probability[place, predicted]), 6),
                None if documents is None else documents[place],
            )
        )
    why = f"{count_of(len(known), 'label')} so far" if known else "no labels so far"
    tell(f"{count_of(budget, 'sample')} of {free:,} without a label; {why}: {strategy} ones", show=progress)
    if out is not None:
        texts = documents is not None
        rows = [[safe_cell(each.id), "", *([safe_cell(each.text or "")] if texts else [])] for each in suggestions]
        with telling_of_the_disk(Path(out)):
            write_rows(Path(out), ["id", "label", *(["text"] if texts else [])], rows)
        suggestions.out = WrittenFile(out)
        tell(
            f"{out}: fill in the column label, then `likewise fit {run.path} --labels {out}`",
            show=progress,
        )
    return suggestions
