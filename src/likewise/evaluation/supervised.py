"""Supervised training of an encoder and a linear head, from random or pretrained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.training.optimizers import lr_at, parameter_groups

CACHE_BYTES = 256 * 2**20
"""Subsets that take at most this are read once and kept in memory."""

MIN_STEPS = 120
STEPS_PER_ROOT = 20
MIN_BATCH_SIZE = 32
WARMUP = 0.1
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


def budget(labels: int) -> int:
    """Optimisation steps for this many labels: max(120, 20·√labels).

    More data needs more steps but fewer epochs: with `supervised_batch_size(labels, 128)` these are 120 epochs of 10
    labels, 38 over 100 (in batches of 32), 79 over 1,000 and 10 over 60,000.
    """
    return max(MIN_STEPS, round(STEPS_PER_ROOT * labels**0.5))


def fine_tuning_rates(labels: int) -> Rates:
    """Rates that grow with the labels: 1e-4·√(labels/10) for the encoder, at most the head's 1e-3."""
    return Rates(min(FINE_TUNED_HEAD, FINE_TUNED_PER_ROOT * labels**0.5), FINE_TUNED_HEAD)


def supervised_batch_size(labels: int, largest: int) -> int:
    """Samples a step: an eighth of the labels, at least 32, at most `largest` and the number of labels."""
    return min(labels, largest, max(MIN_BATCH_SIZE, labels // 8))


class LabelledSubset:
    """Some samples of a source: read once and kept when they are small, read again for each batch when not."""

    def __init__(self, source: Source, indices: Int[Tensor, " n"]) -> None:
        self._source, self._indices = source, indices
        first = source.read(indices[:1])
        self._cached = source.read(indices) if first.nbytes * len(indices) <= CACHE_BYTES else None

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, positions: Int[Tensor, " b"]) -> Any:
        """The batch of the samples at these positions."""
        return self._source.read(self._indices[positions]) if self._cached is None else self._cached[positions]


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
    compute: ComputeSettings,
    callback_steps: frozenset[int],
    callback: Callable[[int], None],
    class_weights: Float[Tensor, " classes"] | None = None,
) -> None:
    """Minimise cross-entropy on weak views: AdamW, linear warm-up, cosine to zero.

    With `class_weights`, samples count by their class.

    Every step takes `batch_size` samples. `callback(step)` is called at `callback_steps`, the modules in evaluation
    mode. Batch normalisation uses the statistics of the batch, or the running ones for a batch of one sample. Encoder
    and head are changed in place.
    """
    generator = torch.Generator().manual_seed(seed)
    modules = nn.ModuleList([encoder, head])
    groups = [
        group | {"lr": rate}
        for module, rate in ((encoder, rates.encoder), (head, rates.head))
        for group in parameter_groups(module, WEIGHT_DECAY)
    ]
    optimizer = torch.optim.AdamW(groups, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    targets = labels.to(compute.device)
    weights = None if class_weights is None else class_weights.to(compute.device)
    order = shuffled(len(samples), batch_size, generator)
    for step in range(steps + 1):
        if step in callback_steps:
            modules.eval()
            callback(step)
        if step == steps:
            break
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_at(step, steps=steps, warmup=round(WARMUP * steps), schedule="cosine")
        chosen = next(order)
        modules.train(len(chosen) > 1)
        view = views.weak(samples.read(chosen).to(compute.device), generator)
        loss = F.cross_entropy(head(compute.forward(encoder, view)), targets[chosen.to(compute.device)], weights)
        optimizer.zero_grad()
        loss.backward()
        # In bfloat16 on a CPU (torch 2.14), with a recurrent network, the gradient is NaN once in thousands of steps,
        # and finite when the same step is repeated. Such a step is skipped: it would make all weights NaN.
        gradients = [p.grad for p in modules.parameters() if p.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite():
            optimizer.step()
    modules.eval()


def minimize(loss: Callable[[int], Tensor], parts: Sequence[tuple[nn.Module, float]], *, steps: int) -> None:
    """Minimise what `loss(step)` gives: AdamW, linear warm-up, cosine to zero. Modules are changed in place.

    A step whose gradient is not finite is skipped.

    Args:
        parts: modules and their peak learning rates; one of rate 0 is not trained.
        steps: of the optimizer.
    """
    groups = [
        group | {"lr": rate} for module, rate in parts if rate > 0 for group in parameter_groups(module, WEIGHT_DECAY)
    ]
    optimizer = torch.optim.AdamW(groups, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    trained = [parameter for group in groups for parameter in group["params"]]
    for step in range(steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_at(step, steps=steps, warmup=round(WARMUP * steps), schedule="cosine")
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        gradients = [p.grad for p in trained if p.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite():
            optimizer.step()


def shuffled(length: int, batch_size: int, generator: torch.Generator) -> Iterator[Int[Tensor, " b"]]:
    """Endless batches of positions, each epoch in a new order, without the incomplete last batch."""
    batch = min(batch_size, length)
    while True:
        order = torch.randperm(length, generator=generator)
        yield from order[: length // batch * batch].split(batch)


@torch.inference_mode()
def predict(
    encoder: nn.Module, head: nn.Linear, views: EvaluationViews, samples: LabelledSubset, compute: ComputeSettings
) -> Float[Tensor, "n classes"]:
    """Logits of the clean views of all samples, on the CPU."""
    return torch.cat(
        [
            head(compute.forward(encoder, views.clean(samples.read(batch).to(compute.device)))).cpu()
            for batch in torch.arange(len(samples)).split(compute.batch_size)
        ]
    )


def settings(steps: int | None, batch_size: int) -> dict[str, Any]:
    """What every supervised training was given besides its rates: an entry of the result's "settings"."""
    return {
        "supervised": {
            "optimizer": "adamw",
            "schedule": "linear warm-up, cosine to zero",
            "weight_decay": WEIGHT_DECAY,
            "steps": steps or f"max({MIN_STEPS}, {STEPS_PER_ROOT}·√labels)",
            "batch_size": f"min(labels, {batch_size}, max({MIN_BATCH_SIZE}, labels/8))",
        }
    }
