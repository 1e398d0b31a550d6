"""Which part of CURL helps: agents on pixels with its loss, with crops or shifts alone, and with neither.

    python -m benchmarks.rl [--env ENV] [--variants NAME …] [--seeds 5] [--steps 2500] [--size 25] [--batch-size 32]
                            [--run RUN] [--frame-episodes 200] [--json FILE] [--picture FILE.svg]

The environment is Catch, after that of bsuite, unless another one is named: a ball falls over four steps on a board of
5 x 5 places, and the paddle below it must be where it lands (return 1, else -1). `likewise rl` is run with each variant
and seed. Of a training, two figures are taken: the mean return of its last evaluation, and the mean over all
evaluations, which is larger the sooner an agent learns (the area under its curve).
Over seeds, the interquartile mean is shown with a 95 % interval of 10,000 bootstrap draws of seeds (arXiv:2108.13264).
Seeds have the same environment episodes and the same first weights in all variants that render the same size: the
difference between curl and rad is also taken seed by seed. With --json, what is there already is not run again.

The variant pretrained has the frozen encoder of a run: of one on frames of random actions by `atc`, for each seed
another, or of --run. Its seconds include this.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image
from scipy.stats import trim_mean

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import workplace

VARIANTS = ("curl", "rad", "drq", "pixel", "pretrained")
DRAWS = 10_000
BOARD, PIXELS = 5, 5  # places in a row, pixels of a place


class Catch(gymnasium.Env[Any, Any]):
    """A ball falls; the paddle goes left, stays or goes right."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012  # as gymnasium has it
    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(0, 1, (1,))

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.ball, self.paddle = (int(place) for place in self.np_random.integers(BOARD, size=2))
        self.height = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.paddle = int(np.clip(self.paddle + int(action) - 1, 0, BOARD - 1))
        self.height += 1
        ended = self.height == BOARD - 1
        reward = (1.0 if self.ball == self.paddle else -1.0) if ended else 0.0
        return np.zeros(1, np.float32), reward, ended, False, {}

    def render(self) -> Any:
        board = np.zeros((BOARD, BOARD, 3), np.uint8)
        board[self.height, self.ball] = 255
        board[-1, self.paddle] = 255
        return np.kron(board, np.ones((PIXELS, PIXELS, 1), np.uint8))


gymnasium.register("likewise/Catch-v0", entry_point=Catch, disable_env_checker=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="likewise/Catch-v0", help="environment (Catch)")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, help="of likewise rl (all)")
    parser.add_argument("--run", help="of the variant pretrained: a run of frames, instead of a new one for each seed")
    parser.add_argument("--frame-episodes", type=int, default=200, help="of random actions that it learns from (200)")
    parser.add_argument("--seeds", type=int, default=5, help="repetitions (5)")
    parser.add_argument("--steps", type=int, default=2_500, help="of a training (2,500)")
    parser.add_argument("--size", type=int, default=25, help="pixels that the encoder sees (25)")
    parser.add_argument("--batch-size", type=int, default=32, help="of an update (32)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the returns there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw the curves there")
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    if asked.json and asked.json.is_file():
        found = json.loads(asked.json.read_text())
    for seed in range(asked.seeds):
        for variant in asked.variants:
            name = f"{asked.env} {variant} {asked.size} {asked.steps} {seed}"
            if name not in found:
                found[name] = trained(asked, variant, seed)
                if asked.json:
                    asked.json.write_text(json.dumps(found, indent=1) + "\n")
            curve = means(found[name])
            print(f"{variant}, seed {seed}: {curve[-1]:.3f} in the end, {np.mean(curve):.3f} on average", flush=True)
    runs = {
        variant: [found[f"{asked.env} {variant} {asked.size} {asked.steps} {seed}"] for seed in range(asked.seeds)]
        for variant in asked.variants
    }
    table(runs)
    if asked.picture:
        picture(asked.picture, runs)


def trained(asked: argparse.Namespace, variant: str, seed: int) -> dict[str, Any]:
    """One training."""
    began = time.monotonic()
    with workplace() as folder:
        agent = lw.rl(
            asked.env,
            method=variant,
            run=(asked.run or frames_run(asked, seed, folder)) if variant == "pretrained" else None,
            steps=asked.steps,
            size=asked.size,
            batch_size=asked.batch_size,
            seed=seed,
            out=folder / "agent",
            progress=False,
        ).to_json()
    return {
        "seconds": time.monotonic() - began,
        "random": agent["random_return"],
        "evaluations": agent["evaluations"],
    }


def frames_run(asked: argparse.Namespace, seed: int, folder: Path) -> Path:
    """A run of ATC on frames of random actions."""
    env = gymnasium.make(asked.env, render_mode="rgb_array")
    env.action_space.seed(seed)
    for episode in range(asked.frame_episodes):
        place = folder / "frames" / f"{episode:04}"
        place.mkdir(parents=True)
        env.reset(seed=asked.frame_episodes * seed + episode)
        ended, step = False, 0
        while not ended:
            Image.fromarray(env.render()).save(place / f"{step:04}.png")
            _, _, over, cut, _ = env.step(env.action_space.sample())
            ended, step = over or cut, step + 1
    how: dict[str, Any] = {"method": "atc", "encoder": "nature_cnn", "delta": 1, "size": asked.size}
    return lw.pretrain(folder / "frames", epochs=20, seed=seed, out=folder / "run", progress=False, **how).path


def means(run: dict[str, Any]) -> list[float]:
    """The mean return of each evaluation."""
    return [float(np.mean(row["returns"])) for row in run["evaluations"]]


def interquartile(values: Sequence[float]) -> tuple[float, float, float]:
    """The interquartile mean, and its 95 % interval by drawing seeds again."""
    array = np.array(values)
    drawn = np.random.default_rng(0).choice(array, (DRAWS, len(array)))
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), [0.025, 0.975])
    return float(trim_mean(array, 0.25)), float(low), float(high)


def shown(values: Sequence[float]) -> str:
    middle, low, high = interquartile(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Both figures of each variant, and the gain of the contrastive loss."""
    print("\n| variant | return in the end | mean over the training | seconds |\n| --- | --- | --- | --- |")
    curves = {variant: np.array([means(run) for run in its]) for variant, its in runs.items()}
    for variant, its in runs.items():
        seconds = np.mean([run["seconds"] for run in its])
        print(f"| {variant} | {shown(curves[variant][:, -1])} | {shown(curves[variant].mean(1))} | {seconds:.0f} |")
    random = [run["random"] for run in next(iter(runs.values()))]
    print(f"| random actions | {shown(random)} | {shown(random)} | |")
    if {"curl", "rad"} <= set(curves):
        gain = curves["curl"] - curves["rad"]
        print(f"| curl − rad, seed by seed | {shown(gain[:, -1])} | {shown(gain.mean(1))} | |")


def picture(path: Path, runs: dict[str, list[dict[str, Any]]]) -> None:
    """The curves: interquartile means over seeds by steps."""
    lines = {}
    for variant, its in runs.items():
        steps = [row["step"] for row in its[0]["evaluations"]]
        lines[variant] = Line(steps, [interquartile(at)[0] for at in zip(*map(means, its), strict=True)])
    every = [value for line in lines.values() for value in line.y]
    ticks = np.linspace(min(0.0, *every), max(1.0, *every), 5)
    last = max(line.x[-1] for line in lines.values())
    draw(
        path,
        lines,
        Axis("steps", {step: f"{step:,.0f}" for step in np.linspace(0, last, 5)}),
        Axis("return", {value: f"{value:.3g}" for value in ticks}),
    )


if __name__ == "__main__":
    main()
