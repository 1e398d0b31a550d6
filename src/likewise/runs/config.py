"""config.json: everything that was asked for and decided, to the last hyperparameter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict

from likewise.atomic import write_json
from likewise.runs.declared import Count, Range, check_declared
from likewise.runs.files import read_object
from likewise.runs.part import RunPart

MOST_THREADS = 1024
Epochs = Annotated[int, Range(0, 10**9)]
"""0 where weights are as they were given."""


class Fingerprint(TypedDict):
    """What the data was: see `likewise.data.fingerprint`."""

    samples: Count
    ids: str
    content: dict[str, str]


class SourceConfig(TypedDict):
    """The data of a training."""

    name: str
    samples: Count
    modality: str
    root: str | None
    fingerprint: NotRequired[Fingerprint]


class RecipeConfig(TypedDict):
    """The recipe, as far as it is looked into before it is compared."""

    epochs: Epochs
    options: dict[str, Any]


class MethodConfig(TypedDict):
    """The method, as far as sentences are made of it."""

    name: str
    supervised: NotRequired[bool]
    encoder: NotRequired[str]
    """What the kept encoder is in the method."""


class PartConfig(TypedDict):
    """The views of a part of pairs."""

    modality: str
    config: dict[str, Any]


class ViewsConfig(TypedDict):
    """The views: of pairs a list of parts, of others the arguments of their class, checked when it is built."""

    parts: NotRequired[list[PartConfig]]


class Extension(TypedDict):
    """What a run had before it was given more epochs."""

    from_epochs: Epochs
    epochs: Epochs
    step: Count
    finished: bool


Duration = Annotated[float, Range(0, 1e9)]


class BudgetConfig(TypedDict):
    """The time that a training was given, and what was measured to plan it."""

    minutes: Duration
    spent_seconds: Duration
    """Before the training, for reading and measuring."""
    samples_per_second: Duration
    seconds_per_epoch: Duration
    used_minutes: NotRequired[Duration]
    """In the end."""


class LiDARConfig(TypedDict):
    """LiDAR at the end of the training: see `likewise.training.label_free`."""

    value: Annotated[float, Range(1, 1e9)]
    samples: Count
    views: Count
    dimensions: Count
    """Of the embeddings: it is at most the smaller of this and `samples` - 1."""


class ConfigFile(TypedDict):
    """What config.json of a run holds. Those that are not required were added later, or are of finished runs."""

    likewise: str
    data: str | None
    source: SourceConfig
    read_options: dict[str, Any]
    recipe: RecipeConfig
    probe: NotRequired[str | None]
    method: MethodConfig | None
    encoder: dict[str, Any] | None
    views: ViewsConfig | None
    seed: Count
    threads: NotRequired[Annotated[int, Range(1, MOST_THREADS)]]
    padding: NotRequired[float]
    documents: NotRequired[dict[str, Any]]
    budget: NotRequired[BudgetConfig]
    command: str
    created: NotRequired[str]
    devices: int | str | list[int]
    precision: str
    strategy: str
    seconds: NotRequired[float]
    samples_per_second: NotRequired[float]
    lidar: NotRequired[LiDARConfig]
    extensions: NotRequired[list[Extension]]


class RunConfig(dict[str, Any], RunPart):
    """The configuration of a run: see `ConfigFile`.

    `documents`, of texts, is how many tokens these have and how many are read. `extensions`, of a run that was given
    more epochs, are what it had before, and at which step.
    """

    FILE: ClassVar[str] = "config.json"

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self)

    @classmethod
    def load(cls, folder: Path) -> RunConfig:
        config = read_object(folder / cls.FILE)
        check_declared(config, ConfigFile, complete=False)
        return cls(config)

    def check_complete(self) -> None:
        """Raise `UserError` that names what is absent: a page can do without, other commands cannot."""
        check_declared(dict(self), ConfigFile)
