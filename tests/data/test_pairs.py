"""Pairs: tables, captions beside files, shards, lists; what is no pair is left out and listed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from likewise.data import endings, tar_shards
from likewise.data.batches import Parts
from likewise.data.pairs import PairSource, _has_captions, open_source
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Joined, Subset
from likewise.data.splits import hold_out
from likewise.data.text import corpus
from likewise.data.tokens import train_tokenizer
from likewise.errors import UserError
from shard_files import picture, tar


def save(path: Path, level: int = 0, size: tuple[int, int] = (12, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 255)).save(path)


def opened(data: Any, split: str | None = None, **read_options: Any) -> PairSource:
    source = asked(data, split, **({"modality": "pair"} | read_options))
    assert source is not None
    return source


def asked(data: Any, split: str | None = None, **read_options: Any) -> PairSource | None:
    return open_source(Request(data, split, None, ReadOptions(**read_options), False))


def texts(source: PairSource, half: int = 1) -> list[str]:
    return list(corpus(source.parts[half]))


def levels(source: PairSource, half: int = 0) -> list[int]:
    """The red of each sample's picture."""
    return source.parts[half].read(torch.arange(len(source)))[:, 0, 0, 0].tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, a.png to e.png, red by 10, 20 …"""
    for i, name in enumerate("abcde"):
        save(tmp_path / "data" / "pictures" / f"{name}.png", level=10 * (i + 1))
    return tmp_path / "data"


def table(folder: Path, text: str, name: str = "pairs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_pictures_and_captions(folder: Path) -> None:
    path = table(folder, "image,text\npictures/c.png,three\npictures/a.png,one\npictures/c.png,drei\n")
    source = opened(path)
    assert (source.name, source.modality, len(source), source.lengths) == ("pairs", "pair", 3, None)
    assert source.names == ["image", "text"]
    assert [half.modality for half in source.parts] == ["image", "text"]
    assert list(source.ids) == ["pictures/c.png", "pictures/a.png", "pictures/c.png"]
    assert (levels(source), texts(source)) == ([30, 10, 30], ["three", "one", "drei"])
    assert (source.skipped, source.notes, source.classes, source.scores) == ([], [], [], None)
    with pytest.raises(UserError, match=r"^pairs has no labels: no column, and no subfolder, says what they are$"):
        source.labels()


def test_a_batch_has_the_batches_of_its_parts(folder: Path) -> None:
    path = table(
        folder,
        "image,text\n" + "".join(f"pictures/{n}.png,one of the five things called letter {n}\n" for n in "abcde"),
    )
    source = opened(path)
    with pytest.raises(UserError, match="has no tokenizer yet"):
        source.read(torch.arange(2))
    tokenizer = train_tokenizer(corpus(source.parts[1]), kind="wordpiece", vocab_size=100)
    fitted = source.fitted(ReadOptions(tokenizer=tokenizer, max_tokens=20, size=6, channels=1))
    batch = fitted.read(torch.tensor([4, 0, 4]))
    assert isinstance(batch, Parts)
    assert len(batch) == 3
    assert batch.parts[0].shape == (3, 1, 6, 6)
    assert torch.equal(batch.parts[1][0], batch.parts[1][2])
    assert not torch.equal(batch.parts[1][0], batch.parts[1][1])
    assert (len(fitted), list(fitted.ids), fitted.names) == (5, list(source.ids), source.names)


def test_rows_that_are_no_pairs_are_listed(folder: Path) -> None:
    (folder / "pictures" / "b.png").write_bytes(b"no picture")
    path = table(
        folder,
        "image,text\npictures/a.png,one\n,two\npictures/c.png,  \npictures/b.png,bad\npictures/gone.png,gone\n"
        "pictures/gone.png,gone again\npictures/d.png,four\npictures,a folder\n",
    )
    source = opened(path)
    assert (texts(source), levels(source)) == (["one", "four"], [10, 40])
    assert list(source.ids) == ["pictures/a.png", "pictures/d.png"]
    assert sorted(source.skipped) == [
        ("pictures", "Is a directory"),
        ("pictures/b.png", "not an image of a known type, or its start is damaged"),
        ("pictures/gone.png", f"No such file or directory: paths start at {folder}"),
        ("row 2", "its image is empty"),
        ("row 3", "its text is empty"),
    ]


def test_no_pair_is_whole(folder: Path) -> None:
    gone = table(folder, "image,text\ngone.png,one\nlost.png,two\n")
    with pytest.raises(UserError) as failure:
        opened(gone)
    why = f"gone.png: No such file or directory: paths start at {folder}"
    assert str(failure.value) == f"pairs: none of its 2 pairs is whole ({why})"
    empty = table(folder, "image,text\n" + "pictures/a.png,\n" * 3)
    with pytest.raises(UserError, match=r"^pairs: none of its 3 pairs is whole \(row 1: its text is empty\)$"):
        opened(empty)
    (folder / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"none of its 1 image files can be read \(bad.png: not an image"):
        opened(table(folder, "image,text\nbad.png,one\n"))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_table(folder: Path, ending: str) -> None:
    rows = {"caption": ["one", "two"], "photo": ["pictures/a.png", "pictures/b.png"], "score": [0.5, 2.0]}
    path = folder / f"all{ending}"
    if ending == ".parquet":
        pa.parquet.write_table(pa.table(rows), path)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps({k: v[i] for k, v in rows.items()}) + "\n" for i in range(2)))
    else:
        between = "," if ending == ".csv" else "\t"
        path.write_text("\n".join(between.join(map(str, row)) for row in [rows, *zip(*rows.values(), strict=True)]))
    source = opened(path)
    assert source.names == ["caption", "photo"]
    assert (texts(source, 0), levels(source, 1)) == (["one", "two"], [10, 20])
    assert source.scores is not None
    assert source.scores.tolist() == [0.5, 2.0]
    assert list(source.ids) == ["pictures/a.png", "pictures/b.png"]
    assert source.notes == ["pairs are columns 'caption' (text) and 'photo' (image), without labels"]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("image,text", ["image", "text"]),
        ("Text,ID,IMG", ["Text", "IMG"]),
        ("author,caption,picture,licence", ["caption", "picture"]),
        ("anchor,positive", ["anchor", "positive"]),
        ("negative,anchor,id,positive", ["anchor", "positive", "negative"]),
        ("document,query", ["query", "document"]),
        ("sentence1,sentence2,score", ["sentence1", "sentence2"]),
        ("one,other", ["one", "other"]),
        ("one,label,other", ["one", "other"]),
    ],
)
def test_usual_names_of_columns(folder: Path, header: str, chosen: list[str]) -> None:
    def value(name: str, row: int) -> str:
        return f"pictures/{'ab'[row]}.png" if name.lower() in ("image", "img", "picture") else f"{row}{name}"

    rows = [",".join(value(name, row) for name in header.split(",")) for row in range(2)]
    source = opened(table(folder, "\n".join([header, *rows])))
    assert source.names == chosen
    assert len(source) == 2


def test_columns_that_are_asked_for(folder: Path) -> None:
    path = table(folder, "image,text,title,other\n" + "".join(f"pictures/{n}.png,{n},t{n},o{n}\n" for n in "abc"))
    assert texts(opened(path, columns=("image", "title"))) == ["ta", "tb", "tc"]
    source = opened(path, columns=("text", "title", "other"))
    assert [texts(source, half) for half in range(3)] == [["a", "b", "c"], ["ta", "tb", "tc"], ["oa", "ob", "oc"]]
    assert list(source.ids) == ["0", "1", "2"]
    with pytest.raises(UserError) as failure:
        opened(path, columns=("image", "titel"))
    assert str(failure.value) == (
        f"columns: {path} has no column 'titel', did you mean 'title'?; it has image, text, title, other"
    )
    with pytest.raises(UserError) as failure:
        opened(table(folder, "a,b,c\n1,2,3\n"))
    remedy = "belong together, or take modality text; it has a, b, c"
    assert str(failure.value) == f"columns: say which two of {path} {remedy}"


def test_who_answers(folder: Path) -> None:
    """Columns that a run was trained with are no reason to take other data for pairs."""
    pairs = table(folder, "image,text\npictures/a.png,one\n")
    other = table(folder, "text,label\none,x\n", "other.csv")
    assert asked(pairs, columns=("image", "text")) is not None
    assert asked(other, columns=("image", "text")) is None
    for data in (pairs, other, folder, ("one", "two")):
        assert asked(data) is None
        assert asked(data, modality="text") is None
        assert asked(data, modality="image", columns=("image", "text")) is None
    (folder / "notes.md").touch()
    assert asked(folder / "notes.md", modality="pair") is None
    assert asked(np.zeros(3), modality="pair") is None
    with pytest.raises(UserError, match=r"pairs.csv is one file and has no split 'val'$"):
        asked(pairs, "val", modality="pair")


def test_two_halves_of_one_modality_have_one_size(folder: Path) -> None:
    save(folder / "large.png", level=99, size=(40, 40))
    path = table(folder, "before,after\npictures/a.png,large.png\npictures/b.png,pictures/a.png\nlarge.png,large.png\n")
    source = opened(path)
    assert [half.modality for half in source.parts] == ["image", "image"]
    batch = source.read(torch.arange(3))
    assert batch.parts[0].shape == batch.parts[1].shape
    assert (levels(source), levels(source, 1)) == ([10, 20, 99], [99, 10, 99])
    assert list(source.ids) == ["pictures/a.png", "pictures/b.png", "large.png"]
    (folder / "pictures" / "a.png").unlink()
    assert levels(opened(path)) == [99]


def test_a_picture_column_without_pictures(folder: Path) -> None:
    path = table(folder, "image,text\n1234,one\n5678,two\n")
    with pytest.raises(UserError) as failure:
        opened(path)
    assert str(failure.value) == (
        f"{path}: column 'image' must hold paths of images, got '1234'; they end in {' '.join(endings.IMAGES)}"
    )


def test_labels_of_a_column(folder: Path) -> None:
    rows = [("a", "class10", "x"), ("b", "class2", "y"), ("gone", "class1", "x"), ("c", "class10", "")]
    path = table(folder, "image,text,class,kind\n" + "".join(f"pictures/{n}.png,{n},{c},{k}\n" for n, c, k in rows))
    source = opened(path)
    assert (source.classes, source.labels().tolist()) == (["class2", "class10"], [1, 0, 1])
    assert source.notes == ["pairs are columns 'image' (image) and 'text' (text), labels are column 'class'"]
    incomplete = opened(path, label_column="kind")
    assert (incomplete.classes, incomplete.labels().tolist()) == (["x", "y"], [0, 1, -1])
    assert incomplete.notes[-1] == "labels: 2 of 3 pairs"
    with pytest.raises(UserError, match=r"^label_column: .* has no column 'clas', did you mean 'class'\?"):
        opened(path, label_column="clas")
    several = opened(table(folder, "image,text,class,label\npictures/a.png,one,1,2\n"))
    assert several.classes == []
    assert "no labels are taken: label or class could be, say which with label_column" in several.notes


def test_scores(folder: Path) -> None:
    path = table(folder, "sentence1,sentence2,score\na,b,4.5\n,c,1\nd,e,0.25\nf,g,3\n")
    source = opened(path)
    assert source.scores.tolist() == [4.5, 0.25, 3]
    assert Subset(source, torch.tensor([2, 0])).scores.tolist() == [3, 4.5]
    assert Joined([source, source], name="both").scores.tolist() == [4.5, 0.25, 3] * 2
    missing = opened(table(folder, "sentence1,sentence2,score\na,b,4.5\nc,d,\n"))
    assert missing.scores is None
    assert "no scores are taken: 1 of 2 pairs have none in column 'score'" in missing.notes
    words = opened(table(folder, "sentence1,sentence2,score\na,b,good\nc,d,bad\n"))
    assert words.scores is None
    assert "no scores are taken: column 'score' holds other things than numbers" in words.notes
    assert Joined([source, words], name="both").scores is None
    taken = opened(table(folder, "text,score\na,b\nc,d\n"), columns=("text", "score"))
    assert (taken.names, taken.scores) == (["text", "score"], None)


def test_halves_of_parts_and_unions(folder: Path) -> None:
    source = opened(table(folder, "image,text\n" + "".join(f"pictures/{n}.png,{n}\n" for n in "abcde")))
    part = Subset(source, torch.tensor([3, 1]), name="part")
    image, text = part.parts
    assert image.read(torch.arange(2))[:, 0, 0, 0].tolist() == [40, 20]
    assert list(corpus(text)) == ["d", "b"]
    both = Joined([part, source], name="both").parts
    assert [len(half) for half in both] == [7, 7]
    assert both[0].read(torch.tensor([6, 0]))[:, 0, 0, 0].tolist() == [50, 40]
    assert list(corpus(both[1])) == ["d", "b", "a", "b", "c", "d", "e"]
    assert text.parts == []
    with pytest.raises(UserError, match="parts must have equally many samples, got 5 and 2"):
        PairSource([source.parts[0], text], ["image", "text"])


def test_a_folder_of_captioned_pictures(folder: Path) -> None:
    for i, place in enumerate(["birds/owl", "birds/hawk", "fish/cod"]):
        save(folder / "zoo" / f"{place}.png", level=i + 1)
        (folder / "zoo" / f"{place}.txt").write_text(f"\n  {place} – é\nfr.utf8=…\n", encoding="utf-8-sig")
    source = opened(folder / "zoo")
    assert (source.name, source.names) == ("zoo", ["image", "caption"])
    assert list(source.ids) == [f"{file}.png#{i}" for file in ("birds/hawk", "birds/owl", "fish/cod") for i in (1, 2)]
    lines = ["birds/hawk – é", "fr.utf8=…", "birds/owl – é", "fr.utf8=…", "fish/cod – é", "fr.utf8=…"]
    assert (levels(source), texts(source)) == ([2, 2, 1, 1, 3, 3], lines)
    assert (source.classes, source.labels().tolist()) == (["birds", "fish"], [0, 0, 0, 0, 1, 1])
    assert source.notes == [
        "3 of 3 samples have several captions, one a line: each is a pair of its own, 6 pairs",
    ]
    (folder / "zoo" / "birds" / "owl.txt").write_text("an owl\n")
    assert list(opened(folder / "zoo", "birds").ids) == ["hawk.png#1", "hawk.png#2", "owl.png"]
    with pytest.raises(UserError, match=r"gives no labels: 3 of its 3 images lie in no class subfolder"):
        opened(folder / "zoo", "birds").labels()


def test_a_caption_without_its_picture_and_a_picture_without_its_caption(folder: Path) -> None:
    place = folder / "pictures"
    (place / "a.txt").write_text("one")
    (place / "b.txt").write_bytes("café".encode("latin1"))
    (place / "c.txt").write_text(" \n\n")
    (place / "README.txt").write_text("about")
    (place / "d.txt").write_text("four")
    (place / "d.png").write_bytes(b"no picture")
    source = opened(place)
    assert (list(source.ids), texts(source)) == (["a.png"], ["one"])
    assert sorted(source.skipped) == [
        ("README.txt", "a caption without its image"),
        ("b.png", "image without its caption"),
        ("b.txt", "not UTF-8: byte 4"),
        ("c.png", "image without its caption"),
        ("c.txt", "empty file"),
        ("d.png", "not an image of a known type, or its start is damaged"),
        ("e.png", "image without its caption"),
    ]


def test_pictures_without_endings_have_captions_too(tmp_path: Path) -> None:
    """The content of a file decides what it is, as in a folder of images."""
    names = {"IMG_1": "IMG_1", "tour.day 2": "tour.day 2", "a.b/IMG_3": "a.b/IMG_3", "c.jfif": "c.jfif", "d.png": "d"}
    for i, (name, caption) in enumerate(names.items()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (12, 12), (10 * i, 0, 255)).save(tmp_path / name, format="PNG")
        (tmp_path / f"{caption}.txt").write_text(f"caption {i}")
    (tmp_path / "Makefile").write_text("no picture")
    source = opened(tmp_path)
    found = dict(zip(source.ids, zip(levels(source), texts(source), strict=True), strict=True))
    assert found == {name: (10 * i, f"caption {i}") for i, name in enumerate(names)}
    assert source.skipped == [("Makefile", "not an image, by its content")]
    assert _has_captions(tmp_path, ReadOptions())


def test_a_table_of_pairs_names_pictures_without_endings(tmp_path: Path) -> None:
    for i in range(4):
        Image.new("RGB", (12, 12), (10 * i, 0, 255)).save(tmp_path / f"IMG_{i}", format="JPEG", quality=100)
    (tmp_path / "notes").write_text("no picture")
    rows = "".join(f"IMG_{i},caption {i}\n" for i in range(4))
    (tmp_path / "pairs.csv").write_text(f"image,caption\n{rows}notes,none\n")
    source = opened(tmp_path / "pairs.csv")
    assert list(source.ids) == [f"IMG_{i}" for i in range(4)]
    assert texts(source) == [f"caption {i}" for i in range(4)]
    assert [file for file, _ in source.skipped] == ["notes"]


def test_a_folder_without_captions(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as failure:
        opened(folder)
    assert str(failure.value) == (
        f"{folder}: none of its 5 images has a caption that can be read: that of pictures/a.png would be "
        "pictures/a.txt; a table with two columns serves as well"
    )
    (tmp_path / "empty").mkdir()
    assert asked(tmp_path / "empty", modality="pair") is None


def test_recordings_and_their_words(folder: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    tone = np.sin(np.arange(8000) / 9).astype(np.float32) / 2
    for i, name in enumerate(["hello", "bye", "long"]):
        (folder / "said").mkdir(exist_ok=True)
        sound = np.tile(tone, 70) if name == "long" else tone[: 4000 * (i + 1)]
        soundfile.write(folder / "said" / f"{name}.wav", sound, 8000)
        (folder / "said" / f"{name}.txt").write_text(f"{name} there")
    source = opened(folder / "said")
    assert source.names == ["audio", "caption"]
    assert texts(source) == ["bye there", "hello there", "long there"]
    lengths = source.parts[0].read(torch.arange(3)).lengths.tolist()
    assert lengths[:2] == [8000, 4000]
    assert lengths[2] < 70 * 8000  # the first of its pieces
    assert any("cut into 3 pieces" in note for note in source.notes)
    mixed = opened(
        table(
            folder, "recording,image\nsaid/bye.wav,pictures/a.png\nsaid/hello.wav,gone.png\nsaid/no.wav,pictures/b.png"
        )
    )
    assert [half.modality for half in mixed.parts] == ["audio", "image"]
    assert (list(mixed.ids), levels(mixed, 1)) == (["said/bye.wav"], [10])
    assert sorted(file for file, _ in mixed.skipped) == ["gone.png", "said/no.wav"]
    slower = mixed.fitted(ReadOptions(sample_rate=4000)).read(torch.arange(1)).parts[0]
    assert slower.lengths.tolist() == [4000]


def shard(path: Path, members: dict[str, bytes | str]) -> Path:
    """With a link that leads out of it, too."""
    with tarfile.open(tar(path, members), "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


MEMBERS = {
    "x/0.png": picture(1),
    "x/0.txt": "zero\n",
    "x/1.json": json.dumps({"caption": "one", "width": 12}),
    "x/1.png": picture(2),
    "x/1.seg.png": picture(200),
    "y/1.png": picture(3),
    "y/1.txt": "another one",
    "../2.png": picture(4),
    "../2.txt": "two",
    "../2.json": json.dumps({"caption": "of the JSON"}),
}


def test_a_shard(tmp_path: Path, cache: Path) -> None:
    source = opened(shard(tmp_path / "train.tar", MEMBERS))
    assert (source.name, source.names) == ("train", ["image", "caption"])
    assert source.skipped == [
        ("x/1.seg.png", "another file of the sample of x/1.png"),
        ("link.png", "not a regular file"),
    ]
    assert list(source.ids) == ["x/0.png", "x/1.png", "y/1.png", "../2.png"]
    assert (levels(source), texts(source)) == ([1, 2, 3, 4], ["zero", "one", "another one", "two"])
    assert sorted(tmp_path.iterdir()) == [tmp_path / "train.tar"]  # nothing was written outside the cache
    assert len(list((cache / "shards").iterdir())) == 1


def test_shards_are_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (10, 9):
        shard(tmp_path / "set" / f"{number:03d}.tar", {"a.png": picture(number), "a.txt": f"of {number}"})
    first = opened(tmp_path / "set")
    assert list(first.ids) == ["009.tar/a.png", "010.tar/a.png"]
    assert (levels(first), texts(first)) == ([9, 10], ["of 9", "of 10"])

    def again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(tar_shards, "scan", again)
    monkeypatch.chdir(tmp_path)
    assert levels(opened(tmp_path / "set")) == [9, 10]


def test_members_that_are_no_pairs_are_listed(tmp_path: Path) -> None:
    members = {
        "good.png": picture(7),
        "good.txt": "good",
        "alone.png": picture(1),
        "words.txt": "words",
        "bad.png": b"no picture",
        "bad.txt": "bad",
        "latin.png": picture(1),
        "latin.txt": "café".encode("latin1"),
        "broken.png": picture(1),
        "broken.json": "{",
        "silent.png": picture(1),
        "silent.json": json.dumps({"width": 3}),
        "notes.md": "notes",
    }
    source = opened(shard(tmp_path / "a.tar", members))
    assert (levels(source), texts(source)) == ([7], ["good"])
    reasons = dict(source.skipped)
    assert reasons["alone.png"] == reasons["latin.png"] == reasons["silent.png"] == "without its caption"
    assert reasons["words.txt"] == "a caption without its file"
    assert reasons["bad.png"] == "not an image of a known type, or its start is damaged"
    assert reasons["latin.txt"] == "not UTF-8: byte 4"
    assert reasons["broken.json"].startswith("not JSON: ")
    assert reasons["silent.json"] == "no text under caption, text, sentence, description"
    assert reasons["notes.md"] == "no image, recording or caption by its ending"


def test_names_with_dots_and_endings_of_two_parts(tmp_path: Path) -> None:
    names = ["1", "Track 2.0 (Clean)", "Track 2.0 (Live)", "v1.2.jpg"]
    members: dict[str, bytes | str] = {"a.input.png": picture(9), "a.output.png": picture(8), "a.text.txt": "both"}
    for level, name in enumerate(names):
        members |= {f"{name}.PNG": picture(level), f"{name}.txt": f"of {name}\nand {name}\n"}
    members |= {"b.input.png": picture(7), "b.json": json.dumps({"caption": ["one", " ", "two"]})}
    source = opened(shard(tmp_path / "a.tar", members))
    assert levels(source) == [9, *(level for level in range(4) for _ in range(2)), 7, 7]
    assert texts(source) == ["both", *(f"{what} {name}" for name in names for what in ("of", "and")), "one", "two"]
    assert list(source.ids)[:3] == ["a.input.png", "1.PNG#1", "1.PNG#2"]
    assert source.skipped == [
        ("a.output.png", "another file of the sample of a.input.png"),
        ("link.png", "not a regular file"),
    ]
    assert source.notes == ["5 of 6 samples have several captions, one a line: each is a pair of its own, 11 pairs"]


def test_members_without_endings_are_what_they_hold(tmp_path: Path) -> None:
    members = {
        "0001": picture(1),
        "0001.txt": "one",
        "0002.image": picture(2),
        "0002.json": json.dumps({"caption": "two"}),
        "tour.day 3": picture(3),
        "tour.day 3.txt": "three",
        "0001.png": picture(9),
        "0004": picture(4),
        "0005.cls": "5",
        "notes.md": "notes",
    }
    source = opened(shard(tmp_path / "a.tar", members))
    assert dict(zip(texts(source), levels(source), strict=True)) == {"one": 9, "two": 2, "three": 3}
    assert dict(source.skipped) == {
        "0001": "another file of the sample of 0001.png",
        "0004": "without its caption",
        "0005.cls": "a label without its sample",
        "notes.md": "no image, recording or caption by its ending",
        "link.png": "not a regular file",
    }


def test_recordings_in_a_shard_without_endings(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800, dtype=np.int16), 8000, format="FLAC")
    source = opened(shard(tmp_path / "a.tar", {"a": file.getvalue(), "a.txt": "silence"}))
    assert source.names == ["audio", "caption"]
    assert (list(source.ids), texts(source)) == (["a"], ["silence"])


def test_shards_without_a_pair(tmp_path: Path) -> None:
    alone = shard(tmp_path / "alone.tar", {"a.png": picture(1)})
    with pytest.raises(UserError) as failure:
        opened(alone)
    assert str(failure.value) == (
        "alone holds no image or recording with a .txt or .json caption (a.png: without its caption)"
    )
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"broken.tar cannot be read as a tar file: \w"):
        opened(broken)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(shard(tmp_path / "whole.tar", {"a.png": picture(1), "a.txt": "one"}).read_bytes()[:600])
    with pytest.raises(UserError, match=r"cut.tar cannot be read as a tar file: unexpected end of data"):
        opened(cut)


def test_lists_that_go_together(folder: Path) -> None:
    paths = [folder / "pictures" / f"{name}.png" for name in "bad"]
    source = opened((paths, ["two", "one", "four"]))
    assert (levels(source), texts(source)) == ([20, 10, 40], ["two", "one", "four"])
    assert list(source.ids) == [str(path) for path in paths]
    assert [texts(opened((["a", "b"], ["c", "d"], ["e", "f"])), half) for half in range(3)][2] == ["e", "f"]
    with pytest.raises(UserError, match=r"^the lists of pairs must be equally long, got 3 and 2$"):
        opened((paths, ["two", "one"]))


def test_what_a_test_asks_for_was_not_seen_in_training() -> None:
    """A caption, or a picture, of several pairs is held out with all of them."""
    words = [f"thing {i % 30}" for i in range(120)]
    others = [f"a longer word for thing {i % 40}" for i in range(120)]
    pairs = open_source(Request((words, others), read_options=ReadOptions(modality="pair")))
    assert pairs is not None
    assert len(pairs.groups.unique()) == 10  # 30 and 40 share their tens
    held_in, held_out = hold_out(pairs)
    assert 12 <= len(held_out) <= 36
    assert not {words[i] for i in held_in.indices} & {words[i] for i in held_out.indices}


@pytest.mark.parametrize(
    "header", ["image,url,caption", "url,image,caption", "image,source_URL,words", "image,link,words"]
)
def test_addresses_are_no_captions(folder: Path, header: str) -> None:
    names = header.split(",")
    row = {"image": "pictures/{}.png", "caption": "it is {}", "words": "it is {}"}
    lines = [",".join(row.get(name, "https://example.org/{}.png").format(each) for name in names) for each in "abc"]
    source = opened(table(folder, "\n".join([header, *lines])))
    assert (levels(source), texts(source)) == ([10, 20, 30], ["it is a", "it is b", "it is c"])


def test_addresses_alone_are_no_captions(folder: Path) -> None:
    path = table(folder, "image,where\npictures/a.png,https://a.org/a.png\npictures/b.png,http://a.org/b.png")
    with pytest.raises(UserError, match=r"say which two of .* belong together.*; it has image, where \(addresses\)$"):
        opened(path)
    assert texts(opened(path, columns=("image", "where"))) == ["https://a.org/a.png", "http://a.org/b.png"]


def test_a_folder_with_captions_in_its_metadata(folder: Path) -> None:
    rows = 'file_name,text,label\na.png,"one, of many",x\nb.png,two,y\ngone.png,three,x\n'
    (folder / "pictures" / "metadata.csv").write_text(rows)
    source = opened(folder / "pictures")
    assert (source.name, levels(source), texts(source)) == ("pictures", [10, 20], ["one, of many", "two"])
    assert (source.classes, source.labels().tolist()) == (["x", "y"], [0, 1])
    assert source.skipped == [("gone.png", f"No such file or directory: paths start at {folder / 'pictures'}")]


def test_a_table_of_pictures_by_name_without_ending_and_their_captions(folder: Path) -> None:
    source = opened(table(folder, "image_id,caption\na,one\nb,two\nnothing,three\nc,four\n"))
    assert [part.modality for part in source.parts] == ["image", "text"]
    assert (levels(source), texts(source)) == ([10, 20, 30], ["one", "two", "four"])
    assert source.skipped == [("nothing", f"No such file or directory: paths start at {folder}")]
