"""A classifier: a folder with the head that `likewise fit` made (safetensors), and what is known of it (JSON)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NotRequired, TypedDict

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.numpy import load, save

from likewise.atomic import own_folder, write_atomically, write_json
from likewise.errors import UserError
from likewise.runs.classifier_table import render_classifier
from likewise.runs.declared import Count, Range, Share, TileSide, check_declared
from likewise.runs.files import DAMAGED, check_file, naming, read_object, reason_of
from likewise.runs.weights import load_weights, save_state

if TYPE_CHECKING:
    from torch import nn

LARGEST_HEAD = 2**32
"""Bytes of the weights: 100,000 classes on 8,192 dimensions have three quarters."""
Positive = Annotated[float, Range(1e-9, 1e9)]
ARRAYS = ("weight", "bias", "mean", "scale")


class Interval(TypedDict):
    """A measure with its 95 % interval."""

    mean: float
    low: float
    high: float


class CalibrationErrors(TypedDict):
    """The expected calibration error without and with the temperature."""

    before: Share
    after: Share


class Abstaining(TypedDict):
    """What thresholds reach on folds that they were not chosen on."""

    coverage: Share
    accuracy: Interval | None


class HeadFigures(TypedDict):
    """What cross-validation says of a head; which entries there are depends on the task."""

    samples: Count
    folds: Count
    accuracy: NotRequired[Interval]
    balanced_accuracy: NotRequired[Interval]
    commonest: NotRequired[Share]
    exact_match: NotRequired[Interval]
    micro_f1: NotRequired[Share]
    macro_f1: NotRequired[Share]
    recall: NotRequired[list[Share | None]]
    precision: NotRequired[list[Share | None]]
    calibration_error: NotRequired[CalibrationErrors]
    abstaining: NotRequired[Abstaining | None]
    r2: NotRequired[float]
    mean_absolute_error: NotRequired[Interval]
    of_the_mean: NotRequired[float]


class EncoderReference(TypedDict):
    """The run whose encoder the head stands on."""

    run: str
    """Its folder, absolute."""
    relative: str | None
    """Its folder from that of the classifier: both can be moved together. None where there is no such path."""
    digest: str
    """Of its weights, its architecture and its views."""
    dim: Annotated[int, Range(1, 2**31)]
    modality: str


class FineTuning(TypedDict):
    """The encoder that was trained with the head, and is kept beside it."""

    digest: str
    """Of its weights."""
    steps: Count
    """Of its training."""
    folds: Count
    """Other trainings, that the figures are of."""


class LabelsReference(TypedDict):
    """Where the labels came from."""

    file: str | None
    """None where they came from memory."""
    data: str | None
    """What the labelled samples are of; None for data in memory."""
    digest: str
    """Of the samples' ids and their labels."""
    samples: Count
    """That have a label."""


class ClassifierFile(TypedDict):
    """What classifier.json holds."""

    likewise: str
    created: str
    command: str
    task: Literal["classification", "multilabel", "regression", "segmentation", "detection"]
    classes: list[str]
    """Empty of numbers."""
    counts: list[Count]
    """Labels of each class."""
    encoder: EncoderReference
    fine_tuned: NotRequired[FineTuning]
    """Absent where the encoder is the run's, as it is."""
    head: NotRequired[Literal["decoder"]]
    """Of masks: what stands on the encoder's maps. Absent where it is a linear head."""
    labels: LabelsReference
    digest: str
    """Of the weights."""
    variance: Positive
    balanced: bool
    seed: Count
    temperature: Positive
    threshold: Share | None
    thresholds: list[Share] | None
    cross_validation: HeadFigures | None
    tile: NotRequired[TileSide]
    """Of masks and boxes: the side of the squares that images are cut into, in pixels. Absent where they are not."""
    notes: list[str]


class Classifier:
    """A classifier that is kept in a folder. `likewise.fit` makes one, `Classifier.open` opens it.

    Attributes: `path`; `info`, see `ClassifierFile`; `arrays`: weight, bias, mean and scale of the head; of a detector
    or a decoder all weights but those of its encoder.
    """

    FILE: ClassVar[str] = "classifier.json"
    WEIGHTS: ClassVar[str] = "head.safetensors"
    ENCODER: ClassVar[str] = "encoder.safetensors"
    """The weights of an encoder of its own, where it was fine-tuned."""

    def __init__(self, path: Path, info: dict[str, Any], arrays: dict[str, Float32[np.ndarray, "..."]]) -> None:
        self.path = path
        self.info = info
        self.arrays = arrays

    def __repr__(self) -> str:
        return f"Classifier({str(self.path)!r})"

    def __rich__(self) -> Any:
        return render_classifier(self.path, self.info)

    def to_json(self) -> dict[str, Any]:
        return {"classifier": str(self.path), **self.info}

    @property
    def tile(self) -> int | None:
        """The side of the squares that images are cut into; None where they are not."""
        return self.info.get("tile")

    @property
    def classes(self) -> list[str]:
        return self.info["classes"]

    def save(self, encoder: nn.Module | None = None) -> None:
        """Write the folder; a classifier that is there is replaced.

        Args:
            encoder: its own, where it was fine-tuned.

        Raises:
            OSError: the disk is full, or may not be written to.
        """
        own_folder(self.path)
        if encoder is not None:
            save_state(self.path / self.ENCODER, encoder)
            self.info["fine_tuned"]["digest"] = file_digest(self.path / self.ENCODER)
        data = save({name: np.ascontiguousarray(array) for name, array in self.arrays.items()})
        self.info["digest"] = hashlib.sha256(data).hexdigest()
        write_atomically(self.path / self.WEIGHTS, lambda file: file.write(data))
        write_json(self.path / self.FILE, self.info)
        if encoder is None:
            (self.path / self.ENCODER).unlink(missing_ok=True)  # of the one before

    @property
    def is_fine_tuned(self) -> bool:
        """Whether it has an encoder of its own."""
        return "fine_tuned" in self.info

    def load_encoder(self, encoder: nn.Module) -> None:
        """Load the weights of the fine-tuned encoder into a module of the run's architecture.

        Raises:
            UserError: when they are not there, damaged, or others than the head was trained with.
        """
        path = self.path / self.ENCODER
        try:
            found = file_digest(path)
        except OSError as error:
            raise UserError(f"{path} can't be read: {reason_of(error)}: fit the classifier again") from error
        if found != self.info["fine_tuned"]["digest"]:
            raise UserError(f"{path} is not the one that {self.FILE} was written with: fit the classifier again")
        load_weights(self.path, encoder, name=self.ENCODER)

    @classmethod
    def check_place(cls, path: Path) -> None:
        """Raise `UserError` unless a folder can become a classifier: it is absent, empty, or is one."""
        if path.is_dir() and not path.is_symlink():
            names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
            if not names or cls.FILE in names:
                return
            raise UserError(f"{path} exists and holds something else: name another folder with --out")
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} must be a folder, got a link or a file: name another one with --out")

    @classmethod
    def open(cls, path: str | Path) -> Classifier:
        """Open the folder of a classifier.

        Raises:
            UserError: when there is none, or it is damaged.
        """
        path = Path(path).expanduser()
        if not (path / cls.FILE).is_file():
            there = (
                "is a run" if (path / "config.json").is_file() else "is no classifier" if path.exists() else "is absent"
            )
            raise UserError(
                f"classifier must be a folder that `likewise fit` made, got {path}, which {there}: "
                "`likewise fit RUN --labels LABELS` makes one"
            )
        try:
            info = read_object(path / cls.FILE)
            check_declared(info, ClassifierFile)
        except DAMAGED as error:
            raise UserError(f"{path / cls.FILE} can't be read: {reason_of(error)}") from error
        with naming(path / cls.FILE, "fit the classifier again"):
            _check_lengths(info)
        weights = path / cls.WEIGHTS
        try:
            check_file(weights, LARGEST_HEAD)
            data = weights.read_bytes()
            if hashlib.sha256(data).hexdigest() != info["digest"]:
                raise ValueError("it is not the one that classifier.json was written with")
            arrays = load(data)
        except (*DAMAGED, SafetensorError) as error:
            raise UserError(f"{weights} can't be loaded: {reason_of(error)}: fit the classifier again") from error
        outputs, dim = len(info["classes"]) or 1, info["encoder"]["dim"]
        shapes = {"weight": (outputs, dim), "bias": (outputs,), "mean": (dim,), "scale": (dim,)}
        if info["task"] == "detection" or "head" in info:  # of a network: the shapes are known when it is built
            shapes = {name: array.shape for name, array in arrays.items()}
        for name, shape in shapes.items():
            array = arrays.get(name)
            if array is None or array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise UserError(f"{weights}: {name} must be finite float32 of shape {shape}: fit the classifier again")
        return cls(path, info, {name: arrays[name] for name in shapes})


def relative_to(folder: Path, path: Path) -> str | None:
    """The way from a folder to a path, both as they are resolved; None where there is none (two drives)."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_lengths(info: dict[str, Any]) -> None:
    """Raise `UserError` unless what is said of each class is said of all of them."""
    count = len(info["classes"])
    if (info["task"] == "regression") != (count == 0):
        raise UserError(f"classes must be given for {info['task']}" if not count else "classes must be absent")
    figures = info["cross_validation"] or {}
    lists = {"counts": info["counts"], "thresholds": info["thresholds"]}
    lists |= {name: figures.get(name) for name in ("recall", "precision")}
    if info["task"] == "multilabel" and info["thresholds"] is None and figures:
        raise UserError("thresholds must be given for several labels a sample")
    for name, values in lists.items():
        if values is not None and len(values) != count:
            raise UserError(f"{name} must have an entry for each of the {count:,} classes, got {len(values):,}")
