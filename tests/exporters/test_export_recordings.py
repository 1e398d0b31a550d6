"""Encoders of recordings, read back by other libraries alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import likewise as lw
from exported import MakeRun, by_the_card
from small_data import SAMPLE_RATE, recordings

TOLERANCE = 1e-4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings, of which one is shorter than a view."""
    path = tmp_path / "recordings"
    path.mkdir()
    waves, _ = recordings(40)
    for place, wave in enumerate([*waves, waves[0][:300]]):
        soundfile.write(path / f"{place:02}.wav", wave, SAMPLE_RATE)
    return path


def as_embedded(run: lw.Run, folder: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The embedding of a recording by the card of the export in `out`, and by `likewise embed`."""
    Path("out/recording.wav").write_bytes((folder / f"{number:02}.wav").read_bytes())
    return by_the_card(Path("out"))[0], lw.embed(run, folder, progress=False).vectors[number]


@pytest.mark.slow
def test_onnx_runtime_embeds_recordings(make_run: MakeRun, folder: Path) -> None:
    run = make_run(folder, encoder="mel-resnet8", seconds=0.4)
    done = lw.export(run, to="onnx", out="out", progress=False)
    assert done.files == ["README.md", "model.onnx", "preprocessing.json"]
    assert done.max_difference < 1e-4
    described = json.loads(Path("out/preprocessing.json").read_text())
    assert (described["sample_rate"], described["shape"]) == (SAMPLE_RATE, ["batch", 800])
    np.testing.assert_allclose(*as_embedded(run, folder, 3), atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["conv-gru-tiny", "wav2vec2-tiny"])
@pytest.mark.parametrize("to", ["onnx", "torch.export"])
def test_graphs_embed_recordings(make_run: MakeRun, folder: Path, encoder: str, to: str) -> None:
    run = make_run(folder, encoder=encoder, seconds=0.4)
    assert lw.export(run, to=to, out="out", progress=False).max_difference < 1e-4
    np.testing.assert_allclose(*as_embedded(run, folder, 40), atol=TOLERANCE)  # the short one


@pytest.mark.slow
def test_transformers_loads_wav2vec2(make_run: MakeRun, folder: Path) -> None:
    run = make_run(folder, encoder="wav2vec2-tiny", seconds=0.4)
    done = lw.export(run, to="transformers", out="out", progress=False)
    assert done.files == [
        "README.md", "config.json", "model.safetensors", "preprocessing.json", "preprocessor_config.json",
    ]  # fmt: skip
    np.testing.assert_allclose(*as_embedded(run, folder, 3), atol=TOLERANCE)
