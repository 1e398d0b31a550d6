"""Pictures and words: is a held-out caption found by its picture, and the picture by its caption?

    python -m benchmarks.pairs [--data stamps clipart] [--methods clip siglip slip] [--epochs N] [--weights]
                               [--stamps FOLDER]

`stamps`: the pictures and English captions of Debian's `tuxpaint-stamps-default`. `clipart`: the pictures of
`openclipart-png` with the words of their file names. A fifth of the pairs is held out. Recall beside chance and beside
the same towers untrained; pairs that share a picture or a caption answer for each other. Of clip art also what each
tower is worth with 10 labels a category, beside pixels and the words' TF-IDF.

`--weights`: the towers go on from weights that packages ship, of EfficientNet-Lite0 on ImageNet and of all-MiniLM-L6-v2
(see `benchmarks.packaged_weights`), with pictures of 96 px.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import likewise
from benchmarks.packaged_weights import PICTURES, SIZE, picture_weights, sentence_weights
from benchmarks.proof import CLIPART, PROTOCOLS, categories, results, show, trained, workplace
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions

STAMPS = Path("/usr/share/tuxpaint/stamps")
PIXELS = 64
FEW, DRAWS = 10, 5  # labels a category, and how often they are drawn


def stamps(place: Path = STAMPS) -> Iterator[tuple[Path, str]]:
    """A stamp's caption in English is the first line of the file beside it; other languages follow as `fr.utf8=…`."""
    for picture in sorted(place.rglob("*.png")):
        beside = picture.with_suffix(".txt")
        lines = beside.read_text(encoding="utf-8", errors="replace").splitlines() if beside.is_file() else []
        if lines and lines[0].strip() and "utf8=" not in lines[0]:
            yield picture, lines[0].strip()


def clipart() -> Iterator[tuple[Path, str]]:
    for picture in sorted(CLIPART.rglob("*.png")):
        if name := words_of(picture):
            yield picture, name


def words_of(picture: Path) -> str:
    """`animals/bugs/red_ant_01.png` is "red ant": letters only, without what is no word."""
    return " ".join(word for word in re.split(r"[^a-z]+", picture.stem.lower()) if len(word) > 2)


DATA = ("stamps", "clipart")


def known_towers() -> dict[str, Any]:
    texts = f"hf:{sentence_weights()}"
    return {"encoder": f"{PICTURES}+{texts}", "weights": f"{picture_weights()}+{texts}", "size": SIZE}


def write(path: Path, head: tuple[str, str], rows: Iterable[tuple[Any, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def by_category(table: Path, folder: Path) -> dict[str, dict[str, Path]]:
    """Labelled data for each tower: pictures in a folder a category, and a table of their words; split as the pairs."""
    made: dict[str, dict[str, Path]] = {"pictures": {}, "words": {}}
    for part in ("train", "test"):
        pictures = [
            Path(name) for name in open_source(f"{table}:{part}", read_options=ReadOptions(modality="pair")).ids
        ]
        kept = {category: [p for p in pictures if category in p.parents] for category in categories()}
        made["pictures"][part] = folder / part
        made["words"][part] = folder / f"{part}.csv"
        for category, files in kept.items():
            (folder / part / category.name).mkdir(parents=True)
            for file in files:
                (folder / part / category.name / str(file.relative_to(category)).replace("/", "-")).symlink_to(file)
        write(
            made["words"][part], ("text", "label"), ((words_of(p), c.name) for c, files in kept.items() for p in files)
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=["stamps"])
    parser.add_argument("--methods", nargs="+", default=["clip", "siglip", "slip"], metavar="NAME")
    parser.add_argument("--epochs", type=int, help="passes over the data, instead of the recipes' own")
    parser.add_argument("--weights", action="store_true", help="go on from known weights")
    parser.add_argument("--stamps", type=Path, default=STAMPS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there")
    arguments = parser.parse_args()
    more: dict[str, Any] = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    more |= known_towers() if arguments.weights else {"size": PIXELS}
    with workplace() as folder, results(arguments.json) as kept:
        for name in arguments.data:
            table = folder / f"{name}.csv"
            write(table, ("image", "text"), stamps(arguments.stamps) if name == "stamps" else clipart())
            labelled = by_category(table, folder) if name == "clipart" else {}
            for method in arguments.methods:
                run = trained(f"{table}:train", method, folder / name, **more)
                kept[f"{name} {method}"] = likewise.evaluate(run, progress=False)
                show(kept[f"{name} {method}"])
                for tower, parts in labelled.items():
                    print(f"  categories by {tower}, {FEW} labels each")
                    found = likewise.evaluate(
                        run, **parts, labels_per_class=(FEW,), seeds=DRAWS, protocols=PROTOCOLS, progress=False
                    )
                    kept[f"{name} {method} {tower}"] = found
                    show(found)


if __name__ == "__main__":
    main()
