"""What `likewise tune` needs: what is searched and maximized, a trial as a training, the search in its folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

import likewise
from likewise.atomic import PART, telling_of_the_disk, write_text
from likewise.commands.hyperparameters import method_hyperparameters, recipe_hyperparameters
from likewise.commands.option_names import UnknownOption, flag
from likewise.commands.options import (
    READ,
    READ_ONCE,
    check_modality,
    check_read_options,
    read_options_of,
    recipe_of,
    reopenable,
    shape_of,
    slug,
)
from likewise.commands.pretrain import ONLY_FROM_PYTHON, PARAMETERS, PLANNED, pretrain
from likewise.console import count_of, one_line, tell
from likewise.data.open import open_source
from likewise.data.source import Source
from likewise.data.splits import splits
from likewise.errors import UserError, memory_is_full, needs
from likewise.evaluation.measures import interval
from likewise.methods import method_class, method_options
from likewise.modalities.build import build_training
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run
from likewise.ray_cluster import ray_cluster
from likewise.registry import MODALITIES
from likewise.runs.declared import shown
from likewise.runs.files import COPY_ANEW, DAMAGED, reason_of
from likewise.runs.folder import RunFolder
from likewise.runs.lock import folder_lock
from likewise.training.callbacks.diagnostics import Diverged
from likewise.training.callbacks.progress import progress_bar
from likewise.training.recipe import Recipe
from likewise.tuning.loop import Limits, TrialQueue, train_here, train_one
from likewise.tuning.on_ray import RayOffice
from likewise.tuning.page import BEST, said, write_search_page
from likewise.tuning.ranges import Space, names_in, parse_space
from likewise.tuning.result import Confirmed, Objective, SearchResult
from likewise.tuning.search import Search
from likewise.tuning.trials import FAILED, FINISHED, PRUNED, Asked, Ended, Report
from likewise.tuning.watch import LIDAR, OBJECTIVES, PROBE, Pruned, TrialWatch, objective_of
from likewise.tuning.workers import Hire, hire_process, train_in_processes

LOCK = "tune.lock"
OF_RECIPE = ("epochs", "batch_size", "size", "channels", "augment", "encoder", "weights")
"""Parameters of `pretrain` that are values of the recipe."""
NOT_SEARCHED = {
    "method": "search each method by itself, then compare the best runs",
    "epochs": "all trials are of the same length, --epochs or --minutes",
}
ONE_DEVICE = "each trial is a training on one device, --workers trains several at once"
SAME = ("data", "method", "recipe", "over", "fixed", "objective", "seed")
"""What a search that is gone on with has as it was begun."""


class SearchPlan(NamedTuple):
    """What a search is of."""

    learned: Any
    """The data of the trainings."""
    name: str
    """Of the data, for people."""
    method: str
    recipe: str | None
    space: Space
    over: list[str]
    default: dict[str, Any]
    """Values of the default recipe, of what is searched."""
    how: dict[str, Any]
    """What `pretrain` is given for every trial."""
    objective: Objective
    own_labels: bool
    """Whether the labels of a probe are those of the training data."""

    @property
    def slug(self) -> str:
        return slug(self.name.removesuffix(":train").removesuffix(":unlabeled"))

    @property
    def told(self) -> str:
        of = f", of {self.objective['probe']}" if self.objective["probe"] else ""
        return f"{self.objective['kind']}, the {self.objective['what']}{of}; no label of a test part is read"


def planned_search(
    data: Any,
    *,
    over: Sequence[str],
    epochs: int | None,
    objective: str | None,
    probe: Any,
    method: str | None,
    recipe: str | None,
    root: Any,
    training: dict[str, Any],
    in_processes: bool,
    progress: bool,
) -> SearchPlan:
    """What is searched and maximized, and what all trials have in common.

    Raises:
        UserError: for anything that no trial could be trained with.
    """
    named = {name: value for name, value in training.items() if value is not None}
    _check_training(named, data, in_processes=in_processes)
    fixed = {name: value for name, value in named.items() if name in OF_RECIPE or name not in PARAMETERS}
    fixed |= {} if epochs is None else {"epochs": epochs}
    chosen = fixed | ({} if method is None else {"method": method})
    names = names_in(over)
    plan = recipe_of(recipe, chosen, also=PARAMETERS)
    reading = {name: named[name] for name in (*READ, *READ_ONCE) if name in named}
    check_read_options({**reading, "root": root}, data, probe)
    read_options = read_options_of(**reading, method=plan.method)
    parts = splits(data, read_options)
    learned = parts.get("pretrain", data)
    source = open_source(learned, root=root, read_options=read_options.with_(**shape_of(plan)), progress=progress)
    if method is None and recipe is None and source.modality in MODALITIES:
        modality = modality_of(source.modality)
        usual = modality.default_method
        if plan.weights is None and not method_options(plan.method).keys() & {*fixed, *names}:
            # Options of a method are meant for that one; what is searched is not the usual of its kind.
            named_over = zip(names, over, strict=True)
            searched: dict[str, Any] = {name: text for name, text in named_over if name in ("encoder", "pooling")}
            usual = modality.usual_method(source, dataclasses.replace(plan, **searched))[0]
        chosen |= {"method": usual}
        plan = recipe_of(recipe, chosen, also=PARAMETERS)
        tell(f"method: {plan.method}, the usual one for {source.modality} samples", show=progress)
    check_modality(plan.method, source)
    space, default = _space(over, names, plan, recipe, chosen)
    _check_words(space, source, recipe, chosen)
    labelled = probe if probe is not None else _labelled(learned, parts, source)
    kind = objective or (PROBE if labelled is not None else LIDAR)
    _check_objective(kind, plan.method, labelled, source, chosen=objective is not None or probe is not None)
    how: dict[str, Any] = {**named, **chosen, "method": plan.method, "recipe": recipe}
    how |= {"root": root, "devices": "1"}
    if kind == PROBE:
        how["probe"] = labelled
    told = reopenable(labelled) if kind == PROBE else None
    what = cast(Objective, {"kind": kind, "what": OBJECTIVES[kind], "probe": told})
    return SearchPlan(learned, source.name, plan.method, recipe, space, list(over), default, how, what, probe is None)


def _check_training(named: dict[str, Any], data: Any, *, in_processes: bool) -> None:
    """Raise `UserError` for what a single training takes, but not one of several."""
    for name in ONLY_FROM_PYTHON:
        if name in named:
            raise UserError(f"{name} applies to one training, not to a search: leave it out")
    if isinstance(named.get("encoder"), nn.Module):
        raise UserError("encoder must be a name: each trial builds it anew")
    if str(named.get("devices", "auto")) not in ("auto", "1"):
        raise UserError(f"devices must be 1 for a search, got {named['devices']}: {ONE_DEVICE}")
    for name, usual in {"strategy": "auto", "num_nodes": 1}.items():
        if named.get(name, usual) != usual:
            raise UserError(f"{name} must be {usual} for a search, got {named[name]}: {ONE_DEVICE}")
    if named.get("dry_run"):
        raise UserError("dry_run plans one training, a search is of many: leave it out, or plan one with pretrain")
    if in_processes and not isinstance(data, (str, Path)):
        raise UserError("--workers and --engine need data that each process can open, by a name, a path or an address")


def _space(
    over: Sequence[str], names: list[str], plan: Recipe, recipe: str | None, chosen: dict[str, Any]
) -> tuple[Space, dict[str, Any]]:
    """What is searched, and its values in the default recipe."""
    known = {each.name: each for each in [*recipe_hyperparameters(plan), *method_hyperparameters(plan)]}
    for name, text in zip(names, over, strict=True):
        if name in NOT_SEARCHED:
            raise UserError(f"over can't search {name}: {NOT_SEARCHED[name]}")
        if name not in known:
            raise UnknownOption(name, known.keys() - NOT_SEARCHED, command=f"tune --method {plan.method}")
        if name in chosen:
            raise UserError(
                f"{name} is given twice, fixed ({flag(name)} {shown(chosen[name])}) and searched (--over {text}): give "
                "one of the two"
            )
    space = parse_space(over, {name: known[name].hint for name in names})
    for name, of in space.items():
        for value in of.ends:  # what the recipe does not allow is told before any training
            recipe_of(recipe, chosen | {name: value})
    return space, {name: known[name].default for name in names}


def _check_words(space: Space, source: Source, recipe: str | None, chosen: dict[str, Any]) -> None:
    """Raise `UserError` for a word, as of an augmentation or an encoder, that no training can be built with."""
    with torch.random.fork_rng():
        for name, of in space.items():
            for word in (value for value in of.ends if isinstance(value, str)):
                build_training(source, recipe_of(recipe, chosen | {name: word}, also=PARAMETERS), kept=None)


def _labelled(learned: Any, parts: dict[str, Any], source: Source) -> Any:
    """Labelled samples of the training part; None where it has none."""
    if source.parts:
        return None
    if "train" in parts:
        return parts["train"]
    return learned if not parts and len(source.classes) > 1 else None


def _check_objective(kind: str, method: str, labelled: Any, source: Source, *, chosen: bool) -> None:
    if kind == PROBE and labelled is None:
        raise UserError(
            f"objective probe needs labelled training samples, {source.name} has none: name some with --probe, or take "
            "lidar"
        )
    if kind == LIDAR and not method_class(method).compares_augmentations:
        asked = "" if chosen else f", and {source.name} has no labels"
        raise UserError(
            f"objective lidar needs a method that compares random views of a sample, {method} does not{asked}: name "
            "labelled data with --probe"
        )


@dataclass(frozen=True)
class TrialTraining:
    """Trains a trial, in a run folder of its own.

    Attributes:
        data: what is learned from.
        how: what `pretrain` is given.
        folder: of the search.
        objective: what is maximized.
        seed: of the search.
        strict: whether what no recipe can mend is raised, and no failed trial: of the default recipe.
        own_labels: whether the labels of a probe are those of `data`.
    """

    data: Any
    how: dict[str, Any]
    folder: Path
    objective: str
    seed: int
    strict: bool = False
    own_labels: bool = False

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / f"{number:03}"

    def __call__(self, asked: Asked, report: Report) -> Ended:
        began, place = time.monotonic(), self.place(asked.number)

        def ended(**known: Any) -> Ended:
            return Ended(**known, seconds=round(time.monotonic() - began, 2))

        try:
            run = pretrain(
                self.data,
                **{**self.how, **asked.values},
                seed=self.seed + asked.number,
                out=place,
                resume=asked.again,
                callbacks=[TrialWatch(self.objective, report, own_labels=self.own_labels)],
                progress=False,
            )
        except Pruned as pruned:
            drop_checkpoints(place)
            return ended(state=PRUNED, epochs=pruned.epochs)
        except Exception as error:
            if self.strict and not isinstance(error, Diverged):
                raise
            return ended(state=FAILED, reason=_why(error))
        assert isinstance(run, Run)
        drop_checkpoints(place)
        epochs, value = run.config["recipe"]["epochs"], objective_of(run, self.objective)
        if value is None:
            why = f"its training measured no {self.objective}"
            if self.strict:
                raise UserError(f"objective must be one that {self.how['method']} has, {why}: take another one")
            return ended(state=FAILED, reason=why, epochs=epochs)
        return ended(state=FINISHED, value=value, epochs=epochs)


def _why(error: Exception) -> str:
    """Why a training failed, in a line."""
    return "memory is full" if memory_is_full(error) else one_line(reason_of(error))


def drop_checkpoints(run: Path) -> None:
    """Of a training that has ended: those of all trials would take more room than all else that they leave."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def search_in(
    folder: Path,
    plan: SearchPlan,
    *,
    trials: int,
    minutes: float | None,
    began: float,
    confirm: int,
    first_other_seed: int,
    workers: int | None,
    engine: str | None,
    seed: int,
    command: str,
    resume: bool,
    progress: bool,
) -> SearchResult:
    """Search in a folder, or go on with the search there.

    Raises:
        UserError: for a folder that holds something else, or a default recipe that can't be trained.
        KeyboardInterrupt: it was asked to stop; what it has found so far is kept.
    """
    needs("optuna", "tune")
    begun = _begun(folder, resume=resume)
    result = _as_begun(folder, plan, seed, command, begun)
    with folder_lock(folder, LOCK, "tuned"), telling_of_the_disk(folder):
        result.save(folder)
        with closing(Search(folder, plan.space, seed=seed, trials=trials)) as search:
            try:
                with _hiring(engine, workers, f"{command} --resume") as hiring:
                    _train(
                        folder,
                        plan,
                        search,
                        result,
                        trials=trials,
                        minutes=minutes,
                        began=began,
                        hiring=hiring,
                        seed=seed,
                        progress=progress,
                    )
            except Exception as error:
                mended = isinstance(error, UserError) or memory_is_full(error)  # by another command
                if mended and begun is None and not any(trial["curve"] for trial in search.trials()):
                    shutil.rmtree(folder)  # nothing was trained: the corrected command finds the place free
                raise
            except KeyboardInterrupt as stopped:
                _keep(result, search, plan, folder)
                raise KeyboardInterrupt(f"stopped: {result.counts()}") from stopped
            _keep(result, search, plan, folder)
            best = result.best
            if confirm and best is not None and best["number"] > 0:
                training = _later(folder, plan, seed)
                seeds = range(first_other_seed, first_other_seed + confirm)
                result["confirmed"] = _confirm(training, best["number"], best["values"], seeds, show=progress)
                _keep(result, search, plan, folder)
    return result


def _train(
    folder: Path,
    plan: SearchPlan,
    search: Search,
    result: SearchResult,
    *,
    trials: int,
    minutes: float | None,
    began: float,
    hiring: Hiring | None,
    seed: int,
    progress: bool,
) -> None:
    """The default recipe, then the trials of the search; with `hiring` these in processes of their own."""
    with progress_bar(show=progress) as show:
        told = _told(search, result, folder, trials, show, progress)
        begun = search.begun()
        if not len(search) or any(asked.number == 0 for asked in begun):
            first = next((asked for asked in begun if asked.number == 0), None)
            how = plan.how if minutes is None or "epochs" in plan.how else {**plan.how, "minutes": minutes / trials}
            training = dataclasses.replace(_training(folder, plan, seed), how=how, strict=True)
            asked = first or search.ask_default(plan.default)
            told(asked, train_one(search, asked, training))
        later = _later(folder, plan, seed, threads=hiring and hiring.threads)
        search.epochs = later.how["epochs"]
        result["epochs"] = search.epochs
        limits = Limits(trials, None if minutes is None else began + 60 * minutes)
        queue = TrialQueue(search, [asked for asked in begun if asked.number], limits)
        if hiring is None:
            train_here(search, queue, later, told)
        else:
            train_in_processes(search, queue, later, told, workers=hiring.workers, hire=hiring.hire)


class Hiring(NamedTuple):
    """Processes for the trials."""

    hire: Hire
    workers: int
    """As many at once."""
    threads: int
    """Of each."""


@contextmanager
def _hiring(engine: str | None, workers: int | None, go_on: str) -> Iterator[Hiring | None]:
    """The processes that were asked for; None where the trials are trained in this one.

    Raises:
        UserError: without the cluster that was asked for; `go_on` is what goes on with the search.
    """
    if engine is None:
        count = workers or 1
        yield Hiring(hire_process, count, max(1, torch.get_num_threads() // count)) if count > 1 else None
        return
    with ray_cluster("train", f"to go on: {go_on}") as cluster:
        count = workers or cluster.places
        threads = cluster.threads(count)
        yield Hiring(RayOffice(cluster, threads=threads, folder=Path.cwd()).hire, count, threads)


def _training(folder: Path, plan: SearchPlan, seed: int) -> TrialTraining:
    return TrialTraining(plan.learned, plan.how, folder, plan.objective["kind"], seed, own_labels=plan.own_labels)


def _later(folder: Path, plan: SearchPlan, seed: int, *, threads: int | None = None) -> TrialTraining:
    """How trials after the default one are trained: as long as it, and with what was measured for it.

    Args:
        threads: of each; as many as the default one had if not given.
    """
    training = _training(folder, plan, seed)
    config = RunFolder.open(training.place(0)).config
    how = {"precision": config["precision"]} | plan.how
    for name in PLANNED:
        value = config["recipe"].get(name)
        if value is not None and name not in plan.space and (name == "epochs" or config.get("budget")):
            how.setdefault(name, value)
    return dataclasses.replace(training, how={"threads": threads or config.get("threads") or "auto"} | how)


def _told(
    search: Search,
    result: SearchResult,
    folder: Path,
    trials: int,
    show: Callable[[int, int, str], None],
    progress: bool,
) -> Callable[[Asked, Ended], None]:
    """Keeps and tells each trial that has ended."""

    def told(asked: Asked, ended: Ended) -> None:
        result["trials"] = search.trials()
        result.save(folder)
        values = ", ".join(f"{name} {said(value)}" for name, value in asked.values.items()) or "the default recipe"
        if ended.state == FINISHED:
            what = f"{result['objective']['kind']} {result.shown(ended.value)}"
        elif ended.state == PRUNED:
            what = f"ended early, after {count_of(ended.epochs, 'epoch')}"
        else:
            what = f"failed: {ended.reason}"
        tell(f"trial {asked.number}: {what}; {values}; {ended.seconds:.1f} s", show=progress)
        show(len(result.trials), max(trials, len(result.trials)), f"trial {asked.number} of {trials}")

    return told


def _begun(folder: Path, *, resume: bool) -> SearchResult | None:
    """The search to go on with; None where none was begun.

    Raises:
        UserError: for a folder that holds something else, or a search that is not to be gone on with.
    """
    file = folder / SearchResult.FILE
    if not file.exists():
        empty = not folder.exists() or (
            folder.is_dir() and all(entry.name == LOCK or PART.fullmatch(entry.name) for entry in folder.iterdir())
        )
        if not empty:
            raise UserError(f"{folder} exists, and is no search: name another folder with --out")
        return None
    if not resume:
        raise UserError(f"{folder} exists: add --resume to go on with it, or name another folder with --out")
    try:
        return SearchResult.load(folder)
    except DAMAGED as error:
        raise UserError(f"{file} can't be read: {reason_of(error)}; {COPY_ANEW}") from error


def _as_begun(folder: Path, plan: SearchPlan, seed: int, command: str, begun: SearchResult | None) -> SearchResult:
    """The result as it is before any trial of this command.

    Raises:
        UserError: for a search that was begun otherwise.
    """
    data = reopenable(plan.learned)
    result = SearchResult(
        likewise=likewise.__version__,
        command=command,
        data=data,
        name=plan.name,
        method=plan.method,
        recipe=plan.recipe,
        over=plan.over,
        fixed=json.loads(json.dumps(_plain(plan.how), default=str)),
        objective=plan.objective,
        seed=seed,
        default=plan.default,
    )
    if begun is None:
        return result
    for key in SAME:
        if result[key] != begun.get(key):
            raise UserError(
                f"{folder} was begun with {key} {shown(begun.get(key))}, not {shown(result[key])}: go on with it as it "
                f"was (`{begun['command']} --resume`), or name another folder with --out"
            )
    kept = ("trials", "epochs", "importance", "confirmed", "minutes")
    return SearchResult({**result, **{name: begun[name] for name in kept if name in begun}})


def _plain(how: dict[str, Any]) -> dict[str, Any]:
    """What decides the trials, without samples in memory and what the machine has."""
    machine = ("root", "devices", "precision", "threads", "checkpoint_minutes", "probe", "recipe", "method")
    return {name: value for name, value in how.items() if name not in machine}


def _keep(result: SearchResult, search: Search, plan: SearchPlan, folder: Path) -> None:
    """Write what was found so far: tune.json, the best recipe and the page."""
    result["trials"] = search.trials()
    result["importance"] = search.importance()
    result.setdefault("confirmed", None)
    result["minutes"] = round(sum(trial["seconds"] for trial in result.trials) / 60, 3)
    result.save(folder)
    best = result.best
    if best is not None:
        place = folder / "trials" / f"{best['number']:03}" / "recipe.yaml"
        what = f"{result['objective']['kind']} {result.shown(best['value'])}"
        head = (
            f"# trial {best['number']} of: {one_line(result['command'])}\n# {what}; {one_line(result.conclusion())}\n"
        )
        write_text(folder / BEST, head + place.read_text(encoding="utf-8"))
    write_search_page(result, plan.space, folder)


def _confirm(training: TrialTraining, best: int, values: dict[str, Any], seeds: range, *, show: bool) -> Confirmed:
    """Best and default recipe trained with other seeds, and the difference of their objectives."""
    pairs: list[tuple[int, float, float]] = []
    failed: list[str] = []
    for seed in seeds:
        found: list[float] = []
        for name, own in ((f"trial-{best:03}", values), ("default", {})):
            place = training.folder / "confirm" / f"{name}-seed-{seed}"
            try:
                run = pretrain(
                    training.data,
                    **{**training.how, **own},
                    seed=seed,
                    out=place,
                    resume=place.exists(),
                    progress=False,
                )
                assert isinstance(run, Run)
                value = objective_of(run, training.objective)
                if value is None:
                    raise UserError(f"its training measured no {training.objective}")
                found.append(value)
            except Exception as error:
                failed.append(f"{name} with seed {seed} failed: {_why(error)}")
                tell(failed[-1], show=show)
            else:
                drop_checkpoints(place)
        if len(found) == 2:
            pairs.append((seed, *found))  # type: ignore[arg-type]
            tell(f"seed {seed}: trial {best} {found[0]:.4g}, default {found[1]:.4g}", show=show)
    mean, low, high = interval([ours - its for _, ours, its in pairs]) if pairs else (None, None, None)
    return {
        "best": best,
        "seeds": [seed for seed, _, _ in pairs],
        "best_values": [ours for _, ours, _ in pairs],
        "default_values": [its for _, _, its in pairs],
        "mean": mean,
        "low": low,
        "high": high,
        "failed": failed,
    }
