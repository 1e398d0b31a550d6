"""Training an encoder and a linear head with labels: from scratch, or fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.inputs import EvaluationViews, Machine
from likewise.training.optimizers import lr_at, parameter_groups

HELD_BYTES = 256 * 2**20
"""Chosen samples that take no more than this are read once and kept."""

FEWEST_STEPS = 120
STEPS_PER_ROOT = 20
SMALLEST_BATCH = 32
WARM_UP = 0.1
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class Rates:
    """Peak learning rates (AdamW) of the encoder and of its linear head."""

    encoder: float
    head: float


# Rates, steps and batch were set once, by runs on digits and fashion-mnist; no evaluation tunes them.
SCRATCH = Rates(encoder=2e-3, head=2e-3)
FINE_TUNED_HEAD = 1e-3
FINE_TUNED_PER_ROOT = 1e-4 / 10**0.5

FINE_TUNED_PART = 0.5
"""Fine-tuning starts near its end and takes this part of the steps that training from scratch takes."""


def budget(labels: int) -> int:
    """Optimisation steps for this many labels: max(120, 20·√labels).

    More data needs more steps but fewer passes: with `supervised_batch_size(labels, 128)` these are 120 passes over 10
    labels, 38 over 100 (in batches of 32), 79 over 1,000 and 10 over 60,000.
    """
    return max(FEWEST_STEPS, round(STEPS_PER_ROOT * labels**0.5))


def fine_tuning_rates(labels: int) -> Rates:
    """The fewer the labels, the less the encoder moves: 1e-4·√(labels/10), at most the head's 1e-3."""
    return Rates(min(FINE_TUNED_HEAD, FINE_TUNED_PER_ROOT * labels**0.5), FINE_TUNED_HEAD)


def supervised_batch_size(labels: int, most: int) -> int:
    """Samples a step: an eighth of the labels, at least 32, at most `most` and what there is."""
    return min(labels, most, max(SMALLEST_BATCH, labels // 8))


class LabelledSubset:
    """Some samples of a source: read once and kept when small, read again for each batch when not."""

    def __init__(self, source: Source, indices: Int[Tensor, " n"]) -> None:
        self._source, self._indices = source, indices
        first = source.read(indices[:1])
        self._held = source.read(indices) if first.nbytes * len(indices) <= HELD_BYTES else None

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, positions: Int[Tensor, " b"]) -> Any:
        """The batch of the samples at these positions."""
        return self._source.read(self._indices[positions]) if self._held is None else self._held[positions]


def train_classifier(
    encoder: nn.Module,
    head: nn.Linear,
    views: EvaluationViews,
    samples: LabelledSubset,
    labels: Int[Tensor, " n"],
    *,
    rates: Rates,
    steps: int,
    batch_size: int,
    seed: int,
    machine: Machine,
    points: frozenset[int],
    watch: Callable[[int], None],
) -> None:
    """Minimise cross-entropy on weak views: AdamW, linear warm-up, cosine to zero.

    Every step takes `batch` samples. `watch(step)` is called at `points`, the modules in evaluation mode.
    Batch normalisation uses the batch's statistics, or, when it is a single sample, the running ones.
    """
    generator = torch.Generator().manual_seed(seed)
    modules = nn.ModuleList([encoder, head])
    groups = [
        group | {"lr": rate}
        for module, rate in ((encoder, rates.encoder), (head, rates.head))
        for group in parameter_groups(module, WEIGHT_DECAY)
    ]
    optimiser = torch.optim.AdamW(groups, fused=True)
    peaks = [group["lr"] for group in optimiser.param_groups]
    targets = labels.to(machine.device)
    order = shuffled(len(samples), batch_size, generator)
    for step in range(steps + 1):
        if step in points:
            modules.eval()
            watch(step)
        if step == steps:
            break
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_at(step, steps=steps, warmup=round(WARM_UP * steps), schedule="cosine")
        chosen = next(order)
        modules.train(len(chosen) > 1)
        view = views.weak(samples.read(chosen).to(machine.device), generator)
        loss = F.cross_entropy(head(machine.forward(encoder, view)), targets[chosen.to(machine.device)])
        optimiser.zero_grad()
        loss.backward()
        # Seen in bfloat16 on a CPU (torch 2.14), with a recurrent network: once in thousands of steps the gradient is
        # no number, from data that gives one the next time. Such a step is left out: it would end the training.
        gradients = [p.grad for p in modules.parameters() if p.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite():
            optimiser.step()
    modules.eval()


def shuffled(length: int, batch_size: int, generator: torch.Generator) -> Iterator[Int[Tensor, " b"]]:
    """Endless batches of positions, each epoch in a new order, without the rest that fills no batch."""
    batch = min(batch_size, length)
    while True:
        order = torch.randperm(length, generator=generator)
        yield from order[: length // batch * batch].split(batch)


@torch.inference_mode()
def predict(
    encoder: nn.Module, head: nn.Linear, views: EvaluationViews, samples: LabelledSubset, machine: Machine
) -> Float[Tensor, "n classes"]:
    """Logits of the clean views of all samples, on the CPU."""
    return torch.cat(
        [
            head(machine.forward(encoder, views.clean(samples.read(some).to(machine.device)))).cpu()
            for some in torch.arange(len(samples)).split(machine.batch_size)
        ]
    )
