"""The linear head: multinomial logistic regression on fixed features, solved to its optimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.evaluation.features import rows
from likewise.evaluation.labels import rank_in_class

VARIANCES = (0.1, 1.0, 10.0, 100.0)
"""Prior variances of a logit that cross-validation chooses from, the strongest regularisation first."""

FEW_LABELS_VARIANCE = 10.0
"""The prior variance when a class has too few labels to cross-validate."""

FOLDS = 3
CROSS_VALIDATION_SAMPLES = 3000
CROSS_VALIDATION_ITERATIONS = 50
ITERATIONS = 100
HISTORY = 10
"""Steps in the memory of L-BFGS, each as two vectors as long as the weights."""


def apply(head: nn.Linear, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n classes"]:
    """`head(features)`, of features that may be sparse."""
    return torch.addmm(head.bias, features, head.weight.T)


def fit_linear(
    features: Float[Tensor, "n dim"],
    labels: Int[Tensor, " n"],
    classes: int,
    *,
    variance: float,
    iterations: int = ITERATIONS,
    callback_steps: frozenset[int] = frozenset(),
    callback: Callable[[int, nn.Linear], None] | None = None,
) -> nn.Linear:
    """Minimise summed cross-entropy + ½‖W‖²·dim/variance with full-batch L-BFGS, from zero weights.

    The penalty is a Gaussian prior under which a logit of standardised features has that `variance`, so that
    one value means the same for any number of dimensions and labels. The bias is not penalised.
    `callback(iteration, head)` is called at each of `callback_steps`. Deterministic: the same features and labels give
    the same head.
    """
    dim = features.shape[1]
    head = nn.utils.skip_init(nn.Linear, dim, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    penalty = dim / (2 * variance * len(features))
    optimizer = torch.optim.LBFGS(
        head.parameters(),
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(apply(head, features), labels) + penalty * head.weight.square().sum()
        loss.backward()
        return loss

    done = 0
    for step in sorted(callback_steps | {iterations}):
        if step > done:
            optimizer.param_groups[0].update(max_iter=step - done, max_eval=2 * (step - done))
            optimizer.step(closure)
            done = step
        if callback is not None and step in callback_steps:
            callback(step, head)
    return head


def choose_variance(features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], classes: int) -> float:
    """The prior variance of least held-out cross-entropy, by stratified cross-validation on these samples.

    With fewer than `FOLDS` labels in a class it is `FEW_LABELS_VARIANCE`. At most `CROSS_VALIDATION_SAMPLES` samples,
    the first of each class, take part. Ties go to the stronger regularisation.
    """
    rank = rank_in_class(labels)
    if int(torch.bincount(labels, minlength=classes).min()) < FOLDS:
        return FEW_LABELS_VARIANCE
    kept = rank < max(FOLDS, CROSS_VALIDATION_SAMPLES // classes)
    features, labels, fold = rows(features, kept.nonzero()[:, 0]), labels[kept], rank[kept] % FOLDS
    parts = [((fold != out).nonzero()[:, 0], (fold == out).nonzero()[:, 0]) for out in range(FOLDS)]
    splits = [(rows(features, inside), labels[inside], rows(features, out), labels[out]) for inside, out in parts]

    def held_out_loss(variance: float) -> float:
        total = 0.0
        for train, train_labels, held_out, held_out_labels in splits:
            head = fit_linear(train, train_labels, classes, variance=variance, iterations=CROSS_VALIDATION_ITERATIONS)
            with torch.no_grad():
                total += float(F.cross_entropy(apply(head, held_out), held_out_labels, reduction="sum"))
        return total

    return min(VARIANCES, key=held_out_loss)


def settings() -> dict[str, Any]:
    """How logistic regressions are fitted: an entry of the result's "settings"."""
    return {
        "linear": {
            "solver": "L-BFGS",
            "iterations": ITERATIONS,
            "prior_variances": list(VARIANCES),
            "prior_variance_of_few": FEW_LABELS_VARIANCE,
            "folds": FOLDS,
        }
    }
