"""Encoders of the same samples side by side: parameters, size, speed, and accuracy with the same few labels."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn

from likewise.data.source import Source
from likewise.evaluation.evaluate_encoder import evaluate_encoder
from likewise.evaluation.features import evenly_spaced
from likewise.evaluation.inputs import ComputeSettings, LabelCount, Progress

AT_ONCE = 64  # samples, whose speed is measured
ROUNDS, FEWEST_ROUNDS = 9, 3
MEASURED_SECONDS = 20.0  # after so many no further round is begun
FROZEN = "frozen"


class MeasuredEncoder(NamedTuple):
    """An encoder, and the views that prepare its samples."""

    encoder: nn.Module
    views: Any


def parameters_of(encoder: nn.Module) -> int:
    """How many parameters an encoder has."""
    return sum(parameter.numel() for parameter in encoder.parameters())


def bytes_of(encoder: nn.Module) -> int:
    """How many bytes its weights take on the disk, but for their names."""
    return sum(tensor.nbytes for tensor in encoder.state_dict().values())


@torch.inference_mode()
def samples_per_second(
    encoders: Mapping[str, MeasuredEncoder], source: Source, compute: ComputeSettings
) -> dict[str, float]:
    """How fast each encoder is on prepared samples, `AT_ONCE` at a time: the median over rounds.

    All are measured in each round, so that they find the same machine where other programs come and go.
    """
    some = source.read(evenly_spaced(len(source), AT_ONCE)).to(compute.device)
    placed = {name: compute.place(each.encoder).eval() for name, each in encoders.items()}
    prepared = {name: each.views.clean(some) for name, each in encoders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    began = time.perf_counter()
    for number in range(1 + ROUNDS):  # the first round prepares the others
        if number > FEWEST_ROUNDS and time.perf_counter() - began > MEASURED_SECONDS:
            break
        for name, encoder in placed.items():
            started = time.perf_counter()
            compute.forward(encoder, prepared[name]).sum().item()  # waits for the device
            seconds[name].append(time.perf_counter() - started)
    return {name: len(some) / median(each[1:]) for name, each in seconds.items()}


def frozen_trials(
    name: str,
    measured: MeasuredEncoder,
    train: Source,
    test: Source,
    *,
    labels_per_class: Sequence[LabelCount],
    seeds: int,
    compute: ComputeSettings,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Trials of a linear head on the features of an encoder, with `name` as their protocol.

    The draws of labels are those of every other evaluation on these samples, so that differences are paired.
    """
    result = evaluate_encoder(
        measured.encoder,
        measured.views,
        train,
        test,
        labels_per_class=labels_per_class,
        seeds=seeds,
        protocols=(FROZEN,),
        batch_size=compute.batch_size,
        device=compute.device,
        autocast=compute.autocast,
        channels_last=compute.channels_last,
        progress=progress,
    )
    return renamed(result["trials"], {FROZEN: name})


def renamed(trials: Sequence[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Trials with other names of their protocols."""
    return [trial | {"protocol": names[trial["protocol"]]} for trial in trials]
