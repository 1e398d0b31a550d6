"""Eight-bit weights for ONNX, and what they cost."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError, needs
from likewise.evaluation.knn import knn_classify
from likewise.exporters.graphs import EXTRA, Embed, quiet
from likewise.exporters.network import GraphNetwork

LEAST_COSINE = 0.99
MOST_POINTS = 0.01  # of accuracy
NEIGHBORS = 5
ROUNDS = 7
AT_ONCE = 32  # samples


@dataclass(frozen=True)
class Quantized:
    """An encoder with weights of eight bits beside the one with 32."""

    kind: str
    """static: activations have eight bits too, by ranges measured on samples; dynamic: by ranges of each call."""
    bytes_before: int
    bytes_after: int
    cosine: float
    """Mean over samples, between the embeddings before and after."""
    least_cosine: float
    speed: float
    """How many times as fast, in ONNX Runtime on this machine."""
    accuracy_before: float | None
    """Of nearest neighbours, None where the data has no labels."""
    accuracy_after: float | None
    samples: int

    def __str__(self) -> str:
        known = self.accuracy_before is not None and self.accuracy_after is not None
        accuracy = (
            f"; nearest neighbours {self.accuracy_before:.1%} -> {self.accuracy_after:.1%}"
            if known
            else "; accuracy not measured, the data has no labels"
        )
        return (
            f"int8 ({self.kind}): {self.bytes_before / 2**20:.1f} -> {self.bytes_after / 2**20:.1f} MiB, "
            f"{self.speed:.2f} times as fast; cosine of embeddings {self.cosine:.4f} (least {self.least_cosine:.4f}) "
            f"over {self.samples:,} samples{accuracy}"
        )


class _Calibration:
    """Samples for ONNX Runtime, a batch at a time."""

    def __init__(self, name: str, samples: Tensor) -> None:
        self._batches = iter([{name: part.numpy()} for part in samples.split(AT_ONCE)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def is_convolutional(network: nn.Module) -> bool:
    """Whether most of a network's work is done by convolutions of pictures."""
    kinds = [type(layer) for layer in network.modules()]
    return sum(issubclass(k, nn.Conv2d) for k in kinds) > sum(issubclass(k, nn.Linear) for k in kinds)


def write_int8(network: GraphNetwork, model: Path, out: Path, samples: Tensor) -> str:
    """Write `model` with weights of eight bits; returns the kind of quantization.

    Args:
        samples: prepared, by which the ranges of activations are measured.
    """
    needs("onnxruntime", EXTRA)
    tools = needs("onnxruntime.quantization", EXTRA)
    with quiet():
        if not is_convolutional(network):
            tools.quantize_dynamic(
                os.fspath(model),
                os.fspath(out),
                weight_type=tools.QuantType.QInt8,
                op_types_to_quantize=["MatMul", "Gemm", "Gather", "Attention"],
            )
            return "dynamic"
        # What makes the network's input of bytes stays as it is: only its layers are worth it.
        tools.quantize_static(
            os.fspath(model),
            os.fspath(out),
            _Calibration(network.input_name, samples),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        )
    return "static"


def measure(
    kind: str, paths: tuple[Path, Path], readers: tuple[Embed, Embed], samples: Tensor, labels: Tensor | None
) -> Quantized:
    """What eight bits cost.

    Args:
        paths, readers: before and after.
        samples: prepared.
        labels: of the samples, -1 for none; half of the samples are classified by the other half.
    """
    before, after = (torch.cat([embed(part) for part in samples.split(AT_ONCE)]) for embed in readers)
    cosines = F.cosine_similarity(before, after)
    accuracies = [None if labels is None else _accuracy(vectors, labels) for vectors in (before, after)]
    batch = samples[:AT_ONCE]
    rounds = [tuple(_seconds(embed, batch) for embed in readers) for _ in range(ROUNDS)]
    sizes = [path.stat().st_size for path in paths]
    return Quantized(
        kind=kind,
        bytes_before=sizes[0],
        bytes_after=sizes[1],
        cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        speed=median(slow / fast for slow, fast in rounds),
        accuracy_before=accuracies[0],
        accuracy_after=accuracies[1],
        samples=len(samples),
    )


def check_loss(found: Quantized) -> None:
    """Raise `UserError` where the embeddings or the accuracy became another one."""
    if found.cosine < LEAST_COSINE:
        raise UserError(
            f"int8 changes the embeddings: their mean cosine over {found.samples:,} samples must be at least "
            f"{LEAST_COSINE}, got {found.cosine:.4f}: add --allow-lossy, or leave --quantize out"
        )
    if found.accuracy_before is not None and found.accuracy_after is not None:
        lost = found.accuracy_before - found.accuracy_after
        if lost > MOST_POINTS:
            raise UserError(
                f"int8 must cost at most {100 * MOST_POINTS:.0f} point of the accuracy of nearest neighbours, got "
                f"{100 * lost:.1f} ({found.accuracy_before:.1%} -> {found.accuracy_after:.1%}): add --allow-lossy, or "
                "leave --quantize out"
            )


def _accuracy(vectors: Tensor, labels: Tensor) -> float | None:
    vectors, labels = vectors[labels >= 0], labels[labels >= 0]
    if len(labels.unique()) < 2:
        return None
    known, asked = slice(0, None, 2), slice(1, None, 2)
    classes = int(labels.max()) + 1
    k = min(NEIGHBORS, len(labels[known]))
    found = knn_classify(vectors[asked], vectors[known], labels[known], classes, k=k)
    return float((found == labels[asked]).float().mean())


def _seconds(embed: Embed, batch: Tensor) -> float:
    began = time.perf_counter()
    embed(batch)
    return time.perf_counter() - began
