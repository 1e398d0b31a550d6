"""Every loss written once more, from its paper, sample by sample and without regard for cost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a @ a).sqrt() / (b @ b).sqrt()


def distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).sum().sqrt()


def mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def total(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def log_total_exp(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).logsumexp(0)


def nt_xent(*views: Tensor, temperature: float | Tensor) -> Tensor:
    return sup_con(*views, labels=torch.arange(len(views[0])), temperature=temperature)


def sup_con(*views: Tensor, labels: Tensor, temperature: float | Tensor) -> Tensor:
    z, label = torch.cat(views), labels.repeat(len(views))
    terms = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        below = log_total_exp([cosine(z[i], z[k]) / temperature for k in others])
        positives = [p for p in others if label[p] == label[i]]
        if positives:
            terms.append(-mean([cosine(z[i], z[p]) / temperature - below for p in positives]))
    return mean(terms) if terms else z.sum() * 0


def _anchors(first: Tensor, second: Tensor) -> list[tuple[Tensor, Tensor, list[Tensor]]]:
    """Anchor, its positive and its negatives, for all views."""
    n = len(first)
    result = []
    for i in range(n):
        negatives = [view[k] for view in (first, second) for k in range(n) if k != i]
        result += [(first[i], second[i], negatives), (second[i], first[i], negatives)]
    return result


def dcl(first: Tensor, second: Tensor, *, temperature: float | Tensor) -> Tensor:
    return mean(
        [
            log_total_exp([cosine(a, x) / temperature for x in negatives]) - cosine(a, p) / temperature
            for a, p, negatives in _anchors(first, second)
        ]
    )


def dcl_w(first: Tensor, second: Tensor, *, temperature: float | Tensor, sigma: float = 0.5) -> Tensor:
    closeness = [(cosine(a, p) / sigma).exp() for a, p, _ in _anchors(first, second)]
    return mean(
        [
            log_total_exp([cosine(a, x) / temperature for x in negatives])
            - (2 - close / mean(closeness)) * cosine(a, p) / temperature
            for (a, p, negatives), close in zip(_anchors(first, second), closeness, strict=True)
        ]
    )


def hcl(
    first: Tensor,
    second: Tensor,
    *,
    temperature: float | Tensor,
    beta: float = 1.0,
    tau_plus: float = 0.1,
) -> Tensor:
    terms = []
    for a, p, negatives in _anchors(first, second):
        positive = (cosine(a, p) / temperature).exp()
        negative = torch.stack([(cosine(a, x) / temperature).exp() for x in negatives])
        weights = negative**beta / (negative**beta).mean()
        g = ((weights * negative).mean() - tau_plus * positive) / (1 - tau_plus)
        g = torch.maximum(g, torch.exp(-1 / torch.as_tensor(temperature, dtype=g.dtype)))
        terms.append(-(positive / (positive + len(negatives) * g)).log())
    return mean(terms)


def nt_xent_hardest(first: Tensor, second: Tensor, *, k: int, temperature: float | Tensor) -> Tensor:
    terms = []
    for a, p, negatives in _anchors(first, second):
        positive = cosine(a, p) / temperature
        similarities = torch.stack([cosine(a, x) / temperature for x in negatives]).sort(descending=True)[0]
        terms.append(log_total_exp([positive, *similarities[:k]]) - positive)
    return mean(terms)


def info_nce(
    queries: Tensor,
    keys: Tensor,
    negatives: Tensor | None = None,
    *,
    temperature: float | Tensor,
    in_batch: bool = True,
) -> Tensor:
    terms = []
    for i, q in enumerate(queries):
        candidates = [k for j, k in enumerate(keys) if in_batch or i == j]
        candidates += [] if negatives is None else list(negatives)
        below = log_total_exp([cosine(q, c) / temperature for c in candidates])
        terms.append(below - cosine(q, keys[i]) / temperature)
    return mean(terms)


def dense_info_nce(
    queries: Tensor,
    keys: Tensor,
    negatives: Tensor,
    *,
    temperature: float | Tensor,
    others: Tensor | None = None,
    own: Tensor | None = None,
) -> Tensor:
    terms = []
    for i in range(len(queries)):
        mine = i if own is None else int(own[i])
        candidates = list(negatives)
        if others is not None:
            candidates += [other for j, other in enumerate(others) if j != mine]
        for q, k in zip(queries[i], keys[i], strict=True):
            below = log_total_exp([cosine(q, c) / temperature for c in [k, *candidates]])
            terms.append(below - cosine(q, k) / temperature)
    return mean(terms)


def nce(positive: Tensor, negatives: Tensor, *, log_noise: float | tuple[Tensor, Tensor]) -> Tensor:
    k = negatives.shape[1]
    of_data, of_noise = log_noise if isinstance(log_noise, tuple) else (log_noise, log_noise)
    of_data = torch.as_tensor(of_data, dtype=positive.dtype).expand_as(positive)
    of_noise = torch.as_tensor(of_noise, dtype=positive.dtype).expand_as(negatives)

    def is_data(u: Tensor, log_p: Tensor) -> Tensor:
        return u.exp() / (u.exp() + k * log_p.exp())

    return mean(
        [
            -is_data(positive[i], of_data[i]).log()
            - total([(1 - is_data(negatives[i, j], of_noise[i, j])).log() for j in range(k)])
            for i in range(len(positive))
        ]
    )


def margin_contrastive(first: Tensor, second: Tensor, dissimilar: Tensor, *, margin: float = 1.0) -> Tensor:
    return mean(
        [
            (1 - y) * distance(a, b) ** 2 / 2 + y * torch.relu(margin - distance(a, b)) ** 2 / 2
            for a, b, y in zip(first, second, dissimilar.long(), strict=True)
        ]
    )


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 0.2) -> Tensor:
    return mean(
        [
            torch.relu(distance(a, p) - distance(a, n) + margin)
            for a, p, n in zip(anchor, positive, negative, strict=True)
        ]
    )


def mined_triplet(x: Tensor, labels: Tensor, *, margin: float = 0.2, mining: str = "semi-hard") -> Tensor:
    terms = []
    for i in range(len(x)):
        same = [distance(x[i], x[j]) for j in range(len(x)) if labels[j] == labels[i] and j != i]
        other = [distance(x[i], x[j]) for j in range(len(x)) if labels[j] != labels[i]]
        if mining == "batch-hard" and same:
            terms.append(torch.relu(max(same) - min(other) + margin))
        if mining == "semi-hard":
            for near in same:
                farther = [far for far in other if far > near]
                terms.append(torch.relu(near - (min(farther) if farther else max(other)) + margin))
    return mean(terms) if terms else x.sum() * 0


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    return -mean([cosine(p, z) for p, z in zip(prediction, target.detach(), strict=True)])


def similarity_matching(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ([row - z.mean(0) for row in z] for z in (student, teacher.detach()))
    n = len(student)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return mean([(cosine(s[i], s[j]) - cosine(t[i], t[j])) ** 2 for i, j in pairs])


def _softmax(row: Tensor) -> Tensor:
    return row.exp() / row.exp().sum()


def dino(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    *,
    center: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Tensor:
    codes = [torch.stack([_softmax((row - center) / teacher_temperature) for row in t.detach()]) for t in teachers]
    return swapped_prediction(students, codes, temperature=student_temperature)


def swapped_prediction(scores: Sequence[Tensor], codes: Sequence[Tensor], *, temperature: float = 0.1) -> Tensor:
    return mean(
        [
            -(codes[t][i] * _softmax(scores[s][i] / temperature).log()).sum()
            for t in range(len(codes))
            for s in range(len(scores))
            if s != t
            for i in range(len(scores[0]))
        ]
    )


def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """The listing of SwAV's appendix, transposes and all."""
    q = (scores / epsilon).exp().T
    q = q / q.sum()
    k, n = q.shape
    r, c = torch.ones(k, dtype=q.dtype) / k, torch.ones(n, dtype=q.dtype) / n
    for _ in range(iterations):
        q = q * (r / q.sum(1))[:, None]
        q = q * (c / q.sum(0))[None, :]
    return (q / q.sum(0, keepdim=True)).T


def barlow_twins(first: Tensor, second: Tensor, *, redundancy: float = 0.005) -> Tensor:
    a, b = first - first.mean(0), second - second.mean(0)
    terms = []
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = (a[:, i] @ b[:, j]) / (a[:, i] @ a[:, i]).sqrt() / (b[:, j] @ b[:, j]).sqrt()
            terms.append((1 - c) ** 2 if i == j else redundancy * c**2)
    return total(terms)


def vicreg(
    first: Tensor,
    second: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    n, d = first.shape
    loss = invariance * mean([(first[i, j] - second[i, j]) ** 2 for i in range(n) for j in range(d)])
    for z in (first, second):
        cov = sum(torch.outer(row - z.mean(0), row - z.mean(0)) for row in z) / (n - 1)
        loss = loss + variance * mean([torch.relu(1 - (cov[j, j] + 1e-4).sqrt()) for j in range(d)])
        loss = loss + covariance * total([cov[i, j] ** 2 for i in range(d) for j in range(d) if i != j]) / d
    return loss


def vicreg_places(first: Tensor, second: Tensor, **weights: float) -> Tensor:
    return mean([vicreg(first[:, place], second[:, place], **weights) for place in range(first.shape[1])])


def sigreg(z: Tensor, *, directions: Tensor, knots: int = 17, limit: float = 5.0) -> Tensor:
    t = torch.linspace(-limit, limit, knots, dtype=z.dtype)
    normal = torch.exp(-(t**2) / 2)
    statistics = []
    for direction in directions.T:
        waves = [torch.exp(1j * t * (row @ direction)) for row in z]
        distance = (sum(waves) / len(z) - normal).abs() ** 2
        statistics.append(len(z) * torch.trapezoid(distance * normal, t))
    return mean(statistics)


def center_prediction(views: Sequence[Tensor], *, global_views: int = 2) -> Tensor:
    terms = []
    for i in range(len(views[0])):
        center = sum(view[i] for view in views[:global_views]) / global_views
        terms += [((view[i] - center) ** 2).mean() for view in views]
    return mean(terms)


def ibot(students: Tensor, targets: Tensor, *, weights: Tensor, temperature: float = 0.1) -> Tensor:
    terms = []
    for student, target, weight in zip(students, targets, weights, strict=True):
        below = log_total_exp(list(student / temperature))
        terms.append(
            -weight * total([p * (s / temperature - below) for p, s in zip(target.detach(), student, strict=True)])
        )
    return total(terms)


def koleo(z: Tensor) -> Tensor:
    rows = [row / (row @ row).sqrt() for row in z]
    nearest = [
        min((distance(a, b) for j, b in enumerate(rows) if i != j), key=lambda d: d.item()) for i, a in enumerate(rows)
    ]
    return -mean([(d + 1e-8).log() for d in nearest])


def pair_matching(first: Tensor, second: Tensor, *, cross_modal: bool) -> dict[str, float]:
    """By ranks, without ties."""
    if cross_modal:
        sides = ((first, second), (second, first))
        anchors = [(a, other[i], [*other[:i], *other[i + 1 :]]) for one, other in sides for i, a in enumerate(one)]
    else:
        anchors = list(_anchors(first, second))
    ranks = [sum(float(cosine(a, x)) > float(cosine(a, p)) for x in negatives) for a, p, negatives in anchors]
    return {
        "top1": sum(rank < 1 for rank in ranks) / len(ranks),
        "top5": sum(rank < 5 for rank in ranks) / len(ranks),
    }
