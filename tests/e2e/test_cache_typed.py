"""`--cache`, as it is typed: what is kept of decoded samples decides no bit of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import likewise as lw
from likewise.cli import main
from likewise.training import budget
from small_files import by_colour
from typed_commands import answered, refused

pytestmark = pytest.mark.usefixtures("working_folder")
Text = pytest.CaptureFixture[str]
QUICK = "--encoder resnet8 --precision 32-true --epochs 1 --batch-size 16 --threads 1"


@pytest.fixture
def data() -> Path:
    by_colour(Path("squares"), 32, seed=0)
    return Path("squares")


def decoded() -> list[str]:
    """Files of decoded samples below the working folder."""
    names = ("pixels.u8", "samples", "samples.i16")
    return sorted(path.as_posix().split("/")[0] for path in Path().rglob("*") if path.name in names)


@pytest.mark.slow
def test_a_training_is_the_same_with_and_without_a_cache(data: Path, capsys: Text) -> None:
    for name, words in (("usual", ""), ("none", "--cache none"), ("shelf", "--cache shelf")):
        assert main(f"pretrain {data} {QUICK} --out runs/{name} {words} --no-progress".split()) == 0
        command = lw.open_run(f"runs/{name}").config["command"]
        assert words in command
        assert ("--cache" in command) == bool(words)
    assert decoded() == ["cache", "shelf"]
    first, *others = (lw.open_run(f"runs/{name}").encoder.state_dict() for name in ("usual", "none", "shelf"))
    assert all(torch.equal(first[key], value) for other in others for key, value in other.items())
    done = answered(capsys, "embed", "runs/none", data, "--out", "vectors.parquet", "--cache", "none")
    assert done["rows"] == 32
    assert decoded() == ["cache", "shelf"]


def test_a_plan_says_what_would_be_kept(data: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MEASURED_SECONDS", 0.05)
    words = f"pretrain {data} {QUICK} --dry-run"
    plan = answered(capsys, *words.split(), "--cache", "none")
    assert (plan["decoded"], plan["cache"]) == (32 * 3 * 16**2, None)
    assert plan["command"].count("--cache none") == 1
    assert decoded() == []
    plan = answered(capsys, *words.split(), "--cache", "shelf")
    assert (plan["decoded"], plan["cache"]) == (32 * 3 * 16**2, str(Path("shelf").absolute()))
    assert main([*words.split(), "--cache", "20KB", "--no-progress"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "decoded samples: 0.0 MB, cache: none, they are decoded each time that they are read" in lines


@pytest.mark.parametrize("verb", ["pretrain squares", "study squares", "embed run squares --out v.npy", "evaluate run"])
def test_what_is_no_cache_is_told_in_one_line(verb: str, capsys: Text) -> None:
    told = refused(capsys, *verb.split(), "--cache", "20")
    assert told == "cache must be none, a folder, or a size such as 20GB, got '20'"
