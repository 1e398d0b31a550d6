"""`--minutes`, as it is typed: the plan is told and kept, a resumed run follows it, and a small budget is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.cli import main
from likewise.errors import UserError
from likewise.evaluation import until_clear
from likewise.modalities import within_budget as planning
from likewise.training.budget import Cost

pytestmark = pytest.mark.usefixtures("working_folder")

QUICK = "--encoder resnet8 --precision 32-true --batch-size 32"


@pytest.fixture
def data() -> Path:
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    np.save("data.npy", images)
    return Path("data.npy")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An epoch is measured to take 150 seconds with any encoder but the smallest of all: 20."""
    encoders: list[str] = []

    def cost(method: Any, source: Any, recipe: Any, **_: Any) -> Cost:
        encoders.append(recipe.encoder)
        return Cost(step=10 if recipe.encoder == "resnet8" else 150, epoch=0.0, steps_per_epoch=2)

    monkeypatch.setattr(planning, "measured_cost", cost)
    return encoders


def config(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "config.json").read_text())


def test_the_plan_is_told_kept_and_repeated_by_its_command(
    data: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # 2 epochs of 20 s fit into 57 s, reading apart: also where the machine takes 14 s to read.
    assert main(f"pretrain {data} --minutes 1 --warmup-epochs 0.1 {QUICK} --out one".split()) == 0
    err = capsys.readouterr().err
    assert "budget: 1 minute, of which reading and measuring took" in err
    assert "2 epochs of about 20 s" in err
    assert " of 1 minute used" in err
    kept = config("one")
    assert kept["recipe"]["epochs"] == 2
    assert kept["budget"] | {"spent_seconds": 0, "used_minutes": 0} == {
        "minutes": 1.0, "spent_seconds": 0, "samples_per_second": 3.2, "seconds_per_epoch": 20.0, "used_minutes": 0,
    }  # fmt: skip

    words = kept["command"].split()[1:]
    words[words.index("one")] = "again"
    assert main(words) == 0
    assert measured == ["resnet8"]  # the second time nothing was measured
    assert Path("again/encoder.safetensors").read_bytes() == Path("one/encoder.safetensors").read_bytes()
    assert "--epochs decides" in capsys.readouterr().err


def test_a_resumed_run_follows_the_plan_that_it_has(
    data: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"pretrain {data} --minutes 1 {QUICK} --out run".split()
    assert main(words) == 0
    before = Path("run/encoder.safetensors").read_bytes()
    assert main([*words, "--resume"]) == 0
    assert main([*config("run")["command"].split()[1:], "--resume"]) == 0
    assert len(measured) == 1
    assert Path("run/encoder.safetensors").read_bytes() == before
    capsys.readouterr()
    words[words.index("1")] = "2"
    assert main([*words, "--resume"]) == 2
    assert "run was begun with 1 minute, not with 2 minutes: resume it as it was (`likewise pretrain" in (
        capsys.readouterr().err
    )
    assert main(f"pretrain {data} --epochs 1 {QUICK} --out epochs".split()) == 0
    assert main(f"pretrain {data} --minutes 2 {QUICK} --out epochs --resume".split()) == 2
    assert "epochs was begun with 1 epoch, not with 2 minutes" in capsys.readouterr().err


def test_a_budget_keeps_views_that_grow(data: Path, measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = f"pretrain {data} --minutes 1 --start-size 4 {QUICK} --out run".split()
    assert main(words) == 0
    assert "views grow from 4 to 8 px over 3 of 4 steps" in capsys.readouterr().err
    kept = config("run")
    assert (kept["recipe"]["epochs"], kept["recipe"]["start_size"]) == (2, 4)
    assert main([*words, "--resume"]) == 0
    assert main([*kept["command"].split()[1:], "--resume"]) == 0
    assert len(measured) == 1


def test_a_smaller_encoder_is_taken_where_the_usual_one_is_too_slow(measured: list[str]) -> None:
    large = np.random.default_rng(0).integers(0, 256, (64, 34, 34), dtype=np.uint8)
    run = lw.pretrain(large, minutes=1.5, batch_size=32, precision="32-true", out="run", progress=False)
    assert measured == ["resnet18", "resnet8"]
    assert run.config["recipe"]["encoder"] == run.config["encoder"]["name"] == "resnet8"
    assert "--encoder resnet8" in run.config["command"]
    measured.clear()
    how: dict[str, Any] = {"encoder": "resnet18", "batch_size": 32, "precision": "32-true", "progress": False}
    with pytest.raises(UserError, match=r"minutes must be at least .* for one epoch, got 1\.5: 64 samples take 300 s"):
        lw.pretrain(large, minutes=1.5, out="other", **how)
    assert measured == ["resnet18"]  # asked for
    assert not Path("other").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "x"])
def test_impossible_minutes(minutes: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("pretrain", "study"):
        assert main(f"{verb} {data} --minutes {minutes} --out run".split()) == 2
        assert "minutes" in capsys.readouterr().err
        assert not Path("run").exists()


def test_a_budget_too_small_for_one_epoch(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured, not made up: nothing can be read and measured in no time."""
    assert main(f"pretrain {data} --minutes 0.0001 {QUICK} --out run".split()) == 2
    err = capsys.readouterr().err
    assert "likewise: minutes must be at least 0." in err
    assert "a smaller --encoder, a smaller --size or fewer samples take less" in err
    assert not Path("run").exists()


def test_several_launched_processes_need_epochs(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match="minutes are measured by one process, a launcher has started several"):
        lw.pretrain(data, minutes=1.0, encoder="resnet8", batch_size=32, out="run", progress=False)


@pytest.mark.slow
def test_a_study_shares_its_minutes(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(until_clear, "MOST_SEEDS", 4)
    words = f"study digits --minutes 3 {QUICK} --out run --labels-per-class 1 --protocols frozen scratch --steps 2"
    assert main([*words.split(), "--method", "simclr"]) == 0
    kept = config("run")
    assert kept["budget"]["minutes"] == 2.0
    err = capsys.readouterr().err
    assert " of 3 minutes used in all" in err
    evaluation = json.loads(Path("run/evaluation.json").read_text())
    assert evaluation["seeds"] in (3, 4)
    assert "budget" in Path("run/report.html").read_text()


def test_a_study_has_twenty_minutes_unless_something_else_is_asked_for(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []

    def stop(data: Any, **options: Any) -> None:
        asked.append(options)
        raise UserError("stopped here")

    monkeypatch.setattr("likewise.commands.study.pretrain", stop)
    assert main(["study", str(data)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == (
        "budget: 20 minutes; --minutes gives more or less, --epochs any time"
    )
    assert asked[-1]["minutes"] == 20
    for words in ("--epochs 3", "--recipe simclr"):
        assert main(["study", str(data), *words.split()]) == 2
        assert "minutes" not in asked[-1]
        assert "budget" not in capsys.readouterr().err
