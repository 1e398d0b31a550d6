"""Every method on the same data with the same budget of images: what its features are worth, and how fast it is.

    python -m benchmarks.methods [--data fashion-mnist | clipart | …] [--size PIXELS] [--epochs 2]
                                 [--families contrastive ...] [--methods simclr ...] [--json FILE] [--quick]

Without `--families` and `--methods`: those that compare embeddings. `clipart`: Debian's `openclipart-png`, which of its
categories with at least 100 files a drawing is in; a fifth is held out.

Each method trains with its own recipe, as `likewise pretrain DATA --method NAME` does, in the precision that is faster
here; all have the encoder that likewise chooses for the data, but for those whose recipe must name another (MAE: a
Vision Transformer), which are compared with that one untrained.

Frozen features are evaluated by nearest neighbours and logistic regression (`likewise.evaluation`), on labels of a
part of the train split drawn several times, on test images that chose nothing. An error is the standard error of the
mean over the draws; of the untrained encoder, over initialisations, each its mean over the draws. A method is trained
once: how another seed would have done is in no error. "above" is the linear accuracy less that of the untrained
encoder, and the same in standard errors of the difference.

Beside them: pixels, and lightly's SimCLR as its documentation has it for small images (docs.lightly.ai, examples,
SimCLR): `SimCLRTransform(gaussian_blur=0.0)` on PIL images in a DataLoader with workers, batch 256, projection head,
`NTXentLoss()`, SGD at 0.06; at the images' own size, with the same encoder and the same budget.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import torch
from torch import nn

import likewise
from benchmarks import lightly_simclr
from benchmarks.proof import categories
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.sampling import order
from likewise.data.source import Source, Subset
from likewise.data.splits import splits
from likewise.encoders import image_encoder
from likewise.evaluation import evaluate_encoder
from likewise.methods import METHODS, method_class
from likewise.modalities.lookup import setup
from likewise.training.machine import device_name
from likewise.training.recipe import Recipe

IMAGES = 10_000  # at most, of each split, whose features are taken
DRAWS = 5  # of labels, and of untrained weights
FEW = 10  # labels a class; the other accuracies take half of the smallest class, so that the draws differ
FIGURES = ("knn", "linear", "few")
COMPARING = ("contrastive", "pretext-invariant", "clustering", "distillation", "redundancy reduction")
PEER = "lightly's SimCLR"


class Evaluator(NamedTuple):
    """Frozen features to figures: (mean, standard error) of each of `FIGURES`."""

    views: Any
    train: Source
    test: Source
    many: int

    def __call__(self, encoder: nn.Module) -> dict[str, tuple[float, float]]:
        return self.figures(encoder, "frozen", "frozen-knn")

    def pixels(self, encoder: nn.Module) -> dict[str, tuple[float, float]]:
        return self.figures(encoder, "raw-logistic", "raw-knn")

    def untrained(self, config: dict[str, Any]) -> dict[str, tuple[float, float]]:
        """Over several initialisations of the architecture."""
        each = []
        for seed in range(DRAWS):
            torch.manual_seed(seed)
            each.append(self(image_encoder(**config)))
        return {figure: mean_and_error([one[figure][0] for one in each]) for figure in FIGURES}

    def figures(self, encoder: nn.Module, linear: str, knn: str) -> dict[str, tuple[float, float]]:
        trials = evaluate_encoder(
            encoder,
            self.views,
            self.train,
            self.test,
            labels_per_class=(FEW, self.many),
            seeds=DRAWS,
            protocols=(linear, knn),
            batch_size=256,
            device=device_name(),
            channels_last=True,
        )["trials"]
        wanted = {"knn": (knn, self.many), "linear": (linear, self.many), "few": (linear, FEW)}
        return {
            figure: mean_and_error([t["accuracy"] for t in trials if (t["protocol"], t["labels_per_class"]) == chosen])
            for figure, chosen in wanted.items()
        }


def clipart(folder: Path) -> str:
    """A folder of links to the categories that are judged."""
    for category in categories():
        (folder / category.name).symlink_to(category)
    return str(folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder))


def compare(folder: Path) -> None:
    parser = argparse.ArgumentParser(description="Every method beside pixels, an untrained encoder and lightly.")
    parser.add_argument("--data", help="labelled data that can be split, or clipart (fashion-mnist)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="of the images, instead of the data's own")
    parser.add_argument("--epochs", type=int, help="passes over the train split (2)")
    families = {name: method_class(name).family for name in METHODS}
    parser.add_argument("--families", nargs="+", choices=sorted(set(families.values())), metavar="NAME")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the results there, as they come")
    parser.add_argument("--quick", action="store_true", help="digits, one epoch: only whether everything runs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chosen = arguments.methods or [n for n, family in families.items() if family in (arguments.families or COMPARING)]
    data = arguments.data or ("digits" if arguments.quick else "fashion-mnist")
    epochs = arguments.epochs or (1 if arguments.quick else 2)

    parts = splits(clipart(folder) if data == "clipart" else data)
    train, test = (
        open_source(parts[part], read_options=ReadOptions(size=arguments.size)) for part in ("train", "test")
    )
    views, build = setup(train, Recipe(size=arguments.size), accelerated=device_name() != "cpu")[2:]
    pool = Subset(train, order(len(train), seed=0, epoch=0)[:IMAGES])
    judged = Subset(test, order(len(test), seed=0, epoch=0)[:IMAGES])
    many = int(pool.labels().bincount().min()) // 2
    evaluator = Evaluator(views, pool, judged, many)
    usual = build().config
    settings = {"data": data, "epochs": epochs, "images": epochs * len(train), "encoder": usual["name"], "labels": many}
    print(
        f"{data}: {epochs} x {len(train):,} images, {usual['name']}; accuracy in % on {len(judged):,} test images:"
        f" kNN and linear with {many} labels a class, few with {FEW}"
    )

    rows: list[dict[str, Any]] = []
    untrained: dict[str, dict[str, Any]] = {}

    def add(name: str, figures: dict[str, Any], base: dict[str, Any] | None = None) -> None:
        row = {"name": name, **figures}
        if base is not None and "linear" in row:
            gain = row["linear"][0] - base["linear"][0]
            error = (row["linear"][1] ** 2 + base["linear"][1] ** 2) ** 0.5
            row |= {"above_untrained": gain, "standard_errors": gain / error}
        rows.append(row)
        show(row, header=len(rows) == 1)
        if arguments.json:
            arguments.json.write_text(json.dumps(settings | {"results": rows}, indent=1) + "\n")

    def base(config: dict[str, Any]) -> dict[str, Any]:
        """The figures of an untrained encoder, measured when they are first needed."""
        name = config["name"]
        if name not in untrained:
            untrained[name] = evaluator.untrained(config)
            add(f"untrained {name}", untrained[name])
        return untrained[name]

    add("pixels", evaluator.pixels(build()))
    base(usual)
    figures = attempt(lambda: peer(train, views, build(), epochs, arguments.seed), evaluator)
    add(PEER, figures, base(usual))
    for method in chosen:
        with tempfile.TemporaryDirectory() as place:
            more = {"epochs": epochs, "seed": arguments.seed, "size": arguments.size, "out": Path(place) / "run"}
            figures = attempt(lambda: ours(parts["train"], method, **more), evaluator)  # noqa: B023
        add(method, figures, base(figures.pop("encoder", usual)))


def attempt(train: Callable[[], tuple[nn.Module, dict[str, Any]]], evaluate: Evaluator) -> dict[str, Any]:
    """What a training gave; one that fails costs its own row only."""
    try:
        encoder, figures = train()
        return evaluate(encoder) | figures
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def ours(data: str, method: str, **more: Any) -> tuple[nn.Module, dict[str, Any]]:
    run = likewise.pretrain(data, method=method, progress=False, **more)
    figures = {"samples_per_second": run.config["samples_per_second"], "encoder": run.config["encoder"]}
    if run.verdict is not None:
        figures["verdict"] = run.verdict.kind
    return run.encoder, figures


def peer(source: Source, views: Any, encoder: Any, epochs: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    trained = lightly_simclr.train(source, views, encoder, epochs=epochs, seed=seed)
    return trained.encoder, {"samples_per_second": trained.samples_per_second}


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return fmean(values), stdev(values) / len(values) ** 0.5


def show(row: dict[str, Any], *, header: bool) -> None:
    if header:
        print(f"{'':<24}{'kNN':>12}{'linear':>14}{'above':>18}{'few':>14}{'images/s':>10}  verdict")
    line = f"{row['name']:<24}"
    if "failure" in row:
        print(f"{line}  failed: {row['failure']}", flush=True)
        return
    cells = {figure: f"{100 * row[figure][0]:.1f} ± {100 * row[figure][1]:.2f}" for figure in FIGURES}
    above = speed = ""
    if "standard_errors" in row:
        above = f"{100 * row['above_untrained']:+.1f} = {row['standard_errors']:+.1f} se"
    if "samples_per_second" in row:
        speed = f"{row['samples_per_second']:,.0f}"
    line += f"{cells['knn']:>12}{cells['linear']:>14}{above:>18}{cells['few']:>14}{speed:>10}  {row.get('verdict', '')}"
    print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
