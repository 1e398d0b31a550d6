"""`--resume` refuses data that are not those of the training, and names what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import likewise as lw
from likewise.data.batches import Parts, Ragged
from likewise.data.fingerprint import changes, fingerprint
from likewise.data.source import ImageSource, Source
from likewise.errors import UserError


def picture(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(16):
        picture(folder / f"{i:02}.png", i)
    return folder


def train(data: Any, out: Path, **more: Any) -> lw.Run:
    return lw.pretrain(
        data, epochs=1, batch_size=8, encoder="resnet8", precision="32-true", out=out, progress=False, **more
    )


def test_a_folder_that_changed_is_refused(photos: Path, tmp_path: Path) -> None:
    run = train(photos, tmp_path / "run")
    kept = json.loads((run.path / "config.json").read_text())["source"]["fingerprint"]
    assert (kept["samples"], len(kept["content"])) == (16, 16)
    train(photos, run.path, resume=True)

    for i in range(3):
        picture(photos / f"new{i}.png", 100 + i)
    with pytest.raises(
        UserError, match=r"data must be those .* 3 samples are new \(19, not 16\): resume with the same"
    ):
        train(photos, run.path, resume=True)
    for i in range(3):
        (photos / f"new{i}.png").unlink()
    picture(photos / "03.png", 200)
    with pytest.raises(UserError, match=r"sample 03\.png differs"):
        train(photos, run.path, resume=True)
    picture(photos / "03.png", 3)
    (photos / "05.png").rename(photos / "99.png")
    with pytest.raises(UserError, match=r"names of its samples differ, 05\.png among them"):
        train(photos, run.path, resume=True)


def test_an_array_with_other_content_is_refused(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 12, 12), dtype=np.uint8)
    train(images, tmp_path / "run")
    with pytest.raises(UserError, match="sample 0 and 63 others of the 64 compared differ"):
        train(255 - images, tmp_path / "run", resume=True)


def test_samples_that_are_read_differently_each_time_are_not_compared() -> None:
    class Noise(ImageSource):
        name = "noise"

        def __len__(self) -> int:
            return 20

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            return torch.randint(0, 256, (len(indices), 1, 8, 8), dtype=torch.uint8)

    state = torch.get_rng_state()
    first = fingerprint(Noise())
    assert torch.equal(state, torch.get_rng_state())
    assert first["content"] == {}
    assert changes(first, fingerprint(Noise())) is None


@pytest.mark.parametrize("place", [0, 1])
def test_each_part_of_a_sample_is_compared(place: int) -> None:
    class Recorded(Source):
        modality = name = "recorded"

        def __init__(self) -> None:
            self.values = [torch.zeros(9), torch.zeros(9)]

        def __len__(self) -> int:
            return 9

        def read(self, indices: torch.Tensor) -> Parts:
            first, second = (values[indices] for values in self.values)
            return Parts((first, Ragged.of(second[:, None])))

    source = Recorded()
    before = fingerprint(source)
    assert len(before["content"]) == 9
    assert changes(before, fingerprint(source)) is None
    source.values[place][4] = 1
    assert changes(before, fingerprint(source)) == "sample 4 differs"
