"""How far exported encoders are from the run's, and what eight bits cost.

    python -m benchmarks.export [RUN ...] [--texts TABLE] [--recordings FOLDER] [--picture FILE.svg] [--json FILE]

Without RUN, two encoders learn from the training part of digits. With --texts (a table with columns text and section,
as `benchmarks.texts` makes it) a BERT learns by SimCSE, with --recordings (a folder with a subfolder for each class) a
ResNet on mel spectrograms by COLA and a wav2vec 2.0. Each is exported to every format that takes it. `export` compares
the embeddings of what was written, read back by its library, with the run's, on 64 samples. Eight bits are judged on up
to 1,000 samples of the data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import workplace
from likewise.exporters.formats import FORMATS, INT8, reasons_against
from likewise.exporters.subject import subject_of

IMAGES = ("resnet8", "resnet18")
EPOCHS = 10


def trained(asked: argparse.Namespace, folder: Path) -> Iterator[Any]:
    """Runs to export."""
    how: dict[str, Any] = {"epochs": asked.epochs, "progress": False}
    for encoder in IMAGES:
        yield lw.pretrain("digits:train", encoder=encoder, out=folder / encoder, **how)
    if asked.texts:
        yield lw.pretrain(asked.texts, method="simcse", out=folder / "bert", **{**how, "epochs": 1})
    if asked.recordings:
        yield lw.pretrain(asked.recordings, method="cola", out=folder / "mel", **how)
        yield lw.pretrain(asked.recordings, method="wav2vec2", out=folder / "wav2vec2", **{**how, "epochs": 1})


def exported(run: Any, folder: Path) -> Iterator[Any]:
    """The encoder of a run in every format that takes it, with eight bits beside ONNX."""
    reasons = reasons_against(subject_of(run, None))
    for to in FORMATS:
        if to not in reasons:
            eight: dict[str, Any] = {"quantize": INT8, "allow_lossy": True} if to == "onnx" else {}
            yield lw.export(run, to=to, out=folder / f"{run.path.name}-{to}", progress=False, **eight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="finished runs, instead of new ones")
    parser.add_argument("--texts", type=Path, help="a table with columns text and section")
    parser.add_argument("--recordings", type=Path, help="a folder with a subfolder for each class")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"of the training on images and COLA's ({EPOCHS})")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw what eight bits cost there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the figures there")
    asked = parser.parse_args()
    kept: list[dict[str, Any]] = []
    with workplace() as folder:
        for run in map(lw.open_run, asked.runs) if asked.runs else trained(asked, folder):
            for found in exported(run, folder):
                kept.append(found.to_json())
                opset = "" if found.opset is None else f", opset {found.opset}"
                print(
                    f"{found.encoder:<16}{found.format:<24}{found.bytes / 2**20:8.1f} MiB   "
                    f"largest difference {found.max_difference:.1e}{opset}",
                    flush=True,
                )
                if found.quantized is not None:
                    print(f"{'':16}{found.quantized}", flush=True)
                if asked.json:
                    asked.json.write_text(json.dumps(kept, indent=1) + "\n")
    if asked.picture:
        picture(asked.picture, kept)


def picture(path: Path, kept: list[dict[str, Any]]) -> None:
    """Size and accuracy with eight bits, on the left of each line, and without."""
    lines = {}
    for each in kept:
        cost = each["quantized"]
        if cost is not None and cost["accuracy_before"] is not None:
            sizes = [cost[f"bytes_{when}"] / 2**20 for when in ("after", "before")]
            lines[each["encoder"]] = Line(sizes, [100 * cost[f"accuracy_{when}"] for when in ("after", "before")])
    ticks = {2.0**n: f"{2.0**n:g}" for n in range(-1, 7)}
    shares = {float(value): f"{value}" for value in range(50, 101, 10)}
    draw(path, lines, Axis("MiB", ticks, log=True), Axis("nearest neighbours, %", shares))


if __name__ == "__main__":
    main()
