"""From files without labels to labels by ONNX Runtime alone: pretrain, suggest, fit, explore, predict, export."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import likewise as lw
from typed_commands import answered

ALONE = """
import csv, json, sys
from pathlib import Path
import numpy as np, onnxruntime
from PIL import Image
from safetensors.numpy import load_file

files, model, classifier = map(Path, sys.argv[1:])
known, head = json.loads((classifier / "classifier.json").read_text()), load_file(classifier / "head.safetensors")
paths = sorted(files.rglob("*.png"))
images = [np.asarray(Image.open(path).convert("L"))[None] for path in paths]
session = onnxruntime.InferenceSession(model / "model.onnx")
parts = [np.stack(images[start : start + 500]) for start in range(0, len(images), 500)]
features = np.concatenate([session.run(None, {"images": part})[0] for part in parts])
scores = (features - head["mean"]) / head["scale"] @ head["weight"].T + head["bias"]
print(json.dumps({str(p.relative_to(files)): known["classes"][i] for p, i in zip(paths, scores.argmax(1))}))
assert "likewise" not in sys.modules and "torch" not in sys.modules
"""
"""Labels by ONNX Runtime, from what was exported and what was fitted."""

FILES, BUDGET = 8000, 100


def drawing(pixels: np.ndarray, rng: random.Random) -> Image.Image:
    """A digit, turned and moved a little."""
    picture = Image.fromarray((pixels * 15).astype(np.uint8)).resize((16, 16), Image.Resampling.BILINEAR)
    moved = (rng.randint(-1, 1), rng.randint(-1, 1))
    return picture.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, translate=moved)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def asked(address: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(address + path, data), timeout=60) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_from_files_without_labels_to_labels_by_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    digits, rng, truth = load_digits(), random.Random(0), {}
    Path("drawings").mkdir()
    for number in range(FILES):
        name, place = f"{number:04}.png", rng.randrange(len(digits.images))
        drawing(digits.images[place], rng).save(Path("drawings") / name)
        truth[name] = str(digits.target[place])

    answered(capsys, *"pretrain drawings --epochs 2 --precision 32-true --out run".split())
    answered(capsys, *f"suggest run --budget {BUDGET} --out next.csv".split())
    suggested = rows(Path("next.csv"))
    assert len({row["id"] for row in suggested}) == BUDGET
    with Path("labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "label"])
        writer.writeheader()
        writer.writerows({"id": row["id"], "label": truth[row["id"]]} for row in suggested)
    fitted = answered(capsys, *"fit run --labels labels.csv --out first".split())
    assert fitted["labels"]["samples"] == BUDGET

    with closing(lw.explore("run", labels="labels.csv", classifier="first", progress=False)) as explorer:
        scene = asked(explorer.address, "scene")
        assert (scene["count"], scene["predicted"]) == (FILES, sorted(set(truth.values())))
        doubted = next(
            place for place in range(FILES) if asked(explorer.address, f"samples?at={place}")[0]["label"] is None
        )
        name = asked(explorer.address, f"samples?at={doubted}")[0]["id"]
        asked(explorer.address, "labels", {"places": [doubted], "label": truth[name]})
    assert rows(Path("labels.csv"))[-1] == {"id": name, "label": truth[name]}

    fitted = answered(capsys, *"fit run --labels labels.csv --out classifier".split())
    assert fitted["labels"]["samples"] == BUDGET + 1
    answered(capsys, *"predict classifier drawings --out predictions.csv".split())
    predicted = {row["id"]: row["label"] for row in rows(Path("predictions.csv"))}
    assert set(predicted) == set(truth)
    assert sum(predicted[name] == truth[name] for name in truth) > 0.75 * FILES

    answered(capsys, *"export run --to onnx --out exported".split())
    alone = subprocess.run(
        [sys.executable, "-c", ALONE, "drawings", "exported", "classifier"], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout) == predicted
