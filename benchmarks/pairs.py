"""Pictures and words: is a held-out caption found by its picture, and the picture by its caption?

    python -m benchmarks.pairs [--data stamps clipart] [--methods clip siglip slip] [--epochs N]

`stamps`: the pictures and English captions of Debian's `tuxpaint-stamps-default`. `clipart`: the pictures of
`openclipart-png` with the words of their file names. A fifth of the pairs is held out. Recall beside chance and beside
the same towers untrained; pairs that share a picture or a caption answer for each other.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import likewise
from benchmarks.proof import results, show, trained, workplace

STAMPS, CLIPART = Path("/usr/share/tuxpaint/stamps"), Path("/usr/share/openclipart/png")
PIXELS = 64


def stamps() -> Iterator[tuple[Path, str]]:
    """A stamp's caption in English is the first line of the file beside it; other languages follow as `fr.utf8=…`."""
    for picture in sorted(STAMPS.rglob("*.png")):
        beside = picture.with_suffix(".txt")
        lines = beside.read_text(encoding="utf-8", errors="replace").splitlines() if beside.is_file() else []
        if lines and lines[0].strip() and "utf8=" not in lines[0]:
            yield picture, lines[0].strip()


def clipart() -> Iterator[tuple[Path, str]]:
    """`animals/bugs/red_ant_01.png` is "red ant": letters only, without what is no word."""
    for picture in sorted(CLIPART.rglob("*.png")):
        words = [word for word in re.split(r"[^a-z]+", picture.stem.lower()) if len(word) > 2]
        if words:
            yield picture, " ".join(words)


DATA = {"stamps": stamps, "clipart": clipart}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=["stamps"])
    parser.add_argument("--methods", nargs="+", default=["clip", "siglip", "slip"], metavar="NAME")
    parser.add_argument("--epochs", type=int, help="passes over the data, instead of the recipes' own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there")
    arguments = parser.parse_args()
    more = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    with workplace() as folder, results(arguments.json) as kept:
        for name in arguments.data:
            table = folder / f"{name}.csv"
            with table.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("image", "text"), *DATA[name]()])
            for method in arguments.methods:
                run = trained(f"{table}:train", method, folder / name, size=PIXELS, **more)
                kept[f"{name} {method}"] = likewise.evaluate(run, progress=False)
                show(kept[f"{name} {method}"])


if __name__ == "__main__":
    main()
