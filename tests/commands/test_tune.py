"""`likewise tune`, as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import likewise as lw
from likewise.cli import main
from likewise.commands import tuned
from likewise.errors import Interrupted
from likewise.training.recipe import load_recipe
from typed_commands import answered, refused

QUICK = ("--encoder", "resnet8", "--batch-size", 32, "--precision", "32-true", "--threads", 1, "--no-progress")


@pytest.fixture(autouse=True)
def few_digits(working_folder: Path) -> None:
    images, labels = load_digits(return_X_y=True)
    pictures = (16 * images).clip(0, 255).astype(np.uint8).reshape(-1, 8, 8)
    parts = {"x_train": pictures[:96], "y_train": labels[:96], "x_test": pictures[96:128], "y_test": labels[96:128]}
    np.savez("few.npz", **parts)


def test_a_search_and_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1e-2:log", "augment=mild,strong", "--epochs", 2, *QUICK)
    found = answered(capsys, *asked, "--trials", 3, "--out", "t")
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2]
    assert found["trials"][0]["values"] == {}
    assert found["trials"][0]["state"] == "finished"
    assert [epoch for epoch, _ in found["trials"][0]["curve"]] == [1, 2]
    assert found["objective"]["kind"] == "probe"
    assert found["objective"]["probe"].endswith("few.npz:train")
    assert found["epochs"] == 2
    assert "default recipe" in found["conclusion"]
    assert json.loads(Path("t/tune.json").read_text())["trials"] == found["trials"]
    runs = [lw.open_run(f"t/trials/{number:03}") for number in range(3)]
    assert [run.config["seed"] for run in runs] == [0, 1, 2]
    assert {run.config["data"].rpartition(":")[2] for run in runs} == {"train"}
    tried = found["trials"][1]["values"]
    assert runs[1].config["recipe"]["lr"] == tried["lr"]
    assert runs[1].config["recipe"]["augment"] == tried["augment"]
    # The objective is that of the run: what its probe was at the end.
    assert found["trials"][0]["value"] == runs[0].history.column("probe")[-1] == found["trials"][0]["curve"][-1][1]
    assert not Path("t/trials/000/checkpoints").exists()

    best = found["best"]
    recipe = load_recipe(found["best_recipe"])
    assert recipe == load_recipe(f"t/trials/{best:03}/recipe.yaml")
    again = answered(
        capsys, "pretrain", "few.npz:train", "--recipe", "t/best.yaml", "--seed", best, "--out", "b", *QUICK[4:]
    )
    assert again["recipe"] == runs[best].config["recipe"]
    assert Path("b/encoder.safetensors").read_bytes() == Path(f"t/trials/{best:03}/encoder.safetensors").read_bytes()
    page = Path(found["page"]).read_text(encoding="utf-8")
    assert "What the values do" in page

    # One trial more; what there was stays.
    more = answered(capsys, *asked, "--trials", 4, "--out", "t", "--resume")
    assert more["trials"][:3] == found["trials"]
    assert len(more["trials"]) == 4
    assert main([*map(str, asked), "--trials", "4", "--out", "t", "--resume"]) == 0
    out = capsys.readouterr().out
    assert "0 (default)" in out
    assert "the best recipe: t/best.yaml" in out
    assert "t exists: add --resume" in refused(capsys, *asked, "--out", "t")
    other = ("tune", "few.npz", "--over", "lr=1e-4:1e-1:log", "--epochs", 2, *QUICK, "--out", "t", "--resume")
    assert refused(capsys, *other).startswith("t was begun with over ['lr=1e-4:1e-2:log', 'augment=mild,strong'], not")


def test_a_trial_that_diverges_is_a_failed_one(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("tune", "few.npz", "--over", "lr=1e30,1e31", "--objective", "lidar", "--epochs", 1, "--trials", 2)
    found = answered(capsys, *asked, "--out", "t", *QUICK)
    assert [trial["state"] for trial in found["trials"]] == ["finished", "failed"]
    assert "NaN" in found["trials"][1]["reason"]
    assert found["best"] == 0
    assert "not better than the default recipe" in found["conclusion"]
    run = lw.open_run("t/trials/000")
    assert found["trials"][0]["value"] == run.config["lidar"]["value"]
    assert found["trials"][0]["curve"][-1][1] == pytest.approx(run.config["lidar"]["value"], rel=1e-5)
    assert "failed: " in Path("t/tune.html").read_text(encoding="utf-8")


def test_a_trial_without_memory_is_a_failed_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain = tuned.pretrain
    full = {"001": MemoryError(), "002": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")}

    def sometimes(*given: Any, **how: Any) -> Any:
        if how["out"].name in full:
            raise full[how["out"].name]
        return pretrain(*given, **how)

    monkeypatch.setattr(tuned, "pretrain", sometimes)
    asked = ("tune", "few.npz", "--over", "batch_size=16:48", "--epochs", 1, "--trials", 3, "--out", "t", *QUICK)
    words = [word for word in asked if word not in ("--batch-size", 32)]
    found = answered(capsys, *words)
    assert [trial["state"] for trial in found["trials"]] == ["finished", "failed", "failed"]
    assert [trial["reason"] for trial in found["trials"][1:]] == ["memory is full"] * 2
    assert found["best"] == 0
    assert "trial 2 failed: memory is full" in Path("t/tune.html").read_text(encoding="utf-8")
    full["000"] = MemoryError()  # what no trial can do better is told
    words[words.index("t")] = "other"
    assert refused(capsys, *words).startswith("memory is full: take a smaller --batch-size")
    assert not Path("other").exists()


@pytest.mark.slow
def test_best_and_default_with_other_seeds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tuned, "objective_of", lambda run, kind: run.config["recipe"]["lr"] / (1 + run.config["seed"]))
    Path("slow.yaml").write_text("method: simclr\nencoder: resnet8\nlr: 1.0e-9\nepochs: 1\nbatch_size: 32\n")
    asked = ("tune", "few.npz", "--over", "lr=1e-3,2e-3", "--recipe", "slow.yaml", "--trials", 2, "--confirm", 2)
    found = answered(capsys, *asked, "--out", "t", *QUICK[4:])
    assert found["best"] == 1
    confirmed, lr = found["confirmed"], found["trials"][1]["values"]["lr"]
    assert confirmed["seeds"] == [10_000, 10_001]
    assert confirmed["best_values"] == [lr / 10_001, lr / 10_002]
    assert confirmed["default_values"] == [1e-9 / 10_001, 1e-9 / 10_002]
    assert confirmed["mean"] == pytest.approx((lr - 1e-9) * (1 / 10_001 + 1 / 10_002) / 2)
    assert confirmed["low"] < confirmed["mean"] < confirmed["high"]
    assert "2 other seeds" in found["conclusion"]
    assert {lw.open_run(run).config["seed"] for run in Path("t/confirm").iterdir()} == {10_000, 10_001}


def test_an_interrupted_search_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretrain = tuned.pretrain

    def stopped(*given: Any, **how: Any) -> Any:
        if how["out"].name == "001":
            raise Interrupted("stopped at step 1 of 3; to go on: likewise pretrain")
        return pretrain(*given, **how)

    asked = ("tune", "few.npz", "--over", "temperature=0.05:1", "--epochs", 1, "--trials", 2, "--out", "t", *QUICK)
    monkeypatch.setattr(tuned, "pretrain", stopped)
    assert main([*map(str, asked)]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        "stopped: 1 finished, 1 not finished; to go on: likewise tune few.npz --over temperature=0.05:1"
    )
    assert said.endswith("--resume")
    assert Path("t/best.yaml").is_file()
    monkeypatch.setattr(tuned, "pretrain", pretrain)
    tried = json.loads(Path("t/tune.json").read_text())["trials"][1]["values"]
    found = answered(capsys, *asked, "--resume")
    assert [trial["state"] for trial in found["trials"]] == ["finished", "finished"]
    assert found["trials"][1]["values"] == tried


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "temprature=0.1:1"], "unknown option --temprature, did you mean --temperature?"),
        (["--over", "learning_rate=0.1:1"], "unknown option --learning-rate; likewise calls it --lr"),
        (["--over", "lr=1e-2:1e-4"], "lr must be LOW:HIGH, finite numbers of which LOW is below HIGH"),
        (["--over", "lr=-1:1"], "lr must be above 0, got -1"),
        (["--over", "lr=1e-4:1", "--lr", "0.1"], "lr is given twice, fixed (--lr 0.1) and searched"),
        (["--over", "epochs=1:9"], "over can't search epochs: all trials are of the same length"),
        (["--over", "lr=1e-4:1", "--devices", "2"], "devices must be 1 for a search, got 2"),
        (["--over", "lr=1e-4:1", "--num-nodes", "2"], "num_nodes must be 1 for a search, got 2"),
        (["--over", "lr=1e-4:1", "--dry-run"], "dry_run plans one training, a search is of many"),
        (["--over", "lr=1e-4:1", "--objective", "accuracy"], "objective must be one of probe, lidar, rankme"),
        (["--over", "lr=1e-4:1", "--trials", "0"], "trials must be"),
        (["--over", "augment=mild,stron"], "augment must be one of "),
        (["--over", "encoder=resnet8,resnet9"], "unknown encoder 'resnet9', did you mean"),
        (["--over", "lr=1e-4:1", "--method", "mae", "--objective", "lidar"], "objective lidar needs a method that"),
        (
            ["--over", "lr=1e-4:1", "--method", "siamese", "--pairs", "labelled"],
            "objective probe needs labels that are",
        ),
        (["--over", "lr=1e-4:1", "--method", "bert"], "cannot read samples from the file few.npz:train"),
    ],
)
def test_mistakes(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "tune", "few.npz", "--no-progress", *words)
    assert line.startswith(said)
    assert not list(Path().glob("runs/*"))


def test_a_default_recipe_that_cannot_be_trained_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1", "--encoder", "resnet9", "--out", "t", "--no-progress")
    assert "resnet9" in refused(capsys, *asked)
    assert not Path("t").exists()
    Path("t").mkdir()
    Path("t/mine.txt").write_text("mine")
    assert refused(capsys, *asked) == "t exists, and is no search: name another folder with --out"


@pytest.mark.slow
def test_two_workers(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1e-2:log", "--epochs", 1, "--workers", 2, "--trials", 4)
    found = answered(capsys, *asked, "--out", "t", *QUICK)
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 4
    with pytest.raises(lw.UserError, match="--workers and --engine need data that each process can open"):
        lw.tune(np.zeros((40, 8, 8), np.uint8), over=["lr=1e-4:1e-2"], workers=2)


@pytest.mark.slow
def test_trials_on_a_ray_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    """They have the values, weights and objective that two workers of this machine give."""
    pytest.importorskip("ray")
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1e-2:log", "--epochs", 1, "--trials", 3, *QUICK)
    found = answered(capsys, *asked, "--out", "t", "--engine", "ray")
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 3
    assert "--engine ray" in found["command"]
    here = answered(capsys, *asked, "--out", "h")
    assert [trial["values"] for trial in found["trials"]] == [trial["values"] for trial in here["trials"]]
    assert [trial["value"] for trial in found["trials"]] == [trial["value"] for trial in here["trials"]]
    weights = [Path(out, "trials/002/encoder.safetensors").read_bytes() for out in "th"]
    assert weights[0] == weights[1]


def test_a_cluster_that_is_not_there_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")

    def unreachable(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance\nat head:6379")

    monkeypatch.setattr(ray, "init", unreachable)
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1e-2:log", "--epochs", 1, "--out", "t", "--engine", "ray", *QUICK)
    line = refused(capsys, *asked)
    assert line.startswith("the Ray cluster cannot train: Could not find any running Ray instance at head:6379; to go ")
    assert line.endswith(" --resume")
    assert not Path("t").exists()


@pytest.mark.slow
def test_a_killed_search_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("tune", "few.npz", "--over", "lr=1e-4:1e-2:log", "--epochs", 20, "--trials", 3, "--out", "t", *QUICK)
    command = [sys.executable, "-c", "from likewise.cli import main; main()", *map(str, asked)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 120
    while not Path("t/trials/001/metrics.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = answered(capsys, *asked, "--resume")
    assert [trial["state"] for trial in found["trials"]][:2] == ["finished", "failed"]
    assert "was killed" in found["trials"][1]["reason"]
    assert len(found["trials"]) == 3
