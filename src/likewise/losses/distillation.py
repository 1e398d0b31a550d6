"""Losses without negatives: predict the output of another network, or branch, for the same sample, or its geometry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.checks import check_int, check_interval, check_positive, require
from likewise.losses import tiles
from likewise.losses.checks import check_embeddings, check_like, check_shape
from likewise.losses.geometry import unit
from likewise.losses.precision import full_precision


@full_precision
def negative_cosine(prediction: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean of `-s(prediction, target)`, in [-1, 1]; no gradient reaches the target.

    The loss of SimSiam (arXiv:2011.10566) is its mean over both directions; that of BYOL (arXiv:2006.07733), ‖p - z‖²
    of unit vectors, is `2 + 2 · negative_cosine`.

    Args:
        prediction: `(n, d)`.
        target: `(n, d)`.
    """
    check_embeddings({"prediction": prediction, "target": target})
    return -(unit(prediction) * unit(target.detach())).sum(1).mean()


@full_precision
def similarity_matching(student: Float[Tensor, "n d"], teacher: Float[Tensor, "n e"]) -> Float[Tensor, ""]:
    """Mean of `(cos(s_i, s_j) - cos(t_i, t_j))²` over all i ≠ j, in [0, 4]; no gradient reaches the teacher.

    The similarity-preserving loss (Tung & Mori 2019, arXiv:1907.09682) on cosines, as in relational distillation (Park
    et al. 2019, arXiv:1904.05068): it asks that samples are as alike for the student as they are for the teacher,
    whatever the two dimensions. Both are centred over the batch first: embeddings after a ReLU have a common direction,
    beside which all cosines are near 1. With several processes, pass gathered embeddings.

    Args:
        student: s, `(n, d)`, n >= 2.
        teacher: t, `(n, e)`.
    """
    check_embeddings({"student": student}, minimum=2)
    check_embeddings({"teacher": teacher}, minimum=2)
    n = len(student)
    require(len(teacher) == n, "len(teacher)", f"{n} as student", len(teacher))
    check_like("student", student, teacher=teacher)
    t = unit(teacher.detach() - teacher.detach().mean(0))

    def squares(rows: slice, s: Tensor) -> Tensor:
        difference = s[rows] @ s.T - t[rows] @ t.T
        tiles.fill_congruent(difference, rows, slice(0, n), n, 0.0)
        return difference.square().sum()

    return tiles.sum_by_stripes(squares, unit(student - student.mean(0)), width=n) / (n * (n - 1))


@full_precision
def dino(
    students: Sequence[Float[Tensor, "n k"]],
    teachers: Sequence[Float[Tensor, "n k"]],
    *,
    center: Float[Tensor, " k"],
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Float[Tensor, ""]:
    """DINO's cross-entropy (Caron et al. 2021, arXiv:2104.14294); no gradient reaches the teacher.

    Mean over samples and over pairs of a teacher's view t and another view s of the student of `-Σ softmax((t - c)/T_t)
    log softmax(s/T_s)`.

    Args:
        students: outputs for all views; first those of the teacher, in its order.
        teachers: outputs for the global views.
        center: c, see `dino_center`.
        student_temperature: T_s > 0.
        teacher_temperature: T_t > 0.
    """
    check_crops("students", students, "teachers", teachers)
    check_shape(teachers[0].shape[1], center=center)
    check_positive(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    targets = [((t.detach() - center) / teacher_temperature).softmax(1) for t in teachers]
    return cross_view_entropy([s / student_temperature for s in students], targets)


@torch.no_grad()
def dino_center(
    center: Float[Tensor, " k"], teachers: Sequence[Float[Tensor, "n k"]], *, momentum: float = 0.9
) -> Float[Tensor, " k"]:
    """The next centre, `m · center + (1 - m) · mean of the teachers' outputs`, with momentum m in [0, 1).

    With several processes, pass gathered outputs.

    Args:
        center: the last one.
        teachers: outputs for the global views.
        momentum: m.
    """
    check_interval(0, 1, closed="left", momentum=momentum)
    check_int(1, **{"len(teachers)": len(teachers)})
    check_shape("n", len(center), **{f"teachers[{i}]": t for i, t in enumerate(teachers)})
    mean = torch.stack([t.to(center.dtype).mean(0) for t in teachers]).mean(0)
    return center.lerp(mean, 1 - momentum)


@full_precision
def ibot(
    students: Float[Tensor, "m k"],
    targets: Float[Tensor, "m k"],
    *,
    weights: Float[Tensor, " m"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """iBOT's masked patch prediction (Zhou et al. 2021, arXiv:2111.07832; its weights as in arXiv:2304.07193).

    The weighted sum over masked patches of `-Σ p log softmax(s/T)`; 0 where there is none.

    Args:
        students: the student's outputs at masked patches.
        targets: p, the teacher's assignments of the same patches, which it saw; rows that sum to 1.
        weights: of the patches; a share of one view each, so that views count alike whatever is masked of them.
        temperature: T > 0.
    """
    check_shape(*students.shape, targets=targets)
    check_shape(len(students), weights=weights)
    check_positive(temperature=temperature)
    return -(weights[:, None] * targets.detach() * (students / temperature).log_softmax(1)).sum()


def cross_view_entropy(
    logits: Sequence[Float[Tensor, "n k"]], targets: Sequence[Float[Tensor, "n k"]]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of each target with the logits of every other view, in the same order."""
    logs = [x.log_softmax(1) for x in logits]
    pairs = [(target, log) for i, target in enumerate(targets) for j, log in enumerate(logs) if i != j]
    return torch.stack([-(target * log).sum(1).mean() for target, log in pairs]).mean()


def check_crops(all_name: str, every: Sequence[Tensor], some_name: str, some: Sequence[Tensor]) -> None:
    """Raises `UserError` unless there are two views or more, first those of the targets, of two columns or more."""
    check_int(2, **{f"len({all_name})": len(every)})
    check_int(1, len(every), **{f"len({some_name})": len(some)})
    check_embeddings({f"{all_name}[{i}]": x for i, x in enumerate(every)})
    targets = {f"{some_name}[{i}]": x for i, x in enumerate(some)}
    check_shape(*every[0].shape, **targets)
    check_like(f"{all_name}[0]", every[0], **targets)
    check_int(2, **{f"{all_name}[0].shape[1]": every[0].shape[1]})
