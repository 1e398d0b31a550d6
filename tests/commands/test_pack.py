"""`likewise pack`, as it is typed: shards that anyone can read, the same bytes each time, and what was left out."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import likewise as lw
from likewise.data import packing
from likewise.data.open import open_source
from small_files import by_colour, captioned, documents, notes
from typed_commands import answered, refused

Text = pytest.CaptureFixture[str]


def digests(folder: str) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).iterdir())}


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def opened(data: Any, **how: Any) -> Any:
    return open_source(data, progress=False, **how)


def of_each_id(source: Any) -> dict[str, tuple[Any, str]]:
    """By the name of each sample without its shard and ending: its pixels, and its class."""
    labels = source.labels().tolist()
    pixels = source.read(torch.arange(len(source)))
    stems = [id.partition(".tar/")[2] or id for id in source.ids]
    return {
        stem.rpartition(".")[0]: (one.numpy().tobytes(), source.classes[label])
        for stem, one, label in zip(stems, pixels, labels, strict=True)
    }


def test_images_with_their_classes(capsys: Text) -> None:
    folder = by_colour(Path("photos"), 40, seed=0)
    (folder / "red" / "empty.png").touch()
    (folder / "notes.md").write_text("notes")
    done = answered(capsys, "pack", folder, "--out", "shards", "--megabytes", 1)
    assert (done["samples"], done["modality"], done["classes"]) == (40, "image", ["blue", "green", "red", "yellow"])
    assert done["shards"] == ["000000.tar"]
    assert done["skipped"] == [["red/empty.png", "empty file"]]
    assert Path("shards/skipped.csv").read_text().splitlines()[1:] == ["red/empty.png,empty file"]
    there = members(Path("shards/000000.tar"))
    names = list(there)
    assert [name.partition(".")[0] for name in names[::2]] == [name.partition(".")[0] for name in names[1::2]]
    assert names[:40:2] != sorted(names[:40:2])  # shuffled
    assert there["red/0.png"] == (folder / "red" / "0.png").read_bytes()
    assert there["red/0.cls"] == b"2"
    assert of_each_id(opened("shards")) == of_each_id(opened("photos"))
    before = digests("shards")
    answered(capsys, "pack", folder, "--out", "again", "--megabytes", 1)
    assert digests("again") == before
    answered(capsys, "pack", folder, "--out", "other", "--megabytes", 1, "--seed", 1)
    assert digests("other") != before
    with tarfile.open("shards/000000.tar") as archive:
        about = {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in archive}
    assert about == {(0, 0, 0, "", 0o644)}


def test_several_shards_and_packing_that_was_ended(monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    folder = by_colour(Path("photos"), 24, seed=0)
    monkeypatch.setattr(packing, "MEGABYTE", 8000)
    done = answered(capsys, "pack", folder, "--out", "whole", "--megabytes", 1)
    assert len(done["shards"]) > 3
    assert all(path.stat().st_size <= 10240 for path in Path("whole").glob("*.tar"))  # tarfile fills up to 10 KiB
    before = digests("whole")

    write, written = packing._write, list[str]()

    def killed(path: Path, *rest: Any) -> None:
        if len(written) == 2:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, *rest)

    monkeypatch.setattr(packing, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        lw.pack(folder, out="part", megabytes=1, progress=False)
    assert sorted(path.name for path in Path("part").iterdir()) == ["000000.tar", "000001.tar", "shards.json"]
    assert json.loads(Path("part/shards.json").read_text())["complete"] is False
    written.clear()
    monkeypatch.setattr(packing, "_write", lambda path, *rest: (written.append(path.name), write(path, *rest)))
    lw.pack(folder, out="part", megabytes=1, progress=False)
    assert len(written) == len(done["shards"]) - 2
    assert digests("part") == before
    by_colour(Path("photos"), 4, seed=9)  # a file changes: its shard is written anew, and no other name stays
    lw.pack(folder, out="part", megabytes=1, progress=False)
    lw.pack(folder, out="fresh", megabytes=1, progress=False)
    assert digests("part") == digests("fresh") != before
    assert of_each_id(opened("part")) == of_each_id(opened("photos"))


def test_names_that_webdataset_would_take_for_endings(capsys: Text) -> None:
    folder = Path("photos")
    by_colour(folder, 4, seed=0)
    files = [
        folder / "red" / "0.png",
        folder / "green" / "1.png",
        folder / "blue" / "2.png",
        folder / "yellow" / "3.png",
    ]
    for path, name in zip(files, ("a.1.png", "a_1.png", "ä b.PNG", "noending"), strict=True):
        path.rename(folder / name)
    answered(capsys, "pack", folder, "--out", "shards")
    assert sorted(members(Path("shards/000000.tar"))) == ["a_1-2.png", "a_1.png", "noending.jpg", "ä b.png"]
    assert len(opened("shards")) == 4


def test_recordings_texts_and_pairs(capsys: Text) -> None:
    notes(Path("sounds"), 8)
    done = answered(capsys, "pack", "sounds", "--out", "s")
    assert (done["modality"], done["samples"], done["classes"][0]) == ("audio", 8, "timbre a")
    source = opened("s")
    assert source.modality == "audio"
    assert np.bincount(source.labels().numpy()).tolist() == [2, 2, 2, 2]
    documents(Path("texts.csv"), 12)
    done = answered(capsys, "pack", "texts.csv", "--out", "t", "--label-column", "section")
    assert (done["modality"], done["classes"]) == ("text", ["high", "low"])
    packed, table = opened("t"), opened("texts.csv", label_column="section")
    assert sorted(packed.documents) == sorted(table.documents)
    label_of = dict(zip(table.documents, table.labels().tolist(), strict=True))
    assert packed.labels().tolist() == [label_of[text] for text in packed.documents]
    captioned(Path("pictures"), 8)
    done = answered(capsys, "pack", "pictures", "--modality", "pair", "--out", "p")
    assert (done["modality"], done["samples"]) == ("pair", 8)
    there = members(Path("p/000000.tar"))
    assert there["0.txt"] == Path("pictures/0.txt").read_bytes().strip()
    shards, folder = opened("p", modality="pair"), opened("pictures", modality="pair")
    assert sorted(shards.parts[1].documents) == sorted(folder.parts[1].documents)
    found = {text: shards.parts[0].read(torch.tensor([i])) for i, text in enumerate(shards.parts[1].documents)}
    assert all(
        torch.equal(found[text], folder.parts[0].read(torch.tensor([i])))
        for i, text in enumerate(folder.parts[1].documents)
    )


def test_what_cannot_be_packed(capsys: Text) -> None:
    Path("empty").mkdir()
    told = refused(capsys, "pack", "empty", "--out", "shards")
    assert told.startswith("empty cannot be packed: name a folder of images, recordings or texts, of pairs with")
    assert refused(capsys, "pack", "digits", "--out", "shards").startswith("digits cannot be packed: ")
    folder = by_colour(Path("photos"), 4, seed=0)
    Path("taken").mkdir()
    Path("taken/mine.txt").write_text("mine")
    told = refused(capsys, "pack", folder, "--out", "taken")
    assert told == "taken must be a new folder, or one of likewise pack, got another: name one with --out"
    assert refused(capsys, "pack", folder, "--out", "s", "--megabytes", 0) == "megabytes must be at least 1, got 0"
    assert not Path("s").exists()


def test_shards_are_trained_on_and_evaluated(capsys: Text) -> None:
    """As a folder of the same files, also after an interruption."""
    folder = by_colour(Path("photos"), 48, seed=0)
    answered(capsys, "pack", folder, "--out", "shards")
    words = "--encoder resnet8 --epochs 2 --batch-size 16 --precision 32-true --no-progress"
    answered(capsys, "pretrain", "shards", *words.split(), "--out", "run")
    run = lw.open_run("run")
    assert run.config["source"]["samples"] == 48
    assert run.config["data"] == str(Path("shards").resolve())
    found = answered(capsys, "embed", "run", "shards", "--out", "v.npy")
    assert found["rows"] == 48
    again = lw.embed(run, "photos")
    ids = [id.rpartition(".")[0] for id in Path("v.ids.txt").read_text().splitlines()]
    of_folder = {id.rpartition(".")[0]: row for id, row in zip(again.ids, again.vectors, strict=True)}
    vectors = np.load("v.npy")
    assert set(ids) == set(of_folder)
    np.testing.assert_allclose(vectors, np.stack([of_folder[id] for id in ids]), rtol=1e-4, atol=1e-5)
    table = answered(
        capsys, "evaluate", "run", "--train", "shards:train", "--test", "shards:test", "--labels-per-class", 1,
        "--seeds", 2, "--protocols", "frozen-knn", "--no-progress",
    )  # fmt: skip
    assert table["samples"]["test"] > 3
