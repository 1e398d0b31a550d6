"""`pretrain --weights`: training goes on from what is known, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import likewise as lw
from likewise.cli import main
from likewise.errors import Interrupted
from likewise.methods.base import Method
from small_files import COLOURS, captioned

TRAINING = "--precision 32-true --devices 1 --batch-size 128 --no-progress".split()


def run(*words: object) -> None:
    assert main([*map(str, words)]) == 0


def weights(folder: Path, name: str = "encoder") -> dict[str, torch.Tensor]:
    """Without the counters of BatchNorm, which nothing reads."""
    state = load_file(folder / f"{name}.safetensors")
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def adapted(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted") / "run"
    run(*f"pretrain digits --weights {digits_run} --method byol --epochs 2 --out {folder}".split(), *TRAINING)
    return folder


def test_a_run_is_gone_on_from(digits_run: Path, adapted: Path) -> None:
    config = json.loads((adapted / "config.json").read_text())
    recipe = config["recipe"]
    assert recipe["encoder"] == "resnet8"
    assert (recipe["weights"], recipe["layer_decay"]) == (str(digits_run), 0.75)
    assert recipe["encoder_lr"] == pytest.approx(recipe["lr"] / 10)
    assert recipe["freeze_epochs"] == pytest.approx(0.2)
    assert equal(weights(adapted, "initial"), weights(digits_run))
    assert not equal(weights(adapted), weights(digits_run))
    assert f"--weights {digits_run}" in config["command"]


def test_the_weights_as_given_are_a_row_of_the_evaluation(
    digits_run: Path, adapted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are worth what the run is worth from which they come."""
    how = "--labels-per-class 1 5 --seeds 2 --protocols".split()
    run("evaluate", adapted, *how, "frozen", "as-given")
    assert "Weights as given" in capsys.readouterr().out
    run("evaluate", digits_run, *how, "frozen")

    def accuracies(folder: Path, protocol: str) -> list[float]:
        return [row["accuracy"] for row in lw.open_run(folder).evaluation["trials"] if row["protocol"] == protocol]

    assert accuracies(adapted, "as-given") == accuracies(digits_run, "frozen")
    assert accuracies(adapted, "frozen") != accuracies(adapted, "as-given")


def test_a_run_from_scratch_has_no_such_row(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(digits_run), "--protocols", "as-given"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert (
        told == "likewise: as-given needs a run that went on from known weights: `likewise pretrain DATA --weights …`"
    )
    found = lw.evaluate(digits_run, labels_per_class=[1], seeds=1, steps=1, progress=False)
    assert "as-given" not in found["protocols"]


def test_an_interrupted_training_goes_on_without_the_weights(
    digits_run: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same bits: the run keeps what it began with."""
    away = tmp_path / "away"
    moved = tmp_path / "known"
    moved.mkdir()
    for name in ("config.json", "encoder.safetensors", "encoder.json"):
        (moved / name).write_bytes((digits_run / name).read_bytes())
    how = {"weights": moved, "method": "byol", "epochs": 2, "batch_size": 128, "precision": "32-true"}
    how |= {"devices": 1, "progress": False, "out": away}
    step = Method.training_step

    def stopped(self: Method, *args: Any) -> Any:
        if self.global_step == 7:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "training_step", stopped)
        with pytest.raises((Interrupted, KeyboardInterrupt)):
            lw.pretrain("digits", **how)
    moved.rename(tmp_path / "gone")
    lw.pretrain("digits", **how, resume=True)
    assert equal(weights(away), weights(adapted))


def test_a_recipe_may_name_weights_and_a_folder_may_have_a_plus() -> None:
    """The encoder and the normalization are those of the weights, as with the option."""
    np.save("images.npy", np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8))
    how = ["--precision", "32-true", "--devices", "1", "--no-progress"]
    run(*"pretrain images.npy --encoder timm:test_vit.r160_in1k --epochs 1 --batch-size 20 --out a+b".split(), *how)
    config = json.loads(Path("a+b/config.json").read_text())
    config["views"] |= {"mean": [0.3], "std": [0.2]}
    Path("a+b/config.json").write_text(json.dumps(config))
    Path("mine.yaml").write_text("method: simclr\nepochs: 1\nbatch_size: 20\nweights: a+b\n")
    run(*"pretrain images.npy --recipe mine.yaml --out named".split(), *how)
    found = lw.open_run("named")
    assert found.config["recipe"]["encoder"] == "timm:test_vit.r160_in1k"
    assert (found.views.mean, found.views.std) == ((0.3,), (0.2,))
    assert equal(weights(Path("named"), "initial"), weights(Path("a+b")))


def test_the_encoder_waits_for_the_heads(digits_run: Path) -> None:
    run(*f"pretrain digits --weights {digits_run} --epochs 2 --freeze-epochs 1.9 --out waits".split(), *TRAINING)
    steps, waiting = 2 * (1297 // 128), round(1.9 * (1297 // 128))
    assert steps - waiting == 1
    moved = [
        float((tensor - weights(digits_run)[name]).abs().max())
        for name, tensor in weights(Path("waits")).items()
        if "running" not in name
    ]
    # One step of Adam moves a weight by its rate at most; the rate has fallen to the end of the cosine.
    assert 0 < max(moved) < 1e-5


@pytest.mark.slow
def test_lora_keeps_the_weights_and_learns_beside_them(
    digits_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"pretrain digits --weights {digits_run} --lora 4 --epochs 2 --lr 0.01".split()
    run(*words, "--out", "low", *TRAINING[:-1])
    assert "LoRA: " in capsys.readouterr().err
    recipe = json.loads(Path("low/config.json").read_text())["recipe"]
    assert (recipe["lora"], recipe["encoder_lr"], recipe["layer_decay"]) == (4, None, None)
    known, initial, found = weights(digits_run), weights(Path("low"), "initial"), weights(Path("low"))
    assert equal(initial, known)
    assert found.keys() == known.keys()
    changes = {n: found[n] - known[n] for n in known if n.endswith("weight") and known[n].ndim > 1}
    ranks = [int(torch.linalg.matrix_rank(change.flatten(1), tol=1e-5)) for change in changes.values()]
    assert max(ranks) == 4
    assert all(torch.equal(found[n], known[n]) for n in known if known[n].ndim == 1 and "running" not in n)

    # Interrupted and resumed, it ends with the same bits; finished, it opens and is extended.
    step = Method.training_step

    def stopped(self: Method, *args: Any) -> Any:
        if self.global_step == 13:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "training_step", stopped)
        assert main([*words, "--out", "again", "--checkpoint-minutes", "0.00001", *TRAINING]) == 130
    run(*words, "--out", "again", "--resume", *TRAINING)
    assert equal(weights(Path("again")), found)
    run(*words, "--out", "again", "--resume", *TRAINING)
    words[words.index("2")] = "3"
    run(*words, "--out", "again", "--resume", *TRAINING)
    assert not equal(weights(Path("again")), found)
    assert lw.embed("again", "digits:test").vectors.shape == (500, 256)


def test_weights_of_texts_bring_their_tokenizer(tmp_path: Path) -> None:
    lines = [f"the {colour} thing number {i} of the town" for i in range(30) for colour in COLOURS]
    Path("texts.txt").write_text("\n".join(lines))
    how = [*TRAINING[:-3], *"--batch-size 20 --epochs 1 --no-progress --max-tokens 16".split()]
    run(*"pretrain texts.txt --method bert --vocab-size 300 --out masked".split(), *how)
    Path("others.txt").write_text("\n".join(line.replace("thing", "stuff") for line in lines))
    run(*"pretrain others.txt --method simcse --weights masked --out sentences".split(), *how)
    known, own = (Tokenizer.from_file(f"{name}/tokenizer.json").get_vocab() for name in ("masked", "sentences"))
    assert known == own
    assert equal(weights(Path("sentences"), "initial"), weights(Path("masked")))

    # The same as a folder of transformers.
    lw.open_run("masked").encoder.body.save_pretrained("folder")
    Tokenizer.from_file("masked/tokenizer.json").save("folder/tokenizer.json")
    run(*"pretrain others.txt --method simcse --weights hf:folder --out again".split(), *how)
    assert lw.open_run("again").config["recipe"]["encoder"] == "hf:folder"
    assert equal(weights(Path("again"), "initial"), weights(Path("masked")))

    # A decoder that shares the encoder's weights leaves them as they are known, and nothing of it is kept.
    for name in ("masked", "hf:folder"):
        out = f"rebuilt from {name[:2]}"
        run(*f"pretrain others.txt --method tsdae --weights {name} --out".split(), out, *how)
        assert equal(weights(Path(out), "initial"), weights(Path("masked")))
        assert weights(Path(out)).keys() == weights(Path("masked")).keys()
        assert not equal(weights(Path(out)), weights(Path("masked")))


def test_one_half_of_pairs_is_known(digits_run: Path, refused: Any, capsys: pytest.CaptureFixture[str]) -> None:
    captioned(Path("squares"), 40)
    how = [*TRAINING[:-3], *"--batch-size 20 --epochs 1 --no-progress --max-tokens 16 --vocab-size 200".split()]
    words = f"pretrain squares --method clip --weights {digits_run}+none --channels 1 --out pairs".split()
    run(*words, *how)
    assert lw.open_run("pairs").config["recipe"]["encoder"] == "resnet8+bert-tiny"
    known, initial = weights(digits_run), weights(Path("pairs"), "initial")
    assert equal(known, {n.removeprefix("towers.0.encoder."): t for n, t in initial.items() if ".0.encoder." in n})
    # Both halves of a run of pairs, and one of them for its own samples.
    run(*"pretrain squares --method clip --weights pairs --out more".split(), *how)
    assert {name for name in weights(Path("more"), "initial") if "encoder" in name} <= initial.keys()
    run(*"pretrain digits --weights pairs --out tower --epochs 1".split(), *TRAINING)
    assert equal(
        weights(Path("tower"), "initial"),
        {n.removeprefix("towers.0.encoder."): t for n, t in weights(Path("pairs")).items() if ".0.encoder." in n},
    )
    capsys.readouterr()
    told = refused("pretrain", "squares", "--method", "clip", "--weights", "timm:resnet18", "--out", "one")
    assert told == "weights must be one for each of image + text, or none, got 'timm:resnet18'"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--weights nowhere",
            "weights must be timm:NAME, hf:FOLDER, a run folder or a file, got 'nowhere', which is not there",
        ),
        (
            "--weights {run} --encoder resnet18",
            "weights {run} are not those of resnet18, but those of resnet8: leave --encoder out",
        ),
        (
            "--weights hf:folder",
            "encoder 'hf:folder': there is no such folder; of a model of the hub, get config.json, model.safetensors",
        ),
        (
            "--weights .",
            "weights must be timm:NAME, hf:FOLDER, a run folder or a file, got '.', which is a folder without",
        ),
        ("--lora 4", "lora applies to known weights: name some with --weights, or leave it out"),
        ("--weights {run} --lora 0", "lora must be at least 1, got 0"),
        ("--weights {run} --freeze-epochs 3", "freeze_epochs must be from 0 to below epochs (2), got 3"),
        ("--weights {run} --layer-decay 0", "layer_decay must be above 0 and at most 1, got 0"),
        ("--weights {run} --encoder-lr 0", "encoder_lr must be above 0, got 0"),
    ],
)
def test_mistakes(words: str, told: str, digits_run: Path, refused: Any) -> None:
    said = refused(*f"pretrain digits --epochs 2 --out new {words.format(run=digits_run)}".split(), *TRAINING)
    assert said.startswith(told.format(run=digits_run))
    assert not Path("new").exists()


def test_a_run_that_is_not_finished(digits_run: Path, refused: Any) -> None:
    Path("begun").mkdir()
    Path("begun/config.json").write_bytes((digits_run / "config.json").read_bytes())
    assert refused("pretrain", "digits", "--weights", "begun", "--out", "new", "--no-progress").startswith(
        "weights begun is not finished"
    )
