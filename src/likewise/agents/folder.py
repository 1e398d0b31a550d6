"""The folder of an agent: what was asked for, its returns, its checkpoint. Nothing of it is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from likewise.atomic import write_json
from likewise.errors import UserError
from likewise.runs.declared import Count, Range, check_declared
from likewise.runs.files import COPY_ANEW, DAMAGED, naming, read_object, reason_of

CONFIG, RETURNS, CHECKPOINT, WEIGHTS, PAGE = (
    "agent.json",
    "returns.json",
    "checkpoint.npz",
    "agent.safetensors",
    "report.html",
)
Seconds = Annotated[float, Range(0, 1e9)]


class AgentConfig(TypedDict):
    """What agent.json holds."""

    likewise: str
    command: str
    created: str
    env: str
    method: str
    run: str | None
    fine_tune: bool
    encoder: str
    size: Count
    steps: Count
    lr: float
    batch_size: Count
    buffer_size: Count
    update_every: Count
    starts: Count
    episodes: Count
    seed: Count
    finished: NotRequired[bool]


class EvaluationRow(TypedDict):
    """The returns of the greedy agent after so many steps."""

    step: Count
    seconds: Seconds
    """Of training until then, evaluations included."""
    returns: list[float]
    contrast: NotRequired[float | None]
    """The contrastive loss at that time."""


class Returns(TypedDict):
    """What returns.json holds."""

    random: list[float]
    """Those of random actions."""
    evaluations: list[EvaluationRow]


def load_config(folder: Path) -> AgentConfig:
    """What an agent was begun with.

    Raises:
        UserError: where the folder holds no agent, or the file is damaged.
    """
    return _load(folder / CONFIG, AgentConfig)


def load_returns(folder: Path) -> Returns:
    """The returns of an agent so far; raises `UserError` where the file is damaged."""
    return _load(folder / RETURNS, Returns)


def save_config(folder: Path, config: AgentConfig) -> None:
    """Write agent.json."""
    write_json(folder / CONFIG, config)


def save_returns(folder: Path, returns: Returns) -> None:
    """Write returns.json."""
    write_json(folder / RETURNS, returns)


def _load(path: Path, declared: Any) -> Any:
    if not path.is_file():
        raise UserError(f"{path.parent} holds no agent of `likewise rl`: it has no {path.name}")
    try:
        value = read_object(path)
    except DAMAGED as error:
        raise UserError(f"{path} can't be read: {reason_of(error)}; {COPY_ANEW}") from error
    with naming(path, COPY_ANEW):
        check_declared(value, declared)
    return value
