"""Detection with few annotated images: draws and results of protocols, the detector on encoders, moved boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import small_scenes as scenes
from likewise.commands.annotated_tasks import TASKS, task_classes
from likewise.data.annotations.source import AnnotatedImages, open_annotated
from likewise.data.pictures import Letterboxed
from likewise.encoders.image import image_encoder
from likewise.errors import UserError
from likewise.evaluation.detection import DETECTION_PROTOCOLS, DetectionData, DetectionResult, evaluate_detection
from likewise.evaluation.detection_measures import Detections
from likewise.evaluation.detection_tables import detection_figure, detection_tables
from likewise.evaluation.detector import detections, detector, load_own_weights, own_weights
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.merged_boxes import in_image
from likewise.evaluation.random_parts import part_of_boxes, parts_of_images, random_parts
from likewise.evaluation.segmenter import DenseEncoder
from likewise.runs.detection_figures import DetectionFigures
from likewise.views.image import ImageViews

SIZE, LARGE = 24, 48


def opened(folder: Path, size: int) -> tuple[AnnotatedImages, AnnotatedImages]:
    how: dict[str, Any] = {"size": size, "channels": 3, "progress": False}
    return open_annotated(folder / "train", "boxes", **how), open_annotated(folder / "test", "boxes", **how)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnnotatedImages, AnnotatedImages]:
    folder = tmp_path_factory.mktemp("scenes")
    scenes.as_coco(folder / "train", range(8))
    scenes.as_voc(folder / "test", range(20, 24))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        return opened(folder, SIZE)


def evaluated(sources: tuple[AnnotatedImages, AnnotatedImages], **options: Any) -> DetectionResult:
    train, test = sources
    classes, ours, theirs = task_classes(TASKS["detection"], train, test)
    torch.manual_seed(0)
    size = train.size
    encoder = image_encoder("resnet8", channels=3, size=size)
    options = {"labelled": [2], "seeds": 1, "steps": 2} | options
    return evaluate_detection(
        encoder,
        ImageViews([], size=size, channels=3),
        DetectionData(train, torch.arange(len(train)), ours),
        DetectionData(test, torch.arange(len(test)), theirs),
        classes,
        make_encoder=lambda: image_encoder("resnet8", channels=3, size=size),
        **options,
    )


def test_protocols(sources: tuple[AnnotatedImages, AnnotatedImages], tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = image_encoder("resnet8", channels=3, size=SIZE)
    found = evaluated(sources, given=given)
    values = found.values
    assert values["protocols"] == list(DETECTION_PROTOCOLS)
    assert values["classes"] == ["red", "blue"]  # VOC has them in another order
    assert (values["images"], values["boxes"]) == ({"train": 8, "test": 4}, 8)
    assert [(t["protocol"], t["labelled"]) for t in values["trials"]] == [(name, 2) for name in DETECTION_PROTOCOLS]
    rows = {(r["protocol"], r["versus"]) for r in values["differences"]}
    assert ("frozen", "scratch") in rows
    picked = [t for t in values["trials"] if t["protocol"] in ("untrained", "fine-tuned")]
    again = evaluated(sources, given=given, protocols=["fine-tuned", "untrained"]).values["trials"]
    for one, other in zip(picked, again, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}  # whatever else is measured
    tables = detection_tables(values, "scenes")
    assert [len(table.rows) for table in tables] == [5, 5, len(rows), 2, 5]
    assert tables[0].title == "Detection in scenes with 2 annotated images"
    figures = detection_figure(values, found.pictures)
    assert [len(figure.rows) for figure in figures] == [6, 6]
    assert all(row.pictures.shape == (4, 3, 192, 192) for figure in figures for row in figure.rows)
    DetectionFigures(figures).save(tmp_path)
    assert [figure.title for figure in DetectionFigures.load(tmp_path)] == ["Predictions", "Errors"]


@pytest.mark.slow
def test_blocks_of_colours_are_found(tmp_path: Path) -> None:
    """From known and from random weights; a detector that learned nothing finds none."""
    scenes.as_coco(tmp_path / "train", range(8))
    scenes.as_voc(tmp_path / "test", range(20, 24))
    sources = opened(tmp_path, LARGE)
    how: dict[str, Any] = {"labelled": ["all"], "protocols": ["fine-tuned", "untrained"]}
    means = {t["protocol"]: t["ap50"] for t in evaluated(sources, steps=100, **how).values["trials"]}
    assert all(value > 0.5 for value in means.values()), means  # with three seeds 0.76 to 0.93
    none = evaluated(sources, steps=1, **how).values["trials"]
    assert all(trial["ap50"] < 0.1 for trial in none)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"protocols": ["frozen-knn"]}, "protocols must, of detection, be some of scratch, frozen"),
        ({"protocols": ["as-given"]}, "as-given needs a run that went on from known weights"),
        ({"labelled": [9]}, "labelled must be at most 8, or 'all', got 9"),
        ({"seeds": 0}, "seeds must be"),
    ],
)
def test_what_is_refused(options: dict[str, Any], why: str, sources: tuple[AnnotatedImages, AnnotatedImages]) -> None:
    with pytest.raises(UserError, match=why):
        evaluated(sources, **options)


@pytest.mark.parametrize(
    ("name", "size", "rows"), [("resnet8", 48, [24, 12, 6]), ("vit_micro", 28, [7]), ("resnet8", 16, [16, 8, 4])]
)
def test_scales_of_a_detector(name: str, size: int, rows: list[int]) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=size)
    compute = ComputeSettings(torch.device("cpu"))
    view = torch.rand(2, 1, size, size)
    network = detector(DenseEncoder(encoder), view, 3, learns=False, compute=compute).eval()
    network.score_thresh = 0.0
    maps = network.backbone(view)
    assert [each.shape[2] for each in maps.values()] == rows
    found = detections(network, view)
    assert len(found) == 2
    assert found[0].boxes.min() >= 0
    assert found[0].boxes.max() <= size
    kept = {key: value.numpy() for key, value in own_weights(network).items()}
    assert not any(key.startswith("backbone.dense") for key in kept)
    torch.manual_seed(1)
    other = detector(DenseEncoder(encoder), view, 3, learns=False, compute=compute).eval()
    other.score_thresh = 0.0
    load_own_weights(other, kept, "here")
    assert all(torch.equal(a, b) for a, b in zip(found[0], detections(other, view)[0], strict=True))
    with pytest.raises(UserError, match="here has the weights of another detector"):
        load_own_weights(detector(DenseEncoder(encoder), view, 2, learns=False, compute=compute), kept, "here")


def test_frozen_encoders_are_not_changed(sources: tuple[AnnotatedImages, AnnotatedImages]) -> None:
    from likewise.evaluation.detector import train_detector
    from likewise.evaluation.supervised import Rates

    torch.manual_seed(0)
    encoder = image_encoder("resnet8", channels=3, size=SIZE)
    compute = ComputeSettings(torch.device("cpu"))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    for learns in (False, True):
        network = detector(DenseEncoder(encoder), torch.rand(1, 3, SIZE, SIZE), 2, learns=learns, compute=compute)
        head = {name: value.clone() for name, value in own_weights(network).items()}
        data = DetectionData(sources[0], torch.arange(8), torch.arange(256).roll(1))
        train_detector(
            network,
            ImageViews([], size=SIZE, channels=3),
            lambda some, data=data: (data.images(some), data.targets(some)),
            8,
            rates=Rates(1e-3, 1e-3),
            steps=2,
            batch_size=4,
            seed=0,
            compute=compute,
        )
        assert any(not torch.equal(value, head[name]) for name, value in own_weights(network).items())
        same = [torch.equal(value, before[name]) for name, value in encoder.state_dict().items()]
        assert all(same) != learns


def test_images_and_boxes_move_together() -> None:
    """A white block on black is where its box says, in each part; a box whose middle is outside is left out."""
    images = torch.zeros(64, 1, LARGE, LARGE, dtype=torch.uint8)
    box = torch.tensor([[12.0, 20.0, 24.0, 36.0]])
    images[:, :, 20:36, 12:24] = 255
    parts = random_parts(64, torch.Generator().manual_seed(0), mirror=True)
    seen = 0
    for image, part in zip(parts_of_images(images, parts), parts, strict=True):
        placed, there = part_of_boxes(box, part, LARGE)
        if not there.any():
            continue
        seen += 1
        rows, columns = (np.flatnonzero((image[0] > 127).any(axis).numpy()) for axis in (1, 0))
        wanted = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(placed[0].numpy() - wanted).max() <= 1
    assert seen > 32
    whole = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    tests: Tensor = torch.tensor([[-30.0, 0, 10, 10], [0, 0, 0.5, 9], [40, 40, 60, 50]])
    assert part_of_boxes(tests, whole, LARGE)[1].tolist() == [False, False, False]


def test_boxes_in_the_image_of_a_square() -> None:
    picture = Letterboxed(np.zeros((3, 48, 48), np.uint8), (0, 8, 48, 32), (96, 64))
    boxes = torch.tensor([[0.0, 0, 24, 24], [10, 0, 20, 6], [24, 30, 48, 48]])
    found = in_image(Detections(boxes, torch.arange(3), torch.tensor([0.9, 0.8, 0.7])), picture)
    assert found.boxes.tolist() == [[0, 0, 48, 32], [48, 44, 96, 64]]
    assert found.labels.tolist() == [0, 2]
