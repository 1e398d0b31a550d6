"""Optuna's study in a file: what to try next, and which trial is not worth its rest."""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from likewise.errors import UserError, needs
from likewise.runs.declared import check_declared
from likewise.tuning.ranges import SearchChoice, Searched, Space
from likewise.tuning.result import TrialFile
from likewise.tuning.trials import FAILED, FINISHED, PRUNED, Asked, Ended

FILE = "study.db"
NAME = "tune"
KEEP_ONE_OF = 3
"""Of trials that have had the same epochs one in so many goes on: the factor of Hyperband (arXiv:1603.06560)."""
LEAST_SHARE = 9
"""No trial is ended before an epoch in so many of its training: earlier figures tell little of its end."""
FEWEST_STARTS, MOST_STARTS = 3, 10
"""So many trials are drawn at random before the sampler models them."""
ENOUGH = 4
"""Finished trials, at least, from which the importance of what is searched is estimated."""
KILLED = "its process was killed: for want of memory, or from outside"
WAIT = 60  # seconds for another process that reads the file


class Search:
    """The trials of a search, kept in a folder.

    What a trial tries is a function of (seed, its number, what is known of the trials before it), so that a search that
    was interrupted goes on as it would have.

    Args:
        folder: of the search.
        space: what is searched.
        seed: of what is proposed.
        trials: how many there are to be, for the share that is drawn at random.

    Attributes:
        epochs: of a whole trial, from when they are known; without them, no trial is ended early.
    """

    def __init__(self, folder: Path, space: Space, *, seed: int, trials: int) -> None:
        self._optuna = optuna = needs("optuna", "tune")
        self.space, self.seed = space, seed
        self.starts = min(MOST_STARTS, max(FEWEST_STARTS, trials // 5))
        self.epochs: int | None = None
        self._pruner: Any = None
        self._open: dict[int, Any] = {}
        # Not by the file's name in an address, in which some letters mean something.
        self.path = folder / FILE
        connect = partial(_connected, self.path)
        with _quiet(optuna), _damaged(self.path):
            self._storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
            self._study = optuna.create_study(
                study_name=NAME,
                storage=self._storage,
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.RandomSampler(seed=0),
                pruner=optuna.pruners.NopPruner(),
            )

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def __len__(self) -> int:
        """Trials that were begun."""
        return len(self._study.get_trials(deepcopy=False))

    def begun(self) -> list[Asked]:
        """Trials that a search before this one was interrupted in, to go on with; those that were killed have failed.

        Raises:
            UserError: for a file that this class did not write.
        """
        with _damaged(self.path):
            check_declared(self.trials(), list[TrialFile], "trials")
        found = []
        for trial in self._study.get_trials():
            if trial.state.is_finished():
                continue
            waiting = trial.state == self._optuna.trial.TrialState.WAITING  # killed before it was begun
            with _quiet(self._optuna):
                handle = self._study.ask() if waiting else self._optuna.trial.Trial(self._study, trial._trial_id)
            self._open[trial.number] = handle
            # The default recipe is always trained: what all others are compared with.
            if trial.number == 0 or trial.user_attrs.get("interrupted"):
                # Told again when it is interrupted again: a trial that takes all memory is gone on with once.
                handle.set_user_attr("interrupted", False)
                found.append(Asked(trial.number, self._inside(trial.user_attrs.get("values")), again=True))
            else:
                self.end(trial.number, Ended(FAILED, reason=KILLED, epochs=trial.last_step or 0))
        return found

    def _inside(self, values: Any) -> dict[str, Any]:
        """Those of some values that are searched: the file may come from elsewhere."""
        given = values if isinstance(values, dict) else {}
        return {name: given[name] for name, of in self.space.items() if name in given and of.has(given[name])}

    def ask_default(self, values: dict[str, Any]) -> Asked:
        """The trial of the default recipe; `values` are its own of what is searched."""
        inside = self._inside(values)
        with _quiet(self._optuna):
            self._study.enqueue_trial(inside)
            trial = self._study.ask()
            for name in inside:
                _suggest(trial, name, self.space[name])
        trial.set_user_attr("values", {})
        self._open[trial.number] = trial
        return Asked(trial.number, {})

    def ask(self) -> Asked:
        """The next trial."""
        optuna, number = self._optuna, len(self)
        drawn = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        with _quiet(optuna):
            self._study.sampler = optuna.samplers.TPESampler(
                seed=drawn, n_startup_trials=self.starts, multivariate=False
            )
            trial = self._study.ask()
            values = {name: _suggest(trial, name, of) for name, of in self.space.items()}
        trial.set_user_attr("values", values)
        self._open[trial.number] = trial
        return Asked(trial.number, values)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Keep the objective of a trial after so many epochs; whether the trial is to end."""
        trial = self._open[number]
        if not math.isfinite(value):
            return False
        with _quiet(self._optuna):
            trial.report(value, epoch)
            if number == 0 or self.epochs is None or epoch >= self.epochs:
                return False  # the default is always trained to its end, and what has been trained is kept
            self._study.pruner = self._hyperband(self.epochs)
            return bool(trial.should_prune())

    def _hyperband(self, epochs: int) -> Any:
        if self._pruner is None:
            self._pruner = self._optuna.pruners.HyperbandPruner(
                min_resource=max(1, epochs // LEAST_SHARE), max_resource=epochs, reduction_factor=KEEP_ONE_OF
            )
        return self._pruner

    def interrupt(self, number: int) -> None:
        """A trial was asked to stop: a later search goes on with it."""
        self._open.pop(number).set_user_attr("interrupted", True)

    def end(self, number: int, ended: Ended) -> None:
        """A trial has ended."""
        trial = self._open.pop(number)
        trial.set_user_attr("ended", ended._asdict())
        states = self._optuna.trial.TrialState
        state = {FINISHED: states.COMPLETE, PRUNED: states.PRUNED, FAILED: states.FAIL}[ended.state]
        with _quiet(self._optuna):
            self._study.tell(trial.number, ended.value if ended.state == FINISHED else None, state=state)

    @property
    def seconds(self) -> float:
        """That a whole trial takes; 0 where none is finished."""
        return fmean([each["seconds"] for each in self.trials() if each["state"] == FINISHED] or [0.0])

    def trials(self) -> list[TrialFile]:
        """All trials, in their order."""
        return [_of_file(trial) for trial in self._study.get_trials(deepcopy=False)]

    def importance(self) -> dict[str, float] | None:
        """The share of the objective's variance that each of what is searched explains by itself (fANOVA).

        None where too few trials are finished, or all have one value.
        """
        names = list(self.space)
        whole = [trial for trial in self._study.get_trials(deepcopy=False) if set(names) <= set(trial.params)]
        values = {trial.value for trial in whole if trial.state == self._optuna.trial.TrialState.COMPLETE}
        if len(values) < ENOUGH:
            return None
        with _quiet(self._optuna):
            evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self.seed % 2**32)
            shares = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator, params=names)
        return {name: float(share) for name, share in shares.items()}


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that writes ahead: each figure of each trial would else wait for the disk several times."""
    connection = sqlite3.connect(path, timeout=WAIT, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _suggest(trial: Any, name: str, of: Searched) -> Any:
    if isinstance(of, SearchChoice):
        return trial.suggest_categorical(name, list(of.values))
    if of.whole:
        return trial.suggest_int(name, int(of.low), int(of.high), log=of.log)
    return trial.suggest_float(name, of.low, of.high, log=of.log)


def _of_file(trial: Any) -> TrialFile:
    """A trial of Optuna's as `tune.json` has it."""
    ended = trial.user_attrs.get("ended") or {}
    return {
        "number": trial.number,
        "state": ended.get("state", "running"),
        "value": ended.get("value"),
        "values": trial.user_attrs.get("values", {}),
        "reason": ended.get("reason", ""),
        "epochs": ended.get("epochs", 0),
        "seconds": ended.get("seconds", 0.0),
        "curve": sorted(trial.intermediate_values.items()),
    }


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without what Optuna says of itself: a line a trial, and which of its parts may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """A file that is no study is told in one line."""
    try:
        yield
    except Exception as error:  # of SQLAlchemy, Alembic or Optuna
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} can't be read: {reason}; name another folder with --out") from error
