"""A run folder as a training and an evaluation would leave it, with seeded, plausible numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from likewise.evaluation import PROTOCOLS
from likewise.evaluation.measures import paired_differences

PARTS = ("config", "metrics", "chance", "pairs", "snapshots", "gallery", "evaluation", "skipped")
ALL_WAYS = ("scratch", "frozen", "fine-tuned", "untrained", "raw-knn", "raw-logistic")
FINAL = {  # accuracy at 1, 5, 10 labels per class and with all
    "scratch": (0.38, 0.62, 0.74, 0.968),
    "frozen": (0.66, 0.83, 0.885, 0.951),
    "fine-tuned": (0.65, 0.85, 0.91, 0.978),
    "untrained": (0.36, 0.58, 0.70, 0.89),
    "raw-knn": (0.42, 0.68, 0.77, 0.962),
    "raw-logistic": (0.40, 0.67, 0.78, 0.945),
}


def fake_run(
    folder: Path,
    *,
    parts: tuple[str, ...] = PARTS,
    labelled: bool = True,
    channels: int = 1,
    samples: int = 60,
    classes: list[str] | None = None,
    final: dict[str, tuple[float, ...]] = FINAL,
    seeds: int = 5,
    epochs: int = 12,
) -> Path:
    """Write `parts` of a run into `folder`; the pictures are scikit-learn's digits."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    classes = classes or [str(digit) for digit in range(10)]
    pictures, targets = _pictures(channels)
    order = rng.permutation(len(pictures))
    if "config" in parts:
        _write_json(folder / "config.json", _config())
    if "metrics" in parts:
        _metrics(folder / "metrics.csv", rng)
    if "chance" in parts:
        _write_json(folder / "chance.json", {"loss": 6.236, "top1": 1 / 511, "top5": 5 / 511})
    if "pairs" in parts:
        base = pictures[order[:8]]
        first, second = (
            np.clip(base * scale + shift, 0, 255).astype(np.uint8) for scale, shift in ((0.8, 30), (1.2, -10))
        )
        np.savez(folder / "pairs.npz", first=np.roll(first, 1, -1), second=np.roll(second, -1, -2))
    if "snapshots" in parts:
        _snapshots(folder / "snapshots.npz", rng)
    if "gallery" in parts:
        shown = order[:samples]
        labels = targets[shown]
        centres = rng.normal(size=(10, 32))
        embeddings = (centres[labels] + 1.5 * rng.normal(size=(samples, 32))).astype(np.float32)
        arrays: dict[str, Any] = {
            "pictures": pictures[shown],
            "embeddings": embeddings,
            "ids": np.array([str(index) for index in shown]),
        }
        if labelled:
            arrays |= {"labels": labels.astype(np.int64), "classes": np.array(classes)}
        np.savez(folder / "gallery.npz", **arrays)
    if "evaluation" in parts:
        _write_json(folder / "evaluation.json", _evaluation(rng, classes, final, seeds, epochs))
    if "skipped" in parts:
        with (folder / "skipped.csv").open("w", newline="") as file:
            rows = [(f"scans/{n:03d}.jpg", "truncated file") for n in range(12)]
            csv.writer(file).writerows([("file", "reason"), *rows])
    return folder


def protocol_details(protocols: Iterable[str], raw: str) -> dict[str, Any]:
    """What an evaluation says of its protocols, where raw features are called `raw`."""
    return {protocol: PROTOCOLS[protocol]().details(raw) for protocol in protocols}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def _pictures(channels: int) -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    grey = (digits.images / 16 * 255).astype(np.uint8)[:, None]
    if channels == 3:
        tint = np.array([1.0, 0.75, 0.45])[:, None, None]
        return (grey * tint).astype(np.uint8), digits.target
    return grey, digits.target


def _config() -> dict[str, Any]:
    return {
        "likewise": "0.1.0",
        "command": "likewise pretrain digits --method simclr --epochs 200 --out runs/digits",
        "data": "digits:train",
        "source": {"name": "digits:train", "samples": 1297, "modality": "image"},
        "recipe": {
            "epochs": 200,
            "batch_size": 256,
            "optimizer": "adamw",
            "lr": 0.002,
            "weight_decay": 1e-4,
            "warmup_epochs": 10,
        },
        "encoder": {"name": "resnet_small", "dim": 128, "channels": 1},
        "views": {
            "size": 16,
            "ops": [{"rotation": {"degrees": 46 / 3}}],
            "augment": "strong",
            "crop": {"scale": [0.5, 1.0]},
            "flip": 0.0,
        },
        "method": {
            "name": "simclr",
            "family": "contrastive",
            "paper": "2002.05709",
            "options": {"temperature": 0.2},
        },
        "seed": 0,
        "precision": "32",
        "created": "2030-01-02T03:04:05+00:00",
        "seconds": 73.4,
        "samples_per_second": 3534.0,
    }


def _metrics(path: Path, rng: np.random.Generator) -> None:
    steps = np.arange(0, 1000, 5)
    progress = 1 - np.exp(-steps / 180)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", "loss", "top1", "top5", "lr", "samples_per_second", "effective_rank"])
        for step, p in zip(steps, progress, strict=True):
            loss = 6.3 - 4.6 * p + 0.12 * rng.normal()
            top1 = min(1, max(0, 0.002 + 0.78 * p + 0.03 * rng.normal()))
            top5 = min(1, max(0, 0.01 + 0.93 * p + 0.02 * rng.normal()))
            rate = 0.002 * min(1, step / 50) * 0.5 * (1 + np.cos(np.pi * step / 1000))
            rank = f"{6 + 20 * p:.3f}" if step % 50 == 0 else ""
            writer.writerow([step, step // 5, f"{loss:.4f}", f"{top1:.4f}", f"{top5:.4f}", f"{rate:.6f}", "", rank])


def _snapshots(path: Path, rng: np.random.Generator) -> None:
    steps = np.array([0, 10, 50, 100, 250, 500, 1000])
    target = np.kron(np.ones((2, 2)), np.eye(8))
    matrices = []
    for step in steps:
        p = 1 - np.exp(-step / 180)
        noise = rng.normal(size=(16, 16)) * 0.22
        matrix = np.clip((1 - p) * (0.55 + noise + noise.T) / 1.2 + p * (0.92 * target + 0.4 * noise), -1, 1)
        np.fill_diagonal(matrix, 1)
        matrices.append((matrix + matrix.T) / 2)
    np.savez(path, steps=steps, epochs=steps / 5.0, similarity=np.stack(matrices).astype(np.float32))


def _evaluation(
    rng: np.random.Generator, classes: list[str], final: dict[str, tuple[float, ...]], seeds: int, epochs: int
) -> dict[str, Any]:
    k = len(classes)
    counts: list[int | str] = [1, 5, 10, "all"]
    trials, summary = [], []
    for protocol, accuracies in final.items():
        for count, mean, spread in zip(counts, accuracies, (0.03, 0.015, 0.01, 0.004), strict=True):
            values = np.clip(mean + spread * rng.normal(size=seeds), 0, 1)
            for seed, accuracy in enumerate(values):
                trials.append(_trial(rng, protocol, count, seed, float(accuracy), k, epochs))
            half = 2.776 * values.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else None
            centre = float(values.mean())
            low, high = (None, None) if half is None else (centre - float(half), centre + float(half))
            row = {"protocol": protocol, "labels_per_class": count, "mean": centre, "low": low, "high": high}
            summary.append(
                row | {"seeds": seeds, "seconds": 1.2, "balanced_accuracy": 0.9 * centre, "macro_f1": centre / 2}
            )
    return {
        "train": "digits:train",
        "test": "digits:test",
        "classes": classes,
        "samples": {"train": 1297, "test": 500},
        "seeds": seeds,
        "labels_per_class": counts,
        "protocols": [protocol for protocol in ALL_WAYS if protocol in final],
        "protocol_details": protocol_details(final, "pixels"),
        "chance": 1 / k,
        "majority": 0.114,
        "trials": trials,
        "summary": summary,
        "differences": paired_differences(
            trials, [(a, b) for a in final for b in final if PROTOCOLS[a].pretrained and not PROTOCOLS[b].pretrained]
        ),
        "command": "likewise evaluate runs/digits --train digits:train --test digits:test",
        "settings": {"epochs": epochs, "curve_samples": 256},
    }


def _trial(
    rng: np.random.Generator, protocol: str, count: int | str, seed: int, accuracy: float, k: int, epochs: int
) -> dict[str, Any]:
    per_class = np.clip(accuracy + 0.08 * rng.normal(size=k) * (1 - accuracy) * 3, 0, 1)
    confusion = np.zeros((k, k), dtype=int)
    for true in range(k):
        right = round(50 * per_class[true])
        wrong = rng.dirichlet(np.full(k - 1, 0.4))
        others = [c for c in range(k) if c != true]
        confusion[true, others] = rng.multinomial(50 - right, wrong)
        confusion[true, true] = right
    curve = None
    if not protocol.startswith("raw"):
        speed = 0.6 if protocol == "frozen" else 0.35
        risen = 1 - np.exp(-speed * np.arange(1, epochs + 1))
        noise = 0.01 * rng.normal(size=epochs)
        curve = [
            {
                "epoch": epoch + 1,
                "train_loss": float(2.3 - 2.25 * r),
                "train_accuracy": float(0.1 + 0.9 * r),
                "test_loss": float(2.3 - 2.0 * accuracy * r + (0.02 * epoch if protocol == "scratch" else 0)),
                "test_accuracy": float(np.clip(0.1 + (accuracy - 0.1) * r + n, 0, 1)),
            }
            for epoch, (r, n) in enumerate(zip(risen, noise, strict=True))
        ]
    return {
        "protocol": protocol,
        "labels_per_class": count,
        "seed": seed,
        "accuracy": accuracy,
        "loss": None if curve is None else curve[-1]["test_loss"],
        "per_class": per_class.tolist(),
        "confusion": [[*place, int(confusion[*place])] for place in np.argwhere(confusion).tolist()],
        "curve": curve,
    }
