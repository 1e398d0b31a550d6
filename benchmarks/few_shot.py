"""New classes from one and five samples: what learning to learn gains over frozen features and pixels.

    python -m benchmarks.few_shot [--data characters | words | digits] [--place FOLDER] [--minutes 15]
                                  [--methods simclr protonet maml contrastive-maml ...] [--seeds 1] [--episodes 600]
                                  [--samples 20] [--letters 40] [--epochs N] [--json FILE]

`characters`: the letters of the scripts of Debian's `fonts-noto-core` and `fonts-noto-extra`, drawn anew 20 times each
(see `benchmarks.characters`); a third of the scripts is held out. Judged on the letters of these, and on scikit-learn's
digits as new classes. `words`: the recordings of Debian's `ktuberling-data`, whose classes are the languages; half of
these are held out. `digits`: half of the digits is held out. --place is the folder with the fonts or recordings, where
it is not the packages' own.

Each method trains for --minutes, measuring included, or --epochs, with its own recipe and the same encoder.
All are judged in the same episodes: 5 classes, 15 queries of each.
Intervals are 95 % intervals over episodes; with several seeds each training has a row of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import likewise
from benchmarks.characters import FONTS, draw_characters
from benchmarks.proof import half_width, workplace

METHODS = ("simclr", "protonet", "maml", "contrastive-maml")
ENCODERS = {"characters": "resnet8", "digits": "resnet8", "words": "mel-resnet8"}
WORDS = Path("/usr/share/ktuberling/sounds")
DATA = tuple(ENCODERS)
SHOTS = (1, 5)


def prepared(asked: argparse.Namespace, folder: Path) -> tuple[str, dict[str, str]]:
    """What is learned from, and what is judged on, by the name that the table has."""
    if asked.data == "digits":
        return "digits:base", {"digits": "digits:novel"}
    place = asked.place or (FONTS if asked.data == "characters" else WORDS)
    if not place.is_dir():
        package = "fonts-noto-core and fonts-noto-extra" if asked.data == "characters" else "ktuberling-data"
        sys.exit(f"no folder {place}: install {package}, or name the folder with --place")
    if asked.data == "words":
        languages = linked(place, folder / "words")
        return f"{languages}:base", {"languages": f"{languages}:novel"}
    print(draw_characters(place, folder, samples=asked.samples, most=asked.letters), flush=True)
    novel = {"characters": str(folder / "novel.npz")}
    return str(folder / "base.npz"), novel | ({} if asked.without_digits else {"digits": "digits"})


def linked(place: Path, folder: Path) -> Path:
    """The recordings with a folder for each language."""
    for path in sorted(place.rglob("*")):
        if path.suffix in (".ogg", ".wav", ".opus"):
            language = path.relative_to(place).parts[0]
            (folder / language).mkdir(parents=True, exist_ok=True)
            (folder / language / path.name).symlink_to(path)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=DATA, default="characters")
    parser.add_argument("--place", type=Path, help="the folder with the fonts or recordings")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME")
    parser.add_argument("--minutes", type=float, default=15, help="of each training (15)")
    parser.add_argument("--epochs", type=int, help="of each training, instead of minutes")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each method (1)")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--samples", type=int, default=20, help="of each letter (20)")
    parser.add_argument("--letters", type=int, default=40, help="of each script, at most (40)")
    parser.add_argument("--without-digits", action="store_true", help="judge on letters only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    asked = parser.parse_args()
    budget = {"minutes": asked.minutes} if asked.epochs is None else {"epochs": asked.epochs}
    rows: dict[tuple[str, str], dict[tuple[str, int], Any]] = {}
    with workplace() as folder:
        base, novel = prepared(asked, folder)
        for seed in range(asked.seeds):
            for method in asked.methods:
                began = time.perf_counter()
                try:
                    run = likewise.pretrain(
                        base,
                        method=method,
                        encoder=ENCODERS[asked.data],
                        seed=seed,
                        out=folder / f"{method}-{seed}",
                        progress=False,
                        **budget,
                    )
                except likewise.UserError as error:  # too few minutes for this one
                    print(f"{method}: {error}", flush=True)
                    continue
                trained = time.perf_counter() - began
                for name, data in novel.items():
                    measured(run, data, name, method if asked.seeds == 1 else f"{method}, seed {seed}", rows, asked)
                print(
                    f"{method}: {run.config['recipe']['epochs']} epochs, {trained:.0f} s of training, "
                    f"{time.perf_counter() - began - trained:.0f} s of evaluation; load {os.getloadavg()[0]:.1f} on "
                    f"{os.cpu_count()} cores",
                    flush=True,
                )
                if asked.json:
                    asked.json.write_text(json.dumps(kept(rows), indent=1) + "\n")
    show(rows, list(novel))


def kept(rows: dict[tuple[str, str], dict[tuple[str, int], Any]]) -> list[dict[str, Any]]:
    """The table as a list of its cells."""
    return [
        {"method": method, "classifier": classifier, "data": data, "shot": shot, **row}
        for (method, classifier), cells in rows.items()
        for (data, shot), row in cells.items()
    ]


def measured(run: Any, data: str, name: str, label: str, rows: dict[Any, Any], asked: argparse.Namespace) -> None:
    """Accuracies in episodes, into the table's rows; those without training are the same for all methods."""
    found = likewise.evaluate(
        run, protocols=("few-shot",), test=data, shot=SHOTS, episodes=asked.episodes, progress=False
    )["few_shot"]
    for row in found["summary"]:
        features, classifier = row["features"], row["classifier"]
        if features in ("Frozen encoder", "Adapted encoder"):
            features = label
        elif features == "Untrained encoder" and classifier == "adapted":
            features = f"untrained, as {label}"
        if classifier in ("nearest centroid", "adapted"):
            rows.setdefault((features, classifier), {}).setdefault((name, row["shot"]), row)


def show(rows: dict[tuple[str, str], dict[tuple[str, int], Any]], data: list[str]) -> None:
    columns = [(name, shot) for name in data for shot in SHOTS]
    print("\n| | classifier | " + " | ".join(f"{name}, {shot}-shot" for name, shot in columns) + " |")
    print("| --- | --- |" + " --- |" * len(columns))
    for (features, classifier), cells in sorted(rows.items(), key=lambda row: row[0][1] == "adapted"):
        values = (f"{100 * cells[column]['mean']:.1f}{half_width(cells[column])}" for column in columns)
        print(f"| {features} | {classifier} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
