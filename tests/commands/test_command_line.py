"""The command line: what is loaded, what help lists, and how a mistake is answered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from likewise.cli import COMMANDS, main
from likewise.commands.option_names import OTHER_NAMES
from likewise.commands.pretrain import PARAMETERS
from likewise.methods import METHODS, method_options
from small_files import documents

Refused = Callable[..., str]
Text = pytest.CaptureFixture[str]


def loaded(code: str) -> list[str]:
    """The modules that are loaded after some code ran in a process of its own."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_help_shows_each_commands_summary_and_loads_no_torch(capsys: Text) -> None:
    modules = loaded("from likewise.cli import main; assert main(['--help']) == 0")
    assert not {"torch", "numpy", "lightning"} & set(modules)
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for target in COMMANDS.values():
        function = getattr(lw, target.partition(":")[2])
        assert " ".join(function.__doc__.split("\n\n")[0].split())[:60] in shown


def test_help_of_a_training_loads_no_torch() -> None:
    assert "torch" not in loaded("from likewise.cli import main; assert main(['pretrain', '--help']) == 0")


def test_a_command_loads_no_other_command() -> None:
    modules = loaded("from likewise.cli import main; assert main(['report', 'nowhere']) == 2")
    assert "likewise.commands.report" in modules
    assert "likewise.commands.search" not in modules


def test_without_a_command_help_is_shown(capsys: Text) -> None:
    assert main([]) == 0
    assert "Usage: likewise COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["pretrian"], ["pretrian", "digits", "--epochs", "1"]])
def test_an_unknown_command_is_answered_with_the_nearest(words: list[str], refused: Refused) -> None:
    message = "unknown command 'pretrian', did you mean 'pretrain'?; `likewise --help` lists all commands"
    assert refused(*words) == message


@pytest.mark.parametrize("command", ["pretrain", "study"])
def test_help_lists_a_methods_own_options(command: str, capsys: Text) -> None:
    assert main([command, "--method", "moco-v2", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Options of moco-v2" in shown
    assert "--key-momentum FLOAT momentum of the key encoder, in [0, 1]. [default: 0.99]" in shown  # its recipe's
    assert "--queue INT length of the queue, a multiple of the batch" in shown
    assert "--in-batch --no-in-batch" in shown
    assert "Recipe: moco-v2" in shown
    assert "--lr FLOAT learning rate at the top of its schedule. [default: 0.002]" in shown
    for option in ("--epochs INT", "--resume", "--root"):
        assert option in shown
    assert main([command, "--help"]) == 0
    general = capsys.readouterr().out
    assert "--key-momentum" not in general
    assert "--method NAME --help also lists the options of a method." in general


def test_help_of_a_recipe_is_that_of_its_method(capsys: Text) -> None:
    assert main(["pretrain", "--recipe=imagenet-moco-v2", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--queue INT" in shown
    assert "--optimizer STR sgd, adam, adamw or lars. [default: sgd]" in shown


def test_hyperparameters_have_types(refused: Refused, capsys: Text) -> None:
    assert (
        refused("pretrain", "digits", "--lr", "fast") == 'Invalid value for --lr: unable to convert "fast" into float.'
    )
    words = "pretrain digits --method moco-v2 --no-in-batch --temperature 0.5 --encoder resnet8 --epochs 1"
    assert main([*words.split(), *"--precision 32-true --no-progress --out run".split()]) == 0
    run = lw.open_run("run")
    assert run.config["recipe"]["options"]["in_batch"] is False
    assert run.config["recipe"]["options"]["temperature"] == 0.5
    assert "--no-in-batch" in run.config["command"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pretrain digits --learning-rate 1", "unknown option --learning-rate; likewise calls it --lr"),
        ("pretrain digits --bs 64", "unknown option --bs; likewise calls it --batch-size"),
        ("pretrain digits --batch=64", "unknown option --batch; likewise calls it --batch-size"),
        ("pretrain digits --num-epochs 3", "unknown option --num-epochs; likewise calls it --epochs"),
        ("pretrain digits --max-epochs 3", "unknown option --max-epochs; likewise calls it --epochs"),
        ("study digits --n-epochs 3", "unknown option --n-epochs; likewise calls it --epochs"),
        ("pretrain digits --arch resnet18", "unknown option --arch; likewise calls it --encoder"),
        ("study digits --backbone resnet18", "unknown option --backbone; likewise calls it --encoder"),
        ("pretrain digits --model resnet18", "unknown option --model; likewise calls it --encoder"),
        ("pretrain digits --wd 0", "unknown option --wd; likewise calls it --weight-decay"),
        ("pretrain digits --gpus 2", "unknown option --gpus; likewise calls it --devices"),
        ("pretrain digits --output-dir x", "unknown option --output-dir; likewise calls it --out"),
        ("pretrain digits --save-dir x", "unknown option --save-dir; likewise calls it --out"),
        ("pretrain digits --temp 1", "unknown option --temp; likewise calls it --temperature"),
        ("pretrain digits --image-size 32", "unknown option --image-size; likewise calls it --size"),
        ("views digits --img-size 32", "unknown option --img-size; likewise calls it --size"),
        ("pretrain digits --rate 1", "unknown option --rate; likewise calls it --lr"),
        ("pretrain digits --clip 1", "unknown option --clip; likewise calls it --grad-clip"),
        ("pretrain digits --warmup 1", "unknown option --warmup; likewise calls it --warmup-epochs"),
        ("pretrain docs.csv --method bert --tokens 9", "unknown option --tokens; likewise calls it --max-tokens"),
        ("pretrain d.csv --method bert --vocabulary 9", "unknown option --vocabulary; likewise calls it --vocab-size"),
        ("evaluate run --ways frozen", "unknown option --ways; likewise calls it --protocols"),
        ("evaluate --model run", "unknown option --model; likewise calls it --run"),
        ("generate run --tokens 9", "unknown option --tokens; likewise calls it --max-new-tokens"),
        ("embed run digits --out x.npy --bs 8", "unknown option --bs; likewise calls it --batch-size"),
        ("search run --topk 3", "unknown option --topk; likewise calls it --top"),
        ("demo --output x", "unknown option --output; likewise calls it --out"),
        (
            "pretrain digits --num-workers 4",
            "unknown option --num-workers: data is read in batches and loaded in the background automatically, "
            "so there is nothing to set",
        ),
        (
            "pretrain digits --temprature 1",
            "unknown option --temprature, did you mean --temperature?; `likewise pretrain --help` lists all options",
        ),
        (
            "embed run digits --out x.npy --batch-sise 8",
            "unknown option --batch-sise, did you mean --batch-size?; `likewise embed --help` lists all options",
        ),
        # Another method's option.
        ("pretrain digits --queue 64", "unknown option --queue; `likewise pretrain --help` lists all options"),
    ],
)
def test_an_unknown_option_is_answered_with_ours(words: str, message: str, refused: Refused) -> None:
    assert refused(*words.split()) == message


@pytest.mark.parametrize("function", [lw.pretrain, lw.study])
def test_an_unknown_parameter_is_answered_with_ours_from_python(function: Any) -> None:
    with pytest.raises(lw.UserError, match=r"^unknown option learning_rate; likewise calls it lr$"):
        function("digits", learning_rate=1)
    with pytest.raises(lw.UserError, match=r"^unknown option num_workers: data is read in batches"):
        function("digits", num_workers=4)
    with pytest.raises(lw.UserError, match=r"^unknown option temprature, did you mean temperature"):
        function("digits", temprature=1)


def test_other_names_are_of_options_that_exist() -> None:
    from likewise.training.recipe import Recipe

    ours = {*PARAMETERS, *Recipe.__dataclass_fields__, *(name for method in METHODS for name in method_options(method))}
    ours |= {"run", "protocols", "max_new_tokens", "top", "top_k"}
    for other, names in OTHER_NAMES.items():
        assert set(names) <= ours, other
        assert other not in ours


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("embed run digits", "embed needs --out: a .parquet file (columns id, label, vector) or a .npy file"),
        ("embed", "embed needs RUN: a finished run, or its folder"),
        ("pretrain", "pretrain needs DATA: a folder of images or recordings"),
        ("pretrain digits --epochs", "--epochs needs a value: passes over the data"),
    ],
)
def test_what_is_missing_is_named(words: str, message: str, refused: Refused) -> None:
    assert refused(*words.split()).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pretrain digits --max-tokens 9", "--max-tokens applies to text samples, but digits:train is image"),
        ("pretrain digits --seconds 2", "--seconds applies to audio samples, but digits:train is image"),
        ("pretrain docs.csv --method bert --size 8", "--size applies to image samples, but docs is text"),
        ("pretrain digits --text-column text", "--text-column applies to tables (.csv .tsv .jsonl .parquet), not to"),
        ("study digits --label-column label", "--label-column applies to tables (.csv .tsv .jsonl .parquet), not to"),
        ("pretrain docs.csv --method bert --per-file", "--per-file applies to text files, not to docs.csv"),
        ("pretrain docs.csv --method bert --root here", "--root applies to named data sets, not to docs.csv"),
        ("embed RUN digits --out x.npy --columns a b", "--columns applies to tables"),
        ("evaluate RUN --label-column x", "--label-column applies to tables"),
        (
            "search RUN --image x.png --modality image",
            "--modality says how to read data, and does not apply",
        ),
        ("study docs.csv --method bert --train docs.csv", "train and test are both docs.csv"),
        ("study flat.txt --method bert --seeds 3", "--seeds applies to data with labels, but this has none"),
        ("study flat.txt --method bert --train docs.csv", "--train needs --test"),
    ],
)
def test_an_option_that_would_be_ignored_is_an_error(
    words: str, message: str, refused: Refused, digits_run: Path
) -> None:
    documents(Path("docs.csv"), 40)
    Path("flat.txt").write_text("one two three four five six\n" * 20)
    if "--train docs.csv" in words and "flat" not in words:
        words += " --test docs.csv"
    assert refused(*(digits_run if word == "RUN" else word for word in words.split())).startswith(message)


def test_only_the_first_process_prints(digits_run: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["embed", str(digits_run), "digits", "--out", "x.npy", "--no-progress", "--json"]
    for environment in (
        {"RANK": "1", "WORLD_SIZE": "2"},
        {"LOCAL_RANK": "1", "WORLD_SIZE": "2"},
        {"NODE_RANK": "1", "WORLD_SIZE": "2"},
        {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"},
    ):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert main(words) == 0
            assert capsys.readouterr().out == "", environment
    with monkeypatch.context() as patch:
        patch.setenv("LOCAL_RANK", "3")  # left over from another program
        patch.setenv("SLURM_PROCID", "1")
        assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1297


def test_a_training_returns_its_run_on_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 255, (32, 8, 8)).astype(np.uint8)
    how: dict[str, Any] = {"encoder": "resnet8", "epochs": 1, "batch_size": 16, "precision": "32-true"}
    first = lw.pretrain(images, out="run", progress=False, **how)
    before = {path: path.stat().st_mtime_ns for path in Path("run").iterdir() if path.suffix != ".csv"}
    weights = first.encoder.state_dict()
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    run = lw.study(images, out="run", progress=False, **how)
    assert isinstance(run, lw.Run)
    assert run.encoder.state_dict().keys() == weights.keys()
    for name in ("config.json", "encoder.safetensors", "gallery.npz", "recipe.yaml"):
        assert Path("run", name).stat().st_mtime_ns == before[Path("run", name)]
    assert not Path("run/report.html").exists()


def test_results_own_their_json_and_text(digits_run: Path, capsys: Text) -> None:
    run = lw.open_run(digits_run)
    assert run.to_json() == {"run": str(digits_run), **run.config, "verdict": run.verdict and run.verdict.to_dict()}
    assert str(run).startswith(f"{digits_run}: ")
    page = lw.write_report(digits_run)
    assert page.to_json() == {"out": str(page)}
    assert page.read_text().startswith("<!doctype html>")
    picture = lw.show_views("digits")
    assert (str(picture), picture.to_json()) == ("views.png", {"out": "views.png"})
    how: dict[str, Any] = {"labels_per_class": [1], "seeds": 1, "protocols": ["frozen-knn"], "progress": False}
    evaluation = lw.evaluate(digits_run, **how)
    assert evaluation.to_json() == json.loads((digits_run / "evaluation.json").read_text())
    Image.fromarray(np.asarray(Image.open("views.png"))).save("query.png")  # what likewise has drawn is no sample
    found = lw.search(digits_run, "digits:test", image="query.png", top=2)
    assert [match["rank"] for match in found.to_json()["matches"]] == [1, 2]
    assert set(found.to_json()["matches"][0]) == {"rank", "similarity", "id", "text"}
    capsys.readouterr()
    assert main(["search", str(digits_run), "digits:test", "--image", "query.png", "--top", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.to_json()
