"""Images with several captions: the same figures on the screen, in JSON and on the page."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import likewise as lw
from likewise.cli import main
from small_files import lines, squares

pytestmark = pytest.mark.usefixtures("working_folder")
WORDS = "--method clip --encoder resnet8+bert-tiny --epochs 1 --batch-size 30 --max-tokens 16 --vocab-size 200".split()


def test_the_figures_of_several_captions_agree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for i, (path, caption) in enumerate(squares(Path("squares"), 40)):
        lines(Path(path).with_suffix(".txt"), [f"{caption} {i}", f"photo {i}, {caption}", f"here we see {caption} {i}"])
    assert main(["pretrain", "squares:train", *WORDS, "--precision", "32-true", "--out", "run"]) == 0
    err = capsys.readouterr().err
    assert "40 of 40 samples have several captions, one a line: each is a pair of its own, 120 pairs" in err
    assert re.search(r"  sample 1: [0-9]+\.png#1 \| a red square of \w+ points [0-9]+\n", err)
    assert main(["evaluate", "run"]) == 0
    screen = capsys.readouterr().out
    [found] = json.loads(Path("run/evaluation.json").read_text())["tables"]
    images, texts = 10, 30
    caption = (
        f"{texts} pairs; different parts: {images} for image and {texts} for text; "
        "all that stands in a pair with a query is correct for it"
    )
    assert found["caption"] == caption
    page = lw.write_report(lw.open_run("run")).read_text(encoding="utf-8")
    assert caption in page
    told = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert caption in " ".join(screen.split())
    rows = {tuple(row[:2]): row[2:] for row in found["rows"]}
    for direction, items, right in (("image → text", texts, 3), ("text → image", images, 1)):
        for k, value in zip((1, 5), rows[direction, "chance"], strict=False):
            assert value == pytest.approx(1 - math.comb(items - right, k) / math.comb(items, k))
    for row in found["rows"]:
        shown = [f"{100 * value:.1f}" for value in row[2:5]]
        [line] = [line for line in screen.splitlines() if row[0] in line and f" {row[1]} " in line]
        assert [cell.strip() for cell in line.split("│")][3:6] == shown
        assert f"{row[0]} {row[1]} {' '.join(shown)} " in told
