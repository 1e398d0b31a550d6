"""What is kept in explore/ of a run folder: it comes back, and what is damaged or of another key is made anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from likewise.cleaning.faults import Fault
from likewise.explorer.scene import Scene, kept_features, kept_scene, write_kept


def scene(unusual: bool = True) -> Scene:
    faults = [
        Fault("", "duplicate", "equal to <b>", place=3, partner_place=1),
        Fault("", "outlier", "far", place=2),
    ]
    scores = np.array([0, 1, np.nan, 3], dtype=np.float32) if unusual else None
    coordinates = np.arange(8, dtype=np.float32).reshape(4, 2) / 8
    clusters = np.array([0, 1, 0, 0], dtype=np.int32)
    return Scene(coordinates, clusters, ["é", ""], scores, faults if unusual else [], ["a note"])


@pytest.mark.parametrize("unusual", [True, False])
def test_a_scene_comes_back(tmp_path: Path, unusual: bool) -> None:
    made = kept_scene(tmp_path, "key", 4, lambda: scene(unusual))
    found = kept_scene(tmp_path, "key", 4, lambda: pytest.fail("made again"))
    np.testing.assert_array_equal(found.coordinates, made.coordinates)
    np.testing.assert_array_equal(found.clusters, made.clusters)
    assert (found.names, found.notes, found.faults) == (made.names, made.notes, made.faults)
    if unusual:
        np.testing.assert_array_equal(found.unusual, made.unusual)
    else:
        assert found.unusual is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coordinates", np.zeros((3, 2), np.float32)),
        ("coordinates", np.full((4, 2), np.nan, np.float32)),
        ("clusters", np.array([0, 1, 2, 0])),
        ("clusters", np.array([0, 1])),
        ("names", np.zeros(2)),
        ("unusual", np.zeros(3, np.float32)),
        ("fault_kinds", np.array([0, 99])),
        ("fault_places", np.array([0, 4])),
        ("fault_partners", np.array([-2, 0])),
        ("fault_reasons", np.array(["one"])),
        ("notes", None),
    ],
)
def test_what_is_damaged_is_made_anew(tmp_path: Path, name: str, value: np.ndarray | None) -> None:
    arrays = {**scene().to_arrays(), name: value}
    write_kept(tmp_path, Scene.FILE, "key", {key: array for key, array in arrays.items() if array is not None})
    made = []

    def make() -> Scene:
        made.append(1)
        return scene()

    assert kept_scene(tmp_path, "key", 4, make).names == ["é", ""]
    kept_scene(tmp_path, "key", 4, make)
    assert len(made) == 1
    kept_scene(tmp_path, "other", 4, make)
    assert len(made) == 2


def test_embeddings_come_back_and_a_link_is_not_written_through(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    kept_features(tmp_path, "key", 5, lambda: features)
    found = kept_features(tmp_path, "key", 5, lambda: pytest.fail("made again"))
    np.testing.assert_array_equal(found, features)
    assert len(kept_features(tmp_path, "key", 4, lambda: features[:4])) == 4
    other = tmp_path / "other"
    other.mkdir()
    (other / "explore").symlink_to(tmp_path / "explore")
    before = (tmp_path / "explore" / "embeddings.npz").read_bytes()
    kept_features(other, "new", 2, lambda: features[:2])
    assert (tmp_path / "explore" / "embeddings.npz").read_bytes() == before
