"""Segmentation with few annotated images: the protocols' draws and results, the maps of encoders, moved masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import small_scenes as scenes
from likewise.data.annotations.annotation import IGNORE
from likewise.data.annotations.source import AnnotatedImages, open_annotated
from likewise.encoders.image import image_encoder
from likewise.errors import UserError
from likewise.evaluation.segmentation import (
    SEGMENTATION_PROTOCOLS,
    SegmentationData,
    SegmentationResult,
    evaluate_segmentation,
    same_classes,
)
from likewise.evaluation.segmentation_tables import painted, segmentation_figure, segmentation_tables
from likewise.evaluation.segmenter import DenseEncoder, mirrors, moved, pca_colours, place_labels, some_places
from likewise.views.image import ImageViews
from likewise.views.spatial import HorizontalFlip, VerticalFlip

SIZE = 24


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnnotatedImages, AnnotatedImages]:
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        how: dict[str, Any] = {"size": SIZE, "channels": 3, "progress": False}
        train = open_annotated(scenes.as_masks(folder / "train", range(6)), "masks", **how)
        test = open_annotated(scenes.as_coco(folder / "test", range(20, 24)), "masks", **how)
    return train, test


def evaluated(sources: tuple[AnnotatedImages, AnnotatedImages], **options: Any) -> SegmentationResult:
    train, test = sources
    classes, ours, theirs = same_classes(train.class_names, test.class_names)
    torch.manual_seed(0)
    encoder = image_encoder("resnet8", channels=3, size=SIZE)
    options = {"labelled": [1, "all"], "seeds": 2, "steps": 4} | options
    return evaluate_segmentation(
        encoder,
        ImageViews([], size=SIZE, channels=3),
        SegmentationData(train, torch.arange(len(train)), ours),
        SegmentationData(test, torch.arange(len(test)), theirs),
        classes,
        make_encoder=lambda: image_encoder("resnet8", channels=3, size=SIZE),
        **options,
    )


def test_protocols(sources: tuple[AnnotatedImages, AnnotatedImages]) -> None:
    torch.manual_seed(1)
    given = image_encoder("resnet8", channels=3, size=SIZE)
    found = evaluated(sources, given=given)
    values = found.values
    assert values["protocols"] == list(SEGMENTATION_PROTOCOLS)
    assert values["classes"] == scenes.CLASSES
    keys = [(t["protocol"], t["seed"], t["labelled"]) for t in values["trials"]]
    assert keys == [(name, seed, count) for name in SEGMENTATION_PROTOCOLS for seed in (0, 1) for count in (1, "all")]
    for trial in values["trials"]:
        known = [value for value in trial["iou"] if value is not None]
        assert trial["miou"] == pytest.approx(sum(known) / len(known))
        assert 0 <= trial["boundary_f"] <= 1
    # Blocks of plain colours are found by colour, and by a frozen encoder of random weights, with all masks.
    means = {(r["protocol"], r["labelled"]): r["mean"] for r in values["summary"] if r["measure"] == "miou"}
    for name in ("raw-logistic", "frozen", "frozen-knn", "untrained", "as-given"):
        assert means[name, "all"] > values["baseline"]["miou"] + 0.15, (name, means)
    assert values["baseline"]["class"] == "background"
    rows = [r for r in values["differences"] if r["measure"] == "miou"]
    pairs = {(r["protocol"], r["versus"]) for r in rows}
    assert ("frozen", "scratch") in pairs
    assert ("fine-tuned", "as-given") in pairs
    assert ("frozen-decoder", "scratch") in pairs
    for row in rows:
        assert row["mean"] == pytest.approx(
            means[row["protocol"], row["labelled"]] - means[row["versus"], row["labelled"]]
        )
    again = evaluated(sources, given=given, protocols=["untrained", "frozen-decoder", "fine-tuned"])
    picked = [t for t in values["trials"] if t["protocol"] in ("untrained", "frozen-decoder", "fine-tuned")]
    others = sorted(again.values["trials"], key=lambda t: (t["protocol"], t["seed"], str(t["labelled"])))
    picked = sorted(picked, key=lambda t: (t["protocol"], t["seed"], str(t["labelled"])))
    for one, other in zip(picked, others, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}  # whatever else is measured
    tables = segmentation_tables(values, "scenes")
    assert [len(table.rows) for table in tables] == [9, 9, 9, len(pairs), 3, 5]
    assert tables[-1].rows[-1][0] == "Always the whole image"
    corloc = values["discovery"]["corloc"]
    assert {name: len(each) for name, each in corloc.items()} == {
        "frozen": 1, "as-given": 1, "untrained": 2, "raw-logistic": 1,
    }  # fmt: skip
    assert all(0 <= share <= 1 for each in corloc.values() for share in each)
    assert corloc["raw-logistic"][0] > values["discovery"]["whole_image"]  # blocks of plain colours on grey
    assert tables[0].title == "Segmentation of scenes with 1 annotated image"
    figure, features = segmentation_figure(values, found.pictures)
    assert [row.name for row in features.rows] == ["image", "untrained", "weights as given", "trained"]
    assert len(figure.rows) == 2 + len(SEGMENTATION_PROTOCOLS)
    assert all(row.pictures.shape == (4, 3, SIZE, SIZE) for row in figure.rows)


def test_a_large_draw_includes_the_small_one(
    sources: tuple[AnnotatedImages, AnnotatedImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[int]] = []
    read = SegmentationData.masks

    def masks(self: SegmentationData, places: Tensor) -> Tensor:
        drawn.append(places.tolist())
        return read(self, places)

    monkeypatch.setattr(SegmentationData, "masks", masks)
    evaluated(sources, labelled=[2, 4], seeds=1, protocols=["frozen", "raw-logistic"])
    small, large = drawn[1], drawn[2]
    assert (len(small), len(large)) == (2, 4)
    assert set(small) < set(large)
    assert drawn[3:5] == [small, large]  # the next protocol sees the same


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"labelled": [7]}, "labelled must be at most 6"),
        ({"labelled": [0]}, "labelled must be whole numbers of at least 1"),
        ({"labelled": []}, "got none"),
        ({"protocols": ["frozne"]}, "got 'frozne', did you mean 'frozen'"),
        ({"protocols": ["as-given"]}, "as-given needs a run that went on from known weights"),
        ({"seeds": 0}, "seeds must be at least 1"),
    ],
)
def test_what_is_refused(options: dict[str, Any], why: str, sources: tuple[AnnotatedImages, AnnotatedImages]) -> None:
    with pytest.raises(UserError, match=why):
        evaluated(sources, **options)


def test_classes_go_by_their_names() -> None:
    classes, ours, theirs = same_classes(["a", "b"], ["b", "c"])
    assert classes == ["a", "b", "c"]
    assert ours[:2].tolist() == [0, 1]
    assert theirs[:2].tolist() == [1, 2]
    assert int(theirs[IGNORE]) == IGNORE
    with pytest.raises(UserError, match="classes in common"):
        same_classes(["a"], ["b"])


@pytest.mark.parametrize(
    ("name", "size", "sides"),
    [
        ("resnet8", 28, [14, 7, 4, 2]),
        ("resnet18", 64, [32, 16, 8, 4, 2]),
        ("vit_micro", 28, [7]),
        ("timm:resnet10t", 64, [32, 16, 8, 4, 2]),
        ("timm:tf_efficientnet_lite0", 64, [32, 16, 8, 4, 2]),
    ],
)
def test_maps_of_encoders(name: str, size: int, sides: list[int]) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=3, size=size).eval()
    view = torch.randn(2, 3, size, size)
    with torch.no_grad():
        maps = encoder.feature_maps(view)
        assert [each.shape[2] for each in maps] == sides
        assert torch.allclose(maps[-1].flatten(2).transpose(1, 2), encoder.features(view), atol=1e-5)
        joined = DenseEncoder(encoder)(view)
    assert joined.shape == (2, sum(each.shape[1] for each in maps), sides[0], sides[0])
    assert torch.equal(joined[:, : maps[0].shape[1]], maps[0])


def test_an_encoder_with_features_only() -> None:
    class Patches(nn.Module):
        def features(self, view: Tensor) -> Tensor:
            return view.unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)).flatten(2).transpose(1, 2)

        def grid(self, view: Tensor) -> tuple[int, int]:
            return view.shape[2] // 4, view.shape[3] // 4

    view = torch.arange(2 * 3 * 64.0).view(2, 3, 8, 8)
    assert torch.allclose(DenseEncoder(Patches())(view), nn.functional.avg_pool2d(view, 4))


def test_the_label_of_a_place() -> None:
    x = IGNORE
    mask = torch.tensor([[[0, 0, 1, 1], [0, 2, 1, 2], [x, x, 2, 1], [x, 2, 1, 2]]])
    assert place_labels(mask, (2, 2), 3).tolist() == [[[0, 1], [x, 1]]]  # of equal ones the first


def test_some_places_of_each_image() -> None:
    known = torch.ones(3, 4, 4, dtype=torch.bool)
    known[0, :3] = False
    found = some_places(known, 5, torch.Generator().manual_seed(0))
    assert found.flatten(1).sum(1).tolist() == [4, 5, 5]
    assert not (found & ~known).any()
    assert torch.equal(some_places(known, 99, torch.Generator()), known)


def test_images_and_masks_move_together() -> None:
    random = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (6, 4, 4), generator=random).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = (masks * 100)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)
    pictures, labels = moved(images, masks, torch.Generator().manual_seed(1), mirror=True)
    assert pictures.shape == images.shape
    near = (pictures[:, 0].float() / 100 - labels).abs() < 0.51
    assert near.float().mean() > 0.9  # between two blocks a pixel is mixed
    assert not torch.equal(labels, masks)
    straight, _ = moved(images, masks, torch.Generator().manual_seed(1), mirror=False)
    turned = [not torch.equal(one, other) for one, other in zip(pictures, straight, strict=True)]
    assert 0 < sum(turned) < 6


def test_colours_of_features() -> None:
    maps = torch.zeros(2, 5, 4, 4)
    maps[0, :, :, 2:] = torch.tensor([1.0, -2, 3, 0, 1])[:, None, None]
    colours = pca_colours(maps, 8)
    assert colours.shape == (2, 3, 8, 8)
    assert torch.equal(colours[0, :, :, :4], colours[1, :, :, :4])
    assert not torch.equal(colours[0, 0, 0, 0], colours[0, 0, 0, 7])
    assert pca_colours(torch.rand(2, 2, 4, 4), 4).shape == (2, 3, 4, 4)


def test_painted_masks() -> None:
    images = torch.full((1, 1, 2, 2), 100, dtype=torch.uint8)
    seen = painted(images, torch.tensor([[[0, 1], [2, IGNORE]]]), 3)
    assert seen[0, :, 1, 1].tolist() == [100, 100, 100]  # nothing is known of it
    assert seen[0, :, 0, 0].tolist() == [40, 40, 40]
    assert seen[0, :, 0, 1].tolist() != seen[0, :, 1, 0].tolist()


def test_it_is_read_again_from_the_files(sources: tuple[AnnotatedImages, AnnotatedImages], tmp_path: Path) -> None:
    from likewise.runs.evaluation import Evaluation
    from likewise.runs.segmentation_figures import SegmentationFigures

    found = evaluated(sources, protocols=["frozen"], labelled=[1], seeds=1)
    tables = [table.as_dict() for table in segmentation_tables(found.values, "scenes")]
    Evaluation({"test": "scenes", "segmentation": found.values, "tables": tables}).save(tmp_path)
    SegmentationFigures(segmentation_figure(found.values, found.pictures)).save(tmp_path)
    assert Evaluation.load(tmp_path)["segmentation"]["classes"] == scenes.CLASSES
    assert [figure.title for figure in SegmentationFigures.load(tmp_path)] == ["Predictions", "Features"]
    broken = dict(found.values) | {"trials": [found.values["trials"][0] | {"miou": 3}]}
    Evaluation({"test": "scenes", "segmentation": broken, "tables": tables}).save(tmp_path)
    with pytest.raises(UserError, match=r"segmentation.trials\[0\].miou must be a finite number from 0 to 1, got 3"):
        Evaluation.load(tmp_path)


def test_images_are_mirrored_where_the_views_mirror_them() -> None:
    assert mirrors(ImageViews([HorizontalFlip()], size=SIZE, channels=3))
    assert not mirrors(ImageViews([VerticalFlip()], size=SIZE, channels=3))
    assert not mirrors(ImageViews([], size=SIZE, channels=3))
