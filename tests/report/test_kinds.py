"""Pages of samples that are read, heard, or come in pairs: what is in the files decides."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest
from fake_kinds import audio_run, pair_run, text_run
from fake_run import fake_run
from PIL import Image
from test_page import Page, page_of

from likewise.report.contents import read_contents
from likewise.report.story import story_png


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {"text": text_run(folder / "text"), "audio": audio_run(folder / "audio"), "pair": pair_run(folder / "pair")}


@pytest.fixture(scope="module")
def pages(runs: dict[str, Path]) -> dict[str, Page]:
    return {kind: page_of(folder) for kind, folder in runs.items()}


def section(page: Page, title: str) -> str:
    return page.html.split(f"<h2>{title}</h2>")[1].split("</section>")[0]


def test_nothing_is_unreadable(runs: dict[str, Path]) -> None:
    for folder in runs.values():
        assert read_contents(folder).unreadable == []


@pytest.mark.parametrize(
    ("modality", "noun"),
    [("image", "images"), ("text", "documents"), ("audio", "recordings"), ("pair", "pairs"), ("smell", "samples")],
)
def test_samples_are_called_what_they_are(tmp_path: Path, modality: str, noun: str) -> None:
    folder = fake_run(tmp_path, parts=("config",))
    config = json.loads((folder / "config.json").read_text())
    config["source"]["modality"] = modality
    (folder / "config.json").write_text(json.dumps(config))
    text = page_of(folder).text
    assert f"unlabelled {noun}" in text
    assert f"{noun} a second" in text


def test_documents_are_shown_twice_as_words(runs: dict[str, Path], pages: dict[str, Page]) -> None:
    body = section(pages["text"], "Training views")
    with np.load(runs["text"] / "pairs.npz") as arrays:
        expected = [arrays[side][n] for n in range(8) for side in ("first_texts", "second_texts")]
    texts = re.findall(r'<span class="sample-text" dir="auto" title=".*?">(.*?)</span>', body)
    assert texts == [escape(text) for text in expected]
    assert "two random views of one document" in body
    assert "sheet-" not in pages["text"].html.split("<script")[0]


def test_documents_that_no_view_changes_are_shown_once(tmp_path: Path) -> None:
    folder = text_run(tmp_path / "run", delete=0.0)
    body = section(page_of(folder), "Training views")
    assert body.count('class="sample-text"') == 8
    assert "Some documents of the training data. They are not augmented" in body
    twice = np.asarray(Image.open(story_png(text_run(tmp_path / "changed"), tmp_path / "changed.png")))
    once = np.asarray(Image.open(story_png(folder, tmp_path / "once.png")))
    assert once.shape[0] < twice.shape[0] - 100


def test_words_stand_for_documents_on_the_map_and_among_neighbours(
    runs: dict[str, Path], pages: dict[str, Page]
) -> None:
    page = pages["text"]
    with np.load(runs["text"] / "gallery.npz") as arrays:
        words, labels, classes = arrays["texts"], arrays["labels"], arrays["classes"]
        unit = arrays["embeddings"] / np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
    shown = page.charts["map"]["samples"]
    assert shown["captions"] == [f"{classes[label]}: {text}" for label, text in zip(labels, words, strict=True)]
    assert shown["wide"] is True
    assert shown["sheet"] is None
    body = section(page, "Nearest neighbours")
    assert 'class="neighbours read"' in body
    found = re.findall(r'<span class="sample-text"[^>]*>(.*?)</span><p>(.*?)</p>', body)
    assert found[0] == (words[0], "<span>games</span>")
    cosines = unit @ unit[0]
    cosines[0] = -2
    for (text, mark), other in zip(found[1:9], np.argsort(-cosines)[:8], strict=True):
        assert text == words[other]
        assert mark == f"{'✓' if labels[other] == labels[0] else '✗'} <span>{classes[labels[other]]}</span>"


def test_words_are_text_not_tags(tmp_path: Path) -> None:
    folder = text_run(tmp_path)
    evil = '</span><script>alert("1")</script>'
    for name, keys in (("pairs", ("first_texts",)), ("gallery", ("texts",))):
        with np.load(folder / f"{name}.npz") as arrays:
            kept = {key: arrays[key] for key in arrays}
        np.savez(folder / f"{name}.npz", **kept | {key: np.full(len(kept[key]), evil) for key in keys})
    page = page_of(folder)
    assert evil not in page.html
    assert evil in page.texts
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3


def test_recordings_are_seen_and_heard(runs: dict[str, Path], pages: dict[str, Page]) -> None:
    page = pages["audio"]
    body = section(page, "Training views")
    assert "two random views of one recording" in body
    players = re.findall(r'<audio controls preload="metadata" src="(.*?)" aria-label="(.*?)">', body)
    assert [name for _, name in players] == [
        f"pair {n + 1}, {side} view" for n in range(8) for side in ("first", "second")
    ]
    assert len({uri for uri, _ in players}) == 16
    assert body.count('class="sample sheet-pairs-0"') == body.count('class="sample sheet-pairs-1"') == 8
    assert 'class="neighbours broad"' in section(page, "Nearest neighbours")
    sources = [(tag, attributes["src"][:22]) for tag, attributes in page.tags if "src" in attributes]
    assert set(sources) == {("audio", "data:audio/wav;base64,")}
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "media-src data:" in policy
    with np.load(runs["audio"] / "gallery.npz") as arrays:
        assert set(arrays) == {"ids", "embeddings", "labels", "classes", "pictures"}


def test_raw_features_have_their_name_everywhere(pages: dict[str, Page]) -> None:
    for kind, raw in (("text", "TF-IDF"), ("audio", "log-mel")):
        text = pages[kind].text
        assert text.count(f"ogistic regression on {raw}") >= 2  # the table, and the buttons
        assert "pixels" not in text
        names = [trace["name"] for trace in pages[kind].charts["labels"]["variants"][""]["data"]]
        assert f"nearest neighbours on {raw}" in names


def test_pairs_are_shown_as_their_halves(pages: dict[str, Page]) -> None:
    body = section(pages["pair"], "Training views")
    assert "Pairs as training sees them" in body
    cells = re.findall(
        r'class="sample sheet-pairs-0".*?title="pair (\d), first half".*?class="sample-text"[^>]*>(.*?)</span>', body
    )
    assert cells == [
        (str(n + 1), f"the digit {name}") for n, name in enumerate("zero one two three four five six seven".split())
    ]


def test_a_page_of_tables_only(pages: dict[str, Page]) -> None:
    page = pages["pair"]
    assert "Errors" not in page.titles
    assert "Learning curves" not in page.titles
    assert page.titles.count("Evaluation") == 1
    headline = re.findall("<h1>(.*?)</h1>", page.html)[0].replace("\u00a0", " ")
    assert headline == (
        "Image and text: finding one by the other, image → text: "
        "recall@1 43.3 % (trained), 5.0 % (untrained), 1.7 % (chance)."
    )
    rows = [[cell.strip() for cell in row] for row in page.rows]
    head = ["looked up", "by", "recall@1, %", "recall@5, %", "mean reciprocal rank", "median rank"]
    at = rows.index(head)
    assert rows[at + 1 : at + 3] == [
        ["image → text", "trained", "43.3", "70.0", "0.551", "2"],
        ["image → text", "untrained", "5.0", "80.0", "0.09", "24"],
    ]
    at = rows.index(["model", "perplexity", "bits per character"])
    assert rows[at + 1 : at + 4] == [
        ["trained", "41.3", "1.93"],
        ["two tokens", "1,203", "2.6"],
        ["one token", "950", "–"],
    ]
    # The best share of each way of looking up; no other figure, for which more may be worse.
    assert re.findall("<b>(.*?)</b>", section(page, "Evaluation")) == ["43.3", "80.0", "35.0", "65.0"]
    assert "seeds" not in page.text


def test_tables_beside_few_labels(pages: dict[str, Page]) -> None:
    page = pages["text"]
    assert page.titles.index("Evaluation") < page.titles.index("Other measures")
    assert "<h3>Next token</h3>" in section(page, "Other measures")
    assert "Perplexity over 12,345 tokens." in section(page, "Other measures")
    assert page.html.count("<h1>With 10 labels per class") == 1


def test_matches_are_marked_with_the_place_of_the_first_right_one(
    runs: dict[str, Path], pages: dict[str, Page]
) -> None:
    body = section(pages["pair"], "Retrieval examples")
    assert re.findall("<h3>(.*?)</h3>", body) == ["From image to text", "From text to image"]
    with np.load(runs["pair"] / "matches.npz") as arrays:
        right, ranks, answers = arrays["right"], arrays["ranks"], arrays["answers"]
        words, queries = arrays["second_texts"], arrays["queries"]
    marks = re.findall(r'<div class="(right|wrong)">.*?<p>(.)</p></div>', body)
    assert marks == [("right", "✓") if good else ("wrong", "✗") for good in right.ravel()]
    assert re.findall(r"<p>rank ([\d,]+)</p>", body) == [str(rank) for rank in ranks.ravel()]
    assert not right.all()
    rows = body.split('<div class="match">')[1:]
    assert len(rows) == 24
    first = re.findall(r'class="sample-text"[^>]*>(.*?)</span>', rows[0])
    assert first == [*words[answers[0, 0]], words[queries[0]]]
    assert rows[0].count("sheet-matches-0") == 1
    assert rows[12].count("sheet-matches-0") == 6
    assert re.findall(r'class="sample-text"[^>]*>(.*?)</span>', rows[12]) == [words[queries[0]]]


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    folder = pair_run(tmp_path)
    np.savez(folder / "pairs.npz", first=np.zeros((2, 1, 4, 4), np.uint8), first_texts=np.array(["a"]))
    facts = json.loads((folder / "evaluation.json").read_text())
    facts["tables"][0]["rows"][0].pop()
    (folder / "evaluation.json").write_text(json.dumps(facts))
    (folder / "matches.npz").write_bytes(b"PK\x03\x04 cut short")
    assert [line.split(": ", 1)[1] for line in read_contents(folder).unreadable][:2] == [
        "ValueError: first has pictures, texts and sounds of [1, 2] samples",
        "ValueError: table 'image and text: finding one by the other' has a row of another length than its head",
    ]
    assert read_contents(folder).unreadable[2].startswith("matches.npz: BadZipFile")
    np.savez(folder / "pairs.npz", nothing=np.zeros(1))
    assert read_contents(folder).unreadable[0].endswith("first has pictures, texts and sounds of [] samples")
    (folder / "evaluation.json").write_text('{"tables": []}')
    unread = read_contents(folder).unreadable
    assert "evaluation.json: ValueError: lacks labels_per_class, protocols, summary, trials" in unread


def test_a_still_picture_of_each_kind(runs: dict[str, Path], tmp_path: Path) -> None:
    heights = {}
    for kind, folder in runs.items():
        with Image.open(story_png(folder, tmp_path / f"{kind}.png")) as image:
            heights[kind] = image.height
            ink = (np.asarray(image.convert("L"))[100:440] < 128).sum()
            assert ink > 1000, kind
    assert heights["pair"] < heights["text"] - 400  # no accuracies by labels
