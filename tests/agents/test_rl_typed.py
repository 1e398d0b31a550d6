"""`likewise rl` as it is typed: what it leaves, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import tiny_environments
from PIL import Image
from safetensors.torch import load_file

from likewise.agents import watch
from likewise.agents.folder import CHECKPOINT
from likewise.cli import main
from typed_commands import answered, refused

SIDE = tiny_environments.GRID * tiny_environments.PIXELS
SMALL = ("--size", SIDE, "--batch-size", 8, "--episodes", 2, "--buffer-size", 1000)
Text = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def test_an_agent_is_trained_measured_and_shown(capsys: Text) -> None:
    found = answered(capsys, "rl", "tiny/Catch-v0", "--steps", 120, *SMALL)
    assert found["out"] == "runs/tiny-Catch-v0-curl"
    assert files(found["out"]) == {
        *("agent.json", "agent.safetensors", "report.html", "returns.json", "tensorboard", "training.lock")
    }
    assert [row["step"] for row in found["evaluations"]] == list(range(0, 121, 6))
    assert all(set(row["returns"]) <= {0.0, 1.0} and len(row["returns"]) == 2 for row in found["evaluations"])
    assert found["evaluations"][0]["contrast"] is None
    assert found["evaluations"][-1]["contrast"] > 0
    assert found["return"] == np.mean(found["evaluations"][-1]["returns"])
    assert len(found["random"]) == 2
    assert found["finished"] is True
    page = (Path(found["out"]) / "report.html").read_text()
    assert page.count('class="each"') == 2 * 21
    assert "<script" not in page
    film = re.search(r"data:image/gif;base64,([\w+/=]+)", page)
    assert film is not None
    assert len(list(Path(found["out"], "tensorboard").iterdir())) == 1


def test_the_film_shows_the_agent(tmp_path: Path) -> None:
    from likewise.agents.video import EPISODES, film_of

    (tmp_path / "film.gif").write_bytes(film_of(lambda observation: 2, "tiny/Catch-v0", size=SIDE, seed=0))
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == EPISODES * tiny_environments.GRID
        film.seek(film.n_frames - 1)
        last = np.asarray(film.convert("RGB"))
    assert last.shape == (SIDE, SIDE, 3)
    assert last[-1, -1, 1] > 200  # the paddle has gone to the right
    assert last[-1, 0, 1] < 50


@pytest.mark.parametrize(
    ("env", "method"),
    [("tiny/Catch-v0", "curl"), pytest.param("tiny/CatchWithForce-v0", "drq", marks=pytest.mark.slow)],
)
def test_an_interrupted_training_ends_with_the_same_bits(
    env: str, method: str, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("rl", env, "--method", method, "--steps", 100, *SMALL)
    whole = answered(capsys, *words, "--out", "whole")

    def stop(self: Any) -> bool:
        if self.agent.num_timesteps == 62 and not self.asked:
            self._handle(15, None)
        return usual(self)

    usual = watch.AgentWatch._on_step
    with monkeypatch.context() as patch:
        patch.setattr(watch.AgentWatch, "_on_step", stop)
        assert main([*map(str, words), "--out", "parts"]) == 130
    said = capsys.readouterr().err
    assert re.search(r"stopped at step 6\d of 100; to go on: likewise rl .* --out parts --resume", said)
    assert CHECKPOINT in files("parts")
    assert "agent.safetensors" not in files("parts")
    parts = answered(capsys, *words, "--out", "parts", "--resume")
    without_times = [[{**row, "seconds": 0} for row in found["evaluations"]] for found in (whole, parts)]
    assert without_times[0] == without_times[1]
    one, other = (load_file(f"{out}/agent.safetensors") for out in ("whole", "parts"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert CHECKPOINT not in files("parts")
    again = answered(capsys, *words, "--out", "parts", "--resume")  # it is finished
    assert again["evaluations"] == parts["evaluations"]


def test_minutes_end_a_training_that_can_go_on(capsys: Text) -> None:
    words = ("rl", "tiny/Catch-v0", "--method", "pixel", "--steps", 100, *SMALL)
    some = answered(capsys, *words, "--minutes", 0.0001)
    assert some["learned_steps"] == some["evaluations"][-1]["step"] == 0
    assert some["finished"] is False
    assert {CHECKPOINT, "report.html"} <= files(some["out"])
    rest = answered(capsys, *words, "--resume")
    assert rest["learned_steps"] == 100
    assert rest["finished"] is True


def test_what_cannot_be_trained(capsys: Text, here: Path) -> None:
    def line(*words: object) -> str:
        return refused(capsys, "rl", *words)

    assert line("tiny/Blind-v0").startswith("env must be one with pixels, got 'tiny/Blind-v0'")
    assert line("tiny/Katch-v0").startswith(
        "env must be an environment of gymnasium, got 'tiny/Katch-v0', did you mean"
    )
    assert line("other/Catch-v0") == (
        "env must be an environment of gymnasium, got 'other/Catch-v0': no package that is at hand brings other; name "
        "its package too, as in PACKAGE:other/Catch-v0"
    )
    assert line("tiny/Lacking-v0") == "tiny/Lacking-v0 needs more packages: No module named 'what_it_lacks'"
    assert line(":Catch-v0").endswith("got ':Catch-v0': its package is not installed")
    assert line("tiny/Switches-v0").startswith("actions of tiny/Switches-v0 must be one of n, or a vector")
    assert line("tiny/Catch-v0", "--method", "kurl").startswith(
        "method must be one of curl, rad, drq, pixel, pretrained"
    )
    assert line("tiny/Catch-v0", "--method", "pretrained").startswith("method pretrained needs --run")
    assert line("tiny/Catch-v0", "--method", "pretrained", "--run", "x", "--encoder", "resnet8").startswith(
        "--encoder is for the other methods"
    )
    assert line("tiny/Catch-v0", "--run", "x").startswith("--run is for the method pretrained, not curl")
    assert line("tiny/Catch-v0", "--fine-tune").startswith("--fine-tune is for the method pretrained, not curl")
    assert line("tiny/Catch-v0", "--method", "pretrained", "--run", "x").startswith("no run folder x")
    assert line("tiny/Catch-v0", "--encoder", "resnet9").startswith("unknown encoder 'resnet9', did you mean")
    for option, value in (("steps", 5), ("size", 3), ("minutes", 0), ("lr", -1), ("batch-size", 1), ("buffer-size", 2)):
        assert line("tiny/Catch-v0", f"--{option}", value).startswith(f"{option.replace('-', '_')} must be ")
    assert list(here.iterdir()) == []


def test_a_folder_is_gone_on_with_only_as_it_was_begun(capsys: Text) -> None:
    words = ("rl", "tiny/Catch-v0", "--method", "pixel", "--steps", 100, *SMALL, "--out", "agent")
    answered(capsys, *words, "--minutes", 0.0001)
    assert refused(capsys, *words).startswith("agent exists: add --resume to go on with it, or name another folder")
    message = refused(capsys, *words, "--resume", "--seed", 1)
    assert message.startswith("agent was begun with seed 0, not 1: resume it as it was (`likewise rl tiny/Catch-v0")


def test_damaged_files_are_told_in_a_line(capsys: Text) -> None:
    words = ("rl", "tiny/Catch-v0", "--method", "curl", "--steps", 100, *SMALL, "--out", "agent")
    answered(capsys, *words, "--minutes", 0.0001)
    sound = {name: Path("agent", name).read_bytes() for name in (CHECKPOINT, "agent.json", "returns.json")}
    cut = sound[CHECKPOINT][: len(sound[CHECKPOINT]) // 2]
    objects = json.loads(sound["agent.json"]) | {"steps": "many"}
    damages = {
        CHECKPOINT: (cut, "agent/checkpoint.npz can't be loaded"),
        "agent.json": (json.dumps(objects).encode(), "agent/agent.json: steps must be a whole number"),
        "returns.json": (b"[]", "agent/returns.json can't be read"),
    }
    for name, (damaged, message) in damages.items():
        Path("agent", name).write_bytes(damaged)
        assert refused(capsys, *words, "--resume").startswith(message)
        Path("agent", name).write_bytes(sound[name])


def test_a_checkpoint_is_never_unpickled(capsys: Text) -> None:
    words = ("rl", "tiny/Catch-v0", "--method", "curl", "--steps", 100, *SMALL, "--out", "agent")
    answered(capsys, *words, "--minutes", 0.0001)
    with np.load("agent/checkpoint.npz", allow_pickle=False) as archive:
        arrays = dict(archive)

    class Payload:
        def __reduce__(self) -> Any:
            return Path.write_text, (Path("ran"), "it ran")

    arrays["counters"] = np.array([Payload(), 0, 0], dtype=object)
    np.savez("agent/checkpoint.npz", **arrays)
    assert refused(capsys, *words, "--resume").startswith("agent/checkpoint.npz can't be loaded")
    assert not Path("ran").exists()


def test_the_extra_is_named_where_it_is_absent(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("likewise.agents")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    message = "this needs stable_baselines3, which is not installed: pip install 'likewise[rl]'"
    assert refused(capsys, "rl", "tiny/Catch-v0") == message
