"""`--start-size`, as it is typed: views grow, also in a resumed training, and what has one size refuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import likewise as lw
from interrupted import interrupted_at
from likewise.cli import main
from likewise.errors import UserError
from likewise.methods.base import Method
from likewise.training import budget
from likewise.training.callbacks.checkpoints import newest
from likewise.views import ImageViews
from small_files import captioned, documents
from typed_commands import answered, refused

pytestmark = pytest.mark.usefixtures("working_folder")
Text = pytest.CaptureFixture[str]
QUICK = "--encoder resnet8 --precision 32-true --threads 1 --batch-size 16"
GROWING = f"{QUICK} --size 24 --start-size 8 --epochs 2"


@pytest.fixture(autouse=True)
def measured_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MEASURED_SECONDS", 0.05)


@pytest.fixture
def data() -> Path:
    np.save("data.npy", np.random.default_rng(0).integers(0, 256, (64, 24, 24), dtype=np.uint8))
    return Path("data.npy")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of the first view of each step."""
    sizes: list[int] = []
    make_views = Method.make_views

    def watched(self: Method, *arguments: Any) -> Any:
        views = make_views(self, *arguments)
        sizes.append(views[0].shape[-1])
        return views

    monkeypatch.setattr(Method, "make_views", watched)
    return sizes


@pytest.mark.parametrize("instant", [3, *(pytest.param(step, marks=pytest.mark.slow) for step in (2, 6))])
def test_an_interrupted_training_goes_on_with_the_sizes_and_the_bits_of_a_whole_one(
    instant: int, data: Path, seen: list[int], capsys: Text
) -> None:
    """Interrupted within a size, or where the next one begins."""
    assert main(f"pretrain {data} {GROWING} --out whole".split()) == 0
    assert "views grow from 8 to 24 px over 6 of 8 steps" in capsys.readouterr().err
    assert seen == [8, 8, 8, 16, 16, 16, 24, 24]
    seen.clear()
    with interrupted_at(instant):
        assert main(f"pretrain {data} {GROWING} --out parts".split()) != 0
    assert f"stopped at step {instant} of 8" in capsys.readouterr().err
    assert main(f"pretrain {data} {GROWING} --out parts --resume".split()) == 0
    assert seen == [8, 8, 8, 16, 16, 16, 24, 24]
    paths = [newest(Path(run, "checkpoints")) for run in ("whole", "parts")]
    exact, got = (torch.load(path, weights_only=True)["state_dict"] for path in paths if path is not None)
    assert [key for key, value in exact.items() if not torch.equal(got[key], value)] == []


def test_the_run_keeps_the_size_of_the_first_views_and_is_used_at_the_last(data: Path, capsys: Text) -> None:
    answered(capsys, *f"pretrain {data} {GROWING} --out run --no-progress".split())
    config = json.loads(Path("run/config.json").read_text())
    assert (config["recipe"]["start_size"], config["recipe"]["size"]) == (8, 24)
    assert config["views"]["size"] == config["encoder"]["size"] == 24
    assert "--start-size 8" in config["command"]
    page = Path("run/report.html")
    assert main(["report", "run"]) == 0
    assert "start_size" in page.read_text()
    told = refused(capsys, *f"pretrain {data} {GROWING} --out run --resume".replace("size 8", "size 16").split())
    assert told.startswith("run was begun with start_size 8, not 16: resume it as it was")


def test_a_longer_training_has_the_sizes_of_the_longer_recipe(data: Path, seen: list[int]) -> None:
    assert main(f"pretrain {data} {QUICK} --size 24 --start-size 16 --epochs 1 --out run".split()) == 0
    assert main(f"pretrain {data} {QUICK} --size 24 --start-size 16 --epochs 2 --out run --resume".split()) == 0
    assert seen == [16, 16, 16, 24, 16, 16, 24, 24]


def test_the_plan_counts_the_steps_of_each_size(data: Path, capsys: Text) -> None:
    plan = answered(capsys, *f"pretrain {data} {GROWING} --dry-run".split())
    assert plan["view_sizes"] == {"8": 3, "16": 3, "24": 2}
    assert "--start-size 8" in plan["command"]
    assert main(f"pretrain {data} {GROWING} --dry-run --no-progress".split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "views: 3 steps of 8 px, 3 of 16 px, 2 of 24 px"
    assert lines[7].endswith(" s a step in the mean")
    assert answered(capsys, *f"pretrain {data} {QUICK} --epochs 2 --dry-run".split())["view_sizes"] is None
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--start-size 32", "start_size must be at most size, 24, got 32"),
        ("--start-size 3", "start_size must be from 4 to "),
        ("--start-size 8 --encoder vit_micro --size 16", "start_size must be left out for vit_micro, whose"),
        ("--start-size 8 --method autoencoder", "start_size must be left out for autoencoder, whose views have one"),
        ("--start-size 8 --method contrastive-autoencoder", "start_size must be left out for contrastive-autoencoder"),
        ("--start-size 8 --method jigsaw", "start_size must be left out for jigsaw, whose views have one size"),
        ("--start-size 8 --method mae --encoder vit_micro", "start_size must be left out for mae, whose"),
    ],
)
def test_what_has_one_size_refuses_it(words: str, message: str, data: Path, capsys: Text) -> None:
    words = words if "--encoder" in words else f"--encoder resnet8 {words}"
    for more in ("", " --dry-run"):
        assert message in refused(capsys, *f"pretrain {data} --epochs 1 --batch-size 16 {words}{more}".split())
    assert not Path("runs").exists()


def test_samples_that_have_no_size_refuse_it(capsys: Text) -> None:
    texts, pairs = documents(Path("texts.csv"), 48), captioned(Path("pictures"), 48)
    told = refused(capsys, *f"pretrain {texts} --start-size 8".split())
    assert told == "--start-size applies to image samples, but texts is text: leave it out"
    told = refused(
        capsys, *f"pretrain {pairs} --method clip --encoder resnet8+bert-tiny --size 16 --start-size 8".split()
    )
    assert told == "start_size must be left out for PairViews, which have one size, got 8"


def test_an_encoder_of_ones_own_is_tried_with_the_first_views(data: Path) -> None:
    of_one_size = nn.Sequential(nn.Flatten(), nn.Linear(24 * 24, 8))
    with pytest.raises(UserError, match="start_size must be one that Sequential takes, got 8: "):
        lw.pretrain(data, encoder=of_one_size, start_size=8, epochs=1, batch_size=16, out="run", progress=False)
    of_any = nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    views = ImageViews(["crop"], size=24, channels=1)
    run = lw.pretrain(
        data, encoder=of_any, views=views, start_size=8, epochs=1, batch_size=16, out="run", progress=False
    )
    assert run.history.rows[-1]["step"] == 3
