"""`run.encode`: samples from Python, prepared as `likewise.embed` prepares those of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image

import likewise as lw
from likewise.data.open import open_source
from small_data import SAMPLE_RATE, recordings, sentences
from small_files import by_colour, captioned, notes

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 8, "precision": "32-true", "progress": False}
TEXTS = sentences(24)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder to work in, with a cache of its own."""
    folder = tmp_path_factory.mktemp("encode")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def images() -> lw.Run:
    return lw.pretrain(by_colour(Path("images"), 24, seed=0), out="of images", size=12, **QUICK)


@pytest.fixture(scope="module")
def texts() -> lw.Run:
    return lw.pretrain(TEXTS, method="simcse", out="of texts", max_tokens=16, vocab_size=100, **QUICK)


@pytest.fixture(scope="module")
def audio() -> lw.Run:
    return lw.pretrain(notes(Path("notes"), 24), out="of notes", modality="audio", seconds=0.4, **QUICK)


@pytest.fixture(scope="module")
def pairs() -> lw.Run:
    folder = captioned(Path("pairs"), 24)
    return lw.pretrain(folder, modality="pair", method="clip", out="of pairs", max_tokens=16, vocab_size=100, **QUICK)


def embedded(run: lw.Run, data: Any, **how: Any) -> dict[str, np.ndarray]:
    """What `likewise.embed` makes of data: vectors by id."""
    lw.embed(run, data, out="vectors.parquet", progress=False, **how)
    rows = pq.read_table("vectors.parquet").to_pylist()
    return {row["id"]: np.array(row["vector"], dtype=np.float32) for row in rows}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two matrices of embeddings are equal up to rounding."""
    assert one.dtype == other.dtype == np.float32
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_paths_of_images_are_embedded_as_their_folder(images: lw.Run) -> None:
    expected = embedded(images, "images")
    paths = [Path("images") / name for name in expected]
    vectors = images.encode(paths)
    assert vectors.shape == (24, images.encoder.dim)
    assert same(vectors, np.stack(list(expected.values())))
    assert same(images.encode([str(path) for path in paths], batch_size=5), vectors)
    assert same(images.encode(tuple(Image.open(path) for path in paths)), vectors)
    assert same(images.encode(np.array([str(path) for path in paths])), vectors)


def test_images_are_arrays_of_any_kind(images: lw.Run) -> None:
    pictures = [Image.open(path) for path in sorted(Path("images").rglob("*.png"))[:6]]
    whole = open_source("images", size=12, progress=False).read(torch.arange(6))
    vectors = images.encode(pictures)
    assert same(images.encode(whole), vectors)
    assert same(images.encode(whole.numpy()), vectors)
    assert same(images.encode(whole.permute(0, 2, 3, 1).numpy()), vectors)
    assert same(images.encode(whole.float() / 255), vectors)
    assert same(images.encode(list(whole)), vectors)
    assert same(images.encode([*whole[:2].numpy(), *pictures[2:]]), vectors)
    grey = images.encode(np.array(pictures[0].convert("L")))
    assert same(grey, images.encode([pictures[0].convert("L")]))


def test_a_single_sample_gives_one_row(images: lw.Run, texts: lw.Run, audio: lw.Run) -> None:
    path = next(Path("images").rglob("*.png"))
    one = images.encode([path])
    assert one.shape[0] == 1
    for single in (path, str(path), Image.open(path)):
        assert same(images.encode(single), one)
    assert images.encode(np.array(Image.open(path))).shape == one.shape
    assert same(texts.encode(TEXTS[0]), texts.encode(TEXTS)[:1])
    wave = recordings(1)[0][0]
    assert same(audio.encode(wave), audio.encode([wave]))


def test_texts_are_embedded_as_the_list(texts: lw.Run) -> None:
    expected = np.stack(list(embedded(texts, TEXTS).values()))
    assert same(texts.encode(TEXTS), expected)
    assert same(texts.encode(np.array(TEXTS)), expected)
    assert same(texts.encode(np.array(TEXTS, dtype=object)[:, None]), expected)
    Path("a name.txt").write_text("not this")
    assert not same(texts.encode("a name.txt"), texts.encode("not this"))
    assert np.isfinite(texts.encode(["", "x " * 1000])).all()


def test_texts_that_are_cut_are_told_once(texts: lw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    long = " ".join(["the digit zero"] * 40)
    whole = 2 + len(texts.views.tokenize([long])[0])  # type: ignore[attr-defined]
    short = sum(len(ids) + 2 for ids in texts.views.tokenize(["zero", "one"]))  # type: ignore[attr-defined]
    capsys.readouterr()
    texts.encode(["zero", long, "one", long], batch_size=2)
    used, tokens = short + 2 * 16, short + 2 * whole
    told = (
        f"samples: 2 of 4 documents are cut after 16 tokens: {used} of {tokens} tokens are used ({used / tokens:.1%})"
    )
    assert capsys.readouterr().err.splitlines() == [told]
    texts.encode(["zero", "one"])
    assert capsys.readouterr().err == ""
    texts.encode(open_source(["zero", long], progress=False))
    assert "texts: 1 of 2 documents is cut after 16 tokens" in capsys.readouterr().err


def test_recordings_are_embedded_as_their_folder(audio: lw.Run) -> None:
    expected = embedded(audio, "notes", modality="audio")
    paths = [Path("notes") / name for name in expected]
    vectors = audio.encode(paths)
    assert same(vectors, np.stack(list(expected.values())))
    waves = [soundfile.read(path, dtype="int16")[0] for path in paths]
    assert same(audio.encode(waves), vectors)
    assert same(audio.encode([torch.from_numpy(wave) for wave in waves]), vectors)
    assert same(audio.encode(np.stack(waves)), vectors)
    assert same(audio.encode([wave.astype(np.float32) / 32768 for wave in waves], sample_rate=SAMPLE_RATE), vectors)


def test_waveforms_of_another_rate_are_resampled(audio: lw.Run) -> None:
    wave = (recordings(1)[0][0] * 32767).astype(np.int16)
    soundfile.write("slow.wav", wave, SAMPLE_RATE // 2)
    slow = audio.encode(wave, sample_rate=SAMPLE_RATE // 2)
    assert same(slow, audio.encode("slow.wav"))
    assert not same(slow, audio.encode(wave))


def test_of_a_long_recording_the_first_piece_is_taken(audio: lw.Run) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * SAMPLE_RATE).astype(np.float32)
    soundfile.write("long.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    first = audio.encode(wave[: 20 * SAMPLE_RATE])
    assert same(audio.encode([wave, wave]), np.repeat(first, 2, axis=0))
    assert same(audio.encode("long.wav"), first)


@pytest.mark.parametrize("in_files", [True, False])
def test_what_is_cut_of_long_recordings_is_said(
    in_files: bool, audio: lw.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * SAMPLE_RATE).astype(np.float32)
    short = wave[: 2 * SAMPLE_RATE]
    samples: list[Any] = [short, wave, wave]
    if in_files:
        for name, sound in zip("abc", samples, strict=True):
            soundfile.write(f"{name}.wav", sound, SAMPLE_RATE)
        samples = ["a.wav", "b.wav", "c.wav"]
    capsys.readouterr()
    audio.encode(samples[:1])
    assert "longer" not in capsys.readouterr().err
    audio.encode(samples)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "2 recordings are longer than 30 s: only the first piece is encoded (the first one: sample 1); likewise.embed "
        "encodes every piece"
    )


def test_the_halves_of_pairs_have_their_own_towers(pairs: lw.Run) -> None:
    expected = embedded(pairs, "pairs", modality="image")
    paths = [Path("pairs") / name for name in expected]
    vectors = pairs.encode(paths)
    assert same(vectors, np.stack(list(expected.values())))
    assert same(pairs.encode([Image.open(path) for path in paths]), vectors)
    assert same(pairs.encode([str(path) for path in paths], modality="image"), vectors)
    captions = [path.with_suffix(".txt").read_text().strip() for path in paths]
    spoken = np.stack(list(embedded(pairs, captions, modality="text").values()))
    assert same(pairs.encode(captions), spoken)
    with pytest.raises(lw.UserError, match="modality must be given, these samples could be several of image, text"):
        pairs.encode([str(path) for path in paths])
    with pytest.raises(
        lw.UserError, match="modality must be image or text, which of pairs has learned from, got 'audio'"
    ):
        pairs.encode(captions, modality="audio")


def test_an_encoder_of_groups_takes_what_its_parts_are() -> None:
    other = sentences(24, seed=1)
    run = lw.pretrain((TEXTS, other), modality="pair", method="simcse", out="of groups", vocab_size=100, **QUICK)
    assert same(run.encode(TEXTS), np.stack(list(embedded(run, TEXTS, modality="text").values())))


def test_a_source_is_embedded_too(images: lw.Run, pairs: lw.Run) -> None:
    source = open_source("images", size=20, channels=1, progress=False)
    assert images.encode(source).shape == (24, images.encoder.dim)
    whole = open_source("pairs", modality="pair", progress=False)
    assert same(pairs.encode(whole), np.stack(list(embedded(pairs, "pairs").values())))
    with pytest.raises(lw.UserError, match="has learned from image samples, these are text"):
        images.encode(open_source(TEXTS, progress=False))


def test_a_run_that_was_opened_again_encodes_alike(images: lw.Run) -> None:
    paths = list(Path("images").rglob("*.png"))
    assert same(lw.open_run(images.path).encode(paths), images.encode(paths))


@pytest.mark.parametrize(
    ("samples", "how", "message"),
    [
        ([], {}, "samples must hold at least one, got none"),
        (np.zeros((0, 8, 8), np.uint8), {}, "samples must hold at least one, got none"),
        (3, {}, "samples must be a list, an array, an image, a path or a text, got int"),
        ([3], {}, "sample 0 must be an image: a path, a Pillow image or an array, got int"),
        ("missing.png", {}, "image 'missing.png' can't be read: No such file or directory"),
        (["broken.png"], {}, "image 'broken.png' can't be read: not an image of a known type"),
        (np.full((2, 8, 8), 7.0), {}, "must lie between 0 and 1, got values from 7.0 to 7.0"),
        ([np.zeros((8, 8), np.uint8), np.zeros(8, np.uint8)], {}, "sample 1: images must be shaped"),
        ("x.png", {"modality": "text"}, "modality must be image, which of images has learned from, got 'text'"),
        ("x.png", {"sample_rate": 8000}, "sample_rate is for recordings, of images takes image"),
        ("x.png", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_mistakes_with_images(images: lw.Run, samples: Any, how: dict[str, Any], message: str) -> None:
    Path("broken.png").write_bytes(b"no image")
    with pytest.raises(lw.UserError, match=message) as raised:
        images.encode(samples, **how)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("samples", "how", "message"),
    [
        (["missing.wav"], {}, "recording 'missing.wav' can't be read: No such file or directory"),
        (["broken.wav"], {}, "recording 'broken.wav' can't be read: not a recording of a known type"),
        ([np.zeros(5), "a.wav"], {}, "recordings must all be paths, or 1-D arrays, sample 0 is ndarray"),
        (["a.wav"], {"sample_rate": 8000}, "sample_rate is for recordings that are arrays"),
        ([np.zeros(5), np.zeros(0)], {}, "recording 1 can't be used: no samples"),
        ([np.full(5, np.nan, np.float32)] * 2, {}, "NaN or infinite"),
        ([np.full(5, 2.0)], {}, "recording 0 must lie between -1 and 1, it reaches 2; scale it"),
        (np.zeros(5), {"sample_rate": 10}, "sample_rate must be from 1,000 to 192,000 Hz, got 10"),
    ],
)
def test_mistakes_with_recordings(audio: lw.Run, samples: Any, how: dict[str, Any], message: str) -> None:
    Path("broken.wav").write_bytes(b"no sound")
    with pytest.raises(lw.UserError, match=message) as raised:
        audio.encode(samples, **how)
    assert "\n" not in str(raised.value)


def test_mistakes_with_texts(texts: lw.Run) -> None:
    with pytest.raises(lw.UserError, match="sample 1 must be a text, got int"):
        texts.encode(["a", 3])
    with pytest.raises(lw.UserError, match="sample 0 must be a text, got"):
        texts.encode(np.zeros((3, 8, 8)))


def test_an_unfinished_run_says_how_to_go_on(images: lw.Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((images.path / "config.json").read_text())
    with pytest.raises(lw.UserError, match="is not finished"):
        lw.open_run(tmp_path).encode("x.png")
