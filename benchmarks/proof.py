"""What benchmarks share: data, and how a method is trained, judged and told of."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import likewise

PROTOCOLS = ("frozen", "fine-tuned", "untrained", "raw-logistic")
CLIPART = Path("/usr/share/openclipart/png")
FEWEST = 100  # files of a category of drawings that is judged
NO_CATEGORY = {"unsorted", "special"}


def categories(place: Path = CLIPART) -> list[Path]:
    """The folders of Debian's `openclipart-png` that say what is drawn and have enough files."""
    named = (folder for folder in place.iterdir() if folder.is_dir() and folder.name not in NO_CATEGORY)
    return sorted(folder for folder in named if sum(1 for _ in folder.rglob("*.png")) >= FEWEST)


def options(what: str, data: str) -> argparse.ArgumentParser:
    """The options that all of them have."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--data", type=Path, help=data)
    parser.add_argument("--epochs", type=int, help="passes over the data, instead of the recipes' own")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the labels (3)")
    parser.add_argument("--methods", nargs="+", metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    return parser


def add_named_set(parser: argparse.ArgumentParser) -> None:
    """The options of `embedded`."""
    parser.add_argument("--data", default="digits", help="a named set (digits)")
    parser.add_argument("--root", type=Path, help="the folder with the files of the named set")
    parser.add_argument("--run", type=Path, help="a finished run on its training part, instead of a new one")
    parser.add_argument("--epochs", type=int, default=20, help="of the new run (20)")


def embedded(asked: argparse.Namespace, folder: Path) -> tuple[Any, Any, Any]:
    """A run on the training part of a named set, and the embeddings of its training and test parts."""
    run = asked.run or likewise.pretrain(
        f"{asked.data}:train",
        encoder="resnet8",
        epochs=asked.epochs,
        root=asked.root,
        out=folder / "run",
        progress=False,
    )
    train, test = (
        likewise.embed(run, f"{asked.data}:{part}", root=asked.root, progress=False) for part in ("train", "test")
    )
    return run, train, test


def trained(data: Any, method: str, folder: Path, **more: Any) -> likewise.Run:
    """A run of the method's recipe on `data`; says how long it took."""
    began = time.perf_counter()
    run = likewise.pretrain(data, method=method, out=folder / method, progress=False, **more)
    verdict = f", {run.verdict.kind}" if run.verdict else ""
    print(
        f"\n{method}: {run.config['recipe']['encoder']}, {run.config['recipe']['epochs']} epochs of"
        f" {run.config['source']['samples']:,}, {time.perf_counter() - began:.0f} s{verdict}",
        flush=True,
    )
    return run


def show(evaluation: Any) -> None:
    """The accuracies of an evaluation, a line for each way, and its other tables."""
    for protocol in evaluation.get("protocols", ()):
        rows = [row for row in evaluation["summary"] if row["protocol"] == protocol]
        name = evaluation["raw"] if protocol.startswith("raw") else protocol
        cells = (f"{row['labels_per_class']}: {100 * row['mean']:.1f}{half_width(row)}" for row in rows)
        print(f"  {name:<14}{'   '.join(cells)}", flush=True)
    for table in evaluation.get("tables", ()):
        print(f"  {table['title']} ({table['caption']})")
        print("  " + " | ".join(table["head"]))
        for row in table["rows"]:
            print("  " + " | ".join(cell(value, unit) for value, unit in zip(row, table["units"], strict=True)))
    print(end="", flush=True)


def half_width(row: dict[str, Any]) -> str:
    """Of the 95 % interval over the draws, in points."""
    return "" if row["low"] is None else f" ± {50 * (row['high'] - row['low']):.1f}"


def cell(value: Any, unit: str) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.3g}"


@contextmanager
def results(file: Path | None) -> Iterator[dict[str, Any]]:
    """A dict of evaluations by method, kept in `file`."""
    kept: dict[str, Any] = {}
    try:
        yield kept
    finally:
        if file:
            file.write_text(json.dumps(kept, indent=1) + "\n")


@contextmanager
def workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
