"""Every mistake gets one line: which argument, what it got, what is allowed."""

from __future__ import annotations

import math
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
        (Y[:3], r"of shape \(4, 3\) as \w+, got \(3, 3\)"),
        (Y[:, :2], r"of shape \(4, 3\) as \w+, got \(4, 2\)"),
        (Y.double(), r"torch.float32 as \w+, got torch.float64"),
        (Y.to("meta"), r"on cpu as \w+, got meta"),
        (Y.long(), r"a floating-point matrix \(n, d\), got int64 of shape \(4, 3\)"),
        (Y[0], r"a floating-point matrix \(n, d\), got float32 of shape \(3,\)"),
    ],
)
def test_views_that_do_not_match(name: str, second: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^(second|keys) must be {message}$"):
        PAIRS[name](X, second)


@pytest.mark.parametrize("name", PAIRS)
def test_one_sample(name: str) -> None:
    with pytest.raises(ValueError, match=r"^len\((first|queries)\) must be at least 2, got 1$"):
        PAIRS[name](X[:1], Y[:1])


@pytest.mark.parametrize("name", WARM)
@pytest.mark.parametrize("temperature", [0.0, -0.5, float("nan"), float("inf"), torch.tensor(-0.5)])
def test_temperature(name: str, temperature: float | torch.Tensor) -> None:
    number = float(temperature)
    rule = "above 0" if math.isfinite(number) else "finite"
    with pytest.raises(ValueError, match=rf"^temperature must be {rule}, got {number}$"):
        PAIRS[name](X, Y, temperature=temperature)


two = [X, Y]
MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: losses.nt_xent(X), "len(views) must be at least 2, got 1"),
    (lambda: losses.nt_xent(X, Y, Y[:2]), "views[2] must be of shape (4, 3) as first, got (2, 3)"),
    (
        lambda: losses.nt_xent(X, Y, temperature=torch.ones(2)),
        "temperature must be one number, got a tensor of shape (2,)",
    ),
    (lambda: losses.dcl_w(X, Y, sigma=0.0), "sigma must be above 0, got 0.0"),
    (lambda: losses.hcl(X, Y, beta=-1.0), "beta must be 0 or more, got -1.0"),
    (lambda: losses.hcl(X, Y, tau_plus=1.0), "tau_plus must be from 0 to below 1, got 1.0"),
    (lambda: losses.nt_xent_hardest(X, Y, k=0), "k must be from 1 to 6, got 0"),
    (lambda: losses.nt_xent_hardest(X, Y, k=7), "k must be from 1 to 6, got 7"),
    (lambda: losses.sup_con(X, labels=LABELS[:3]), "labels must be a vector of 4 integers, got int64 of shape (3,)"),
    (lambda: losses.sup_con(X, labels=X), "labels must be a vector of 4 integers, got float32 of shape (4, 3)"),
    (lambda: losses.sup_con(X, labels=LABELS.to("meta")), "labels must be on cpu as the embeddings, got meta"),
    (lambda: losses.sup_con(labels=LABELS), "len(views) must be at least 1, got 0"),
    (lambda: losses.info_nce(X, Y, Y[:, :2]), "negatives must be of shape (m, 3), got (4, 2)"),
    (lambda: losses.info_nce(X, Y, Y[:0]), "len(negatives) must be at least 1, got 0"),
    (lambda: losses.info_nce(X, Y, Y.double()), "negatives must be torch.float32 as queries, got torch.float64"),
    (
        lambda: losses.info_nce(X, Y, in_batch=False),
        "negatives must be an (m, d) matrix where in_batch is False, got None",
    ),
    (
        lambda: losses.nce(X[0], Y, log_noise=-1.0),
        "negatives must be of shape (3, k), got (4, 3)",
    ),
    (lambda: losses.nce(X[:, 0], Y[:, :0], log_noise=-1.0), "negatives.numel() must be at least 1, got 0"),
    (lambda: losses.margin_contrastive(X, Y, LABELS + 1), "dissimilar must be 0 or 1 for each pair, got [1, 2]"),
    (
        lambda: losses.margin_contrastive(X, Y, LABELS[:3]),
        "dissimilar must be a vector of 4 integers, got int64 of shape (3,)",
    ),
    (lambda: losses.margin_contrastive(X, Y, LABELS, margin=0.0), "margin must be above 0, got 0.0"),
    (lambda: losses.triplet(X, Y, Y[:3]), "negative must be of shape (4, 3) as anchor, got (3, 3)"),
    (lambda: losses.triplet(X, Y, Y, margin=-1.0), "margin must be above 0, got -1.0"),
    (lambda: losses.mined_triplet(X, LABELS[:2]), "labels must be a vector of 4 integers, got int64 of shape (2,)"),
    (lambda: losses.mined_triplet(X, LABELS * 0), "classes in labels must be at least 2, got 1"),
    (
        lambda: losses.mined_triplet(X, LABELS, mining="soft"),
        "mining must be batch-hard or semi-hard, got 'soft'",
    ),
    (lambda: losses.negative_cosine(X, Y[:2]), "target must be of shape (4, 3) as prediction, got (2, 3)"),
    (lambda: losses.similarity_matching(X, Y[:2]), "len(teacher) must be 4 as student, got 2"),
    (lambda: losses.similarity_matching(X[:1], Y[:1]), "len(student) must be at least 2, got 1"),
    (lambda: losses.similarity_matching(X, Y.double()), "teacher must be torch.float32 as student, got torch.float64"),
    (lambda: losses.dino([X], [X], center=X[0]), "len(students) must be at least 2, got 1"),
    (lambda: losses.dino(two, [*two, X], center=X[0]), "len(teachers) must be from 1 to 2, got 3"),
    (
        lambda: losses.dino(two, [X[:2]], center=X[0]),
        "teachers[0] must be of shape (4, 3), got (2, 3)",
    ),
    (lambda: losses.dino(two, two, center=X[0, :2]), "center must be of shape (3,), got (2,)"),
    (
        lambda: losses.dino(two, two, center=X[0], teacher_temperature=0.0),
        "teacher_temperature must be above 0, got 0.0",
    ),
    (lambda: losses.dino_center(X[0], [X], momentum=1.0), "momentum must be from 0 to below 1, got 1.0"),
    (lambda: losses.dino_center(X[0], []), "len(teachers) must be at least 1, got 0"),
    (lambda: losses.sinkhorn(X[:, :1]), "scores.shape[1] must be at least 2, got 1"),
    (lambda: losses.sinkhorn(X, epsilon=0.0), "epsilon must be above 0, got 0.0"),
    (lambda: losses.sinkhorn(X, iterations=0), "iterations must be at least 1, got 0"),
    (
        lambda: losses.swapped_prediction([X[:, :1]] * 2, [X[:, :1]]),
        "scores[0].shape[1] must be at least 2, got 1",
    ),
    (lambda: losses.swapped_prediction(two, [X], temperature=0.0), "temperature must be above 0, got 0.0"),
    (lambda: losses.barlow_twins(X, Y, redundancy=-1.0), "redundancy must be 0 or more, got -1.0"),
    (lambda: losses.vicreg(X, Y, covariance=-1.0), "covariance must be 0 or more, got -1.0"),
    (
        lambda: losses.vicreg_places(X, X),
        "first must be a floating-point tensor (n, m, d), got float32 of shape (4, 3)",
    ),
    (lambda: losses.vicreg_places(X[:, None], X[:3, None]), "second must be of shape (4, 1, 3), got (3, 1, 3)"),
    (lambda: losses.vicreg_places(X[:1, None], Y[:1, None]), "len(first) must be at least 2, got 1"),
    (lambda: losses.vicreg_places(X[:, None], Y[:, None], variance=-1.0), "variance must be 0 or more, got -1.0"),
    (
        lambda: losses.dense_info_nce(X[:, None], Y[:, None], Y[:, :2]),
        "negatives must be of shape (k, 3), got (4, 2)",
    ),
    (lambda: losses.dense_info_nce(X[:, None], Y[:, None], Y[:0]), "len(negatives) must be at least 1, got 0"),
    (
        lambda: losses.dense_info_nce(X[:, None], Y[:, None], Y, others=Y[:, :2]),
        "others must be of shape (b, 3), got (4, 2)",
    ),
    (
        lambda: losses.dense_info_nce(X[:, None], Y[:, None], Y, temperature=0.0),
        "temperature must be above 0, got 0.0",
    ),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the line after reads the message
        call()
    assert str(caught.value) == message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (X, r"embeddings must be floating-point \(n, q, d\), got float32 of shape \(4, 3\)"),
        (torch.ones(6, 4, 3, dtype=torch.long), r"embeddings must be floating-point \(n, q, d\), got int64 of shape"),
        (torch.ones(6, 1, 3), "views must be at least 2, got 1"),
        (torch.ones(1, 6, 3), "samples must be at least 2, got 1"),
    ],
)
def test_lidar_of_what_has_no_views(embeddings: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        losses.lidar(embeddings)
    with pytest.raises(ValueError, match=r"^delta must be above 0, got 0\.0$"):
        losses.lidar(torch.ones(6, 4, 3), delta=0.0)
