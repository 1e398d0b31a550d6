"""What a method shows of itself: kept in the run, read from it, laid out on the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_run import fake_run
from torch import Tensor, nn

from likewise.methods.base import Method, TrainingContext
from likewise.report.contents import read_contents
from likewise.report.page import write_page
from likewise.runs.figures import Figure, FigureRow, Figures
from likewise.training.figures import figures_of


def pictures(n: int, channels: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator)


FIGURES = [
    Figure(
        "How far is it <turned>?",
        "Below each, the angle that was named.",
        [
            FigureRow("turned by 0°", pictures(3, 1, 8), ["0° ✓", "90° ✗", "0° ✓"]),
            FigureRow("turned by 90°", pictures(3, 1, 8, seed=1)),
        ],
    ),
    Figure("Rebuilt", "Each image & what is left of it.", [FigureRow("", pictures(2, 3, 40))]),
]
READ = Figure(
    "What was <hidden>?",
    "To be read & heard.",
    [
        FigureRow("text", texts=["a text that is longer than a narrow column", "b"]),
        FigureRow("right", texts=["1 of 2 ✓", "✗"]),
        FigureRow("heard", sounds=torch.arange(10, dtype=torch.int16).repeat(2, 1), sample_rate=8000),
        FigureRow("looks", pictures(2, 1, 8), ["<one>", "two"]),
    ],
)


class Showing(Method):
    """Shows what it was given, how it was set, and what it drew."""

    def __init__(self, sheets: bool) -> None:
        encoder = nn.Linear(2, 2)
        encoder.dim = 2  # type: ignore[assignment]
        super().__init__(encoder)
        self.sheets = sheets
        self.dropout = nn.Dropout()

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        drawn = torch.randint(0, 256, samples.shape, dtype=torch.uint8, generator=generator)
        word = f"{self.dropout.training} {torch.is_grad_enabled()}"
        return [Figure("t", word, [FigureRow("given", samples), FigureRow("drawn", drawn)])] if self.sheets else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = fake_run(tmp_path / "run", parts=("config",))
    Figures(FIGURES).save(folder)
    return folder


def test_what_is_saved_is_read_again(folder: Path) -> None:
    shown = read_contents(folder).figures
    assert [(read.title, read.caption) for read in shown] == [(saved.title, saved.caption) for saved in FIGURES]
    for figure, saved in zip(shown, FIGURES, strict=True):
        for row, original in zip(figure.rows, saved.rows, strict=True):
            assert (row.name, row.texts) == (original.name, original.texts)
            assert np.array_equal(row.pictures, original.pictures)


def test_the_page_shows_every_row_and_marks_what_was_right_and_wrong(folder: Path) -> None:
    html = write_page(folder).read_text(encoding="utf-8").split("<script")[0]
    section = html.split("<h2>Method figures</h2>")[1].split("</section>")[0]
    assert re.findall(r"<h3>(.*?)</h3><p>(.*?)</p>", section) == [
        ("How far is it &lt;turned&gt;?", "Below each, the angle that was named."),
        ("Rebuilt", "Each image &amp; what is left of it."),
    ]
    assert re.findall(r'<p class="name">(.*?)</p>', section) == ["turned by 0°", "turned by 90°", ""]
    assert re.findall(r'<div class="(right|wrong)">.*?<p>(.*?)</p>', section) == [
        ("right", "0° ✓"),
        ("wrong", "90° ✗"),
        ("right", "0° ✓"),
    ]
    used = re.findall(r'class="sample (sheet-figure-\d-\d)"', section)
    assert used == ["sheet-figure-0-0"] * 3 + ["sheet-figure-0-1"] * 3 + ["sheet-figure-1-0"] * 2
    for name in set(used):
        assert f".{name}{{background-image:url(data:image/" in html
    assert re.findall(r'data-columns="(\d)"', section) == ["3", "2"]
    for count in "32":
        assert f"[data-columns='{count}']{{--columns:{count}}}" in html


def test_a_run_without_pictures_has_no_such_section(tmp_path: Path) -> None:
    page = write_page(fake_run(tmp_path / "run")).read_text(encoding="utf-8")
    assert "Method figures" not in page


def test_pictures_that_cannot_be_read_are_named(folder: Path) -> None:
    (folder / "figures.npz").write_bytes(b"PK\x03\x04 cut short")
    contents = read_contents(folder)
    assert contents.figures == []
    assert contents.unreadable[0].startswith("figures.npz: ")


@pytest.mark.parametrize("training", [True, False])
def test_a_method_is_asked_at_rest_with_draws_of_its_seed_and_left_as_it_was(tmp_path: Path, training: bool) -> None:
    method = Showing(sheets=True).train(training)
    (tmp_path / "again").mkdir()
    (tmp_path / "other").mkdir()
    samples = pictures(4, 1, 8)
    for folder, seed in ((tmp_path, 3), (tmp_path / "again", 3), (tmp_path / "other", 4)):
        method.training_context = TrainingContext(samples=8, batch_size=4, steps=2, steps_per_epoch=2, seed=seed)
        figures_of(method, samples).save(folder)
    ((figure,), (again,), (other,)) = (
        read_contents(folder).figures for folder in (tmp_path, tmp_path / "again", tmp_path / "other")
    )
    assert figure.caption == "False False"
    assert method.training == method.dropout.training == training
    assert np.array_equal(figure.rows[0].pictures, samples.numpy())
    assert np.array_equal(figure.rows[1].pictures, again.rows[1].pictures)
    assert not np.array_equal(figure.rows[1].pictures, other.rows[1].pictures)


def test_a_method_may_show_nothing() -> None:
    assert figures_of(Showing(sheets=False), pictures(4, 1, 8)) == []


def test_words_and_sounds_are_kept(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config",))
    Figures([READ]).save(folder)
    (shown,) = read_contents(folder).figures
    text, right, heard, looks = shown.rows
    assert text.texts == READ.rows[0].texts
    assert text.pictures is None
    assert text.sounds is None
    assert right.texts == ["1 of 2 ✓", "✗"]
    assert heard.sample_rate == 8000
    assert heard.sounds is not None
    assert heard.sounds.tolist() == [list(range(10))] * 2
    assert looks.texts == ["<one>", "two"]


def test_what_must_be_read_or_heard_is_shown_sample_by_sample(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, parts=("config",))
    Figures([READ, Figure("Short", "", [FigureRow("said", texts=["in order ✓", "swapped ✗"])])]).save(folder)
    html = write_page(folder).read_text(encoding="utf-8").split("<script")[0]
    section = html.split("<h2>Method figures</h2>")[1].split("</section>")[0]
    long, short = section.split("<h3>")[1:]
    first, second = long.split('<div class="case">')[1:]
    assert re.findall(r'<p class="name">(.*?)</p>', first) == ["text", "right", "heard", "looks"]
    assert re.findall(r'<span class="sample-text" dir="auto" title="(.*?)">(.*?)</span>', first) == [
        (word, word) for word in ("a text that is longer than a narrow column", "1 of 2 ✓", "&lt;one&gt;")
    ]
    assert re.findall(r'<div class="(right|wrong)">', first + second) == ["right", "wrong"]
    assert first.count("<audio controls") == second.count("<audio controls") == 1
    assert 'aria-label="heard 1"' in first
    assert first.count('class="sample sheet-figure-0-3"') == 1
    assert short.count('class="case"') == 0
    assert re.findall(r'<div class="(right|wrong)"><p>(.*?)</p>', short) == [
        ("right", "in order ✓"),
        ("wrong", "swapped ✗"),
    ]
