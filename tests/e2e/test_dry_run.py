"""`likewise pretrain --dry-run`, as it is typed: the plan of a training, of which nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.cli import main
from likewise.training import budget
from small_files import captioned, documents, notes
from typed_commands import answered, refused

pytestmark = pytest.mark.usefixtures("working_folder")
Text = pytest.CaptureFixture[str]
QUICK = "--precision 32-true --epochs 3 --batch-size 16"


@pytest.fixture(autouse=True)
def measured_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MEASURED_SECONDS", 0.05)


@pytest.fixture
def data() -> Path:
    np.save("data.npy", np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8))
    return Path("data.npy")


def there() -> set[str]:
    """All files below the working folder, but those of the cache."""
    paths = (path.relative_to(Path.cwd()) for path in Path.cwd().rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != "cache"}


def test_the_plan_is_that_of_the_training(data: Path, capsys: Text) -> None:
    words = f"pretrain {data} --encoder resnet8 {QUICK} --out run"
    plan = answered(capsys, *words.split(), "--dry-run")
    assert there() == {"data.npy"}
    assert plan["dry_run"] is True
    named = {name: plan[name] for name in ("samples", "modality", "method", "encoder", "epochs", "devices")}
    assert named == {
        "samples": 64, "modality": "image", "method": "simclr", "encoder": "resnet8", "epochs": 3, "devices": 1,
    }  # fmt: skip
    assert (plan["steps_per_epoch"], plan["steps"], plan["batch_size"], plan["batch_per_device"]) == (4, 12, 16, 16)
    assert plan["memory"] > 1e7
    assert plan["seconds"] >= 12 * plan["seconds_per_step"] * 0.999 > 0
    assert main(plan["command"].split()[1:]) == 0  # the command is that of the training
    run = lw.open_run("run")
    assert plan["encoder_parameters"] == sum(p.numel() for p in run.encoder.parameters()) < plan["parameters"]
    assert run.history.rows[-1]["step"] == 11
    written = {path.removeprefix("run/") for path in there() if path.startswith("run/")} - {"training.lock"}
    folders = {name for name in plan["files"] if name.endswith("/")}
    assert {f"{name.partition('/')[0]}/" for name in written if "/" in name} == folders
    assert {name for name in written if "/" not in name} <= set(plan["files"]) - folders
    assert "figures.npz" not in plan["files"]  # SimCLR has none
    capsys.readouterr()
    again = refused(capsys, *words.split(), "--dry-run")
    assert again == "run exists: add --resume to go on with it, or name another folder with --out"


def test_people_read_the_plan_in_lines(data: Path, capsys: Text) -> None:
    words = f"pretrain {data} --encoder resnet8 {QUICK} --devices 2 --dry-run --no-progress"
    assert main(words.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data: data, 64 image samples"
    assert lines[2] == "steps: 3 epochs of 4 steps, 12 in all"
    assert lines[3] == "batch: 16 samples, 8 a device"
    assert lines[4].startswith("machine: 2 cpu devices, 32-true, ")
    assert lines[6].endswith(" s a step; what devices tell each other comes on top")
    assert lines[7].startswith("would write into runs/data-simclr: chance.json, checkpoints/, config.json, ")
    assert lines[8].startswith("nothing was written there; to train: likewise pretrain data.npy ")
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_plan_within_minutes(data: Path, capsys: Text) -> None:
    plan = answered(capsys, *f"pretrain {data} --encoder resnet8 --batch-size 16 --minutes 1 --dry-run".split())
    assert 1 < plan["epochs"] == plan["steps"] / 4
    assert plan["seconds"] < 60
    assert f"--epochs {plan['epochs']}" in plan["command"]
    assert there() == {"data.npy"}
    plan = answered(capsys, *f"study {data} --minutes 1 --encoder resnet8 --batch-size 16 --dry-run".split())
    assert plan["dry_run"] is True
    assert there() == {"data.npy"}


@pytest.mark.parametrize(
    ("kind", "method", "options"),
    [
        ("text", "simcse", "--vocab-size 200 --max-tokens 32"),
        pytest.param("audio", "cola", "--seconds 0.4", marks=pytest.mark.slow),
        pytest.param(
            "pair",
            "clip",
            "--vocab-size 200 --max-tokens 16 --size 16 --encoder resnet8+bert-tiny",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_plans_of_texts_recordings_and_pairs(kind: str, method: str, options: str, capsys: Text) -> None:
    make: dict[str, Any] = {
        "text": lambda: documents(Path("texts.csv"), 48),
        "audio": lambda: notes(Path("sounds"), 48),
        "pair": lambda: captioned(Path("pictures"), 48),
    }
    data = make[kind]()
    before = there()
    plan = answered(capsys, *f"pretrain {data} --method {method} {options} {QUICK} --dry-run".split())
    assert (plan["modality"], plan["samples"], plan["steps"], plan["method"]) == (kind, 48, 9, method)
    assert plan["seconds_per_step"] > 0
    assert ("tokenizer.json" in plan["files"]) == (kind != "audio")
    assert there() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--resume", "--dry-run plans a training from its beginning: leave out --resume"),
        ("--devices 3 --batch-size 16", "devices must be at most"),
        ("--batch-size 15 --devices 2", "batch_size must be divisible by the 2 devices, got 15"),
        ("--batch-size 100", "batch_size must be at most the 64 samples of data, got 100: try --batch-size 64"),
    ],
)
def test_mistakes_are_told_as_those_of_the_training(words: str, told: str, data: Path, capsys: Text) -> None:
    assert refused(capsys, *f"pretrain {data} --encoder resnet8 {words} --dry-run".split()).startswith(told)


def test_a_launcher_is_not_needed(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    told = refused(capsys, *f"pretrain {data} --dry-run".split())
    assert told == "--dry-run measures in one process, a launcher has started several: start it without one"
