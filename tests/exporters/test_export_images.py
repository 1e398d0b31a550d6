"""Encoders of images, read back by other libraries alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from exported import MakeRun, by_the_card, card_code
from typed_commands import answered

TOLERANCE = 1e-4


def picture(folder: Path, size: tuple[int, int] = (31, 23)) -> Path:
    """A folder with one picture."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).resize((size[0], size[1])).save(folder / "image.png")
    return folder


def as_embedded(run: lw.Run, exported: Path) -> tuple[np.ndarray, np.ndarray]:
    """The embedding of a picture by the card of an export, and by `likewise embed`."""
    pictures = picture(Path("pictures"))
    (exported / "image.png").write_bytes((pictures / "image.png").read_bytes())
    return by_the_card(exported), lw.embed(run, pictures, progress=False).vectors


def test_onnx_runtime_alone_embeds_as_the_run_does(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("digits", encoder="resnet8")
    said = answered(capsys, "export", run.path, "--to", "onnx", "--out", "out", "--quantize", "int8")
    assert said["files"] == ["README.md", "model.int8.onnx", "model.onnx", "preprocessing.json"]
    assert (said["encoder"], said["dim"], said["checked"], said["on_data"]) == ("resnet8", 256, 64, True)
    assert said["opset"] >= 18
    assert said["max_difference"] < 1e-4
    cost = said["quantized"]
    assert cost["bytes_after"] < 0.4 * cost["bytes_before"]
    assert 0.99 <= cost["least_cosine"] <= cost["cosine"] <= 1
    assert cost["accuracy_before"] > 0.5
    assert abs(cost["accuracy_before"] - cost["accuracy_after"]) <= 0.01
    assert 0 <= cost["accuracy_interval"] < 0.02
    assert cost["samples"] == 1000
    assert cost["speed"] > 0

    card = Path("out/README.md").read_text()
    assert "# resnet8: embeddings of images" in card
    assert "- digits:train: 1,297 samples, without their labels" in card
    assert "The run was not evaluated" in card
    assert "Not stated. Whoever gives the model to others names its licence here" in card
    assert "onnxruntime" in card_code(Path("out"))
    found, expected = as_embedded(run, Path("out"))  # the card uses the file of 8 bits
    assert found.shape == (1, 256)
    assert np.dot(found[0], expected[0]) > 0.99 * np.linalg.norm(found) * np.linalg.norm(expected)
    whole = Path("out/README.md")
    whole.write_text(card.replace("model.int8.onnx", "model.onnx"))
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)
    ours = str(Path(lw.__file__).parent).encode()
    assert all(ours not in path.read_bytes() for path in Path("out").iterdir())
    described = json.loads(Path("out/preprocessing.json").read_text())
    assert described["shape"] == ["batch", 1, 8, 8]
    assert described["normalisation"]["inside_the_graph"] is True


@pytest.mark.parametrize(
    ("encoder", "size"),
    [
        ("timm:test_vit", 160),
        pytest.param("resnet18", 8, marks=pytest.mark.slow),
        pytest.param("resnet34", 48, marks=pytest.mark.slow),
    ],
)
def test_torchvision_and_timm_load_the_weights_strictly(make_run: MakeRun, encoder: str, size: int) -> None:
    run = make_run("digits", encoder=encoder, size=size)
    done = lw.export(run, to="torch", out="out", progress=False)
    assert done.files == ["README.md", "model.safetensors", "preprocessing.json"]
    assert done.max_difference < 1e-4
    code = card_code(Path("out"))
    assert ("timm.create_model" if encoder.startswith("timm:") else "torchvision.models.resnet") in code
    assert 'model.load_state_dict(load_file("model.safetensors"))' in code
    found, expected = as_embedded(run, Path("out"))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("encoder", "size"),
    [
        ("timm:test_resnet", 32),
        pytest.param("vit_tiny", 28, marks=pytest.mark.slow),
        pytest.param("resnet18", 48, marks=pytest.mark.slow),
    ],
)
def test_timm_builds_the_model_of_a_folder(make_run: MakeRun, encoder: str, size: int) -> None:
    run = make_run("digits", encoder=encoder, size=size)
    done = lw.export(run, to="timm", out="out", progress=False)
    assert done.files == ["README.md", "config.json", "model.safetensors", "preprocessing.json"]
    config = json.loads(Path("out/config.json").read_text())["pretrained_cfg"]
    assert config["input_size"] == [1, size, size]
    assert (config["mean"], config["std"]) == ([0.5], [0.25])
    assert not {"license", "tag", "url"} & config.keys()  # those of timm's own weights
    pictures = picture(Path("pictures"), (size, size))
    (Path("out") / "image.png").write_bytes((pictures / "image.png").read_bytes())
    found, expected = by_the_card(Path("out")), lw.embed(run, pictures, progress=False).vectors
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_torch_loads_the_program_of_a_network(make_run: MakeRun) -> None:
    run = make_run("digits", encoder="resnet8")
    done = lw.export(run, to="torch.export", out="out", progress=False)
    assert done.files == ["README.md", "model.pt2", "preprocessing.json"]
    assert done.max_difference < 1e-4
    found, expected = as_embedded(run, Path("out"))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_the_range_of_deep_images_is_kept(make_run: MakeRun) -> None:
    scans = np.random.default_rng(0).integers(100, 900, (16, 8, 8)).astype(np.uint16)
    np.save("scans.npy", scans)
    run = make_run("scans.npy", encoder="resnet8", read={"range": (100, 900)})
    lw.export(run, to="torch.export", out="out", progress=False)
    described = json.loads(Path("out/preprocessing.json").read_text())
    assert (described["levels"]["of_0"], described["levels"]["of_255"]) == (100, 900)
    assert 'np.load("images.npy")' in card_code(Path("out"))
    levels = ((scans - 100.0) / 800 * 255).round().astype(np.uint8)[:, None]
    np.save("out/images.npy", levels)
    expected = lw.embed(run, "scans.npy", progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=0.02)


def test_the_card_shows_what_was_measured_and_escapes_names(make_run: MakeRun) -> None:
    run = make_run("digits", encoder="timm:test_vit", size=160)
    row = {"protocol": "frozen", "labels_per_class": 5, "mean": 0.871, "low": 0.86, "high": 0.882, "seeds": 3}
    evaluation = {
        "test": "<b>digits</b>:test",
        "train": "digits:train",
        "classes": ["a", "b"],
        "seeds": 3,
        "labels_per_class": [5],
        "protocols": ["frozen"],
        "protocol_details": {"frozen": {"label": "frozen | encoder"}},
        "chance": 0.5,
        "trials": [],
        "summary": [row],
    }
    (run.path / "evaluation.json").write_text(json.dumps(evaluation))
    run.config["source"]["name"] = "[digits](https://example.org)\n# heading"
    run.config["recipe"]["tokenizer"] = "x\n```\n# heading"
    lw.export(run, to="torch", out="out", progress=False)
    card = Path("out/README.md").read_text()
    assert re.search(r"^\| frozen \\\| encoder \| 87\.1 ± 1\.1 \|$", card, re.MULTILINE)
    assert r"Accuracy on \<b\>digits\</b\>:test in %, mean ± 95 % interval over 3 draws of labels; chance 50.0" in card
    assert 'method: "simclr"' in card
    assert r"- \[digits\]\(https://example.org\)\\n\# heading: 1,297 samples" in card
    assert "\n# heading" not in card
