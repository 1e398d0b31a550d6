"""Encoders of texts, read back by other libraries alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import likewise as lw
from exported import MakeRun, build_run, by_the_card, card_code
from likewise.errors import UserError
from small_data import digits_and_names, sentences
from typed_commands import answered

TOLERANCE = 1e-5
TEXTS = ["a text", "another text"]
SHORT = {"max_tokens": 16, "vocab_size": 200}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*sentences(80), "a text and another text, [MASK] and [PAD] among them"]))
    return path


def test_onnx_runtime_and_tokenizers_embed_texts(
    make_run: MakeRun, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(texts, encoder="bert-tiny", **SHORT)
    said = answered(capsys, "export", run.path, "--to", "onnx", "--out", "out")
    assert said["files"] == ["README.md", "model.onnx", "preprocessing.json", "tokenizer.json"]
    assert (said["checked"], said["on_data"], said["quantized"]) == (64, True, None)
    assert said["max_difference"] < 1e-5
    code = card_code(Path("out"))
    others = ["a child wrote [MASK] and [PAD]", "one " * 40, "two"]  # as said, cut, padded
    card = Path("out/README.md")
    card.write_text(card.read_text().replace('"another text"]', f'"another text", *{others!r}]'))
    assert card_code(Path("out")) != code
    expected = lw.embed(run, [*TEXTS, *others], progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "pooling"), [("bert-tiny", "mean"), ("gpt-tiny", "last")])
def test_transformers_loads_the_folder(make_run: MakeRun, texts: Path, encoder: str, pooling: str) -> None:
    run = make_run(texts, encoder=encoder, pooling=pooling, tokenizer="bpe", max_tokens=16, vocab_size=300)
    done = lw.export(run, to="transformers", out="out", progress=False)
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {*done.files}
    assert done.max_difference < 1e-5
    expected = lw.embed(run, TEXTS, progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentence_transformers_encodes_as_the_run_embeds(make_run: MakeRun, texts: Path, pooling: str) -> None:
    run = make_run(texts, encoder="bert-tiny", pooling=pooling, **SHORT)
    lw.export(run, to="sentence-transformers", out="out", progress=False)
    hostile = "a child wrote [MASK] and [PAD]"
    card = Path("out/README.md")
    card.write_text(card.read_text().replace('"another text"]', f'"another text", "{hostile}", "one " * 40]'))
    expected = lw.embed(run, [*TEXTS, hostile, "one " * 40], progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)


def test_a_folder_of_sentence_transformers_says_how_it_pools(make_run: MakeRun, texts: Path) -> None:
    """And serves as known weights of another run."""
    run = make_run(texts, encoder="bert-tiny", pooling="cls", **SHORT)
    done = lw.export(run, to="sentence-transformers", out="out", progress=False)
    assert done.max_difference < 1e-5
    assert [module["type"].rpartition(".")[2] for module in json.loads(Path("out/modules.json").read_text())] == [
        "Transformer",
        "Pooling",
    ]
    again = build_run(Path("again"), texts, weights="hf:out")
    assert again.config["recipe"]["pooling"] == "cls"
    expected = lw.embed(run, TEXTS, progress=False).vectors
    np.testing.assert_allclose(lw.embed(again, TEXTS, progress=False).vectors, expected, atol=TOLERANCE)


HOSTILE = ["a child wrote [MASK] and [PAD], [SEP] and [UNK]", "one " * 40, "?", "\u2603"]


def test_a_static_encoder_is_a_static_embedding_of_sentence_transformers(make_run: MakeRun, texts: Path) -> None:
    run = make_run(texts, encoder="static-256", **SHORT)
    done = lw.export(run, to="sentence-transformers", out="out", progress=False)
    assert done.max_difference < 1e-6
    assert {"model.safetensors", "modules.json", "tokenizer.json"} <= {*done.files}
    said = json.loads(Path("out/preprocessing.json").read_text())
    assert (said["frame"], said["padding"], said["max_tokens"]) == (None, None, 14)
    card = Path("out/README.md")
    card.write_text(card.read_text().replace('"another text"]', f'"another text", *{HOSTILE!r}]'))
    expected = lw.embed(run, [*TEXTS, *HOSTILE], progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)
    lw.export(run, to="onnx", out="graph", progress=False)
    np.testing.assert_allclose(by_the_card(Path("graph")), expected[:2], atol=TOLERANCE)
    with pytest.raises(UserError, match=r"static-256 can't be exported to transformers: it has no model without layer"):
        lw.export(run, to="transformers", out="other", progress=False)


def test_words_that_a_tokenizer_was_given_stay_whole_in_the_table(make_run: MakeRun, texts: Path) -> None:
    tokenizer = Tokenizer.from_str(make_run(texts, encoder="static-256", **SHORT).views.tokenizer)
    tokenizer.add_tokens(["covid19"])
    tokenizer.save("given.json")
    run = build_run(Path("given"), texts, encoder="static-256", tokenizer="given.json", max_tokens=16)
    lw.export(run, to="sentence-transformers", out="out", progress=False)
    card = Path("out/README.md")
    card.write_text(card.read_text().replace('"another text"]', '"another text", "of covid19"]'))
    expected = lw.embed(run, [*TEXTS, "of covid19"], progress=False).vectors
    np.testing.assert_allclose(by_the_card(Path("out")), expected, atol=TOLERANCE)


@pytest.mark.slow
def test_a_static_half_of_pairs_has_its_projection_behind_the_table(tmp_path: Path) -> None:
    pairs = digits_and_names(64)
    run = build_run(tmp_path / "run", pairs, encoder="resnet8+static-256", max_tokens=16, vocab_size=200)
    done = lw.export(run, pairs, to="sentence-transformers", out="texts", modality="text", progress=False)
    assert "1_Dense/model.safetensors" in done.files
    np.testing.assert_allclose(by_the_card(Path("texts")), run.encode(TEXTS, modality="text"), atol=TOLERANCE)


@pytest.mark.slow
def test_the_halves_of_pairs_are_exported_one_by_one(tmp_path: Path) -> None:
    pairs = digits_and_names(64)
    run = build_run(tmp_path / "run", pairs, encoder="resnet8+bert-tiny", max_tokens=16, vocab_size=200)
    done = lw.export(run, pairs, to="sentence-transformers", out="texts", modality="text", progress=False)
    assert "2_Dense/model.safetensors" in done.files
    assert (done.dim, done.checked, done.on_data) == (128, 64, True)
    expected = run.encode(TEXTS, modality="text")
    np.testing.assert_allclose(by_the_card(Path("texts")), expected, atol=TOLERANCE)
    done = lw.export(run, pairs, to="onnx", out="images", modality="image", progress=False)
    assert (done.encoder, done.dim) == ("resnet8", 128)
    assert "of pairs, the half of images" in Path("images/README.md").read_text()
