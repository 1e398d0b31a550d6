"""An encoder learns from recorded frames, then an agent acts with it: each step as it is typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import gymnasium
import tiny_environments
import torch
from PIL import Image
from safetensors.torch import load_file

import likewise as lw
from typed_commands import answered, refused

SIDE = tiny_environments.GRID * tiny_environments.PIXELS
SMALL = ("--size", SIDE, "--batch-size", 8, "--episodes", 2, "--buffer-size", 1000, "--steps", 100)
Text = pytest.CaptureFixture[str]


def recorded(folder: Path, episodes: int) -> Path:
    """Frames of random actions, a folder for each episode."""
    env = gymnasium.make("tiny/Catch-v0", render_mode="rgb_array")
    env.action_space.seed(0)
    for episode in range(episodes):
        (folder / f"{episode:02}").mkdir(parents=True)
        env.reset(seed=episode)
        for step in range(tiny_environments.GRID - 1):
            Image.fromarray(env.render()).save(folder / f"{episode:02}" / f"{step}.png")
            env.step(env.action_space.sample())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "atc"])
def test_frames_then_an_encoder_then_an_agent(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    recorded(Path("frames"), 24)
    how = ("--encoder", "nature_cnn", "--augment", "mild", "--epochs", 2, "--batch-size", 16, "--no-progress")
    later = ("--delta", 1) if method == "atc" else ()
    answered(capsys, "pretrain", "frames", "--method", method, *how, *later, "--out", "runs/frames")
    learned = lw.open_run("runs/frames").encoder.state_dict()

    words = ("rl", "tiny/Catch-v0", "--method", "pretrained", "--run", "runs/frames", *SMALL)
    for fine_tune in ((), ("--fine-tune",)):
        out = f"agents/{len(fine_tune)}"
        found = answered(capsys, *words, *fine_tune, "--out", out)
        assert found["learned_steps"] == 100
        assert found["fine_tune"] is bool(fine_tune)
        assert "runs/frames" in Path(out, "report.html").read_text(encoding="utf-8")
        weights = load_file(f"{out}/agent.safetensors")
        own = {name: weights[f"q_net.features_extractor.encoder.{name}"] for name in learned}
        assert all(torch.equal(own[name], value) for name, value in learned.items()) is not bool(fine_tune)

    half = answered(capsys, *words, "--minutes", 0.0001, "--out", "agents/parts")
    assert half["learned_steps"] < 100
    answered(capsys, *words, "--out", "agents/parts", "--resume")
    whole, parts = (load_file(f"agents/{name}/agent.safetensors") for name in ("0", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)

    texts = Path("texts.txt")
    texts.write_text("".join(f"text number {n} of all\n" for n in range(40)))
    tiny = ("--encoder", "bert-tiny", "--max-tokens", 8, "--epochs", 1, "--batch-size", 16, "--no-progress")
    answered(capsys, "pretrain", texts, *tiny, "--out", "runs/texts")
    line = refused(capsys, *words[:4], "--run", "runs/texts", *SMALL)
    assert line == "run must be one of images, got runs/texts, whose samples are of modality text"


@pytest.mark.slow
def test_an_environment_of_minigrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    pytest.importorskip("minigrid")
    monkeypatch.chdir(tmp_path)
    asked = ("--steps", 100, "--size", 32, "--batch-size", 8, "--episodes", 1, "--buffer-size", 1000)
    found = answered(capsys, "rl", "MiniGrid-Empty-5x5-v0", *asked)
    assert found["learned_steps"] == 100
    assert all(0 <= value <= 1 for row in found["evaluations"] for value in row["returns"])
    assert refused(capsys, "rl", "MiniGrid-Emty-5x5-v0", *asked).startswith(
        "env must be an environment of gymnasium, got 'MiniGrid-Emty-5x5-v0', did you mean 'MiniGrid-Empty-5x5-v0'?"
    )
    assert np.isfinite(found["random_return"])
