"""Texts, from the file to the page: as a user types it, and from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import likewise as lw
from interrupted import interrupted_at
from likewise.cli import main
from small_data import sentences
from small_files import documents, lines, section, table
from typed_commands import answered

Text = pytest.CaptureFixture[str]

QUICK = "--batch-size 16 --max-tokens 24 --vocab-size 200 --precision 32-true --no-progress".split()


pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of GPT on the lines of a file."""
    folder = tmp_path_factory.mktemp("gpt")
    lines(folder / "docs.txt", sentences(240))
    words = f"pretrain {folder / 'docs.txt'} --method gpt --epochs 4 --out {folder / 'run'}"
    assert main([*words.split(), *QUICK]) == 0
    return folder / "run"


def test_a_study_of_a_table(capsys: Text) -> None:
    documents(Path("docs.csv"), 120)
    words = "study docs.csv --method bert --encoder bert-tiny --epochs 2 --out run --labels-per-class 2"
    words += " --seeds 1 --steps 4"
    result = answered(capsys, *words.split(), *QUICK)
    assert result["samples"] == {"train": 97, "test": 23}  # a sentence that stands there twice is on one side
    assert result["classes"] == ["high", "low"]
    assert result["raw"] == "TF-IDF"
    assert {row["protocol"] for row in result["summary"]} >= {
        "scratch",
        "frozen",
        "fine-tuned",
        "untrained",
        "raw-logistic",
    }
    assert "tables" not in result  # what does not write has no perplexity

    run = lw.open_run("run")
    recipe = run.config["recipe"]
    assert (recipe["encoder"], recipe["tokenizer"], recipe["max_tokens"], recipe["vocab_size"]) == (
        "bert-tiny", "wordpiece", 24, 200,
    )  # fmt: skip
    assert run.config["source"]["modality"] == "text"
    with np.load("run/gallery.npz") as gallery:
        kept = gallery["texts"].tolist()
        assert [section(text) for text in kept] == [result["classes"][i] for i in gallery["labels"]]
        assert "pictures" not in gallery
    page = Path("run/report.html").read_text()
    for words in ("Masked and filled in", kept[0], "logistic regression on TF-IDF", "likewise pretrain docs.csv:train"):
        assert words in page


def test_a_language_model_beside_models_that_count(language_model: Path, capsys: Text) -> None:
    lines(Path("held.txt"), sentences(60, seed=1))
    result = answered(capsys, "evaluate", language_model, "--test", "held.txt", "--no-progress")
    [found] = result["tables"]
    perplexity = dict(found["rows"])
    assert list(perplexity) == ["encoder", "untrained", "bigrams", "unigrams", "uniform"]
    assert perplexity["encoder"] < perplexity["unigrams"] < perplexity["uniform"]
    assert perplexity["untrained"] > 0.7 * perplexity["uniform"]
    assert "summary" not in result  # nothing is labelled
    assert result["samples"] == {"test": 60}
    assert main(["report", str(language_model)]) == 0
    page = (language_model / "report.html").read_text()
    for words in ("bigrams", "Continuation", "generated"):
        assert words in page


def test_a_language_model_writes(language_model: Path, capsys: Text) -> None:
    words = ["generate", language_model, "--prompt", "my neighbour wrote the digit", "--max-new-tokens", "8"]
    written = answered(capsys, *words, "--seed", "3")["text"]
    assert written.startswith("my neighbour wrote the digit ")
    assert len(written.split()) > 6
    assert answered(capsys, *words, "--seed", "3")["text"] == written
    likeliest = [answered(capsys, *words, "--temperature", "0", "--seed", seed)["text"] for seed in (1, 2)]
    assert likeliest[0] == likeliest[1]
    assert " on paper and " in likeliest[0]
    capsys.readouterr()
    assert main(["generate", str(language_model), "--prompt", "my neighbour " * 99, "--max-new-tokens", "1"]) == 0
    assert "the prompt: 1 of 1 document is cut after 24 tokens: 24 of " in capsys.readouterr().err


def test_every_kind_of_file_gives_the_same_embeddings(language_model: Path, capsys: Text) -> None:
    texts = sentences(20, seed=2)
    lines(Path("docs.txt"), texts)
    table(Path("docs.csv"), ["text", "section"], [(text, section(text)) for text in texts])
    lines(Path("docs.jsonl"), [json.dumps({"id": i, "document": text}) for i, text in enumerate(texts)])
    Path("folder").mkdir()
    for i, text in enumerate(texts):
        lines(Path(f"folder/{i:02}.txt"), [text])
    vectors = {}
    for data in ("docs.txt", "docs.csv", "docs.jsonl", "folder"):
        said = answered(capsys, "embed", language_model, data, "--out", f"{data}.parquet", "--no-progress")
        assert said == {"out": f"{data}.parquet", "rows": 20, "dim": 128}
        vectors[data] = np.stack(pq.read_table(f"{data}.parquet")["vector"].to_pylist())
    for others in vectors.values():
        np.testing.assert_allclose(others, vectors["docs.txt"], atol=1e-5)
    assert pq.read_table("docs.csv.parquet")["label"].to_pylist() == [section(text) for text in texts]
    assert pq.read_table("folder.parquet")["id"].to_pylist() == [f"{i:02}.txt" for i in range(20)]


def test_a_text_is_found_again(language_model: Path, capsys: Text) -> None:
    texts = list(dict.fromkeys(sentences(40, seed=2)))
    lines(Path("docs.txt"), texts)
    found = answered(capsys, "search", language_model, "docs.txt", "--text", texts[7], "--top", 3)["matches"]
    assert [match["rank"] for match in found] == [1, 2, 3]
    assert (found[0]["id"], found[0]["text"]) == ("7", texts[7])
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert found[0]["similarity"] > found[1]["similarity"] >= found[2]["similarity"]
    assert main(["embed", str(language_model), "docs.txt", "--out", "x.parquet", "--no-progress"]) == 0
    kept = answered(capsys, "search", language_model, "x.parquet", "--text", texts[7], "--top", 3)["matches"]
    assert [match["id"] for match in kept] == [match["id"] for match in found]
    own = answered(capsys, "search", language_model, "--text", sentences(240)[0], "--top", 1)["matches"]
    assert own[0]["text"] == sentences(240)[0]
    assert main(["search", str(language_model), "docs.txt", "--text", texts[7]]) == 0
    assert texts[7][:30] in " ".join(capsys.readouterr().out.split())


def test_interrupted_and_resumed_with_a_probe_is_the_same(capsys: Text) -> None:
    documents(Path("docs.csv"), 96)
    documents(Path("labelled.csv"), 40, seed=1)
    words = [*"pretrain docs.csv --method bert --epochs 2 --probe labelled.csv".split(), *QUICK]
    assert main([*words, "--out", "whole"]) == 0
    with interrupted_at(5):
        assert main([*words, "--out", "run"]) == 130
    again = capsys.readouterr().err.partition("to go on: likewise ")[2].split()
    assert again[-1] == "--resume"
    tokenizer = Path("run/tokenizer.json").read_bytes()
    assert main([*again, "--no-progress"]) == 0
    assert Path("run/tokenizer.json").read_bytes() == tokenizer
    assert Path("run/encoder.safetensors").read_bytes() == Path("whole/encoder.safetensors").read_bytes()
    probed = [row["probe"] for row in lw.open_run("run").history.rows if "probe" in row]
    assert len(probed) == 3
    assert probed == [row["probe"] for row in lw.open_run("whole").history.rows if "probe" in row]
    assert lw.open_run("run").chance["probe"] == pytest.approx(max(map(tally().count, ("low", "high"))) / 40)


def tally() -> list[str]:
    return [section(text) for text in sentences(40, seed=1)]


def test_the_precision_is_measured_with_a_file_of_lines(capsys: Text) -> None:
    lines(Path("docs.txt"), sentences(32))
    words = (
        "pretrain docs.txt --method simcse --epochs 1 --batch-size 16 --max-tokens 24 --vocab-size 200 --no-progress"
    )
    assert main([*words.split(), "--out", "run"]) == 0, capsys.readouterr().err
    assert lw.open_run("run").config["precision"] in ("32-true", "bf16-mixed")


def test_a_saved_tokenizer_is_used_for_other_texts(language_model: Path, capsys: Text) -> None:
    lines(Path("other.txt"), sentences(32, seed=5))
    words = f"pretrain other.txt --method bert --epochs 1 --tokenizer {language_model / 'tokenizer.json'} --out run"
    assert main([*words.split(), *QUICK]) == 0, capsys.readouterr().err
    theirs, ours = (json.loads((run / "tokenizer.json").read_text()) for run in (language_model, Path("run")))
    assert ours["model"]["vocab"] == theirs["model"]["vocab"]


def test_anchors_and_positives_and_scored_pairs(capsys: Text) -> None:
    texts = sentences(64)
    said = [text.replace("wrote the digit", "put down the number") for text in texts]
    table(Path("twins.csv"), ["anchor", "positive"], zip(texts, said, strict=True))
    words = "pretrain twins.csv --method simcse --columns anchor positive --epochs 2 --out run"
    assert main([*words.split(), *QUICK]) == 0, capsys.readouterr().err
    assert lw.open_run("run").modality == "pair"
    found = answered(capsys, "evaluate", "run", "--test", "twins.csv", "--no-progress")["tables"][0]
    assert {row[1] for row in found["rows"]} == {"encoder", "untrained", "TF-IDF", "chance"}

    others = [texts[(i * 7) % 64] for i in range(64)]
    scores = [float(section(one) == section(other)) for one, other in zip(texts, others, strict=True)]
    table(Path("scored.csv"), ["sentence1", "sentence2", "score"], zip(texts, others, scores, strict=True))
    asked = ["evaluate", "run", "--test", "scored.csv", "--columns", "sentence1", "sentence2", "--no-progress"]
    [found] = answered(capsys, *asked)["tables"]
    assert found["title"] == "similarity of scored pairs"
    assert [name for name, _ in found["rows"]] == ["encoder", "untrained", "TF-IDF"]
    assert all(-1 <= value <= 1 for _, value in found["rows"])


def test_texts_and_their_labels_from_python() -> None:
    texts = sentences(96)
    labels = [section(text) for text in texts]
    how: dict[str, Any] = {"epochs": 1, "batch_size": 16, "precision": "32-true", "progress": False}
    run = lw.pretrain(texts, method="simcse", max_tokens=24, vocab_size=200, out="run", **how)
    assert run.config["data"] is None
    result = lw.evaluate(
        run,
        train=(texts[:64], labels[:64]),
        test=(texts[64:], labels[64:]),
        labels_per_class=[2],
        seeds=2,
        protocols=["frozen", "raw-logistic"],
        progress=False,
    )
    assert result["classes"] == ["high", "low"]
    assert result["samples"] == {"train": 64, "test": 32}
    assert "TF-IDF" in str(result)
    assert lw.embed(run, texts[:10], out="x.npy", progress=False).rows == 10


def test_a_hugging_face_dataset_of_texts() -> None:
    datasets = pytest.importorskip("datasets")
    texts = sentences(48)
    features = datasets.Features(text=datasets.Value("string"), kind=datasets.ClassLabel(names=["low", "high"]))
    rows = {"text": texts, "kind": [section(text) for text in texts]}
    data = datasets.Dataset.from_dict(rows, features=features)
    run = lw.pretrain(
        data, method="bert", max_tokens=24, vocab_size=200, epochs=1, batch_size=16, precision="32-true", out="run",
        probe=data, progress=False,
    )  # fmt: skip
    assert run.config["source"]["samples"] == 48
    assert 0 <= [row["probe"] for row in run.history.rows if "probe" in row][-1] <= 1
    lw.embed(run, data, out="x.parquet", progress=False)
    assert pq.read_table("x.parquet")["label"].to_pylist() == rows["kind"]


# --- Long documents


def books(folder: Path, count: int = 6, words: int = 400) -> Path:
    """Files of many words each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    known = "the a of and river mountain road house light stone green old small runs sees finds over under".split()
    for i in range(count):
        (folder / f"book{i}.txt").write_text(" ".join(random.choice(known, words)))
    return folder


@pytest.mark.parametrize("method", ["gpt", "bert"])
def test_language_models_read_whole_documents(capsys: Text, method: str) -> None:
    books(Path("books"))
    words = f"pretrain books --method {method} --epochs 1 --batch-size 16 --max-tokens 24 --vocab-size 200 --out run"
    assert main([*words.split(), "--precision", "32-true"]) == 0
    err = capsys.readouterr().err
    assert (
        "documents are read whole: 2,412 tokens of 6 documents in 108 blocks of up to 24 tokens, each of one document"
        in err
    )
    run = lw.open_run("run")
    assert run.config["documents"] == {
        "documents": 6, "tokens": 2412, "used": 2412, "cut": 0, "blocks": 108, "max_tokens": 24,
    }  # fmt: skip
    assert run.config["source"]["samples"] == 108
    page = Path(lw.write_report(run)).read_text(encoding="utf-8")
    assert "<dt>blocks of up to 24 tokens</dt><dd>108</dd>" in page
    assert "<dt>tokens used</dt><dd>2,412 of 2,412 (100.0%)</dd>" in page
    assert "<dt>unlabelled documents</dt><dd>6</dd>" in page


def test_perplexity_is_of_whole_documents(capsys: Text) -> None:
    books(Path("books"))
    assert main(["pretrain", "books", "--method", "gpt", "--epochs", "1", "--out", "run", *QUICK]) == 0
    backwards = " ".join(reversed(Path("books/book0.txt").read_text().split()))
    lines(Path("held.txt"), [backwards, "the river runs over the old road"])
    result = answered(capsys, *"evaluate run --train books --test held.txt --no-progress".split())
    [perplexity] = result["tables"]
    assert perplexity["caption"].startswith("perplexity on 409 held-out tokens")  # 400 + 7 words, and two ends
    assert "notes" not in result


def test_one_long_document_is_enough_for_a_language_model(capsys: Text) -> None:
    books(Path("books"), count=1, words=3000)
    words = "pretrain books/book0.txt --per-file --method gpt --epochs 1 --out run"
    assert main([*words.split(), *QUICK]) == 0
    assert lw.open_run("run").config["documents"]["blocks"] == 131
    Path("short.txt").write_text("the river runs over the old road and under the green mountain, old and small" * 200)
    assert main(["pretrain", "short.txt", "--per-file", "--method", "simcse"]) == 2
    assert "short has 1 sample: training needs at least 8" in capsys.readouterr().err


def test_other_methods_say_how_much_of_the_documents_they_use(capsys: Text) -> None:
    books(Path("books"), count=9)
    (Path("books") / "note.txt").write_text("a small stone")
    words = "pretrain books --method simcse --epochs 1 --batch-size 5 --max-tokens 24 --vocab-size 200 --out run"
    assert main([*words.split(), "--precision", "32-true"]) == 0
    said = "9 of 10 documents are cut after 24 tokens: 221 of 3,623 tokens are used (6.1%)"
    assert f"\n{said}; --max-tokens N uses more of each, the methods bert and gpt use all\n" in capsys.readouterr().err
    run = lw.open_run("run")
    assert run.config["documents"]["cut"] == 9
    page = Path(lw.write_report(run)).read_text(encoding="utf-8")
    assert "<dt>tokens used</dt><dd>221 of 3,623 (6.1%)</dd>" in page

    for command in ("embed run books --out v.npy", "search run books --text stone"):
        assert main(command.split()) == 0
        assert f"books: {said}\n" in capsys.readouterr().err
    assert main(["search", "run", "books", "--text", "stone " * 40]) == 0
    assert "the query: 1 of 1 document is cut after 24 tokens: 24 of " in capsys.readouterr().err
    texts = [path.read_text() for path in sorted(Path("books").iterdir())]
    for name in ("one.csv", "other.csv"):
        table(Path(name), ["text", "section"], [(text, "ab"[i % 2]) for i, text in enumerate(texts)])
    words = "pretrain one.csv --method simcse --epochs 1 --batch-size 5 --max-tokens 24 --probe other.csv --out probed"
    assert main([*words.split(), "--precision", "32-true"]) == 0
    assert "\nother: 9 of 10 documents are cut after 24 tokens" in capsys.readouterr().err
    words = "evaluate run --train one.csv --test other.csv --labels-per-class 1 --seeds 1 --protocols frozen"
    result = answered(capsys, *words.split(), "--no-progress")
    assert f"one: {said}" in result["notes"]
    assert f"other: {said}" in result["notes"]


def test_documents_that_fit_are_said_nothing_about(capsys: Text) -> None:
    lines(Path("docs.txt"), sentences(40))
    words = "pretrain docs.txt --method gpt --epochs 1 --batch-size 16 --vocab-size 200 --out run"
    assert main([*words.split(), "--precision", "32-true"]) == 0
    err = capsys.readouterr().err
    assert "documents are" not in err
    assert lw.open_run("run").config["documents"]["blocks"] is None


def test_a_training_on_blocks_resumes_to_the_same_bits() -> None:
    books(Path("books"))
    how: dict[str, Any] = {"method": "gpt", "epochs": 2, "batch_size": 16, "max_tokens": 24, "vocab_size": 200}
    how |= {"precision": "32-true", "progress": False}
    lw.pretrain("books", out="whole", **how)
    with interrupted_at(9), pytest.raises(KeyboardInterrupt, match="stopped at step 9 of 12"):
        lw.pretrain("books", out="parts", **how)
    lw.pretrain("books", out="parts", resume=True, **how)
    weights = [Path(name, "encoder.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]
