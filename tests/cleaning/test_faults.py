"""Each kind of fault, on samples made for it."""

from __future__ import annotations

import csv
import io
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F

from likewise.cleaning import neighbours as neighbours_module
from likewise.cleaning.duplicates import duplicates
from likewise.cleaning.faults import KINDS, Fault, counts, sorted_faults
from likewise.cleaning.find import find_faults
from likewise.cleaning.label_errors import label_errors
from likewise.cleaning.likeness import likeness
from likewise.cleaning.mismatched import fit_of_pairs
from likewise.cleaning.neighbours import neighbours
from likewise.cleaning.outliers import FENCE, outliers
from likewise.cleaning.table import table_bytes
from likewise.cleaning.trivial import trivial_samples
from likewise.data.open import open_source
from likewise.errors import UserError


def unseen(_: int) -> None:
    """Nobody looks at the progress."""


@contextmanager
def stage(doing: str, total: int) -> Any:
    assert doing
    assert total >= 0
    yield unseen


def digits() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    return (pixels.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8), labels


def pixels(source: Any) -> torch.Tensor:
    return source.read(torch.arange(len(source))).flatten(1).float()


def kinds_of(faults: list[Fault]) -> dict[str, str]:
    return {fault.id: fault.kind for fault in faults}


def test_neighbours_of_many_samples_are_found_in_small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones, whatever the tiles are; no tile is larger than what is allowed."""
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    whole = neighbours(features, unseen)
    compared: list[int] = []
    monkeypatch.setattr(neighbours_module, "TILE", 300 * 7)
    tiled = neighbours(features, compared.append)
    assert torch.equal(tiled.positions, whole.positions)
    assert torch.allclose(tiled.distances, whole.distances, atol=1e-5)
    assert compared == [*range(7, 300, 7), 300]
    monkeypatch.setattr(neighbours_module, "TILE", 10)
    assert torch.equal(neighbours(features, unseen).positions, whole.positions)


def test_neighbours_of_very_many_samples_are_found_in_the_partitions_near_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all of the exact ones, and copies always, however small the tiles are."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 16, generator=generator).repeat(75, 1) + torch.randn(3000, 16, generator=generator) / 2
    features[2990:] = features[:10]
    exact = neighbours(features, unseen)
    compared: list[int] = []
    monkeypatch.setattr(neighbours_module, "MOST_COMPARED", 2999)
    found = neighbours(features, compared.append)
    assert compared == sorted(compared)
    assert compared[-1] == 3000
    same = (found.positions[:, :, None] == exact.positions[:, None]).any(2).float().mean()
    assert same > 0.95  # 0.98 when this was written; of one partition 0.5
    assert torch.equal(found.positions[:10, 0], torch.arange(2990, 3000))
    assert torch.equal(found.positions[2990:, 0], torch.arange(10))
    assert (found.distances[:, 1:] >= found.distances[:, :-1]).all()
    distances = (2 - 2 * F.cosine_similarity(features[:, None], features[found.positions], dim=2)).clamp_min(0).sqrt()
    assert torch.allclose(distances, found.distances, atol=2e-3)
    monkeypatch.setattr(neighbours_module, "TILE", 2000)
    assert torch.equal(neighbours(features, unseen).positions, found.positions)


def test_images_of_one_colour() -> None:
    random = np.random.default_rng(0)
    images = np.full((5, 3, 16, 16), 90, dtype=np.uint8)
    images[1] += random.integers(0, 3, images[1].shape).astype(np.uint8)  # stored with loss
    images[2, 1] = 200  # one colour, though no grey
    images[3, :, 3, 3] = 255  # a dot
    images[4] = random.integers(0, 256, images[4].shape)
    found = trivial_samples(open_source(images), unseen)
    assert kinds_of(found) == {"0": "blank", "1": "blank", "2": "blank"}
    assert found[0].reason == "one colour: 90, 90, 90 of 255"
    assert found[1].reason == "nearly one colour: 91, 91, 91 of 255"


def test_recordings_without_a_sound() -> None:
    time = np.arange(8000) / 8000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    waves = [tone, 0 * tone, 5e-4 * tone, np.full(8000, 0.3), (8 * tone).clip(-1, 1)]
    source = open_source([wave.astype(np.float32) for wave in waves], modality="audio", sample_rate=8000)
    found = trivial_samples(source, unseen)
    assert kinds_of(found) == {"1": "silent", "2": "silent", "3": "blank", "4": "clipped"}
    assert found[0].reason == "silent: all samples are 0"
    assert found[1].reason == "silent: its peak is -72 dBFS"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a word, and another", None),
        ("no no, never", None),
        ("x", "repetitive"),
        ("aaaaaaaa", "repetitive"),
        ("ha ha HA  ha ha", "repetitive"),
        ("click here, click here, click here, click here, ", "repetitive"),
        ("abcabcabcabcabc", "repetitive"),
        ("hm " + "a" * 40, "repetitive"),
        ("- ?!... ", "empty"),
        ("日本語のテキスト", None),
    ],
)
def test_texts_without_content(text: str, kind: str | None) -> None:
    found = trivial_samples(open_source([text, "something else"], modality="text"), unseen)
    assert [fault.kind for fault in found] == ([] if kind is None else [kind])


def test_the_first_of_copies_stays_and_a_chain_of_near_ones_is_no_group() -> None:
    images, _ = digits()
    images = images[:60].repeat(4, 1).repeat(4, 2)
    near = np.asarray(Image.fromarray(images[3]).resize((30, 30)).resize((32, 32)))
    data = np.concatenate([images, images[5:6], images[5:6], near[None]])
    source = open_source(data)
    found = duplicates(
        [source], np.zeros(63, dtype=int), np.zeros(63, dtype=bool), neighbours(pixels(source), unseen), stage
    )
    assert [(fault.id, fault.kind, fault.partner) for fault in found] == [
        ("60", "duplicate", "5"),
        ("61", "duplicate", "5"),
        ("62", "near-duplicate", "3"),
    ]
    # 0 is near 1 and 1 near 2, but 2 is not near 0: 2 stays, as 1 does not.
    random = np.random.default_rng(0)
    start, end = random.normal(size=(2, 40, 40))
    steps = [start, 0.85 * start + 0.15 * end, 0.7 * start + 0.3 * end]
    waves = [np.repeat(0.1 * step.ravel(), 5).astype(np.float32) for step in steps]
    others = [np.repeat(0.1 * random.normal(size=1600), 5).astype(np.float32) for _ in range(20)]
    sounds = open_source(waves + others, modality="audio", sample_rate=8000)
    vectors = torch.tensor(np.stack(waves + others))
    found = duplicates([sounds], np.zeros(23, dtype=int), np.zeros(23, dtype=bool), neighbours(vectors, unseen), stage)
    assert likeness([sounds], np.array([[0, 2]]))[0] < 0.95
    assert [(fault.id, fault.partner) for fault in found][:1] == [("1", "0")]


def test_a_training_sample_that_is_a_test_sample_is_a_leak() -> None:
    images, labels = digits()
    train = open_source((images[:50], labels[:50]))
    test = open_source((np.concatenate([images[100:140], images[7:9]]), np.r_[labels[100:140], labels[7], 0]))
    sides = np.r_[np.zeros(50, dtype=int), np.ones(42, dtype=int)]
    found = duplicates([train, test], sides, np.zeros(92, dtype=bool), None, stage)
    assert [(fault.id, fault.kind, fault.partner, fault.label) for fault in found] == [
        ("7", "leak", "40", "7"),
        ("8", "leak", "41", "8"),
    ]
    assert found[0].reason == f"equal to 40 of {test.name}"
    assert found[1].reason.endswith("which has the label 0")


def test_near_copies_of_texts_and_recordings() -> None:
    words = "the quick brown fox jumps over a lazy dog while seven wizards mix vodka juice boxes quietly".split()
    random = np.random.default_rng(0)
    texts = [" ".join(random.permutation(words)) for _ in range(30)]
    texts += [texts[4].upper() + "!", texts[6] + " ok"]
    source = open_source(texts, modality="text")
    vectors = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    vectors[31] = vectors[6] + 0.01
    none = np.zeros(32, dtype=bool)
    found = duplicates([source], np.zeros(32, dtype=int), none, neighbours(vectors, unseen), stage)
    assert [(fault.id, fault.kind, fault.partner) for fault in found] == [
        ("30", "near-duplicate", "4"),
        ("31", "near-duplicate", "6"),
    ]
    waves = 0.1 * random.normal(size=(3, 4000))
    sounds = [*waves, np.r_[np.zeros(500), 0.4 * waves[1]] + 0.005 * random.normal(size=4500)]
    audio = open_source([wave.astype(np.float32) for wave in sounds], modality="audio", sample_rate=8000)
    alike = likeness([audio], np.array([[0, 1], [1, 3], [2, 3]]))
    assert alike[1] > 0.98
    assert max(alike[0], alike[2]) < 0.2


def test_outliers_are_found_and_usual_samples_are_not() -> None:
    random = torch.Generator().manual_seed(0)
    usual = torch.nn.functional.one_hot(torch.arange(600) % 6, 16) + 0.2 * torch.randn(600, 16, generator=random)
    strange = -usual[:12] + torch.randn(12, 16, generator=random)
    features = torch.cat([usual, strange])
    scores = outliers(features, neighbours(features, unseen)).scores
    assert (scores[600:] >= FENCE).all()
    assert (scores[:600] >= FENCE).mean() <= 0.005


def test_planted_label_errors_are_found_among_few_others() -> None:
    pytest.importorskip("cleanlab")
    images, labels = digits()
    random = np.random.default_rng(0)
    wrong = random.choice(len(labels), 60, replace=False)
    given = labels.copy()
    given[wrong] = (labels[wrong] + random.integers(1, 10, 60)) % 10
    features = torch.from_numpy(images.reshape(-1, 64)).float()
    alone = torch.arange(len(given))
    found = label_errors(features, torch.from_numpy(given), alone, name="digits")
    hits = set(found.positions) & set(wrong.tolist())
    assert len(hits) >= 36
    assert len(found.positions) - len(hits) <= 3
    right = dict(zip(found.positions, found.suggested, strict=True))
    assert sum(right[i] == labels[i] for i in hits) >= 0.95 * len(hits)
    assert len(label_errors(features, torch.from_numpy(labels), alone, name="digits").positions) <= 3


def test_what_is_like_nothing_else_has_no_suggested_label() -> None:
    pytest.importorskip("cleanlab")
    images, labels = digits()
    strange = np.random.default_rng(0).integers(0, 256, (8, 8, 8)).astype(np.uint8)
    source = open_source((np.concatenate([images, strange]), np.r_[labels, np.arange(8)]))
    how: dict[str, Any] = {"embed": pixels, "embed_halves": pixels, "stage": stage}
    found = find_faults(source, kinds=["outlier", "label-error"], **how).faults
    outlying = {fault.id for fault in found if fault.kind == "outlier"}
    assert outlying >= {str(i) for i in range(1797, 1805)}
    assert not outlying & {fault.id for fault in found if fault.kind == "label-error"}
    alone = find_faults(source, kinds=["label-error"], **how).faults
    assert alone == [fault for fault in found if fault.kind == "label-error"]


def test_copies_do_not_confirm_each_others_labels() -> None:
    pytest.importorskip("cleanlab")
    images, labels = digits()
    features = torch.from_numpy(images.reshape(-1, 64)).float()
    given = torch.from_numpy(labels.copy())
    given[20] = (given[20] + 4) % 10
    features, given = torch.cat([features, features[20:21].repeat(6, 1)]), torch.cat([given, given[20:21].repeat(6)])
    copies = torch.cat([torch.arange(1797), torch.full((6,), 20)])
    assert {20, *range(1797, 1803)} <= set(label_errors(features, given, copies, name="digits").positions)
    assert 20 not in label_errors(features, given, torch.arange(1803), name="digits").positions


def test_small_classes_are_named_and_one_class_is_refused() -> None:
    pytest.importorskip("cleanlab")
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0] * 14 + [1] * 14 + [2, -1])
    assert label_errors(features, labels, torch.arange(30), name="x").small == [2]
    with pytest.raises(UserError, match="two classes with 5 labels or more, x has 1 class with so many"):
        label_errors(features, labels.where(labels != 1, 0), torch.arange(30), name="x")


def test_halves_that_do_not_fit() -> None:
    random = torch.Generator().manual_seed(0)
    first = torch.randn(200, 32, generator=random)
    second = first + 0.3 * torch.randn(200, 32, generator=random)
    second[[3, 90, 150, 160]] = second[[90, 150, 160, 3]]
    fit = fit_of_pairs(first, second)
    found = fit.mismatched.nonzero()[:, 0].tolist()
    assert set(found) <= {3, 90, 150, 160}
    assert len(found) >= 3
    unrelated = fit_of_pairs(first, torch.randn(200, 32, generator=random))
    assert not unrelated.tells_apart
    assert not unrelated.mismatched.any()


def test_only_the_kinds_that_are_asked_for_and_no_embeddings_without_need() -> None:
    images, labels = digits()
    images = np.concatenate([images[:80], images[:1], np.full((1, 8, 8), 7, dtype=np.uint8)])
    source = open_source((images, np.r_[labels[:80], 0, 1]))

    def unwanted(_: Any) -> Any:
        raise AssertionError

    how: dict[str, Any] = {"embed_halves": unwanted, "stage": stage}
    found = find_faults(source, kinds=["duplicate", "blank"], embed=unwanted, **how)
    assert [(fault.id, fault.kind) for fault in found.faults] == [("81", "blank"), ("80", "duplicate")]
    assert find_faults(source, kinds=["duplicate"], embed=unwanted, **how).faults == found.faults[1:]
    every = find_faults(source, kinds=list(KINDS), embed=pixels, **how)
    assert counts(every.faults)["duplicate"] == 1
    assert "81" not in {fault.id for fault in every.faults if fault.kind != "blank"}


def test_the_table_in_every_format() -> None:
    faults = sorted_faults(
        [
            Fault("=b", "outlier", "far", 2.5, label="cat"),
            Fault("a\nb", "duplicate", "equal to c", 1.0, "c", place=3),
            Fault("d", "outlier", "farther", 3.5),
        ]
    )
    assert [fault.id for fault in faults] == ["a\nb", "d", "=b"]
    rows = list(csv.DictReader(io.StringIO(table_bytes(faults, ".csv").decode())))
    assert list(rows[0]) == ["id", "kind", "reason", "score", "partner", "label", "suggested"]
    assert rows[0] | {"reason": ""} == {
        "id": "a\nb", "kind": "duplicate", "reason": "", "score": "1.0", "partner": "c", "label": "", "suggested": ""
    }  # fmt: skip
    assert rows[2]["id"] == "'=b"  # no formula of a spreadsheet
    lines = [json.loads(line) for line in table_bytes(faults, ".jsonl").decode().splitlines()]
    assert lines[2] == {
        "id": "=b", "kind": "outlier", "reason": "far", "score": 2.5, "partner": None, "label": "cat", "suggested": None
    }  # fmt: skip
    assert pq.read_table(io.BytesIO(table_bytes(faults, ".parquet"))).to_pylist() == lines
    assert pq.read_table(io.BytesIO(table_bytes([], ".parquet"))).schema.names == list(lines[0])


def test_files_without_a_text_are_listed(tmp_path: Path) -> None:
    for name, text in (("a", "one thing"), ("b", " \n"), ("c", "another thing")):
        (tmp_path / f"{name}.txt").write_text(text)
    how: dict[str, Any] = {"kinds": ["empty"], "embed": pixels, "embed_halves": pixels, "stage": stage}
    assert [fault.id for fault in find_faults(open_source(tmp_path, modality="text"), **how).faults] == ["b.txt"]
    lines = tmp_path / "all.txt"
    lines.write_text("first\n\nthird\n   \n")
    assert [fault.id for fault in find_faults(open_source(lines), **how).faults] == ["1", "3"]
