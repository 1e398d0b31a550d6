"""Every mistake gets one line: which argument, what it got, what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from likewise import losses

pytestmark = pytest.mark.usefixtures("unchecked_shapes")

X, Y = torch.ones(4, 3), torch.eye(4, 3)
LABELS = torch.tensor([0, 0, 1, 1])
PAIRS = {
    "nt_xent": losses.nt_xent,
    "dcl": losses.dcl,
    "dcl_w": losses.dcl_w,
    "hcl": losses.hcl,
    "nt_xent_hardest": lambda a, b, **more: losses.nt_xent_hardest(a, b, k=1, **more),
    "pair_matching": losses.pair_matching,
    "info_nce": losses.info_nce,
    "barlow_twins": losses.barlow_twins,
    "vicreg": losses.vicreg,
    "sup_con": lambda a, b, **more: losses.sup_con(a, b, labels=LABELS[: len(a)], **more),
}
WARM = [name for name in PAIRS if name not in ("barlow_twins", "vicreg", "pair_matching")]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Y[:3], r"shape \(3, 3\) must equal that of \w+, \(4, 3\)"),
        (Y[:, :2], r"shape \(4, 2\) must equal that of \w+, \(4, 3\)"),
        (Y.double(), r"torch.float64 must be \w+'s type, torch.float32"),
        (Y.to("meta"), r"on meta, must be where \w+ is, on cpu"),
        (Y.long(), r"a floating-point matrix \(n, d\) is needed, got int64 of shape \(4, 3\)"),
        (Y[0], r"a floating-point matrix \(n, d\) is needed, got float32 of shape \(3,\)"),
    ],
)
def test_views_that_do_not_match(name: str, second: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^(second|keys): {message}$"):
        PAIRS[name](X, second)


@pytest.mark.parametrize("name", PAIRS)
def test_one_sample(name: str) -> None:
    with pytest.raises(ValueError, match=r"^(first|queries): got 1 rows, at least 2 are needed$"):
        PAIRS[name](X[:1], Y[:1])


@pytest.mark.parametrize("name", WARM)
@pytest.mark.parametrize("temperature", [0.0, -0.5, float("nan"), float("inf"), torch.tensor(-0.5)])
def test_temperature(name: str, temperature: float | torch.Tensor) -> None:
    with pytest.raises(ValueError, match=rf"^temperature: {float(temperature):g} must be above 0 and finite$"):
        PAIRS[name](X, Y, temperature=temperature)


two = [X, Y]
MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: losses.nt_xent(X), "views: got 1, at least 2 of each sample are needed"),
    (lambda: losses.nt_xent(X, Y, Y[:2]), r"views[2]: shape (2, 3) must equal that of first, (4, 3)"),
    (
        lambda: losses.nt_xent(X, Y, temperature=torch.ones(2)),
        "temperature: one number is needed",
    ),
    (lambda: losses.dcl_w(X, Y, sigma=0.0), "sigma: 0 must be above 0"),
    (lambda: losses.hcl(X, Y, beta=-1.0), "beta: -1 must be in [0, inf)"),
    (lambda: losses.hcl(X, Y, tau_plus=1.0), "tau_plus: 1 must be in [0, 1)"),
    (lambda: losses.nt_xent_hardest(X, Y, k=0), "k: 0 must be from 1 to 6"),
    (lambda: losses.nt_xent_hardest(X, Y, k=7), "k: 7 must be from 1 to 6"),
    (lambda: losses.sup_con(X, labels=LABELS[:3]), "labels: got 3 for 4 rows, one per row is needed"),
    (lambda: losses.sup_con(X, labels=X), "labels: a vector of 4 integers is needed, got float32 of shape"),
    (lambda: losses.sup_con(X, labels=LABELS.to("meta")), "labels: on meta, must be on cpu"),
    (lambda: losses.sup_con(labels=LABELS), "views: got 0, at least 1"),
    (lambda: losses.info_nce(X, Y, Y[:, :2]), "negatives: shape (4, 2) must be (m, 3), as wide as queries"),
    (lambda: losses.info_nce(X, Y, Y[:0]), "negatives: got 0 rows, at least 1 is needed"),
    (lambda: losses.info_nce(X, Y, Y.double()), "negatives: torch.float64 must be queries's type"),
    (lambda: losses.info_nce(X, Y, in_batch=False), "negatives: None leaves no candidate"),
    (
        lambda: losses.nce(X[0], Y, log_noise=-1.0),
        "negatives: shape (4, 3) must be (n, k) for positive",
    ),
    (lambda: losses.nce(X[:, 0], Y[:, :0], log_noise=-1.0), "negatives: shape (4, 0), at least one"),
    (lambda: losses.margin_contrastive(X, Y, LABELS + 1), "dissimilar: values [1, 2] must be 0 or 1"),
    (lambda: losses.margin_contrastive(X, Y, LABELS[:3]), "dissimilar: got 3 for 4 rows"),
    (lambda: losses.margin_contrastive(X, Y, LABELS, margin=0.0), "margin: 0 must be above 0"),
    (lambda: losses.triplet(X, Y, Y[:3]), "negative: shape (3, 3) must equal that of anchor, (4, 3)"),
    (lambda: losses.triplet(X, Y, Y, margin=-1.0), "margin: -1 must be above 0"),
    (lambda: losses.mined_triplet(X, LABELS[:2]), "labels: got 2 for 4 rows"),
    (lambda: losses.mined_triplet(X, LABELS * 0), "labels: all rows have one class, at least two"),
    (
        lambda: losses.mined_triplet(X, LABELS, mining="soft"),
        "mining: 'soft' must be 'batch-hard'",
    ),
    (lambda: losses.negative_cosine(X, Y[:2]), "target: shape (2, 3) must equal that of prediction, (4, 3)"),
    (lambda: losses.dino([X], [X], center=X[0]), "students: 1 views with 1 teachers; at least 2 views"),
    (lambda: losses.dino(two, [*two, X], center=X[0]), "students: 2 views with 3 teachers"),
    (
        lambda: losses.dino(two, [X[:2]], center=X[0]),
        "teachers[0]: shape (2, 3) must equal that",
    ),
    (lambda: losses.dino(two, two, center=X[0, :2]), "center: shape (2,) must be (3,)"),
    (
        lambda: losses.dino(two, two, center=X[0], teacher_temperature=0.0),
        "teacher_temperature: 0 must be above 0",
    ),
    (lambda: losses.dino_center(X[0], [X], momentum=1.0), "momentum: 1 must be in [0, 1)"),
    (lambda: losses.dino_center(X[0], []), "teachers: shapes [] must be (n, 3)"),
    (lambda: losses.sinkhorn(X[:, :1]), "scores: 1 columns, at least 2 prototypes are needed"),
    (lambda: losses.sinkhorn(X, epsilon=0.0), "epsilon: 0 must be above 0"),
    (lambda: losses.sinkhorn(X, iterations=0), "iterations: 0 must be at least 1"),
    (
        lambda: losses.swapped_prediction([X[:, :1]] * 2, [X[:, :1]]),
        "scores: 1 columns, at least 2 prototypes",
    ),
    (lambda: losses.swapped_prediction(two, [X], temperature=0.0), "temperature: 0 must be above 0"),
    (lambda: losses.barlow_twins(X, Y, redundancy=-1.0), "redundancy: -1 must be in [0, inf)"),
    (lambda: losses.vicreg(X, Y, covariance=-1.0), "covariance: -1 must be in [0, inf)"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the line after reads the message
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
