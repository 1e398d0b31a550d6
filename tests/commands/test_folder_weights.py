"""Folders of transformers as known weights of images and recordings, as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import likewise as lw
from likewise.cli import main
from likewise.methods.base import Method
from small_files import notes
from typed_commands import answered, refused

pytestmark = pytest.mark.usefixtures("working_folder")

TRAINING = "--precision 32-true --devices 1 --no-progress".split()
EVALUATED = "--labels-per-class 4 --seeds 2 --steps 4"


def run(*words: object) -> None:
    assert main([*map(str, words)]) == 0


def weights(folder: Path | str, name: str = "encoder") -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / f"{name}.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def stopped_at(monkeypatch: pytest.MonkeyPatch, last: int, *words: object) -> None:
    """Type a training, and interrupt it at a step."""
    step = Method.training_step

    def stopped(self: Method, *args: Any) -> Any:
        if self.global_step == last:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "training_step", stopped)
        assert main([*map(str, words)]) == 130


@pytest.fixture
def vit() -> Any:
    """A ViT for images of 32 px and its folder `vit`, with how its images were prepared."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=32, patch_size=8))
    model.save_pretrained("vit")
    said = {"size": {"height": 16, "width": 16}, "image_mean": [0.3, 0.4, 0.5], "image_std": [0.2, 0.2, 0.5]}
    Path("vit/preprocessor_config.json").write_text(json.dumps(said))
    return model.eval()


@pytest.fixture
def images() -> None:
    """Digits with labels, 120 to learn from and 80 to test on."""
    data = load_digits()
    for name, part in (("train", slice(120)), ("test", slice(120, 200))):
        pixels = (data.images[part] * 255 / 16).round().astype(np.uint8)
        np.savez(f"{name}.npz", images=pixels, labels=data.target[part])


def test_images_go_on_from_a_folder(
    vit: Any, images: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", "train.npz", *"--weights hf:vit --method simclr --epochs 2 --batch-size 30".split(), *TRAINING]
    run(*words, "--out", "whole")
    found = lw.open_run("whole")
    recipe = found.config["recipe"]
    assert (recipe["encoder"], recipe["weights"], recipe["layer_decay"]) == ("hf:vit", "hf:vit", 0.75)
    # Read and normalized as the folder says, in one channel.
    assert (recipe["size"], recipe["channels"]) == (16, 1)
    assert (found.views.mean, found.views.std) == ((pytest.approx(0.4),), (pytest.approx(0.3),))
    initial, known = weights("whole", "initial"), {f"body.network.{n}": t for n, t in vit.state_dict().items()}
    first = "body.network.embeddings.patch_embeddings.projection.weight"
    assert initial.keys() == {name for name in known if ".pooler." not in name}
    torch.testing.assert_close(initial[first], known[first].sum(1, keepdim=True))
    assert all(torch.equal(tensor, known[name]) for name, tensor in initial.items() if name != first)
    assert not equal(weights("whole"), initial)

    # Interrupted before and after its first checkpoint, it is resumed without the folder, to the same bits.
    for name, last in (("early", 1), ("late", 5)):
        stopped_at(monkeypatch, last, *words, "--out", name, "--checkpoint-minutes", "0.00001")
    shutil.move("vit", "moved")
    for name in ("early", "late"):
        run(*words, "--out", name, "--resume")
        assert equal(weights(name), weights("whole"))
        assert lw.open_run(name).views.mean == found.views.mean

    # What takes a run takes it, and the weights as given are a row of its evaluation.
    result = answered(capsys, *f"evaluate whole --train train.npz --test test.npz {EVALUATED}".split())
    assert {"as-given", "frozen", "fine-tuned", "scratch", "untrained"} <= {
        row["protocol"] for row in result["summary"]
    }
    # Another run goes on from it, with low rank, and the folder is still not needed.
    low = ["pretrain", "train.npz", *"--weights whole --lora 2 --epochs 1 --batch-size 60 --out low".split(), *TRAINING]
    run(*low)
    assert equal(weights("low", "initial"), weights("whole"))
    assert weights("low").keys() == weights("whole").keys()
    assert lw.embed("low", "test.npz").vectors.shape == (80, 32)


def test_a_folder_of_images_is_measured_as_it_is(vit: Any, images: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"evaluate hf:vit --train train.npz --test test.npz {EVALUATED} --out given".split()
    result = answered(capsys, *words)
    assert {"frozen", "fine-tuned", "scratch", "untrained"} <= {row["protocol"] for row in result["summary"]}
    given = lw.open_run("given")
    assert given.config["recipe"]["size"] == 16
    # The vectors are those of transformers for what the views are.
    pixels = np.load("test.npz")["images"][:3]
    view = torch.from_numpy(pixels)[:, None].repeat_interleave(2, 2).repeat_interleave(2, 3)
    batch = (view.float() / 255 - 0.4) / 0.3
    with torch.no_grad():
        vit.embeddings.patch_embeddings.num_channels = 1
        projection = vit.embeddings.patch_embeddings.projection
        projection.weight = torch.nn.Parameter(projection.weight.sum(1, keepdim=True))
        projection.in_channels = 1
        expected = vit(batch, interpolate_pos_encoding=True).last_hidden_state[:, 0]
        torch.testing.assert_close(given.encoder(batch), expected)
    how = f"{EVALUATED} --size 24 --protocols frozen".split()
    run(*"evaluate hf:vit --train train.npz --test test.npz --out larger".split(), *how)
    assert lw.open_run("larger").config["recipe"]["size"] == 24


def test_an_encoder_may_be_a_folder(vit: Any, images: None) -> None:
    """It has its weights and its normalization then, as with `--weights`."""
    how = "--encoder hf:vit --channels 3 --method simclr --epochs 1 --batch-size 60 --out own".split()
    run("pretrain", "train.npz", *how, *TRAINING)
    found = lw.open_run("own")
    assert (found.views.mean, found.config["recipe"]["size"]) == ((0.3, 0.4, 0.5), 16)
    assert found.config["recipe"]["encoder_lr"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--weights hf:bert", "encoder 'hf:bert' must be a model of images, got 'bert', which is one of texts"),
        ("--weights bert", "encoder 'hf:bert' must be a model of images, got 'bert', which is one of texts"),
        (
            "--weights hf:vit --size 20",
            "size must be a multiple of 8, the patches of hf:vit, got 20: use --size 16 or 24",
        ),
        (
            "--weights hf:facebook/dinov2-small",
            "encoder 'hf:facebook/dinov2-small': there is no such folder; of a model of the hub, get config.json, "
            "model.safetensors and preprocessor_config.json from https://huggingface.co/facebook/dinov2-small and give "
            "their folder",
        ),
        ("--weights hf:pickled", "encoder 'hf:pickled': the folder has no .safetensors, and pickled weights are not"),
        ("--weights hf:large", "encoder 'hf:large' would have 5"),
    ],
)
def test_mistakes(words: str, told: str, vit: Any, images: None, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=20, **sizes)).save_pretrained("bert")
    shutil.copytree("vit", "pickled")
    Path("pickled/model.safetensors").rename("pickled/pytorch_model.bin")
    shutil.copytree("vit", "large")
    config = json.loads(Path("large/config.json").read_text())
    Path("large/config.json").write_text(json.dumps(config | {"image_size": 10**8}))
    said = refused(capsys, "pretrain", "train.npz", *words.split(), "--epochs", 1, "--out", "new", *TRAINING)
    assert said.startswith(told)
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": None}, "encoder.architecture must be given, it is absent"),
        ({"architecture": 3}, "encoder.architecture must be an object, got 3"),
        ({"image_size": 10**9}, "encoder.architecture would have"),
        ({"model_type": "timm_wrapper"}, "encoder.architecture can't be built"),
        ({"model_type": "bert"}, "the run's encoder must be a model of images, got 'bert', which is one of texts"),
        ({"num_channels": 3}, "channels must be 3, as the weights have them, got 1"),
    ],
)
def test_a_run_from_elsewhere(
    changes: dict[str, Any], told: str, vit: Any, images: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can name no folder to read, and its architecture is compared with its weights before it is built."""
    run(*"evaluate hf:vit --train train.npz --test test.npz --protocols frozen --out given".split(), *EVALUATED.split())
    config = json.loads(Path("given/config.json").read_text())
    if "architecture" in changes:
        config["encoder"] |= changes
    else:
        config["encoder"]["architecture"] |= changes
    Path("given/config.json").write_text(json.dumps(config))
    assert told in refused(capsys, "embed", "given", "test.npz", "--out", "vectors.npy")


def saved_sounds(kind: str, *, normalized: bool = True) -> None:
    """A small model for recordings of 4 kHz, in a folder of its name."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
    }
    convolutions = {"conv_dim": (32, 32), "conv_kernel": (16, 8), "conv_stride": (10, 8), "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = transformers.AutoConfig.for_model(kind, **sizes, **convolutions, **positions)
    transformers.AutoModel.from_config(config).save_pretrained(kind)
    said = {"sampling_rate": 4000, "do_normalize": normalized}
    Path(kind, "preprocessor_config.json").write_text(json.dumps(said))


def test_recordings_go_on_from_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    notes(Path("notes"), 40)
    saved_sounds("wavlm", normalized=False)
    words = ["pretrain", "notes", *"--weights hf:wavlm --seconds 0.3 --epochs 2 --batch-size 20".split(), *TRAINING]
    run(*words, "--out", "whole")
    found = lw.open_run("whole")
    recipe = found.config["recipe"]
    assert (recipe["method"], recipe["encoder"], recipe["sample_rate"]) == ("cola", "hf:wavlm", 4000)
    assert found.config["encoder"]["standardized"] is False
    known = {f"body.{name}": tensor for name, tensor in load_file("wavlm/model.safetensors").items()}
    initial = weights("whole", "initial")
    assert all(torch.equal(tensor, known[name]) for name, tensor in initial.items())
    assert known.keys() - initial.keys() == {"body.masked_spec_embed"}
    assert not equal(weights("whole"), initial)
    stopped_at(monkeypatch, 3, *words, "--out", "again", "--checkpoint-minutes", "0.00001")
    shutil.move("wavlm", "moved")
    run(*words, "--out", "again", "--resume")
    assert equal(weights("again"), weights("whole"))
    assert lw.open_run("again").config["encoder"] == found.config["encoder"]

    notes(Path("others"), 20, seed=1)
    result = answered(capsys, *f"evaluate hf:moved --train notes --test others {EVALUATED} --out given".split())
    assert {"frozen", "fine-tuned", "scratch", "untrained"} <= {row["protocol"] for row in result["summary"]}
    given = lw.open_run("given")
    assert (given.views.sample_rate, given.encoder.standardized) == (4000, False)
    assert equal(weights("given"), initial)


@pytest.mark.parametrize("method", ["wav2vec2", "hubert", "best-rq"])
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_methods_of_speech_go_on_from_a_folder(method: str, kind: str) -> None:
    notes(Path("notes"), 20)
    saved_sounds(kind)
    how = "--seconds 0.5 --epochs 2 --batch-size 10 --freeze-epochs 0".split()
    options = ["--clusters", "4"] if method == "hubert" else []
    run("pretrain", "notes", "--method", method, "--weights", f"hf:{kind}", *how, *options, "--out", "new", *TRAINING)
    assert weights("new").keys() == weights("new", "initial").keys()
    assert not equal(weights("new"), weights("new", "initial"))


def test_recordings_have_the_rate_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    notes(Path("notes"), 10)
    saved_sounds("hubert")
    words = ["pretrain", "notes", "--encoder", "hf:hubert", "--epochs", "1", "--out", "new", *TRAINING]
    said = refused(capsys, *words, "--sample-rate", 8000)
    assert said == "sample_rate must be 4000, as hf:hubert has learned from, got 8000"
    run(*words)
    assert lw.open_run("new").config["recipe"]["sample_rate"] == 4000
