"""Searches over trials that are no trainings: what is tried, kept, gone on with, and ended early."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fake_trials
import pytest

from likewise.errors import UserError
from likewise.ray_cluster import ray_cluster
from likewise.tuning.loop import Limits, TrialQueue, train_here, train_one
from likewise.tuning.on_ray import RayOffice
from likewise.tuning.ranges import SearchChoice, SearchInterval
from likewise.tuning.search import FILE, Search
from likewise.tuning.trials import FINISHED, Asked, Ended, Train
from likewise.tuning.workers import Hire, hire_process, train_in_processes

SPACE = {"lr": SearchInterval(1e-5, 1e-1, log=True), "augment": SearchChoice(("mild", "strong"))}
DEFAULT = {"lr": 1e-2, "augment": "strong"}


@contextmanager
def search_in(folder: Path, *, trials: int = 12) -> Iterator[Search]:
    folder.mkdir(exist_ok=True)
    with closing(Search(folder, SPACE, seed=0, trials=trials)) as search:
        yield search


def searched(
    folder: Path,
    train: Train,
    *,
    trials: int,
    workers: int = 1,
    epochs: int | None = None,
    hire: Hire = hire_process,
) -> list[Any]:
    """The trials of a search, begun or gone on with."""
    with search_in(folder) as search:
        begun = search.begun()
        if not len(search):
            train_one(search, search.ask_default(DEFAULT), train)
        search.epochs = epochs
        queue = TrialQueue(search, begun, Limits(trials))
        told: list[int] = []

        def tell(asked: Asked, ended: Ended) -> None:
            told.append(asked.number)

        try:
            if workers > 1:
                train_in_processes(search, queue, train, tell, workers=workers, hire=hire)
            else:
                train_here(search, queue, train, tell)
        finally:
            found = search.trials()
        assert len(told) == len(set(told))
        return found


def test_a_search_finds_what_is_good(tmp_path: Path) -> None:
    trials = searched(tmp_path / "a", fake_trials.train, trials=14)
    assert [trial["number"] for trial in trials] == list(range(14))
    assert trials[0]["values"] == {}
    assert {trial["state"] for trial in trials} == {FINISHED}
    assert all(1e-5 <= trial["values"]["lr"] <= 1e-1 for trial in trials[1:])
    assert {trial["values"]["augment"] for trial in trials[1:]} == {"mild", "strong"}
    best = max(trials, key=lambda trial: trial["value"])
    assert (
        best["value"] > 0.95 > trials[0]["value"]
    )  # of as many draws at random the best is above in half of the searches
    late = [trial["value"] for trial in trials[8:]]
    assert sum(late) / len(late) > sum(trial["value"] for trial in trials[1:4]) / 3  # it learns from its trials
    assert trials[3]["curve"][-1] == (fake_trials.EPOCHS, trials[3]["value"])


def test_a_search_that_was_interrupted_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole = searched(tmp_path / "a", fake_trials.train, trials=7)
    searched(tmp_path / "b", fake_trials.train, trials=5)
    again = searched(tmp_path / "b", fake_trials.train, trials=7)
    assert [trial["values"] for trial in again] == [trial["values"] for trial in whole]
    assert [trial["value"] for trial in again] == [trial["value"] for trial in whole]

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "c", fake_trials.stop_once, trials=4)
    with search_in(tmp_path / "c") as search:
        (stopped,) = [trial for trial in search.trials() if trial["state"] == "running"]
    again = searched(tmp_path / "c", fake_trials.stop_once, trials=4)
    assert [trial["state"] for trial in again] == [FINISHED] * 4
    assert again[2]["values"] == stopped["values"] == whole[2]["values"]


def test_a_trial_that_was_killed_has_failed_but_for_the_default(tmp_path: Path) -> None:
    with search_in(tmp_path) as search:
        search.ask_default(DEFAULT)
    with search_in(tmp_path) as search:
        (default,) = search.begun()
        assert default == Asked(0, {}, again=True)
        train_one(search, default, fake_trials.train)
        search.ask()
    trials = searched(tmp_path, fake_trials.train, trials=3)
    assert [trial["state"] for trial in trials] == ["finished", "failed", "finished"]
    assert "was killed" in trials[1]["reason"]


def test_trials_that_are_behind_are_ended_early(tmp_path: Path) -> None:
    trials = searched(tmp_path, fake_trials.train, trials=20, epochs=fake_trials.EPOCHS)
    early = [trial for trial in trials if trial["state"] == "pruned"]
    whole = [trial for trial in trials if trial["state"] == "finished"]
    assert trials[0] in whole  # the default, which is not good
    assert len(early) >= 5
    assert all(trial["epochs"] < fake_trials.EPOCHS and trial["value"] is None for trial in early)
    assert max(whole, key=lambda trial: trial["value"])["value"] >= max(trial["curve"][-1][1] for trial in early)


def test_the_importance_of_what_decides(tmp_path: Path) -> None:
    with search_in(tmp_path) as search:
        train_one(search, search.ask_default(DEFAULT), fake_trials.train)
        assert search.importance() is None
        train_here(search, TrialQueue(search, [], Limits(12)), fake_trials.train, lambda *_: None)
        found = search.importance()
    assert found is not None
    assert list(found) == ["lr", "augment"]
    assert found["lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


def test_no_trial_begins_that_would_end_too_late(tmp_path: Path) -> None:
    with search_in(tmp_path) as search:
        train_one(search, search.ask_default(DEFAULT), fake_trials.train)
        assert search.seconds == pytest.approx(0.2)
        now = time.monotonic()
        assert not Limits(9, now + 60).over(search)
        assert Limits(9, now + 0.1).over(search)
        assert Limits(1, now + 60).over(search)


def test_two_processes(tmp_path: Path) -> None:
    """One that is killed is a failed trial, and the others go on; one that is asked to stop ends them all."""
    trials = searched(tmp_path / "a", fake_trials.train_badly, trials=6, workers=2)
    assert [trial["state"] for trial in trials] == ["finished", "finished", "failed", "failed", "finished", "finished"]
    assert "was killed" in trials[2]["reason"]
    assert trials[3]["reason"] == "memory is full"
    assert trials[4]["curve"] == [(1, trials[4]["value"])]  # they report to the search

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "b", fake_trials.stop_once, trials=3, workers=2)
    again = searched(tmp_path / "b", fake_trials.stop_once, trials=3)
    assert [trial["state"] for trial in again] == ["finished"] * 3


@pytest.fixture
def office(tmp_path: Path) -> Iterator[RayOffice]:
    """Workers of a cluster on this machine, which are sent the trials of `fake_trials` as code."""
    pytest.importorskip("ray")
    with ray_cluster("train", "again") as cluster:
        assert cluster.threads(10**6) == 1
        cluster.ray.cloudpickle.register_pickle_by_value(fake_trials)
        yield RayOffice(cluster, threads=1, folder=tmp_path)
        cluster.ray.cloudpickle.unregister_pickle_by_value(fake_trials)


@pytest.mark.slow
def test_tasks_of_a_cluster(office: RayOffice, tmp_path: Path) -> None:
    """They do as processes of this machine do."""
    trials = searched(tmp_path / "a", fake_trials.train_badly, trials=6, workers=2, hire=office.hire)
    assert [t["state"] for t in trials] == ["finished", "finished", "failed", "failed", "finished", "finished"]
    assert "was killed" in trials[2]["reason"]
    assert trials[3]["reason"] == "memory is full"
    assert trials[4]["curve"] == [(1, trials[4]["value"])]
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "b", fake_trials.stop_once, trials=3, workers=2, hire=office.hire)
    again = searched(tmp_path / "b", fake_trials.stop_once, trials=3, workers=2, hire=office.hire)
    assert [trial["state"] for trial in again] == ["finished"] * 3


@pytest.mark.slow
def test_an_interrupt_reaches_the_tasks_of_a_cluster(office: RayOffice, tmp_path: Path) -> None:
    threading.Thread(target=interrupted_once_begun, args=(tmp_path / "begun",), daemon=True).start()
    train = partial(fake_trials.long, begun=tmp_path / "begun")
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "a", train, trials=2, workers=2, hire=office.hire)
    with search_in(tmp_path / "a") as search:
        assert [asked.number for asked in search.begun()] == [1]


def test_a_process_that_an_interrupt_ends_without_a_word_was_interrupted(tmp_path: Path) -> None:
    threading.Thread(target=interrupted_once_begun, args=(tmp_path / "begun",), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "a", partial(fake_trials.speechless, begun=tmp_path / "begun"), trials=2, workers=2)
    with search_in(tmp_path / "a") as search:
        assert [asked.number for asked in search.begun()] == [1]


def interrupted_once_begun(begun: Path) -> None:
    """Interrupt this process once a trial has begun."""
    while not begun.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_values_from_elsewhere_are_not_gone_on_with(tmp_path: Path) -> None:
    with search_in(tmp_path) as search:
        train_one(search, search.ask_default(DEFAULT), fake_trials.train)
        asked = search.ask()
        search._open[asked.number].set_user_attr("values", {"lr": 1e9, "weights": "/etc/passwd", "augment": "mild"})
        search.interrupt(asked.number)
    with search_in(tmp_path) as search:
        assert search.begun() == [Asked(1, {"augment": "mild"}, again=True)]


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="can't be read") as error, search_in(tmp_path):
        pass
    assert "\n" not in str(error.value)
