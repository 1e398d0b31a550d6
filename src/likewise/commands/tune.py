"""`likewise tune`: search for a recipe that is better than the default one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.checks import check_choice, check_int, check_positive, check_seed
from likewise.console import plain, tell
from likewise.errors import Interrupted

if TYPE_CHECKING:
    from likewise.tuning.result import SearchResult

MOST_TRIALS = 10_000
MOST_WORKERS = 256
SHOWN = 5
"""Trials that the terminal shows, the best ones."""


@dataclass(frozen=True, repr=False)
class TunedRecipe:
    """What a search found."""

    out: str
    """Its folder: tune.json, tune.html, study.db and a run for each trial."""
    recipe: str | None
    """The best recipe, for `likewise pretrain --recipe`; None where no trial has finished."""
    page: str
    result: SearchResult
    """What tune.json holds."""

    def __repr__(self) -> str:
        return f"TunedRecipe(recipe={self.recipe!r})"

    def to_json(self) -> dict[str, Any]:
        best = self.result.best
        return {
            "out": self.out,
            "best_recipe": self.recipe,
            "page": self.page,
            "best": None if best is None else best["number"],
            "conclusion": self.result.conclusion(),
            **self.result,
        }

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        result, kind = self.result, self.result["objective"]["kind"]
        finished = sorted(result.of_state("finished"), key=lambda trial: (-(trial["value"] or 0.0), trial["number"]))
        names = [text.partition("=")[0] for text in result["over"]]
        table = Table(title=f"trials, the best of {len(result.trials)}", caption=result.counts())
        for head in ("trial", kind, *names):
            table.add_column(plain(head), justify="right")
        default = result.default
        shown = finished[:SHOWN]
        if default is not None and default in finished[SHOWN:]:
            shown = [*shown, default]
        for trial in shown:
            own = result.get("default", {}) if trial["number"] == 0 else trial["values"]
            number = "0 (default)" if trial["number"] == 0 else str(trial["number"])
            values = (_short(own.get(name)) for name in names)
            table.add_row(number, result.shown(trial["value"]), *map(plain, values))
        lines = [result.conclusion()]
        if self.recipe is not None:
            lines.append(f"the best recipe: {self.recipe}")
        return Group(table, *map(plain, [*lines, f"the page: {self.page}"]))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "–" if value is None else str(value)


def tune(
    data: Any,
    *,
    over: Sequence[str],
    trials: int = 20,
    minutes: float | None = None,
    epochs: int | None = None,
    objective: str | None = None,
    probe: Any = None,
    confirm: int | None = None,
    workers: int | None = None,
    engine: Literal["ray"] | None = None,
    method: str | None = None,
    recipe: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    root: str | Path | None = None,
    progress: bool = True,
    **training: Any,
) -> TunedRecipe:
    """Search for the values of a recipe with which an encoder learns best.

    Each trial is a training in a run folder of its own, and all are of the same length. What is tried next is proposed
    by a model of the trials before it (TPE of Optuna); a trial that is behind others after as many epochs is ended
    early (Hyperband). Trial 0 is the default recipe. Needs the extra `tune`.

    Args:
        data: what to learn from: see `likewise pretrain`. Of data with a test part, or of which one can be held out,
            only the rest is learned from, and no label of the test part is read.
        over: what is searched: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C, such as lr=1e-4:1e-2:log
            augment=mild,strong; any value of the recipe or the method but the epochs.
        trials: how many, the default recipe among them.
        minutes: when no further trial begins. Without epochs, each trial has an even share of them: as many epochs as
            fit into that of the default recipe.
        epochs: of each trial; those of the recipe if neither this nor minutes are given.
        objective: what is maximized: probe (the accuracy of a vote of nearest neighbours among labelled training
            samples), lidar or rankme (without labels). If not given probe where the training data has labels, else
            lidar.
        probe: labelled data for the objective probe; the training part of the data if not given.
        confirm: with so many other seeds the best and the default recipe are trained again, after the trials, and
            compared seed by seed.
        workers: trials at once, each in a process of its own; without it or with 1 they are trained in this process,
            one after the other.
        engine: ray trains on a cluster of Ray, which RAY_ADDRESS names: as many trials at once as it has GPUs, or
            without any machines, if workers is not given. Trial 0 is trained in this process. Needs the extra `ray`.
        method: a name of `likewise methods`; the usual one of such samples if not given.
        recipe: the default recipe: its name or a YAML file; that of the method if not given.
        seed: of the search; trial N trains with the seed + N.
        out: the folder; runs/DATA-METHOD-tune if not given.
        resume: go on with a search in the same folder; with more trials, also with a finished one.
        root: the folder with the files of a named data set.
        progress: show progress on stderr.
        training: what all trials have in common: anything that `likewise pretrain` takes, such as --encoder resnet8.

    Returns:
        The search: `recipe` is the file of the best recipe, `result` what is known of each trial.

    Raises:
        UserError: for an unknown value or an impossible range, or data that cannot be read.
        Interrupted: when it was asked to stop; it can be resumed.
    """
    from likewise.commands.options import command_line
    from likewise.commands.tuned import planned_search, search_in
    from likewise.tuning.page import BEST, PAGE
    from likewise.tuning.watch import OBJECTIVES

    began = time.monotonic()
    check_int(1, MOST_TRIALS, trials=trials)
    check_int(1, MOST_WORKERS, workers=workers)
    check_int(1, MOST_TRIALS, confirm=confirm)
    check_int(epochs=epochs)
    check_positive(minutes=minutes)
    check_seed(seed)
    check_seed(seed + MOST_TRIALS + (confirm or 0))
    check_choice(OBJECTIVES, objective=objective)
    check_choice(("ray",), engine=engine)
    plan = planned_search(
        data,
        over=over,
        epochs=epochs,
        objective=objective,
        probe=probe,
        method=method,
        recipe=recipe,
        root=root,
        training=training,
        in_processes=engine is not None or (workers or 1) > 1,
        progress=progress,
    )
    folder = Path(out) if out is not None else Path("runs") / f"{plan.slug}-{plan.method}-tune"
    asked: dict[str, Any] = {
        "over": list(over),
        "method": plan.method,
        "recipe": recipe,
        "trials": trials,
        "minutes": minutes,
        "epochs": epochs,
        "objective": objective,
        "probe": probe if isinstance(probe, (str, Path)) else None,
        "confirm": confirm,
        "workers": workers,
        "engine": engine,
        "seed": seed or None,
        "root": root,
        **training,
        "out": folder,
    }
    command = command_line("tune", data, asked)
    tell(f"objective: {plan.told}", show=progress)
    try:
        result = search_in(
            folder,
            plan,
            trials=trials,
            minutes=minutes,
            began=began,
            confirm=confirm or 0,
            first_other_seed=seed + MOST_TRIALS,
            workers=workers,
            engine=engine,
            seed=seed,
            command=command,
            resume=resume,
            progress=progress,
        )
    except KeyboardInterrupt as stopped:
        said = str(stopped).partition(";")[0] or "stopped"
        raise Interrupted(f"{said}; to go on: {command} --resume") from None
    best = None if result.best is None else str(folder / BEST)
    return TunedRecipe(str(folder), best, str(folder / PAGE), result)
