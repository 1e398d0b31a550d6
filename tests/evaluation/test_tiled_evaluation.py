"""Evaluations on tiles: draws are of images, measures are over tiles, pictures are of tiles with something in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import small_scenes as scenes
from likewise.commands.annotated_tasks import TASKS, task_classes
from likewise.data.annotations.source import open_annotated
from likewise.encoders.image import image_encoder
from likewise.errors import UserError
from likewise.evaluation import annotated_tables
from likewise.evaluation.annotated import AnnotatedData
from likewise.runs.evaluation import Evaluation
from likewise.views.image import ImageViews

TILE = 24


def evaluated(folder: Path, task: str, **options: Any) -> Any:
    """An evaluation of four large images after learning from some of five."""
    its_task = TASKS[task]
    how: dict[str, Any] = {"size": TILE, "channels": 3, "tile": TILE, "progress": False}
    for part, seeds in (("train", range(5)), ("test", range(10, 14))):
        if not (folder / part).exists():
            scenes.as_table(folder / part, seeds, make=scenes.large_scene)
            scenes.as_masks(folder / part, seeds, make=scenes.large_scene)
    train, test = (open_annotated(folder / part, its_task.wanted, **how) for part in ("train", "test"))
    classes, ours, theirs = task_classes(its_task, train, test)
    torch.manual_seed(0)
    return its_task.evaluate(
        image_encoder("resnet8", channels=3, size=TILE),
        ImageViews([], size=TILE, channels=3),
        its_task.data(train, torch.arange(5), ours),
        its_task.data(test, torch.tensor([3, 0]), theirs),
        classes,
        seeds=1,
        steps=1,
        make_encoder=lambda: image_encoder("resnet8", channels=3, size=TILE),
        **options,
    )


@pytest.mark.parametrize("task", TASKS)
def test_draws_are_of_images_and_measures_of_tiles(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[int | str, Tensor] = {}
    draw = AnnotatedData.draw

    def drawing(self: AnnotatedData, count: Any, seed: int) -> Tensor:
        drawn[count] = self.source.image_of[self.indices[draw(self, count, seed)]]
        return draw(self, count, seed)

    monkeypatch.setattr(AnnotatedData, "draw", drawing)
    found = evaluated(tmp_path, task, labelled=[1, 3, "all"], protocols=["scratch"])
    images = {count: of_samples.unique().tolist() for count, of_samples in drawn.items()}
    assert [len(each) for each in images.values()] == [1, 3, 5]
    assert set(images[1]) < set(images[3])
    assert all(drawn[count].bincount()[images[count]].tolist() == [36] * len(images[count]) for count in drawn)
    values = found.values
    assert (values["tile"], values["images"]) == (TILE, {"train": 5, "test": 2})
    assert values["tiles"] == {"train": 5 * 36, "test": 2 * 36}
    assert annotated_tables.tested(values) == "72 tiles of 24 x 24 pixels of 2 test images"
    assert [trial["labelled"] for trial in values["trials"]] == [1, 3, "all"]
    result = {"test": "scenes", "tables": [table.as_dict() for table in TASKS[task].tables(values, "scenes")]}
    Evaluation(result | {task: values}).save(tmp_path)
    assert Evaluation.load(tmp_path)[task]["tile"] == TILE
    Evaluation(result | {task: values | {"tile": "24"}}).save(tmp_path)
    with pytest.raises(UserError, match=f"{task}.tile must be a whole number from 16 to 8,192, got '24'"):
        Evaluation.load(tmp_path)


def test_pictures_are_of_tiles_with_something_in_them(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "segmentation", labelled=[1], protocols=["raw-logistic"]).pictures
    assert len(found.ids) == 8
    assert all(id.startswith(("images/013.png#", "images/010.png#")) for id in found.ids)
    assert all(mask.unique().tolist() == [0, 1] for mask in found.truth)
    found = evaluated(tmp_path, "detection", labelled=[1], protocols=["untrained"]).pictures
    assert len(found.truth) == 8
    assert all(found.truth)
    assert {name: len(each) for name, each in found.predicted.items()} == {"untrained": 8}
