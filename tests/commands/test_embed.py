"""`lw.embed`: values in memory, or a file when one is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from typed_commands import refused


def test_embeddings_in_memory(digits_run: Path) -> None:
    found = lw.embed(digits_run, "digits:test", batch_size=100, progress=False)
    assert found.vectors.shape == (500, 256)
    assert found.vectors.dtype == np.float32
    assert len(found) == len(found.ids) == 500
    assert found.classes == [str(digit) for digit in range(10)]
    assert set(found.labels) == set(found.classes)
    assert str(found) == "500 embeddings of 256 dimensions"
    assert repr(found) == "Embeddings(samples=500, dim=256, classes=10)"
    assert json.loads(json.dumps(found.to_json()))["vectors"] == found.vectors.tolist()
    assert not list(Path().glob("*.npy"))


def test_a_file_holds_the_same(digits_run: Path) -> None:
    found = lw.embed(digits_run, "digits:test", progress=False)
    written = lw.embed(digits_run, "digits:test", out=Path("x.npy"), progress=False)
    assert (written.out, written.rows, written.dim) == ("x.npy", 500, 256)
    assert written.to_json() == {"out": "x.npy", "rows": 500, "dim": 256}
    np.testing.assert_array_equal(np.load("x.npy"), found.vectors)


def test_samples_without_labels(digits_run: Path) -> None:
    images = np.random.default_rng(0).integers(0, 17, (7, 8, 8)).astype(np.uint8)
    found = lw.embed(digits_run, images, batch_size=3, progress=False)
    assert found.labels is None
    assert found.classes == []
    assert found.vectors.shape == (7, 256)
    with pytest.raises(lw.UserError, match=r"out must end in .parquet or .npy, or be lance://FOLDER, got x.csv"):
        lw.embed(digits_run, images, out="x.csv")


def test_files_that_could_not_be_read_are_listed_beside_the_vectors(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when the others come from the cache."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("b.png", "a\nb.png", "c"):
        Image.new("L", (8, 8), len(name)).save(folder / name, format="PNG")
    (folder / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    for _ in range(2):
        lw.embed(digits_run, folder, out=folder / "v.npy")
        assert (folder / "v.ids.txt").read_text() == "a\\nb.png\nb.png\nc\n"
        rows = (folder / "v.skipped.csv").read_text().splitlines()
        assert rows[0] == "file,reason"
        assert rows[-1] == 'x.heic,"HEIC, which is not read: convert it to PNG or TIFF"'
        assert f"scans: 3 samples, 1 file could not be read (see {folder / 'v.skipped.csv'})" in capsys.readouterr().err
    found = lw.embed(digits_run, folder)
    assert found.skipped[-1] == ("x.heic", "HEIC, which is not read: convert it to PNG or TIFF")
    assert found.to_json()["skipped"] == found.skipped
    np.testing.assert_array_equal(np.load(folder / "v.npy"), found.vectors)
    assert "scans: 3 samples, 1 file could not be read (see skipped of the result)" in capsys.readouterr().err

    for left in ("x.heic", "v.ids.txt"):
        (folder / left).unlink()
    lw.embed(digits_run, folder, out=folder / "v.npy")
    assert (folder / "v.skipped.csv").read_text() == 'file,reason\nv.npy,"not an image, by its content"\n'
    lw.embed(digits_run, "digits:test", out=tmp_path / "w.parquet")
    assert not (tmp_path / "w.skipped.csv").exists()


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        ("embed RUN nowhere --out FILE", ".npy"),
        ("suggest RUN nowhere --out FILE", ".csv"),
        ("explore RUN nowhere --labels FILE", ".csv"),
        ("clean RUN nowhere --out FILE", ".csv"),
        ("clean RUN nowhere --sheet FILE", ".html"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_the_work(
    words: str, ending: str, digits_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the data is even looked for: there is none of this name."""
    Path("file").write_text("no folder")
    typed = [{"RUN": digits_run, "FILE": f"file/x{ending}"}.get(word, word) for word in words.split()]
    told = refused(capsys, *typed)
    assert told == f"could not write file/x{ending}: not a directory; name another place"
