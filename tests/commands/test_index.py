"""`likewise embed --out lance://…` and `likewise search RUN lance://…`, as they are typed."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from likewise.cli import main
from likewise.commands import indexed
from likewise.index.table import EmbeddingIndex
from likewise.runs.lock import folder_lock
from small_files import by_colour, captioned, documents, notes, square
from typed_commands import answered, refused

pytest.importorskip("lancedb")

Text = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def squares_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on squares of four colours."""
    folder = tmp_path_factory.mktemp("squares")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        how: dict[str, Any] = {"encoder": "resnet8", "epochs": 1, "batch_size": 16, "precision": "32-true"}
        lw.pretrain(by_colour(folder / "by", 48, seed=0), out=folder / "run", progress=False, **how)
    return folder / "run"


@pytest.fixture
def photos(working_folder: Path) -> Path:
    return by_colour(working_folder / "photos", 24, seed=7)


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("rows", "new", "there", "changed", "embedded", "gone"))


def same_as_exact(run: Path, data: object, query: tuple[str, object], capsys: Text) -> list[str]:
    """The ids that a search of the index gives, which are those of a search of the data."""
    words = (*query, "--top", 7)
    found, exact = (answered(capsys, "search", run, where, *words)["matches"] for where in ("lance://index", data))
    assert [match["id"] for match in found] == [match["id"] for match in exact]
    assert [match["text"] for match in found] == [match["text"] for match in exact]
    assert [match["similarity"] for match in found] == pytest.approx([match["similarity"] for match in exact], abs=1e-5)
    return [match["id"] for match in found]


def test_only_what_is_new_is_embedded(squares_run: Path, photos: Path, capsys: Text) -> None:
    embed = ("embed", squares_run, photos, "--out", "lance://index")
    query = ("--image", photos / "red" / "0.png")
    assert counts(answered(capsys, *embed)) == (24, 24, 0, 0, 24, 0)
    assert same_as_exact(squares_run, photos, query, capsys)[0] == "red/0.png"
    assert counts(answered(capsys, *embed)) == (24, 0, 24, 0, 0, 0)

    # Grown, one changed, one moved, one gone; and the index is not taken for data where it lies.
    square(photos / "green" / "new.png", "green", 9, seed=99)
    square(photos / "blue" / "2.png", "yellow", 5, seed=98)
    (photos / "red" / "4.png").rename(photos / "green" / "moved.png")
    (photos / "red" / "8.png").unlink()
    assert counts(answered(capsys, *embed)) == (26, 2, 21, 1, 2, 2)
    assert answered(capsys, "search", squares_run, "lance://index", *query, "--top", 30, "--where", "id = 'red/8.png'")
    assert main([*map(str, embed), "--prune"]) == 0
    assert capsys.readouterr().out == (
        "lance://index: 24 rows, 256 dimensions: 0 new, 24 already there, 2 gone (deleted)\n"
    )
    assert main([*map(str, embed)]) == 0
    assert capsys.readouterr().out == "lance://index: 24 rows, 256 dimensions: 0 new, 24 already there, 0 gone\n"
    same_as_exact(squares_run, photos, query, capsys)
    whole = lw.embed(squares_run, photos, progress=False)
    rows = [
        row for batch in EmbeddingIndex.open(Path("index")).rows(["id", "label", "vector"]) for row in batch.to_pylist()
    ]
    rows = sorted(rows, key=lambda row: row["id"])
    order = np.argsort(whole.ids)
    assert [row["id"] for row in rows] == [whole.ids[i] for i in order]
    assert whole.labels is not None
    assert [row["label"] for row in rows] == [whole.labels[i] for i in order]
    np.testing.assert_allclose([row["vector"] for row in rows], whole.vectors[order], rtol=1e-4, atol=1e-5)


def test_a_filter_on_labels(squares_run: Path, photos: Path, capsys: Text) -> None:
    answered(capsys, "embed", squares_run, photos, "--out", "lance://index")
    search = ("search", squares_run, "lance://index", "--image", photos / "red" / "0.png", "--top", 30)
    found = answered(capsys, *search, "--where", "label = 'blue'")["matches"]
    assert sorted(match["id"] for match in found) == sorted(f"blue/{i}.png" for i in range(2, 24, 4))
    everything = answered(capsys, *search, "--exact")["matches"]
    assert len(everything) == 24
    assert [match["id"] for match in everything if match["id"].startswith("blue")] == [match["id"] for match in found]
    message = refused(capsys, *search, "--where", "colour = 'blue'")
    assert message.startswith(
        "where must be a condition on id, label, content, such as \"label = 'cat'\", got \"colour = 'blue'\": "
    )


def test_labels_that_were_learned_later(squares_run: Path, photos: Path, capsys: Text) -> None:
    for path in sorted(photos.rglob("*.png")):
        path.rename(photos / f"{path.parent.name}-{path.name}")
    for colour in ("red", "green", "blue", "yellow"):
        (photos / colour).rmdir()
    embed = ("embed", squares_run, photos, "--out", "lance://index")
    assert counts(answered(capsys, *embed)) == (24, 24, 0, 0, 24, 0)
    rows = [f"{path.name},{path.name.partition('-')[0]}\n" for path in sorted(photos.iterdir())[:10]]
    Path("labels.csv").write_text("file,label\n" + "".join(rows))
    assert counts(answered(capsys, *embed, "--labels", "labels.csv")) == (24, 0, 14, 10, 0, 0)
    search = ("search", squares_run, "lance://index", "--image", next(photos.iterdir()), "--top", 30)
    assert len(answered(capsys, *search, "--where", "label IS NOT NULL")["matches"]) == 10


def test_a_killed_command_goes_on(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text, tmp_path: Path
) -> None:
    monkeypatch.setattr(indexed, "PART", 100)
    embed = ("embed", digits_run, "digits:test", "--out", "lance://index", "--batch-size", "50")
    embedded: list[int] = []
    stream = indexed.stream

    def interrupted(featurize: Any, source: Any, places: Any, **how: Any) -> Any:
        if len(embedded) == 3:
            raise KeyboardInterrupt
        embedded.append(len(places))
        return stream(featurize, source, places, **how)

    monkeypatch.setattr(indexed, "stream", interrupted)
    assert main([*map(str, embed)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped after 200 of 500 samples; the same command goes on"
    monkeypatch.setattr(indexed, "stream", stream)
    assert counts(answered(capsys, *embed)) == (500, 300, 200, 0, 300, 0)
    picture = (np.random.default_rng(0).random((8, 8)) * 255).astype(np.uint8)
    Image.fromarray(picture).save("query.png")
    same_as_exact(digits_run, "digits:test", ("--image", "query.png"), capsys)


def test_an_index_of_another_encoder_is_refused(
    digits_run: Path, squares_run: Path, photos: Path, capsys: Text
) -> None:
    lw.embed(squares_run, photos, out="lance://index", progress=False)
    message = (
        f"the index index holds embeddings of another encoder, that of {squares_run}: use that run, or make an index "
        f"of {digits_run} in another folder: `likewise embed {digits_run} DATA --out lance://FOLDER`"
    )
    assert refused(capsys, "embed", digits_run, "nowhere", "--out", "lance://index") == message
    assert refused(capsys, "search", digits_run, "lance://index", "--image", photos / "red" / "0.png") == message
    assert len(EmbeddingIndex.open(Path("index"))) == 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "search RUN lance://none --image q",
            "no index in none, which is absent: `likewise embed RUN DATA --out lance://none`",
        ),
        ("search RUN lance://file --image q", "no index in file, which is a file"),
        ("search RUN lance://other --image q", "no index in other, which holds none"),
        ("search RUN lance:other --image q", "an index is named lance://FOLDER, as text, got lance:other"),
        (
            "search RUN digits --image q --where x",
            "--where applies to an index: make one with `likewise embed ",
        ),
        ("search RUN v.parquet --image q --exact", "--exact applies to an index"),
        (
            "search RUN lance://index --image q --root x",
            "--root says how to read data, and does not apply to lance://index",
        ),
        ("search RUN lance://index --text q", "has learned from image samples: its encoder takes no text query"),
        (
            "embed RUN digits --out lance://other",
            "other exists and holds something else than an index: name another folder",
        ),
        ("embed RUN digits --out lance://file", "lance://file must name a folder, got a file"),
        ("embed RUN digits --out lance://file/x", "could not write file/x: not a directory; name another place"),
        (
            "embed RUN digits --out x.parquet --prune",
            "--prune applies to an index (--out lance://FOLDER): leave it out",
        ),
    ],
)
def test_mistakes(words: str, message: str, squares_run: Path, photos: Path, capsys: Text) -> None:
    Path("file").write_text("no folder")
    (Path("other") / "thing").mkdir(parents=True)
    if "lance://index" in words:
        lw.embed(squares_run, photos, out="lance://index", progress=False)
    told = refused(capsys, *[squares_run if word == "RUN" else word for word in words.split()])
    assert message in told


def test_a_missing_package_is_named(squares_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    assert refused(capsys, "embed", squares_run, "nowhere", "--out", "lance://index") == (
        "this needs lancedb, which is not installed: pip install 'likewise[index]'"
    )


def test_a_disk_that_takes_no_more(squares_run: Path, photos: Path, capsys: Text) -> None:
    """What was there is kept, and the command goes on where there is room again."""
    lw.embed(squares_run, photos, progress=False)  # fills the cache
    embed = ("embed", squares_run, photos, "--out", "lance://index")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    try:
        message = refused(capsys, *embed, "--no-progress")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message == (
        "could not write index: the file would be larger than is allowed; what was embedded is kept: the same command "
        "goes on with it"
    )
    assert counts(answered(capsys, *embed)) == (24, 24, 0, 0, 24, 0)


def test_one_process_writes_at_a_time(squares_run: Path, photos: Path, capsys: Text) -> None:
    with folder_lock(Path("index"), "index.lock", "written to"):
        message = refused(capsys, "embed", squares_run, photos, "--out", "lance://index", "--no-progress")
    assert message.startswith("index is being written to by process ")


def test_an_index_among_the_data_is_no_data(squares_run: Path, photos: Path, capsys: Text) -> None:
    (photos / "notes.txt").write_text("no picture")
    for _ in range(2):
        lw.embed(squares_run, photos, out=f"lance://{photos}/index", progress=False)
    assert sorted(path.name for path in (photos / "index").iterdir()) == [
        "embeddings.lance",
        "embeddings.skipped.csv",
        "index.lock",
    ]
    listed = (photos / "index" / "embeddings.skipped.csv").read_text().splitlines()
    assert "index/,made by likewise" in listed
    assert not any(".lance" in line for line in listed)


def test_texts(working_folder: Path, capsys: Text) -> None:
    table = documents(working_folder / "texts.csv", 40)
    how = "--method simcse --encoder bert-tiny --epochs 1 --max-tokens 16 --vocab-size 200 --precision 32-true"
    assert main(f"pretrain {table} {how} --out run --no-progress".split()) == 0
    assert counts(answered(capsys, "embed", "run", table, "--out", "lance://index")) == (40, 40, 0, 0, 40, 0)
    same_as_exact(Path("run"), table, ("--text", "wrote the digit four on paper"), capsys)
    search = ("search", "run", "lance://index", "--text", "wrote the digit", "--top", 40)
    found = answered(capsys, *search, "--where", "label = 'low' AND text LIKE '%one%'")["matches"]
    assert found
    assert all("one" in match["text"] for match in found)
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:5], "something else altogether,high", *rows[6:], "one more line,low"]) + "\n")
    assert counts(answered(capsys, "embed", "run", table, "--out", "lance://index")) == (41, 1, 39, 1, 2, 0)
    same_as_exact(Path("run"), table, ("--text", "something else altogether"), capsys)


def test_recordings(working_folder: Path, capsys: Text) -> None:
    folder = notes(working_folder / "notes", 16)
    how = "--method cola --sample-rate 2000 --seconds 0.4 --epochs 1 --batch-size 8 --precision 32-true"
    assert main(f"pretrain {folder} {how} --out run --no-progress".split()) == 0
    assert answered(capsys, "embed", "run", folder, "--out", "lance://index")["new"] == 16
    query = next(folder.rglob("*.wav"))
    found = same_as_exact(Path("run"), folder, ("--audio", query), capsys)
    assert found[0] == query.relative_to(folder).as_posix()
    shutil.copy(query, folder / "timbre a" / "copy.wav")
    assert counts(answered(capsys, "embed", "run", folder, "--out", "lance://index")) == (17, 1, 16, 0, 0, 0)


def test_pairs_are_searched_by_the_other_modality(working_folder: Path, capsys: Text) -> None:
    pairs = captioned(working_folder / "squares", 40)
    how = "--method clip --encoder resnet8+bert-tiny --augment none --max-tokens 16 --vocab-size 200"
    assert main(f"pretrain {pairs} {how} --batch-size 20 --epochs 1 --out run --no-progress".split()) == 0
    photos = by_colour(working_folder / "photos", 12, seed=3)
    assert answered(capsys, "embed", "run", photos, "--out", "lance://index")["rows"] == 12
    same_as_exact(Path("run"), photos, ("--text", "a red square"), capsys)
    same_as_exact(Path("run"), photos, ("--image", photos / "red" / "0.png"), capsys)
    message = refused(capsys, "embed", "run", pairs, "--out", "lance://index", "--no-progress")
    assert message == "the index index is of image samples, squares is pair: make another index"
    assert counts(answered(capsys, "embed", "run", pairs, "--out", "lance://both")) == (40, 40, 0, 0, 40, 0)
    Path("squares/0.txt").write_text("a caption of another kind\n")
    assert counts(answered(capsys, "embed", "run", pairs, "--out", "lance://both")) == (40, 0, 39, 1, 1, 0)


def test_from_python(squares_run: Path, photos: Path) -> None:
    updated = lw.embed(squares_run, photos, out="lance://index", progress=False)
    assert (updated.rows, updated.new, updated.dim) == (24, 24, 256)
    assert str(updated) == "lance://index: 24 rows, 256 dimensions: 24 new, 0 already there, 0 gone"
    found = lw.search(squares_run, "lance://index", image=photos / "red" / "0.png", top=3, where="label <> 'red'")
    assert len(found) == 3
    assert all(not match.id.startswith("red") for match in found)
    (photos / "red" / "0.png").unlink()
    updated = lw.embed(squares_run, photos, out="lance://index", prune=True, progress=False)
    assert (updated.rows, updated.gone, updated.deleted) == (23, 1, True)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_parts(digits_run: Path, capsys: Text, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40_000, 8, 8), dtype=np.uint8)
    np.save("images.npy", images)
    words = ["embed", str(digits_run), "images.npy", "--out", "lance://index", "--batch-size", "256"]
    killed = subprocess.Popen([sys.executable, "-m", "likewise.cli", *words], stderr=subprocess.DEVNULL)
    while not (EmbeddingIndex.is_in(Path("index")) and len(EmbeddingIndex.open(Path("index")))):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = len(EmbeddingIndex.open(Path("index")))
    assert 0 < before < len(images)
    assert before % 4096 == 0
    assert counts(answered(capsys, *words)) == (40_000, 40_000 - before, before, 0, 40_000 - before, 0)
    ids = {id for batch in EmbeddingIndex.open(Path("index")).rows(["id"]) for id in batch["id"].to_pylist()}
    assert ids == set(map(str, range(len(images))))
