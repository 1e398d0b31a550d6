"""`likewise rl`: an agent that learns from pixels, with CURL and its ablations."""

from __future__ import annotations

import datetime
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import likewise
from likewise.atomic import write_text
from likewise.checks import check_choice, check_int, check_non_negative, check_positive, check_seed
from likewise.commands.option_names import flag
from likewise.console import tell
from likewise.errors import UserError
from likewise.runs.declared import shown
from likewise.runs.lock import is_unused, training_lock

if TYPE_CHECKING:
    from likewise.agents.folder import AgentConfig, Returns

DEFAULT_ENCODER = "nature_cnn"
LEAST_STEPS = 100
LEAST_SIZE, MOST_SIZE = 16, 256  # px
LEAST_BUFFER, MOST_BUFFER = 1_000, 10_000_000  # frames
RANDOM_SHARE, MOST_RANDOM = 0.1, 1_000  # of the steps, those before the first update


@dataclass(frozen=True)
class TrainedAgent:
    """What `likewise rl` leaves: a folder with an agent, its returns and a page."""

    path: Path
    config: AgentConfig
    returns: Returns
    steps: int
    """That it has learned from."""

    @property
    def final(self) -> float:
        """Its mean return in the last evaluation."""
        return _mean(self.returns["evaluations"][-1]["returns"])

    @property
    def random(self) -> float:
        """The mean return of random actions in the same episodes."""
        return _mean(self.returns["random"])

    def summary(self) -> str:
        """The result in a sentence."""
        rows = self.returns["evaluations"]
        best = max(_mean(row["returns"]) for row in rows)
        return (
            f"Mean return {self.final:.3g} over {self.config['episodes']} episodes after {self.steps:,} steps "
            f"({rows[-1]['seconds']:,.0f} s); best {best:.3g}, random actions {self.random:.3g}."
        )

    def __str__(self) -> str:
        left = "" if self.steps >= self.config["steps"] else f"\nto go on: {self.config['command']} --resume"
        return f"{self.path}: {self.summary()}\n{self.path / 'report.html'}{left}"

    def to_json(self) -> dict[str, Any]:
        return {
            "out": str(self.path),
            "page": str(self.path / "report.html"),
            "learned_steps": self.steps,
            "return": self.final,
            "random_return": self.random,
            "random": self.returns["random"],
            "evaluations": self.returns["evaluations"],
            **self.config,
        }


def rl(
    env: str,
    *,
    method: str = "curl",
    run: str | Path | None = None,
    fine_tune: bool = False,
    encoder: str = DEFAULT_ENCODER,
    size: int = 64,
    steps: int = 20_000,
    minutes: float | None = None,
    lr: float = 1e-3,
    batch_size: int = 64,
    buffer_size: int = 50_000,
    update_every: int = 4,
    episodes: int = 10,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    progress: bool = True,
) -> TrainedAgent:
    """Train an agent on pixels, with a contrastive loss or without (extra `rl`).

    Actions that are one of n are learned by DQN, vectors by SAC, both of stable-baselines3. An observation is the last
    three frames. The agent is measured 20 times in episodes of their own, beside random actions. TensorBoard reads the
    folder `tensorboard` in the agent's.

    Args:
        env: an environment of gymnasium that draws pixels, such as MiniGrid-Empty-5x5-v0 or CartPole-v1.
        method: curl, rad (random crops, without CURL's loss), drq (random shifts), pixel (neither), or pretrained (the
            encoder of `run`).
        run: of pretrained, a finished run of images, such as of recorded frames.
        fine_tune: of pretrained, whether the agent goes on training the encoder.
        encoder: of the other methods, nature_cnn or another one of images; see `likewise pretrain`.
        size: height and width in pixels that the encoder sees; frames are shrunk to it.
        steps: in the environment.
        minutes: when to stop before these are done, at the end of an episode; `resume` goes on.
        lr: learning rate.
        batch_size: transitions of an update.
        buffer_size: frames that are kept to learn from.
        update_every: steps between two updates.
        episodes: of an evaluation.
        seed: of every random choice.
        out: the folder of the agent; runs/ENV-METHOD if not given.
        resume: go on with what was interrupted in the same folder.
        checkpoint_minutes: between checkpoints, which are written between two episodes.
        progress: show progress on stderr.

    Returns:
        The agent's folder, its returns, and those of random actions.

    Raises:
        UserError: for an environment that is not known, or draws no pixels.
    """
    from likewise.agents.evaluation import greedy
    from likewise.agents.folder import CONFIG, PAGE, AgentConfig, load_config, load_returns, save_config
    from likewise.agents.page import agent_page
    from likewise.agents.train import build_agent, deadline_of, train_agent
    from likewise.agents.variants import VARIANTS
    from likewise.agents.video import film_of
    from likewise.training.machine import device_name

    deadline = deadline_of(minutes)
    check_choice(VARIANTS, method=method)
    check_int(LEAST_STEPS, steps=steps)
    check_int(LEAST_SIZE, MOST_SIZE, size=size)
    check_int(2, batch_size=batch_size)
    check_int(update_every=update_every, episodes=episodes)
    check_int(LEAST_BUFFER, MOST_BUFFER, buffer_size=buffer_size)
    check_positive(minutes=minutes, lr=lr)
    check_non_negative(checkpoint_minutes=checkpoint_minutes)
    check_seed(seed)
    variant = VARIANTS[method]
    if variant.pretrained and run is None:
        raise UserError("method pretrained needs --run, a run of `likewise pretrain`")
    if variant.pretrained and encoder != DEFAULT_ENCODER:
        raise UserError(
            f"--encoder is for the other methods, pretrained has that of --run: leave it out, got {encoder!r}"
        )
    if not variant.pretrained and (run is not None or fine_tune):
        raise UserError(f"{'--run' if run is not None else '--fine-tune'} is for the method pretrained, not {method}")
    folder = Path(out) if out is not None else Path("runs") / re.sub(r"[^\w.-]+", "-", f"{env}-{method}")
    options = {
        "method": method,
        "run": None if run is None else str(run),
        "fine_tune": fine_tune or None,
        "encoder": None if encoder == DEFAULT_ENCODER else encoder,
        "size": size,
        "steps": steps,
        "lr": lr,
        "batch_size": batch_size,
        "buffer_size": buffer_size,
        "update_every": update_every,
        "episodes": episodes,
        "seed": seed,
        "out": str(folder),
    }
    config = AgentConfig(
        likewise=likewise.__version__,
        command=_typed(env, options),
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        env=env,
        method=method,
        run=None if run is None else str(run),
        fine_tune=fine_tune,
        encoder=encoder,
        size=size,
        steps=steps,
        lr=lr,
        batch_size=batch_size,
        buffer_size=buffer_size,
        update_every=update_every,
        starts=max(batch_size, min(MOST_RANDOM, int(RANDOM_SHARE * steps))),
        episodes=episodes,
        seed=seed,
    )
    build_agent(config, "cpu")[1].close()  # what is wrong with it is said before anything is written
    if not is_unused(folder):
        if not (resume and (folder / CONFIG).is_file()):
            hint = "add --resume to go on with it, or " if (folder / CONFIG).is_file() else ""
            raise UserError(f"{folder} exists: {hint}name another folder with --out")
        begun = load_config(folder)
        _check_same(folder, begun, config)
        if begun.get("finished"):
            returns = load_returns(folder)
            return TrainedAgent(folder, begun, returns, begun["steps"])
        config = begun
    with training_lock(folder):
        save_config(folder, config)
        tell(f"{env}, {method} -> {folder}", show=progress)
        learner, returns, done = train_agent(
            folder,
            config,
            resume=resume,
            deadline=deadline,
            checkpoint_minutes=checkpoint_minutes,
            device=device_name(),
            progress=progress,
        )
        agent = TrainedAgent(folder, config, returns, done)
        film = film_of(greedy(learner), env, size=variant.rendered(size), seed=seed)
        write_text(folder / PAGE, agent_page(config, returns, film, agent.summary()))
    return agent


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _typed(env: str, options: dict[str, Any]) -> str:
    words = ["likewise", "rl", env]
    for name, value in options.items():
        if value is True:
            words.append(flag(name))
        elif value is not None:
            words += [flag(name), str(value)]
    return shlex.join(words)


def _check_same(folder: Path, begun: AgentConfig, asked: AgentConfig) -> None:
    """Raise `UserError` unless an agent was begun with what is asked for now."""
    for name, value in asked.items():
        if name not in ("likewise", "command", "created", "finished") and value != begun.get(name):
            raise UserError(
                f"{folder} was begun with {name} {shown(begun.get(name))}, not {shown(value)}: resume it as it was "
                f"(`{begun['command']} --resume`), or name another folder with --out"
            )
