"""`likewise evaluate timm:NAME` and `hf:FOLDER`: known weights as they are, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_digits
from tokenizers import Tokenizer

import likewise as lw
from likewise.cli import main
from typed_commands import answered

pytestmark = pytest.mark.usefixtures("working_folder")

NAME = "timm:test_resnet.r160_in1k"
EVALUATED = "--labels-per-class 4 --seeds 2 --steps 4"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights of a model of timm, without the network that they would be fetched from."""
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=0, in_chans=1).state_dict()
    monkeypatch.setattr("likewise.encoders.pretrained._timm_state", lambda *_: dict(state))
    return state


@pytest.fixture
def images() -> None:
    """Digits with labels, 200 to learn from and 100 to test on."""
    data = load_digits()
    for name, part in (("train", slice(200)), ("test", slice(200, 300))):
        pixels = (data.images[part] * 255 / 16).round().astype(np.uint8)
        np.savez(f"{name}.npz", images=pixels.repeat(4, 1).repeat(4, 2), labels=data.target[part])


def test_weights_of_images(known: dict[str, torch.Tensor], images: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"evaluate {NAME} --train train.npz --test test.npz {EVALUATED} --out given"
    result = answered(capsys, *words.split())
    protocols = {row["protocol"] for row in result["summary"]}
    assert {"frozen", "fine-tuned", "scratch", "untrained", "raw-logistic"} <= protocols
    assert "as-given" not in protocols  # it would say the same as frozen
    run = lw.open_run("given")
    assert all(torch.equal(tensor, known[name]) for name, tensor in run.encoder.body.state_dict().items())
    assert run.config["recipe"]["weights"] == NAME
    known_config = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    assert run.views.mean == pytest.approx((np.mean(known_config.mean),))

    # What takes a run takes it too, and the same command again measures the same.
    assert lw.embed(run, "test.npz").vectors.shape == (100, run.encoder.dim)
    capsys.readouterr()
    assert main(["report", "given"]) == 0
    page = Path("given/report.html").read_text()
    assert f"with the weights {NAME}, as given" in page
    again = answered(capsys, *words.split())
    assert [row["mean"] for row in again["summary"]] == [row["mean"] for row in result["summary"]]
    assert main(["compare", "given", "given"]) == 2
    capsys.readouterr()
    assert main(f"evaluate {NAME} --train train.npz --test test.npz --size 64 {EVALUATED} --out given".split()) == 2
    assert f"given exists, and is not of {NAME} as given" in capsys.readouterr().err


def test_weights_of_texts(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"the {word} thing number {i} of town" for i in range(30) for word in ("red", "blue")]
    lines = ["text,label", *(f"{text},{text.split()[1]}" for text in texts)]
    Path("train.csv").write_text("\n".join(lines[:41]) + "\n")
    Path("test.csv").write_text("\n".join([lines[0], *lines[41:]]) + "\n")
    how = "--epochs 1 --batch-size 20 --precision 32-true --no-progress --max-tokens 16 --vocab-size 200"
    assert main(f"pretrain train.csv --method simcse {how} --out trained".split()) == 0
    lw.open_run("trained").encoder.body.save_pretrained("folder")
    Tokenizer.from_file("trained/tokenizer.json").save("folder/tokenizer.json")
    capsys.readouterr()
    result = answered(capsys, *f"evaluate hf:folder --train train.csv --test test.csv {EVALUATED}".split())
    (folder,) = Path("runs").iterdir()
    assert folder.name == "train-hf-folder"
    own = answered(capsys, *f"evaluate trained --train train.csv --test test.csv {EVALUATED}".split())

    def accuracies(result: dict[str, Any], protocol: str) -> list[float]:
        return [trial["accuracy"] for trial in result["trials"] if trial["protocol"] == protocol]

    assert accuracies(result, "frozen") == accuracies(own, "frozen")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{NAME} --train train.npz", f"{NAME} has no data of its own: name some with --test, and labelled data with"),
        (
            "hf:nowhere --test test.npz",
            "encoder 'hf:nowhere': there is no such folder; of a model of the hub, get config.json",
        ),
        ("timm:nosuchnet --test test.npz", "encoder 'timm:nosuchnet' is not a model of timm"),
    ],
)
def test_mistakes(words: str, message: str, images: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"likewise: {message}")
    assert not Path("runs").exists()


def test_options_of_known_weights_do_not_apply_to_a_run(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--size 32", "--out other"):
        assert main(["evaluate", str(digits_run), *option.split()]) == 2
        assert "applies to known weights (timm:NAME, hf:FOLDER), not to a run: leave it out" in capsys.readouterr().err
    assert json.loads((digits_run / "config.json").read_text())["method"]["name"] == "simclr"
