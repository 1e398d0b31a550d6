"""tune.json: what was searched, every trial, and what the best one is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, NotRequired, TypedDict

from likewise.atomic import write_json
from likewise.runs.config import Duration, Epochs
from likewise.runs.declared import Count, Measured, check_declared
from likewise.runs.files import read_object
from likewise.tuning.trials import FAILED, FINISHED, PRUNED


class TrialFile(TypedDict):
    """A trial."""

    number: Count
    state: Literal["finished", "pruned", "failed", "running"]
    value: Measured | None
    """The objective, of a finished one."""
    values: dict[str, Any]
    """What it tried; empty for the default recipe."""
    reason: str
    """Why it failed."""
    epochs: Epochs
    seconds: Duration
    curve: list[tuple[Count, Measured]]
    """The objective after so many epochs."""


class Confirmed(TypedDict):
    """Best and default recipe trained again with other seeds."""

    best: Count
    """The number of the trial that was best."""
    seeds: list[Count]
    """Of the trainings in which both finished."""
    best_values: list[Measured]
    default_values: list[Measured]
    mean: Measured | None
    """Of the differences, best − default; with their 95 % interval."""
    low: Measured | None
    high: Measured | None
    failed: list[str]
    """A line for each training that failed."""


class Objective(TypedDict):
    """What is maximized."""

    kind: Literal["probe", "lidar", "rankme"]
    what: str
    """In words."""
    probe: str | None
    """The labelled samples of a probe; None where they are in memory, or it is none."""


class SearchFile(TypedDict):
    """What tune.json holds."""

    likewise: str
    command: str
    data: str | None
    name: str
    """Of the data, for people."""
    method: str
    recipe: str | None
    over: list[str]
    fixed: dict[str, Any]
    objective: Objective
    seed: Count
    epochs: NotRequired[Epochs | None]
    """Of a whole trial, when they are known."""
    default: NotRequired[dict[str, Any]]
    """Values of the default recipe, of what is searched."""
    trials: NotRequired[list[TrialFile]]
    importance: NotRequired[dict[str, float] | None]
    confirmed: NotRequired[Confirmed | None]
    minutes: NotRequired[Duration]
    """That the trials took, all processes together."""


class SearchResult(dict[str, Any]):
    """What a search found: see `SearchFile`."""

    FILE: ClassVar[str] = "tune.json"

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self)

    @classmethod
    def load(cls, folder: Path) -> SearchResult:
        found = read_object(folder / cls.FILE)
        check_declared(found, SearchFile)
        return cls(found)

    @property
    def trials(self) -> list[TrialFile]:
        return list(self.get("trials", []))

    def of_state(self, state: str) -> list[TrialFile]:
        return [trial for trial in self.trials if trial["state"] == state]

    @property
    def default(self) -> TrialFile | None:
        """The trial of the default recipe."""
        return next((trial for trial in self.trials if trial["number"] == 0), None)

    @property
    def best(self) -> TrialFile | None:
        """The finished trial with the largest objective, the first of equal ones; None where none is finished."""
        finished = [trial for trial in self.of_state(FINISHED) if trial["value"] is not None]
        return max(finished, key=lambda trial: (trial["value"], -trial["number"]), default=None)

    def shown(self, value: float | None, *, sign: bool = False) -> str:
        """A figure of the objective as people read it."""
        if value is None:
            return "–"
        plus = "+" if sign else ""
        return f"{100 * value:{plus}.1f} %" if self["objective"]["kind"] == "probe" else f"{value:{plus}.2f}"

    def conclusion(self) -> str:
        """Whether the best recipe is better than the default one, in one sentence."""
        return ", ".join(text for text in (self.headline(), self.caution()) if text)

    def caution(self) -> str:
        """Why that is not yet sure; "" where nothing is to be said."""
        best, default = self.best, self.default
        if best is None or best["number"] == 0 or default is None or default["state"] != FINISHED:
            return ""
        if self._confirmed_best() is not None:
            return ""
        return (
            "with one training each: the best of several is so by chance, too, --confirm 3 trains both with other seeds"
        )

    def headline(self) -> str:
        """The conclusion without its caution."""
        best, default, what = self.best, self.default, self["objective"]["kind"]
        if best is None:
            return "no trial has finished: there is no best recipe"
        if default is None or default["state"] != FINISHED:
            why = "has not finished" if default is None or not default["reason"] else f"failed: {default['reason']}"
            return f"trial {best['number']} is best, {what} {self.shown(best['value'])}; the default recipe {why}"
        if best["number"] == 0:
            others = len(self.trials) - 1
            return f"not better than the default recipe: none of {others} other trials is above {what} " + self.shown(
                default["value"]
            )
        gain = self.shown(best["value"] - default["value"], sign=True)  # type: ignore[operator]
        figures = f"{what} {self.shown(best['value'])} against {self.shown(default['value'])}"
        confirmed = self._confirmed_best()
        if confirmed is None:
            return f"trial {best['number']} is better than the default recipe by {gain}, {figures}"
        return f"trial {best['number']} is {self._confirmed(confirmed)}"

    def _confirmed_best(self) -> Confirmed | None:
        """What other seeds say of the trial that is best; None where nothing is known."""
        confirmed: Confirmed | None = self.get("confirmed")
        best = self.best
        if confirmed is None or best is None or confirmed["best"] != best["number"]:
            return None
        return confirmed if confirmed["mean"] is not None else None

    def _confirmed(self, confirmed: Confirmed) -> str:
        seeds, low, high = len(confirmed["seeds"]), confirmed["low"], confirmed["high"]
        mean = self.shown(confirmed["mean"], sign=True)
        if low is None or high is None:
            return f"{mean} against the default recipe with one other seed: that is no interval, give --confirm 3"
        ends = f"{self.shown(low, sign=True)} to {self.shown(high, sign=True)}"
        span = f"{mean} ({ends}, 95 % interval, {seeds} other seeds)"
        if low > 0:
            return f"better than the default recipe by {span}"
        if high < 0:
            return f"worse than the default recipe with other seeds: {span}"
        return f"not better than the default recipe beyond chance: {span}"

    def counts(self) -> str:
        """How many trials ended how, in words."""
        named = ((FINISHED, "finished"), (PRUNED, "ended early"), (FAILED, "failed"), ("running", "not finished"))
        found = [f"{count} {text}" for state, text in named if (count := len(self.of_state(state)))]
        return ", ".join(found) or "none"
