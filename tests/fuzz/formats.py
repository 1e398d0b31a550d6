"""Sound files of every format that is read, and how each is opened as a user's data would be."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import soundfile
import torch
from PIL import Image

import likewise as lw
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.data.text import corpus
from likewise.report.contents import read_contents
from likewise.report.sections import SECTIONS
from likewise.training.recipe import Recipe, load_recipe

IMAGES = ("png", "jpg", "gif", "tiff", "webp", "bmp")
SOUNDS = ("wav", "flac", "ogg", "mp3")
TABLES = ("csv", "tsv", "jsonl", "parquet")
RUN_FILES = ("config.json", "metrics.csv", "evaluation.json", "chance.json", "verdict.json", "tokenizer.json",
             "encoder.safetensors", "gallery.npz", "pairs.npz", "skipped.csv")  # fmt: skip
WORDS = "one two three four five six seven eight nine ten eleven twelve".split()


@dataclass(frozen=True)
class Format:
    """What files of a format are, and what to do with a folder of them.

    Attributes:
        sound: the content of a sound file.
        read: reads all that there is of a folder, and checks that all of it is accounted for.
        name: of the damaged file; the n-th where there are several, for a `{}` in it.
        together: how many damaged files lie in one folder.
        others: sound files beside it, by name.
    """

    sound: bytes
    read: Callable[[Path], None]
    name: str
    together: int = 1
    others: dict[str, bytes] | None = None


def read_all(source: Source) -> int:
    """Reads every sample; returns how many there are."""
    for some in torch.arange(len(source)).split(64):
        source.read(some)
    labels = source.labels() if source.classes else torch.zeros(1)
    assert int(labels.max()) < max(1, len(source.classes)), "a label without a class"
    assert int(labels.min()) >= -1
    assert len(source.ids) == len(source)
    return len(source)


def of_folder(modality: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        there = sum(1 for path in folder.rglob("*") if path.is_file())
        source = open_source(
            folder, read_options=ReadOptions(modality=modality, per_file=modality == "text"), progress=False
        )
        if modality == "text":
            found = len(corpus(source))
            assert all(isinstance(text, str) for text in corpus(source))
        elif modality == "audio":
            read_all(source)
            found = len(source.recordings.unique())
        else:
            found = read_all(source)
        listed = {name for name, _ in source.skipped}
        assert len(listed) == len(source.skipped), "a file is listed twice"
        assert found + len(listed) == there, f"{found} samples, {len(listed)} skipped, {there} files"

    return read


def of_table(folder: Path) -> None:
    [path] = folder.iterdir()
    source = open_source(path, read_options=ReadOptions(modality="text"), progress=False)
    assert all(isinstance(text, str) and text for text in corpus(source))
    if source.classes:
        assert int(source.labels().max()) < len(source.classes)


def of_arrays(folder: Path) -> None:
    [path] = folder.iterdir()
    read_all(open_source(path, progress=False))


def of_shard(folder: Path) -> None:
    [path] = folder.iterdir()
    source = open_source(path, read_options=ReadOptions(modality="pair"), progress=False)
    read_all(source.parts[0])
    assert len(corpus(source.parts[1])) == len(source)
    listed = {name for name, _ in source.skipped}
    whole = len(source) + len(listed) >= PAIRS
    assert whole or any("byte" in name for name in listed), f"{len(source)} pairs, {listed}, {PAIRS} there"


def of_named(folder: Path) -> None:
    for split in ("train", "test"):
        read_all(open_source(f"mnist:{split}", root=folder, progress=False))


def of_recipe(folder: Path) -> None:
    [path] = folder.iterdir()
    load_recipe(str(path)).to_yaml()


def of_run(folder: Path) -> None:
    contents = read_contents(folder)
    for section in SECTIONS:
        section(contents)
    run = lw.open_run(folder)
    run.encode(["one two three", "four"])


PAIRS = 6


def picture(suffix: str) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, {"jpg": "jpeg"}.get(suffix, suffix))
    return file.getvalue()


def sound(suffix: str) -> bytes:
    file = io.BytesIO()
    wave = np.sin(np.arange(9000) / 7).astype(np.float32) / 2
    soundfile.write(file, wave, 8000, format=suffix)
    return file.getvalue()


def table(suffix: str) -> bytes:
    rows = [(" ".join(WORDS[i % 5 : i % 5 + 5]), "ab"[i % 2]) for i in range(30)]
    if suffix == "parquet":
        file = io.BytesIO()
        pyarrow.parquet.write_table(
            pa.table({"text": [t for t, _ in rows], "label": [label for _, label in rows]}), file
        )
        return file.getvalue()
    if suffix == "jsonl":
        return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()
    text_file = io.StringIO()
    csv.writer(text_file, delimiter="," if suffix == "csv" else "\t").writerows([("text", "label"), *rows])
    return text_file.getvalue().encode()


def arrays(suffix: str) -> bytes:
    file = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    if suffix == "npy":
        np.save(file, images)
    else:
        np.savez(file, images=images, labels=np.arange(12) % 3)
    return file.getvalue()


def shard() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for i in range(PAIRS):
            for name, content in ((f"{i}.png", picture("png")), (f"{i}.txt", f"{WORDS[i]} things".encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def named() -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    files = {}
    for stem in ("train", "t10k"):
        files[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(idx(images), mtime=0)
        files[f"{stem}-labels-idx1-ubyte"] = idx(labels)
    return files


def run_files(folder: Path) -> dict[str, bytes]:
    """The files of a finished run on texts, evaluated."""
    texts = [" ".join(WORDS[i % 7 : i % 7 + 6]) for i in range(40)]
    path = folder / "texts.csv"
    path.write_text("text,label\n" + "".join(f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(texts)))
    how = {"epochs": 1, "batch_size": 8, "precision": "32-true", "progress": False}
    run = lw.pretrain(path, method="simcse", out=folder / "run", **how)
    other = shutil.copy(path, folder / "other.csv")
    lw.evaluate(run, train=path, test=other, seeds=1, labels_per_class=[1], protocols=["frozen"], progress=False)
    lw.write_report(run)  # leaves map.npz, which takes long to compute
    names = [path.name for path in run.path.iterdir() if path.is_file() and path.suffix != ".html"]
    return {name: (run.path / name).read_bytes() for name in names}


def formats(scratch: Path, names: set[str]) -> dict[str, Format]:
    """The formats of these names; `scratch` is for what must be trained."""
    found: dict[str, Format] = {}
    for suffixes, modality, make in ((IMAGES, "image", picture), (SOUNDS, "audio", sound)):
        for suffix in names & set(suffixes):
            others = {f"sound-{i}.{suffix}": make(suffix) for i in range(2)}
            found[suffix] = Format(make(suffix), of_folder(modality), f"damaged-{{}}.{suffix}", 10, others)
    for suffix in names & set(TABLES):
        found[suffix] = Format(table(suffix), of_table, f"table.{suffix}")
    for suffix in names & {"npy", "npz"}:
        found[suffix] = Format(arrays(suffix), of_arrays, f"arrays.{suffix}")
    if "txt" in names:
        text = "\n".join(" ".join(WORDS[i % 5 :]) for i in range(20)).encode() + "ü字\n".encode()
        found["txt"] = Format(text, of_folder("text"), "damaged-{}.txt", 10, {"sound-0.txt": text, "sound-1.txt": text})
    if "tar" in names:
        found["tar"] = Format(shard(), of_shard, "shard.tar")
    if "idx" in names:
        files = named()
        found["idx"] = Format(files["train-labels-idx1-ubyte"], of_named, "train-labels-idx1-ubyte", 1, files)
        gz = "train-images-idx3-ubyte.gz"
        found["gz"] = Format(files[gz], of_named, gz, 1, files)
    if "yaml" in names:
        found["yaml"] = Format(Recipe().to_yaml().encode(), of_recipe, "recipe.yaml")
    if "run" in names:
        files = run_files(scratch)
        for name in RUN_FILES:
            found[name] = Format(files[name], of_run, name, 1, files)
    return found
