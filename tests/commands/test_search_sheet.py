"""`likewise search --sheet`: a page that shows the query and what was found."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from small_files import by_colour, captioned
from typed_commands import answered, refused

Text = pytest.CaptureFixture[str]


@pytest.fixture
def photos(working_folder: Path) -> Path:
    return by_colour(working_folder / "photos", 16, seed=7)


@pytest.fixture
def run(photos: Path) -> Path:
    how = {"encoder": "resnet8", "epochs": 1, "batch_size": 8, "precision": "32-true", "progress": False}
    return Path(lw.pretrain(photos, out="run", **how).path)


def cards(page: str) -> list[tuple[str, str]]:
    """The name and the remark of each card, the query first."""
    return re.findall(r"<br><b>(.*?)</b><br><small>(.*?)</small>", page)


def pictures(page: str, name: str, side: int, count: int) -> list[np.ndarray]:
    """The first pictures of a sheet of sprites, row by row."""
    found = re.search(rf"\.sheet-{name}\{{background-image:url\(data:image/\w+;base64,([^)]+)\)", page)
    assert found is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))
    columns = pixels.shape[1] // side
    corners = [(side * (i // columns), side * (i % columns)) for i in range(count)]
    return [pixels[y : y + side, x : x + side] for y, x in corners]


def test_pictures_of_what_was_found(run: Path, photos: Path, capsys: Text) -> None:
    query = photos / "red" / "0.png"
    found = answered(capsys, "search", run, photos, "--image", query, "--top", 3, "--sheet", "found.html")
    assert found["sheet"] == "found.html"
    page = Path("found.html").read_text()
    assert cards(page) == [
        (str(query), ""),
        *((match["id"], f"{match['rank']}. similarity {match['similarity']:.3f}") for match in found["matches"]),
    ]
    assert page.count('class="sample sheet-query') == 1
    assert page.count('class="sample sheet-found') == 3
    assert "http" not in page.split("</title>")[1]
    side = np.asarray(Image.open(query)).shape[0]
    for match, seen in zip(found["matches"], pictures(page, "found", side, 3), strict=True):
        assert np.array_equal(seen, np.asarray(Image.open(photos / match["id"])))

    # Embeddings in a file are shown by the samples that the run has learned from, and by no others.
    lw.embed(run, photos, out="x.parquet", progress=False)
    asked = ("search", run, "x.parquet", "--image", query, "--top", 3, "--sheet", "stored.html")
    assert answered(capsys, *asked)["matches"] == found["matches"]
    stored = Path("stored.html").read_text()
    assert [name for name, _ in cards(stored)] == [name for name, _ in cards(page)]
    assert stored.count('class="sample sheet-found') == 3
    (photos / "blue" / "2.png").unlink()
    answered(capsys, *asked)
    assert "sheet-found" not in Path("stored.html").read_text()
    assert len(cards(Path("stored.html").read_text())) == 4


def test_rows_of_an_index_are_shown_if_they_are_unchanged(run: Path, photos: Path, capsys: Text) -> None:
    pytest.importorskip("lancedb")
    lw.embed(run, photos, out="lance://index", progress=False)
    query = Path("query.png")
    query.write_bytes((photos / "red" / "0.png").read_bytes())
    asked = ("search", run, "lance://index", "--image", query, "--top", 2, "--sheet", "found.html")
    found = answered(capsys, *asked)
    assert found["matches"][0]["id"] == "red/0.png"
    page = Path("found.html").read_text()
    assert page.count('class="sample sheet-found') == 2
    (photos / "red" / "0.png").write_bytes((photos / "green" / "1.png").read_bytes())
    again = answered(capsys, *asked)
    assert again["matches"] == found["matches"]
    assert "sheet-found" not in Path("found.html").read_text()


def test_texts_found_by_a_picture_and_pictures_by_a_text(working_folder: Path, capsys: Text) -> None:
    pytest.importorskip("tokenizers")
    pairs = captioned(working_folder / "squares", 20)
    (pairs / "3.txt").write_text("<script>alert(1)</script> a red square\n")
    how = {"encoder": "resnet8+bert-tiny", "max_tokens": 16, "vocab_size": 200, "batch_size": 20}
    lw.pretrain(pairs, method="clip", epochs=1, augment="none", out="run", progress=False, **how)
    query = "<b>a red square</b>"
    answered(capsys, "search", "run", pairs, "--text", query, "--top", 4, "--sheet", "pictures.html")
    page = Path("pictures.html").read_text()
    assert page.count('class="sample sheet-found') == 4
    assert "&lt;b&gt;a red square&lt;/b&gt;" in page
    assert query not in page
    answered(capsys, "search", "run", pairs, "--image", pairs / "1.png", "--top", 20, "--sheet", "texts.html")
    page = Path("texts.html").read_text()
    assert page.count('class="sample sheet-query') == 1
    assert page.count('class="sample-text"') == 20
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_mistakes(run: Path, photos: Path, capsys: Text) -> None:
    line = refused(capsys, "search", run, photos, "--image", photos / "red" / "0.png", "--sheet", "found.png")
    assert line == "sheet must end in .html, got found.png"
