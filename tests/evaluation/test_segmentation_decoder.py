"""The decoder on frozen maps, and neighbours that vote: on cases made by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import small_scenes as scenes
from likewise.data.annotations.annotation import IGNORE
from likewise.data.annotations.source import open_annotated
from likewise.encoders.image import image_encoder
from likewise.evaluation import segmentation
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.segmentation import SegmentationData, SegmentationEvaluation, same_classes
from likewise.evaluation.segmentation_decoder import WIDTH, MapDecoder
from likewise.evaluation.segmenter import DecodedSegmenter, DenseEncoder, place_labels, train_segmenter
from likewise.evaluation.supervised import Rates
from likewise.views.image import ImageViews

SIZE = 24


class Cells(nn.Module):
    """The mean colours of cells of 4 x 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.ones(1))

    def features(self, view: Tensor) -> Tensor:
        return self.anything * nn.functional.avg_pool2d(view, 4).flatten(2).transpose(1, 2)

    def grid(self, view: Tensor) -> tuple[int, int]:
        return view.shape[2] // 4, view.shape[3] // 4


def test_maps_are_standardized_and_the_finest_gives_the_size() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4), torch.randn(2, 7, 1, 1)]
    means, scales = ([torch.full((n,), value) for n in (3, 5, 7)] for value in (2.0, 4.0))
    decoder = MapDecoder(means, scales, 6)
    plain = MapDecoder([torch.zeros(n) for n in (3, 5, 7)], [torch.ones(n) for n in (3, 5, 7)], 6)
    plain.load_state_dict(
        {name: value for name, value in decoder.state_dict().items() if "_" not in name}, strict=False
    )
    assert decoder(maps).shape == (2, 6, 8, 8)
    torch.testing.assert_close(decoder(maps), plain([(each - 2) / 4 for each in maps]))
    alone = decoder([each[:1] for each in maps])
    torch.testing.assert_close(alone, decoder(maps)[:1], rtol=1e-4, atol=1e-5)  # whatever else is in the batch
    assert MapDecoder([torch.zeros(3)], [torch.ones(3)], 2)(maps[:1]).shape == (2, 2, 8, 8)
    assert decoder.classify.in_channels == WIDTH


def test_the_coarse_maps_count() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(1, 3, 8, 8), torch.randn(1, 5, 4, 4)]
    decoder = MapDecoder([torch.zeros(3), torch.zeros(5)], [torch.ones(3), torch.ones(5)], 2)
    assert not torch.allclose(decoder(maps), decoder([maps[0], maps[1] + 1]), atol=1e-3)


def rings(count: int) -> tuple[Tensor, Tensor]:
    """Black images with one red cell; its class, and that of what touches it, is 1: only the cells around say so."""
    generator = torch.Generator().manual_seed(count)
    images, masks = torch.zeros(count, 3, 32, 32, dtype=torch.uint8), torch.zeros(count, 32, 32, dtype=torch.long)
    for image, mask, (i, j) in zip(
        images, masks, torch.randint(1, 7, (count, 2), generator=generator).tolist(), strict=True
    ):
        image[0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 255
        mask[4 * i - 4 : 4 * i + 8, 4 * j - 4 : 4 * j + 8] = 1
    return images, masks


def test_it_learns_what_lies_around_and_leaves_the_encoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.evaluation.random_parts.SMALLEST_PART", 1.0)
    torch.manual_seed(0)
    encoder = Cells()
    dense = DenseEncoder(encoder)
    segmenter = DecodedSegmenter(dense, MapDecoder([torch.zeros(3)], [torch.ones(3)], 2))
    views = ImageViews([], size=32, channels=3)
    images, masks = rings(12)
    train_segmenter(
        segmenter,
        views,
        lambda some: (images[some], masks[some]),
        len(images),
        rates=Rates(0.0, 1e-3),
        steps=60,
        batch_size=6,
        seed=0,
        compute=ComputeSettings(torch.device("cpu")),
        callback=lambda step: None,
    )
    assert encoder.anything.item() == 1.0
    others, truth = rings(20)
    with torch.no_grad():
        found = segmenter(views.clean(others)).argmax(1)
    right = (found == place_labels(truth, (8, 8), 2)).float().mean()
    assert right > 0.97  # always 0: 0.86; a linear head on the cells: 0.875


def small_evaluation(folder: Path, encoder: nn.Module) -> SegmentationEvaluation:
    how: dict[str, Any] = {"size": SIZE, "channels": 3, "progress": False}
    train = open_annotated(scenes.as_masks(folder / "train", range(3)), "masks", **how)
    test = open_annotated(scenes.as_masks(folder / "test", range(20, 22)), "masks", **how)
    classes, ours, theirs = same_classes(train.class_names, test.class_names)
    return SegmentationEvaluation(
        encoders={"frozen": encoder},
        make_encoder=lambda: encoder,
        views=ImageViews([], size=SIZE, channels=3),
        train=SegmentationData(train, torch.arange(3), ours),
        test=SegmentationData(test, torch.arange(2), theirs),
        classes=len(classes),
        draws={(0, "all"): torch.arange(3)},
        steps=4,
        compute=ComputeSettings(torch.device("cpu")),
        progress=lambda done, total, text: None,
    )


def test_the_frozen_encoder_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    encoder = image_encoder("resnet8", channels=3, size=SIZE)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    evaluation = small_evaluation(tmp_path, encoder)
    trials, predicted = evaluation.run(["frozen-decoder"], ["all"], 1, "all")
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert predicted["frozen-decoder"].shape == (2, SIZE, SIZE)
    again, _ = evaluation.run(["frozen-decoder"], ["all"], 1, "all")
    assert trials[0] | {"seconds": 0} == again[0] | {"seconds": 0}


def test_neighbours_vote_as_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each place of a test image the most similar known places vote, weighted by a softmax of their cosines."""
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(segmentation, "NEIGHBORS", 3)
    evaluation = small_evaluation(tmp_path, Cells())
    trials, predicted = evaluation.run(["frozen-knn"], ["all"], 1, "all")
    assert trials[0]["miou"] > 0.5

    def cells(data: SegmentationData, count: int) -> tuple[Tensor, Tensor]:
        view = evaluation.views.clean(data.images(torch.arange(count)))
        return nn.functional.avg_pool2d(view, 4), place_labels(data.masks(torch.arange(count)), (6, 6), 3)

    maps, labels = cells(evaluation.train, 3)
    rows = maps.movedim(1, 3)[labels != IGNORE].double()
    known = labels[labels != IGNORE].tolist()
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    known_rows = (rows - mean) / deviation
    for image, found in zip(cells(evaluation.test, 2)[0], predicted["frozen-knn"], strict=True):
        shares = torch.zeros(3, 6, 6)
        for i in range(6):
            for j in range(6):
                query = (image[:, i, j].double() - mean) / deviation
                cosines = torch.cosine_similarity(query[None], known_rows).tolist()
                nearest = sorted(range(len(known)), key=lambda place: -cosines[place])[:3]
                weights = [math.exp(cosines[place] / 0.07) for place in nearest]
                for place, weight in zip(nearest, weights, strict=True):
                    shares[known[place], i, j] += weight / sum(weights)
        expected = nn.functional.interpolate(shares[None], (SIZE, SIZE), mode="bilinear", align_corners=False)[0]
        assert (expected.argmax(0) == found).float().mean() > 0.99
