"""verdict.json: whether a training learned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NotRequired, TypedDict

from likewise.atomic import write_json
from likewise.runs.declared import Count, check_declared
from likewise.runs.files import check_keys, read_object
from likewise.runs.part import RunPart


class VerdictFile(TypedDict):
    """What verdict.json holds: see `Verdict`."""

    kind: str
    message: str
    causes: list[str]
    remedy: str
    step: NotRequired[Count]
    epoch: NotRequired[float]


@dataclass(frozen=True)
class Verdict(RunPart):
    """What the metrics say about a training.

    Attributes:
        kind: learning, too-early, stuck, collapsed-to-a-point, collapsed-to-few-dimensions, diverging; not-yet-useful
            or forgetting: the features are worth less than untrained, or than the known weights; or trivial: a
            degenerate solution that the method itself knows.
        message: one or two sentences, with the figures.
        causes: likely ones, when something is wrong.
        remedy: what to try then.
        step: steps done.
        epoch: passes over the data done.
    """

    FILE: ClassVar[str] = "verdict.json"

    kind: str
    message: str
    causes: tuple[str, ...] = ()
    remedy: str = ""
    step: int = 0
    epoch: float = 0.0

    @property
    def alarm(self) -> bool:
        """Whether something is wrong."""
        return self.kind not in ("learning", "too-early")

    def __str__(self) -> str:
        if not self.causes:
            return self.message
        return f"{self.message} Likely: {'; or '.join(self.causes)}. Try: {self.remedy}."

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self.to_dict())

    @classmethod
    def load(cls, folder: Path) -> Verdict:
        found = read_object(folder / cls.FILE)
        check_keys(found, {"kind", "message", "causes", "remedy"})
        check_declared(found, VerdictFile)
        return cls(
            kind=found["kind"],
            message=found["message"],
            causes=tuple(found["causes"]),
            remedy=found["remedy"],
            step=found.get("step", 0),
            epoch=float(found.get("epoch", 0)),
        )
