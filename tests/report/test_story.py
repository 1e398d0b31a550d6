"""The still picture of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import FINAL, fake_run
from PIL import Image

from likewise.errors import UserError
from likewise.report.charts import moved_apart
from likewise.report.sections.training import partners_and_others, stage_indices
from likewise.report.story import CHART_HEIGHT, MARGIN, TITLE_HEIGHT, similarity_colours, story_png


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_story_is_1600_wide_and_shows_what_there_is(tmp_path: Path) -> None:
    whole = picture(story_png(fake_run(tmp_path / "whole"), tmp_path / "docs" / "whole.png"))
    assert whole.shape[1] == 1600
    for colour in ((194, 65, 12), (0, 104, 168), (0, 128, 92)):  # high similarity, frozen, fine-tuned
        assert (np.abs(whole - colour).max(axis=-1) < 6).sum() > 100
    parts = ("config", "pairs", "snapshots")
    fewer = picture(story_png(fake_run(tmp_path / "fewer", parts=parts), tmp_path / "fewer.png"))
    assert fewer.shape[0] < whole.shape[0] - 400
    assert (np.abs(fewer - (0, 104, 168)).max(axis=-1) < 6).sum() == 0


def test_a_run_with_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing to draw yet: it lacks pairs\.npz"):
        story_png(fake_run(tmp_path, parts=("config", "metrics")), tmp_path / "story.png")


def test_names_of_lines_near_the_ground_stay_on_the_picture(tmp_path: Path) -> None:
    final = dict.fromkeys(FINAL, (0.01,) * 4)
    folder = fake_run(tmp_path, parts=("config", "evaluation"), final=final)
    story = picture(story_png(folder, tmp_path / "story.png"))
    green = (np.abs(story[:, 1300:] - (0, 128, 92)).max(axis=-1) < 60).any(axis=1)
    rows = np.flatnonzero((story[:, 1300:].min(axis=-1) < 200).any(axis=1))
    assert green.any()
    assert rows.max() < MARGIN + TITLE_HEIGHT + CHART_HEIGHT + 30


def test_names_are_moved_apart_within_the_chart() -> None:
    assert moved_apart([1.0, 5.0, 9.0], gap=2.0, most=10.0) == [1, 5, 9]
    assert moved_apart([8.0, 8.0, 9.5], gap=2.0, most=10.0) == [6, 8, 10]


def test_similarities_have_their_colours() -> None:
    colours = similarity_colours(np.array([[-1.0, 0.0], [1.0, 2.0]], dtype=np.float32))
    assert colours.tolist() == [[[33, 102, 172], [244, 244, 242]], [[194, 65, 12], [194, 65, 12]]]


def test_stages_keep_the_first_and_the_last() -> None:
    assert stage_indices(np.arange(3)) == [0, 1, 2]
    kept = stage_indices(np.arange(50))
    assert (len(kept), kept[0], kept[-1]) == (8, 0, 49)


def test_partners_are_told_from_others() -> None:
    matrix = np.kron(np.ones((2, 2)), np.eye(4)) * 0.8 + 0.1
    assert partners_and_others(matrix) == pytest.approx((0.9, 0.1))
