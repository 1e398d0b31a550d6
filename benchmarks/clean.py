"""Faults planted into real images, and which of them `likewise clean` finds, beside simple ways on the pixels.

    python -m benchmarks.clean [--data FOLDER] [--samples 4000] [--epochs 20] [--seeds 3] [--keep FOLDER]

Without --data the images are the digits of scikit-learn; FOLDER holds the idx files of MNIST or Fashion-MNIST. Each
seed plants other faults, trains an encoder (SimCLR) on what is then there, and looks for faults. A fault is found if
its file is listed with its kind; of copies the pair counts, exact or near. What has not been planted counts as a false
alarm, though real data has faults of its own: the last lines say what is listed where nothing was planted.

Beside it: equal bytes and equal perceptual hashes (as cleanvision does), the local outlier factor of the pixels, and
cleanlab on a logistic regression of the pixels.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import dctn
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import LocalOutlierFactor

import likewise as lw

SHARES = {"unreadable": 0.01, "blank": 0.01, "duplicate": 0.02, "near-duplicate": 0.02, "outlier": 0.02, "leak": 0.02}
WRONG_LABELS = 0.03
TEST = 0.1  # of all images
COPIES = {"duplicate", "near-duplicate", "leak"}
Sets = dict[str, set[Any]]


def images_of(data: Path | None, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images and their classes."""
    if data is None:
        digits = load_digits()
        return (digits.images * 255 / 16).astype(np.uint8), digits.target

    def idx(ending: str, offset: int) -> np.ndarray:
        path = next(path for path in sorted(data.iterdir()) if ending in path.name and "t10k" in path.name)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(content, np.uint8, offset=offset)

    labels = idx("labels", 8)[:samples]
    return idx("images", 16).reshape(-1, 28, 28)[:samples], labels.astype(int)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def nearly(pixels: np.ndarray, how: int, random: np.random.Generator) -> bytes:
    """The same picture, stored with loss, resized, brighter, or with noise."""
    numbers = pixels.astype(float)
    if how == 0:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=85)
        return file.getvalue()
    if how == 1:
        larger = [round(1.5 * side) for side in pixels.shape[::-1]]
        return png(np.asarray(Image.fromarray(pixels).resize(larger, Image.Resampling.BICUBIC)))
    if how == 2:
        return png((0.8 * numbers + 20).clip(0, 255).astype(np.uint8))
    return png((numbers + random.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8))


def strange(side: int, random: np.random.Generator) -> np.ndarray:
    """A piece of a photograph."""
    photo = Image.fromarray(load_sample_images().images[random.integers(2)]).convert("L")
    width = int(random.integers(60, 250))
    left, top = random.integers(photo.width - width), random.integers(photo.height - width)
    piece = photo.crop((left, top, left + width, top + width))
    return np.asarray(piece.resize((side, side), Image.Resampling.BILINEAR))


def plant(folder: Path, images: np.ndarray, labels: np.ndarray, seed: int, *, faults: bool) -> Sets:
    """Write the images as files, train/CLASS/… and test/CLASS/…, with faults; returns these by kind.

    Of copies these are pairs of paths, of others paths, from train/ on; those of test/ begin with "test/".
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(images))
    cut = round(TEST * len(images))
    test, train = order[:cut], order[cut:]
    label = labels.copy()
    planted: Sets = defaultdict(set)
    names = {int(i): f"{label[i]}/{i:05}.png" for i in order}
    chosen = iter(random.permutation(train))

    def some(share: float) -> Iterable[int]:
        return (int(next(chosen)) for _ in range(round(share * len(train)))) if faults else ()

    for i in some(WRONG_LABELS):
        other = (label[i] + random.integers(1, 10)) % 10
        names[i] = f"{other}/{i:05}.png"
        planted["label-error"].add(names[i])

    def write(path: str, content: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    for i in map(int, train):
        write(f"train/{names[i]}", png(images[i]))
    for i in map(int, test):
        write(f"test/{names[i]}", png(images[i]))
    side = images.shape[1]
    for kind, share in SHARES.items():
        for n, i in enumerate(some(share)):
            its_class, new = names[i].split("/")[0], f"{random.integers(10**9):09}"
            ending = "jpg" if n % 4 == 0 and kind in COPIES - {"duplicate"} else "png"
            path = f"{its_class}/{new}.{ending}"
            match kind:
                case "unreadable":
                    write(f"train/{path}", png(images[i])[:-30])
                case "blank":
                    write(f"train/{path}", png(np.full((side, side), random.integers(256), np.uint8)))
                case "duplicate":
                    write(f"train/{path}", png(images[i]))
                case "near-duplicate":
                    write(f"train/{path}", nearly(images[i], n % 4, random))
                case "outlier":
                    write(f"train/{path}", png(strange(side, random)))
                case "leak":
                    write(f"test/{path}", nearly(images[i], n % 4, random))
            other = f"test/{path}" if kind == "leak" else path
            planted[kind].add(frozenset((names[i], other)) if kind in COPIES else path)
    return planted


def found_by_likewise(folder: Path, epochs: int, seed: int) -> Sets:
    run = lw.pretrain(folder / "train", epochs=epochs, encoder="resnet8", seed=seed, out=folder / "run", progress=False)
    found: Sets = defaultdict(set)
    for fault in lw.clean(run, folder / "train", test=folder / "test", progress=False).faults:
        other = f"test/{fault.partner}" if fault.kind == "leak" else fault.partner
        found[fault.kind].add(frozenset((fault.id, other)) if fault.kind in COPIES else fault.id)
    return found


def found_by_pixels(folder: Path, side: int) -> Sets:
    """Files that Pillow does not read, one colour, equal hashes, the local outlier factor, cleanlab's own choice."""
    from cleanlab.filter import find_label_issues

    found: Sets = defaultdict(set)
    names, pixels, same, near = [], [], defaultdict(list), defaultdict(list)
    for path in sorted(folder.glob("t*/*/*")):
        name = path.relative_to(folder).as_posix().removeprefix("train/")
        try:
            picture = Image.open(path).convert("L")
        except OSError:
            found["unreadable"].add(name)
            continue
        grey = np.asarray(picture.resize((32, 32)), float)
        if np.ptp(grey) == 0:
            found["blank"].add(name)
            continue
        coefficients = dctn(grey)[:8, :8]
        near[(coefficients > np.median(coefficients)).tobytes()].append(name)
        same[path.read_bytes()].append(name)
        if not name.startswith("test/"):
            names.append(name)
            pixels.append(np.asarray(picture.resize((side, side))).ravel() / 255)
    for kind, groups in (("duplicate", same), ("near-duplicate", near)):
        for group in groups.values():
            trains = [name for name in group if not name.startswith("test/")]
            found[kind] |= {frozenset((trains[0], other)) for other in trains[1:]} if trains else set()
            tests = [name for name in group if name.startswith("test/")]
            found["leak"] |= {frozenset((name, tests[0])) for name in trains} if tests else set()
    found["near-duplicate"] -= found["duplicate"]
    features = np.stack(pixels)
    found["outlier"] = {name for name, is_in in zip(names, _lof(features), strict=True) if not is_in}
    given = np.array([int(name.split("/")[0]) for name in names])
    head = LogisticRegression(C=0.1, max_iter=200)
    probabilities = cross_val_predict(head, features, given, cv=5, method="predict_proba")
    found["label-error"] = {names[i] for i in np.flatnonzero(find_label_issues(given, probabilities, n_jobs=1))}
    return found


def _lof(features: np.ndarray) -> np.ndarray:
    return LocalOutlierFactor(20).fit_predict(features) > 0


def measured(found: Sets, planted: Sets) -> dict[str, tuple[float, float]]:
    """Precision and recall by kind; of copies, one of either kind is right for both."""
    result = {}
    copies = planted["duplicate"] | planted["near-duplicate"]
    for kind, truth in planted.items():
        right = copies if kind in ("duplicate", "near-duplicate") else truth
        listed = found[kind]
        there = found["duplicate"] | found["near-duplicate"] if right is copies else listed
        result[kind] = len(listed & right) / max(1, len(listed)), len(there & truth) / max(1, len(truth))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the idx files of MNIST or Fashion-MNIST")
    parser.add_argument("--samples", type=int, default=4000, help="images of --data that are used")
    parser.add_argument("--epochs", type=int, default=20, help="of the training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder that the files of each seed are left in")
    asked = parser.parse_args()
    images, labels = images_of(asked.data, asked.samples)
    results: dict[str, list[dict[str, tuple[float, float]]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        top = asked.keep or Path(temporary)
        for seed in range(asked.seeds):
            folder = top / str(seed)
            planted = plant(folder, images, labels, seed, faults=True)
            results["likewise clean"].append(measured(found_by_likewise(folder, asked.epochs, seed), planted))
            results["pixels"].append(measured(found_by_pixels(folder, images.shape[1]), planted))
        folder = top / "as-it-is"
        plant(folder, images, labels, 0, faults=False)
        alone = found_by_likewise(folder, asked.epochs, 0), found_by_pixels(folder, images.shape[1])
    print(f"\n{len(images):,} images, {asked.seeds} seeds: precision / recall in %, mean over the seeds\n")
    print("| kind | planted | likewise clean | on pixels |\n| --- | --- | --- | --- |")
    for kind in [*SHARES, "label-error"]:
        cells = []
        for way in results.values():
            precision, recall = (100 * mean(each[kind][k] for each in way) for k in (0, 1))
            cells.append(f"{precision:.0f} / {recall:.0f}")
        print(f"| {kind} | {len(planted[kind])} | {' | '.join(cells)} |")
    for name, found in zip(results, alone, strict=True):
        listed = ", ".join(f"{kind} {len(each)}" for kind, each in found.items() if each)
        print(f"\nwithout planted faults, {name} lists: {listed or 'nothing'}", flush=True)


if __name__ == "__main__":
    main()
