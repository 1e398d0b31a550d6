"""A run folder from a stranger, or from a bad disk: one line that names the file, and no traceback."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from hostile import ABSENT, damaged, replaced, wrong_documents
from likewise.cli import main

IMAGES, TEXTS = "images", "texts"
COMMANDS = {
    "report": ["report", IMAGES],
    "embed": ["embed", IMAGES, "digits:test", "--out", "e.npy", "--no-progress"],
    "search": ["search", IMAGES, "e.parquet", "--image", "query.png"],
    "evaluate": [
        *("evaluate", IMAGES, "--seeds", "1", "--labels-per-class", "1", "--protocols", "frozen", "--no-progress"),
    ],
    "resume": ["pretrain", "digits", "--epochs", "1", "--out", IMAGES, "--no-progress", "--resume"],
    "generate": ["generate", TEXTS, "--prompt", "one", "--max-new-tokens", "3"],
}
WORDS = "one two three four five six seven eight nine ten eleven twelve red blue green".split()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run on images, evaluated and reported, and one of a language model."""
    folder = tmp_path_factory.mktemp("hostile")
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        os.chdir(folder)
        draw = random.Random(0)
        Path("t.txt").write_text("\n".join(" ".join(draw.choices(WORDS, k=8)) for _ in range(64)))
        assert main("pretrain digits --epochs 1 --precision 32-true --out images --no-progress".split()) == 0
        assert main("pretrain t.txt --method gpt --epochs 1 --precision 32-true --out texts --no-progress".split()) == 0
        assert main(COMMANDS["evaluate"]) == main(COMMANDS["report"]) == 0
        assert main("embed images digits:test --out e.parquet --no-progress".split()) == 0
        from PIL import Image

        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save("query.png")
        yield folder
    os.chdir(before)


@pytest.fixture
def run(runs: Path) -> Iterator[Path]:
    """The same, as it was before each test."""
    for name in (IMAGES, TEXTS):
        shutil.copytree(runs / name, runs / f"{name}-kept")
    yield runs
    for name in (IMAGES, TEXTS):
        shutil.rmtree(runs / name)
        (runs / f"{name}-kept").rename(runs / name)


def answer(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status of a command, and its last line on stderr."""
    capsys.readouterr()
    status = main(COMMANDS[command])
    lines = capsys.readouterr().err.strip().splitlines()
    return status, lines[-1] if lines else ""


def change(path: Path, place: tuple[Any, ...], value: Any) -> None:
    path.write_text(json.dumps(replaced(json.loads(path.read_text()), place, value)))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("source",), ["x"], "source must be an object, got ['x']"),
        (("source", "name"), ABSENT, "source.name must be given, it is absent"),
        (("command",), 3, "command must be text, got 3"),
        (("seed",), 10**30, "seed must be a whole number from 0 to"),
        (("recipe", "epochs"), "1", "recipe.epochs must be a whole number from 0 to"),
        (("views", "parts"), "x", "views.parts must be a list, got 'x'"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(
    command: str, place: tuple[Any, ...], value: Any, told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = TEXTS if command == "generate" else IMAGES
    change(run / name / "config.json", place, value)
    status, line = answer(command, capsys)
    assert status == 2
    assert line.startswith(f"likewise: {name}/config.json: {told}")


@pytest.mark.parametrize(
    ("command", "place", "value", "told"),
    [
        ("embed", ("encoder", "size"), "8", "encoder.size must be a whole number, got '8'"),
        ("embed", ("encoder", "sise"), 8, "encoder.sise must be absent: encoder has name, channels, size"),
        ("embed", ("encoder", "channels"), -1, "channels must be from 1 to 1024, got -1"),
        ("embed", ("views", "mean"), 3, "views.mean must be a list, got 3"),
        ("embed", ("views", "size"), 10**6, "size must be from 4 to 8192, got 1000000"),
        ("embed", ("views", "ops", 0), [], "an operation must be a name"),
        ("embed", ("read_options", "size"), [[]], "read_options.size must be a whole number, got [[]]"),
        ("embed", ("read_options", "script"), "x", "read_options.script must be absent"),
        ("generate", ("encoder", "vocab_size"), 10**9, "encoder.vocab_size must be at most"),
        ("generate", ("encoder", "max_tokens"), 10**9, "encoder.max_tokens must be at most"),
        ("generate", ("views", "max_tokens"), None, "views.max_tokens must be a whole number, got None"),
        ("generate", ("encoder", "name"), "hf:/etc", "encoder.architecture must be given, it is absent"),
        ("generate", ("views", "tokenizer"), ABSENT, "config.json must name a file inside"),
    ],
)
def test_what_builds_encoder_and_views_is_checked_by_its_types(
    command: str, place: tuple[Any, ...], value: Any, told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = TEXTS if command == "generate" else IMAGES
    change(run / name / "config.json", place, value)
    status, line = answer(command, capsys)
    assert status == 2
    assert line.startswith(f"likewise: {name}/config.json: {told}")
    assert line.endswith("; copy the run folder anew")
    assert line.count("copy the run folder") == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[" * 200_000, "it has no readable config.json"),
        (b'{"likewise": ' + b"9" * 10_000 + b"}", "it has no readable config.json"),
        (b'{"likewise": "\xff"}', "it has no readable config.json"),
        (b'{"other": 1}', "its config.json is some other program's"),
    ],
)
def test_a_configuration_that_is_none(content: bytes, told: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / IMAGES / "config.json").write_bytes(content)
    status, line = answer("report", capsys)
    assert (status, told in line) == (2, True)


@pytest.mark.parametrize("name", ["config.json", "evaluation.json", "metrics.csv", "pairs.npz", "skipped.csv"])
def test_a_pipe_is_not_waited_for(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / IMAGES / name).unlink()
    os.mkfifo(run / IMAGES / name)
    status, line = answer("report", capsys)
    assert status == 2
    assert name in line


@pytest.mark.parametrize(
    ("name", "place", "value", "told"),
    [
        (
            "evaluation.json",
            ("summary", 0, "mean"),
            "x",
            "summary[0].mean must be a finite number from 0 to 1, got 'x'",
        ),
        ("evaluation.json", ("labels_per_class", 0), 0, "labels_per_class[0] must be a whole number or 'all', got 0"),
        ("evaluation.json", ("trials", 0, "confusion"), [[99, 0, 1]], "trials[0].confusion must name 10 classes"),
        ("evaluation.json", ("samples", "test"), None, "samples.test must be a whole number"),
        ("verdict.json", ("causes",), "x", "causes must be a list, got 'x'"),
        ("chance.json", ("loss",), [], "loss must be a finite number, got []"),
    ],
)
def test_a_page_does_without_a_wrong_part_and_says_so(
    name: str, place: tuple[Any, ...], value: Any, told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run / IMAGES / name, place, value)
    (run / IMAGES / "report.html").unlink()
    status, line = answer("report", capsys)
    assert status == 2
    assert told in line
    assert line.startswith(f"likewise: {IMAGES}/{name}: ")
    assert (run / IMAGES / "report.html").exists()


def test_archives_that_unpack_to_much_more_are_not_unpacked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez_compressed(run / IMAGES / "pairs.npz", first=np.zeros((3000, 1, 100, 100), np.uint8))
    status, line = answer("report", capsys)
    assert status == 2
    assert "pairs.npz: ValueError: 30,0" in line


def test_a_line_of_a_table_that_is_too_long_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / IMAGES / "metrics.csv").write_text("step,epoch,loss\n" + "9" * 200_000 + ",1,1\n")
    status, line = answer("report", capsys)
    assert (status, "metrics.csv: Error: field larger than field limit" in line) == (2, True)


@pytest.mark.parametrize(
    ("command", "name", "told"), [("embed", IMAGES, "embeddings must be finite"), ("generate", TEXTS, "logits must be")]
)
def test_weights_that_give_no_numbers(
    command: str, name: str, told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / name / "encoder.safetensors"
    weights = load_file(path)
    save_file({key: tensor * 1e30 if tensor.is_floating_point() else tensor for key, tensor in weights.items()}, path)
    status, line = answer(command, capsys)
    assert (status, line.startswith(f"likewise: {told}")) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pretrain", "digits", "--seed", str(10**30)], "seed must be at most 9,007,199,254,740,992, got 1000"),
        (["generate", TEXTS, "--prompt", "one", "--seed", "-1"], "seed must be at least 0, got -1"),
        (
            ["embed", IMAGES, "~nobody-of-this-name/x", "--out", "e.npy"],
            "the home folder that ~ stands for",
        ),
    ],
)
def test_what_was_a_bug(words: list[str], told: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert f"likewise: {told}" in capsys.readouterr().err


def test_a_prompt_that_is_no_text(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", TEXTS, "--prompt", "one \udce9 two", "--max-new-tokens", "2"]) == 0
    assert capsys.readouterr().out


def test_a_value_of_a_megabyte_is_not_printed_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run / IMAGES / "config.json", ("views", "ops", 0, "crop", "scale"), "long" * 250_000)
    status, line = answer("embed", capsys)
    assert (status, len(line) < 2000) == (2, True)
    assert line.startswith(f"likewise: {IMAGES}/config.json: scale of operation 'crop' must be two numbers")


def check_answer(status: int, line: str, name: str) -> None:
    """What any command may answer to any damage: it needs nothing of it, or says in one line what is wrong where."""
    assert status in (0, 2), line
    assert "bug in likewise" not in line
    assert status == 0 or line.startswith("likewise: ")
    assert len(line) < 2000


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_any_wrong_value_is_survived(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run / (TEXTS if command == "generate" else IMAGES)
    for name in ("config.json", "verdict.json", "chance.json", "evaluation.json"):
        if not (folder / name).exists() or (name != "config.json" and command != "report"):
            continue
        content = (folder / name).read_bytes()
        for what, document in wrong_documents(
            json.loads(content), 6 if command == "evaluate" else 40, seed=len(command)
        ):
            (folder / name).write_text(json.dumps(document))
            try:
                check_answer(*answer(command, capsys), name)
            except BaseException as error:
                raise AssertionError(f"{command}, {name}, {what}") from error
            finally:
                (folder / name).write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "embed", "generate"])
def test_any_damaged_file_is_survived(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run / (TEXTS if command == "generate" else IMAGES)
    draw = random.Random(command)
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".csv", ".npz", ".safetensors"))
    for _ in range(4):
        for name in names:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(damaged(content, draw))
            try:
                check_answer(*answer(command, capsys), name)
            except BaseException as error:
                raise AssertionError(f"{command}, {name}") from error
            finally:
                (folder / name).write_bytes(content)
