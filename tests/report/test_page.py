"""The page of a run: what is on it follows from what is in the folder."""

from __future__ import annotations

import ast
import csv
import json
import re
import shutil
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import FINAL, PARTS, fake_run
from markupsafe import Markup

from likewise.errors import UserError
from likewise.report import charts, embedding_map
from likewise.report.contents import read_contents
from likewise.report.page import page_html, write_page
from likewise.report.pieces import Section

ALL_SECTIONS = [
    "Training views",
    "Training metrics",
    "Similarity matrices during training",
    "Learning curves",
    "Evaluation",
    "Errors",
    "Embedding map",
    "Nearest neighbours",
    "Configuration and commands",
]


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.titles: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.json = ""
        self._open: list[str] = []
        self._is_data = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        self._open.append(tag)
        self._is_data = tag == "script" and attributes.get("id") == "charts"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.json += data if self._is_data else ""
            return
        if inside == "h2":
            self.titles.append(data)
        if inside != "style":
            self.texts.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data + " "

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def charts(self) -> dict[str, dict[str, Any]]:
        return {chart["name"]: chart for chart in json.loads(self.json)}


def page_of(folder: Path) -> Page:
    return Page(write_page(folder))


def without(*missing: str) -> tuple[str, ...]:
    return tuple(part for part in PARTS if part not in missing)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return page_of(run)


def test_a_whole_run_has_every_section_and_a_place_for_every_figure(page: Page) -> None:
    assert page.titles == ALL_SECTIONS
    places = [attributes["id"] for _, attributes in page.tags if attributes.get("class", "").split()[:1] == ["plot"]]
    assert sorted(places) == sorted(page.charts)
    assert len(places) == len(set(places)) > 15


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        (("pairs",), {"Training views"}),
        (("snapshots",), {"Similarity matrices during training"}),
        (("gallery",), {"Embedding map", "Nearest neighbours"}),
        (("evaluation",), {"Learning curves", "Errors"}),
        (("chance", "skipped"), set()),
    ],
)
def test_a_missing_part_takes_its_sections_along(tmp_path: Path, missing: tuple[str, ...], gone: set[str]) -> None:
    page = page_of(fake_run(tmp_path, parts=without(*missing)))
    assert page.titles == [title for title in ALL_SECTIONS if title not in gone]


def test_a_run_without_evaluation_says_how_to_get_one(tmp_path: Path) -> None:
    page = page_of(fake_run(tmp_path / "my run", parts=without("evaluation")))
    assert f"likewise evaluate '{tmp_path / 'my run'}' --train DATA --test DATA" in page.text


def test_a_run_that_is_still_training_is_reported_on(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config", "metrics", "chance", "pairs"))
    config = json.loads((folder / "config.json").read_text())
    del config["seconds"], config["samples_per_second"]
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "metrics.csv").open("a") as file:
        file.write("1000,20")  # a row half written
    page = page_of(folder)
    assert "last step (not finished)" in page.text
    assert max(page.charts["loss"]["variants"][""]["data"][0]["x"]) == 995


def test_a_run_of_only_its_config_is_reported_on(tmp_path: Path) -> None:
    page = page_of(fake_run(tmp_path, parts=("config",)))
    assert page.titles == ["Training metrics", "Evaluation", "Configuration and commands"]
    assert page.charts == {}


def test_a_run_of_a_users_own_module_and_views(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"encoder": None, "views": None, "method": None}))
    assert "An encoder, trained on digits:train without labels." in page_of(folder).text
    (folder / "config.json").write_text(json.dumps(config | {"source": None}))
    assert "trained by simclr on digits:train without labels." in page_of(folder).text


def test_a_training_with_labels_is_not_said_to_be_without(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["method"]["supervised"] = True
    (folder / "config.json").write_text(json.dumps(config))
    page = page_of(folder)
    assert "on digits:train with labels." in page.text
    assert "unlabelled" not in page.text


def test_the_verdict_is_on_top_with_causes_and_remedy(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    verdict = {"kind": "stuck", "message": "It is <stuck> at 5.54.", "causes": ["one & only"], "remedy": "--lr 0.1"}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    text = page_of(folder).text
    assert text.index("It is <stuck> at 5.54.") < text.index("one & only") < text.index("Try --lr 0.1.")
    assert text.index("Try --lr 0.1.") < text.index("the loss is")
    (folder / "verdict.json").write_text(json.dumps(verdict | {"message": "It is learning.", "causes": []}))
    assert "Likely causes" not in page_of(folder).text
    (folder / "verdict.json").write_text('{"kind": "stuck"}')
    assert "verdict.json: ValueError: lacks causes, message, remedy" in page_of(folder).text


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    (folder / "gallery.npz").write_bytes(b"PK\x03\x04 cut short")
    (folder / "evaluation.json").write_text('{"protocols": [')
    page = page_of(folder)
    assert "Embedding map" not in page.titles
    assert "Similarity matrices during training" in page.titles
    assert re.search(r"gallery\.npz: BadZipFile", page.text)
    assert re.search(r"evaluation\.json: JSONDecodeError", page.text)


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    np.savez(folder / "pairs.npz", first=np.array([{"a": 1}], dtype=object), second=np.zeros(1))
    assert any(line.startswith("pairs.npz: ValueError") for line in read_contents(folder).unreadable)


def test_what_is_not_a_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'.*nowhere' does not exist"):
        write_page(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run folder"):
        write_page(tmp_path)


def test_the_table_shows_the_numbers_of_the_evaluation(run: Path, page: Page) -> None:
    facts = json.loads((run / "evaluation.json").read_text())
    rows = {row[0].strip(): row[1:] for row in page.rows if len(row) == 5}
    names = dict(zip(facts["protocols"], rows, strict=False))
    for protocol in facts["protocols"]:
        results = [row for row in facts["summary"] if row["protocol"] == protocol]
        expected = [f"{100 * r['mean']:.1f} {100 * r['low']:.1f}–{100 * r['high']:.1f}" for r in results]
        assert [cell.strip() for cell in rows[names[protocol]]] == expected
    assert [cell.strip() for cell in rows["Always the most frequent class"]] == ["11.4"] * 4
    assert [cell.strip() for cell in rows["Chance"]] == ["10.0"] * 4


def test_differences_are_those_of_the_same_draws(run: Path, page: Page) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text())
    text = page.text.replace("\N{MINUS SIGN}", "-")
    for row in evaluation["differences"]:
        shown = f"{100 * row['mean']:+.1f} ± {100 * (row['high'] - row['mean']):.1f}"
        assert f"{row['protocol']} - {row['versus']}" in text
        assert shown in text
    assert "balanced accuracy" not in text.lower()


def test_uneven_classes_have_measures_of_their_own(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run")
    evaluation = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps(evaluation | {"uneven": True}))
    page = Page(write_page(run))
    assert "The classes are uneven" in page.text
    for row in evaluation["summary"]:
        assert f"{100 * row['balanced_accuracy']:.1f} / {100 * row['macro_f1']:.1f}" in page.text


def test_the_best_of_each_column_is_bold(run: Path, page: Page) -> None:
    facts = json.loads((run / "evaluation.json").read_text())
    best = [
        max(row["mean"] for row in facts["summary"] if row["labels_per_class"] == count)
        for count in facts["labels_per_class"]
    ]
    assert sorted(re.findall(r"<b>([\d.]+)</b><small>", page.html)) == sorted(f"{100 * b:.1f}" for b in best)


def test_the_chart_by_labels_shows_the_means_and_intervals(run: Path, page: Page) -> None:
    facts = json.loads((run / "evaluation.json").read_text())
    plot = page.charts["labels"]["variants"][""]
    assert plot["layout"]["xaxis"]["type"] == "log"
    assert plot["layout"]["xaxis"]["tickvals"] == [1, 5, 10, pytest.approx(129.7)]
    frozen = plot["data"][facts["protocols"].index("frozen")]
    results = [row for row in facts["summary"] if row["protocol"] == "frozen"]
    assert frozen["y"] == pytest.approx([row["mean"] for row in results], rel=1e-4)
    assert frozen["error_y"]["array"] == pytest.approx([row["high"] - row["mean"] for row in results])


def test_the_confusion_matrix_is_that_of_the_chosen_way_and_labels(run: Path, page: Page) -> None:
    facts = json.loads((run / "evaluation.json").read_text())
    trials = [t for t in facts["trials"] if t["protocol"] == "fine-tuned" and t["labels_per_class"] == 5]
    counts = np.zeros((10, 10))
    for true, predicted, count in (entry for trial in trials for entry in trial["confusion"]):
        counts[true, predicted] += count
    shown = page.charts["confusion"]["variants"]["fine-tuned|5"]["data"][0]["z"]
    assert np.asarray(shown) == pytest.approx(counts / counts.sum(axis=1, keepdims=True), rel=1e-3)
    bars = page.charts["per-class"]["variants"]["fine-tuned|5"]["data"][0]
    assert dict(zip(bars["y"], bars["x"], strict=True))["3"] == pytest.approx(shown[3][3], rel=1e-3)
    checked = [a["value"] for tag, a in page.tags if tag == "input" and "checked" in a and "errors" in a["name"]]
    assert checked == ["frozen", "all"]


def test_the_learning_curves_are_means_over_seeds(run: Path, page: Page) -> None:
    facts = json.loads((run / "evaluation.json").read_text())
    trials = [t for t in facts["trials"] if t["protocol"] == "scratch" and t["labels_per_class"] == 10]
    means = np.mean([[epoch["test_loss"] for epoch in t["curve"]] for t in trials], axis=0)
    traces = page.charts["curves-loss"]["variants"]["10"]["data"]
    shown = next(trace for trace in traces if trace.get("name") == "trained from scratch, test")
    assert shown["y"] == pytest.approx(means, rel=1e-4)


def test_curves_of_epochs_and_of_iterations_share_one_axis(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, seeds=2)
    facts = json.loads((folder / "evaluation.json").read_text())
    for trial in facts["trials"]:
        if trial["protocol"] == "frozen":
            for point in trial["curve"]:
                point["epoch"] = 10 * (point["epoch"] - 1)
    (folder / "evaluation.json").write_text(json.dumps(facts))
    page = page_of(folder)
    plot = page.charts["curves-accuracy"]["variants"]["10"]
    ends = {trace["name"]: (trace["x"][0], trace["x"][-1]) for trace in plot["data"] if "name" in trace}
    assert ends["frozen encoder, test"] == (0, 1)
    assert ends["trained from scratch, test"] == (pytest.approx(1 / 12), 1)
    assert plot["layout"]["xaxis"]["title"]["text"] == "share of the training"
    assert "their steps are iterations of the solver" in page.text
    assert "measured on at most 256 samples" in page.text


def test_classes_without_test_samples_have_no_bar(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    facts = json.loads((folder / "evaluation.json").read_text())
    for trial in facts["trials"]:
        trial["confusion"] = [entry for entry in trial["confusion"] if entry[0] not in (2, 5)]
    (folder / "evaluation.json").write_text(json.dumps(facts))
    page = page_of(folder)
    bars = page.charts["per-class"]["variants"]["frozen|all"]["data"][0]
    assert sorted(bars["y"]) == list("01346789")
    assert "Left out, without test samples: 2 classes." in page.text


def test_all_labels_are_counted_not_read_off_the_axis(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    facts = json.loads((folder / "evaluation.json").read_text())
    facts["samples"]["train"] = 80
    (folder / "evaluation.json").write_text(json.dumps(facts))
    page = page_of(folder)
    assert page.charts["labels"]["variants"][""]["layout"]["xaxis"]["tickvals"][-1] == 20
    assert "“all” is about 8 per class" in page.text


def test_the_metrics_are_shown_raw_and_smoothed_beside_chance(run: Path, page: Page) -> None:
    with (run / "metrics.csv").open() as file:
        logged = [float(row["loss"]) for row in csv.DictReader(file)]
    plot = page.charts["loss"]["variants"][""]
    raw, smooth = (np.array(trace["y"]) for trace in plot["data"])
    assert raw == pytest.approx(logged, rel=1e-4)
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(raw)).mean()
    assert plot["layout"]["shapes"][0]["y0"] == 6.236
    assert "below chance (6.24)" in page.text
    shown = {name for name in page.charts if name.startswith("measured-")}
    assert shown == {"measured-lr", "measured-effective-rank"}  # blank columns are left out


def test_a_large_chance_level_is_told_in_full(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    (folder / "chance.json").write_text(json.dumps({"loss": 4543.2}))
    labels = page_of(folder).charts["loss"]["variants"][""]["layout"]["annotations"]
    assert [label["text"] for label in labels] == ["chance 4,543"]


def test_values_that_are_not_finite_do_not_reach_the_script(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    facts = json.loads((folder / "evaluation.json").read_text())
    facts["trials"][0]["curve"][3]["test_loss"] = float("nan")
    (folder / "evaluation.json").write_text(json.dumps(facts))
    with (folder / "metrics.csv").open("a") as file:
        file.write("1000,200,inf,0.5,0.5,,,nan\n")
    page = page_of(folder)
    assert None in page.charts["curves-loss"]["variants"]["1"]["data"][0]["y"]
    assert "NaN" not in page.json
    assert "Infinity" not in page.json


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    folder = fake_run(tmp_path, classes=[evil, '"><img src=x onerror=a>', *"abcdefgh"])
    config = json.loads((folder / "config.json").read_text())
    config["command"] = f"likewise pretrain '{evil}'"
    config["source"]["name"] = f"{evil}&amp;"
    config["recipe"][evil] = {"</script>": evil}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "skipped.csv").write_text(f'file,reason\n"{evil}.png","{evil}"\n')
    page = page_of(folder)
    assert [attributes.get("id") for tag, attributes in page.tags if tag == "script"] == [
        "charts",
        None,
        None,
    ]
    assert not [tag for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]
    assert "<script>alert" not in page.html
    assert f"{evil}.png" in page.text  # as words
    shown = page.charts["confusion"]["variants"]["frozen|all"]["data"][0]["x"]
    assert shown[0] == "&lt;script&gt;alert(1)&lt;/s…"  # plotly reads tags in labels; these are none


def test_the_page_fetches_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "action", "background"} & attributes.keys(), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")
        assert tag not in ("link", "iframe", "object", "embed")
    styles = re.findall(r"url\((.{0,12})", page.html.split("</style>")[0])
    assert styles
    assert all(style.startswith("data:image/") for style in styles)
    assert "@import" not in page.html.split("</style>")[0]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_pictures_are_pieces_of_one_sheet_each(page: Page) -> None:
    sheets = re.findall(r"\.(sheet-[\w-]+){background-image:url\(data:image/", page.html.split("</style>")[0])
    assert sheets == ["sheet-pairs-0", "sheet-pairs-1", "sheet-gallery"]
    samples = [a for _, a in page.tags if a.get("class", "").startswith("sample sheet-")]
    assert len(samples) == 16 + 10 * 9
    assert all(a["role"] == "img" and a["aria-label"] for a in samples)


def test_the_map_is_kept_until_the_gallery_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_run(tmp_path, parts=("config", "gallery"), samples=24)
    first = page_of(folder).charts["map"]
    assert (folder / "map.npz").exists()
    calls = []
    monkeypatch.setattr(embedding_map, "_tsne", lambda unit, done: calls.append(len(unit)) or np.zeros((len(unit), 2)))
    assert page_of(folder).charts["map"] == first
    assert calls == []
    fake_run(tmp_path, parts=("gallery",), samples=30)
    page_of(folder)
    assert calls == [30]
    (folder / "map.npz").write_bytes(b"broken")
    page_of(folder)
    assert calls == [30, 30]


@pytest.mark.parametrize("kind", ["one zero", "all equal", "all zero"])
def test_a_collapsed_encoder_has_a_map(tmp_path: Path, kind: str) -> None:
    folder = fake_run(tmp_path, parts=("config", "gallery"), samples=40)
    with np.load(folder / "gallery.npz") as arrays:
        kept = {name: arrays[name] for name in arrays}
    if kind == "one zero":
        kept["embeddings"][7] = 0
    else:
        kept["embeddings"][:] = kept["embeddings"][0] if kind == "all equal" else 0
    np.savez(folder / "gallery.npz", **kept)
    page = page_of(folder)
    points = page.charts["map"]["variants"][""]["data"]
    places = {(x, y) for trace in points for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert sum(len(trace["x"]) for trace in points) == 40
    assert None not in {x for place in places for x in place}
    assert (len(places) == 1) == (kind != "one zero")
    assert ("the encoder has collapsed" in page.text) == (kind != "one zero")


def test_an_unlabelled_gallery_of_colour_pictures(tmp_path: Path) -> None:
    page = page_of(fake_run(tmp_path, parts=("config", "gallery", "pairs"), labelled=False, channels=3, samples=12))
    assert "principal components" in page.text
    assert "✓" not in page.html.split("<script")[0]
    assert len(page.charts["map"]["variants"][""]["data"]) == 1


def test_samples_without_pictures_are_shown_by_name(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config", "gallery"), samples=12)
    with np.load(folder / "gallery.npz") as arrays:
        kept = {name: arrays[name] for name in arrays if name != "pictures"}
    np.savez(folder / "gallery.npz", **kept)
    page = page_of(folder)
    assert page.charts["map"]["samples"]["sheet"] is None
    assert f"{kept['classes'][kept['labels'][0]]} ({kept['ids'][0]})" in page.texts
    assert "sheet-" not in page.html.split("<script")[0]


def test_neighbours_say_how_often_they_agree(run: Path, page: Page) -> None:
    with np.load(run / "gallery.npz") as arrays:
        unit = arrays["embeddings"] / np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
        labels = arrays["labels"]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    near = np.argsort(-cosines, axis=1)[:, :8]
    agreement = (labels[near] == labels[:, None]).mean()
    assert f"over the whole gallery {100 * agreement:.0f}\u00a0% of the neighbours" in page.text
    right = sum(a.get("class") == "right" for tag, a in page.tags if tag == "div")
    queries = [int(np.flatnonzero(labels == label)[0]) for label in range(10)]
    assert right == (labels[near[queries]] == labels[queries][:, None]).sum()


def test_the_commands_and_settings_are_there(run: Path, page: Page) -> None:
    config = json.loads((run / "config.json").read_text())
    commands = f"{config['command']}\nlikewise evaluate runs/digits --train digits:train --test digits:test\n"
    assert f"{commands}likewise report {run}" in page.text
    settings = {row[0].strip(): row[1].strip() for row in page.rows if len(row) == 2}
    assert settings["batch_size"] == "256"
    assert settings["crop.scale"] == "[0.5, 1.0]"
    assert settings["options.temperature"] == "0.2"
    assert settings["ops.rotation.degrees"] == "15.3333"
    assert "Skipped files: 12" in page.text
    assert "and 2 more" in page.text


def test_the_page_can_go_elsewhere(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", parts=("config",))
    out = tmp_path / "pages" / "digits.html"
    assert write_page(folder, out) == out
    assert Page(out).titles
    assert not (folder / "report.html").exists()
    assert [path.name for path in out.parent.iterdir()] == ["digits.html"]


@pytest.mark.parametrize(("seeds", "counts"), [(1, None), (2, ["all"]), (3, [1])])
def test_small_evaluations(tmp_path: Path, seeds: int, counts: list[int | str] | None) -> None:
    folder = fake_run(tmp_path, seeds=seeds, final={protocol: FINAL[protocol] for protocol in ("frozen", "raw-knn")})
    facts = json.loads((folder / "evaluation.json").read_text())
    if counts:
        facts["labels_per_class"] = counts
        for part in ("trials", "summary"):
            facts[part] = [row for row in facts[part] if row["labels_per_class"] in counts]
        (folder / "evaluation.json").write_text(json.dumps(facts))
    page = page_of(folder)
    assert "the frozen encoder is right" in page.text
    assert ("labels" in page.charts) == (counts is None)
    assert ("<small>" in page.html.split("<script")[0]) == (seeds > 1)


def test_a_hundred_classes_and_long_names(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config", "gallery"))
    names = [f"a rather long name of class number {n}" for n in range(60)]
    shutil.rmtree(tmp_path)
    folder = fake_run(tmp_path, classes=names, seeds=2)
    page = page_of(folder)
    assert page.charts["confusion"]["variants"].keys() == {f"{protocol}|all" for protocol in FINAL}
    bars = page.charts["per-class"]["variants"]["frozen|all"]["data"][0]
    assert len(bars["y"]) == len(set(bars["y"])) == 30
    assert "The lowest and the highest of 60 classes." in page.text


def test_a_plain_string_is_escaped_where_it_enters_the_page(tmp_path: Path) -> None:
    contents = read_contents(fake_run(tmp_path, parts=("config",)))
    section = Section("Title", Markup(""))
    object.__setattr__(section, "body", "<img src=x>")  # the types of the package refuse it before
    html = page_html(contents, [section])
    assert "&lt;img src=x&gt;" in html
    assert "<img src=x>" not in html


def test_only_literals_become_html() -> None:
    """`Markup` of anything else would let a text of a run folder into the page as it is."""

    def literal(node: ast.expr) -> bool:
        if isinstance(node, ast.IfExp):
            return literal(node.body) and literal(node.orelse)
        return isinstance(node, ast.Constant)

    folder = Path(str(resources.files("likewise.report")))
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Markup":
                assert all(map(literal, node.args)), f"{path.name}:{node.lineno}"


def test_the_name_of_a_column_is_text(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config", "metrics"))
    lines = (folder / "metrics.csv").read_text().splitlines()
    rows = [f'{lines[0]},"<img src=x onerror=""a()"">"', *(f"{line},1" for line in lines[1:])]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    page = page_of(folder)
    assert not [tag for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]
    assert "<img" in page.text.lower()


def test_the_policy_names_hashes_and_no_style_stands_in_an_attribute(page: Page) -> None:
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 4
    assert not [tag for tag, attributes in page.tags if "style" in attributes]


def test_a_training_of_one_step_is_seen() -> None:
    """A line of one point is drawn as a mark."""
    for steps, mode in (([0.0], "lines+markers"), ([0.0, 1.0], "lines")):
        x = np.array(steps)
        plot = charts.measurement(x, {"loss": 2.0 - x}, {})
        assert [trace["mode"] for trace in plot["data"]] == [mode, mode]
