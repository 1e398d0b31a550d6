"""Contrastive losses: views of a sample attract each other and repel other samples.

Similarities are cosines, s(x, y) = x · y / (‖x‖ ‖y‖): embeddings need not be normalized. A temperature is a float or,
to be learned, a tensor with one element. Half-precision embeddings are computed in float32, under autocast too. Memory
is linear in the number of rows.

Row i of one view and row i of another are the same sample; any two rows of different samples are negatives. Every loss
is a mean, so that its scale does not depend on the batch size. It raises `UserError`, a ValueError, for embeddings of
different shape, type or device, for too few rows, and for numbers out of their range.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.checks import check_int, check_interval, check_non_negative, check_positive, require
from likewise.losses.checks import check_embeddings, check_labels, check_like, check_shape
from likewise.losses.geometry import unit
from likewise.losses.precision import full_precision
from likewise.losses.tiles import logsumexp_of_keys, logsumexp_of_others, sum_by_stripes

Temperature = float | Float[Tensor, ""] | Float[Tensor, "1"]


@full_precision
def nt_xent(*views: Float[Tensor, "n d"], temperature: Temperature = 0.5) -> Float[Tensor, ""]:
    """NT-Xent, the loss of SimCLR (Chen et al. 2020, arXiv:2002.05709).

    Mean over all views i of all samples of `-log( exp(s(i, p)/T) / Σ_{k≠i} exp(s(i, k)/T) )`, where p is the other view
    of i's sample; with more than two views, the mean over the others.

    Args:
        views: two or more embeddings `(n, d)` of the same n >= 2 samples.
        temperature: T > 0.
    """
    _check_views(views, temperature)
    z = _scaled(torch.cat(views), temperature)
    return (logsumexp_of_others(z) - _mean_positive(z, len(views))).mean()


@full_precision
def dcl(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, temperature: Temperature = 0.1
) -> Float[Tensor, ""]:
    """Decoupled contrastive loss (Yeh et al. 2021, arXiv:2110.06848): NT-Xent without the positive in the denominator.

    Mean over the 2n views i of `-s(i, p)/T + log Σ_k exp(s(i, k)/T)`, over the 2n - 2 views k of other samples.

    Args:
        first: embeddings of n >= 2 samples.
        second: embeddings of another view of them.
        temperature: T > 0.
    """
    _check_views((first, second), temperature)
    z = _scaled(torch.cat([first, second]), temperature)
    return (logsumexp_of_others(z, period=len(first)) - _mean_positive(z, 2)).mean()


@full_precision
def dcl_w(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    *,
    temperature: Temperature = 0.1,
    sigma: float = 0.5,
) -> Float[Tensor, ""]:
    """DCL with lower weights for pairs that are already close (arXiv:2110.06848, equation 7).

    The positive term of pair i is multiplied by `w_i = 2 - exp(s_i/σ) / mean_j exp(s_j/σ)`, s_i the similarity of its
    views. Gradients flow through the weights.

    Args:
        first: embeddings of n >= 2 samples.
        second: embeddings of another view of them.
        temperature: T > 0.
        sigma: σ > 0.
    """
    _check_views((first, second), temperature)
    check_positive(sigma=sigma)
    similarity = (unit(first) * unit(second)).sum(1)
    weight = 2 - len(first) * torch.softmax(similarity / sigma, dim=0)
    z = _scaled(torch.cat([first, second]), temperature)
    return logsumexp_of_others(z, period=len(first)).mean() - (weight * similarity / temperature).mean()


@full_precision
def hcl(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    *,
    temperature: Temperature = 0.5,
    beta: float = 1.0,
    tau_plus: float = 0.1,
) -> Float[Tensor, ""]:
    """InfoNCE with hard negatives (Robinson et al. 2021, arXiv:2010.04592).

    Mean over the 2n views of `-log( e^{s⁺} / (e^{s⁺} + N g) )`, s⁺ the similarity to the other view over T, where `g =
    max( (Σ_k w_k e^{s_k}/N - τ⁺ e^{s⁺}) / (1 - τ⁺), e^{-1/T} )` over the N = 2n - 2 views k of other samples and `w_k =
    e^{β s_k} / mean_l e^{β s_l}` gives the most similar ones more weight. NT-Xent is beta = tau_plus = 0.

    Args:
        first: embeddings of n >= 2 samples.
        second: embeddings of another view of them.
        temperature: T > 0.
        beta: concentration β >= 0.
        tau_plus: probability τ⁺ that a negative has the class of its anchor, in [0, 1).
    """
    _check_views((first, second), temperature)
    check_non_negative(beta=beta)
    check_interval(0, 1, closed="left", tau_plus=tau_plus)
    n = len(first)
    negatives = 2 * n - 2
    z = _scaled(torch.cat([first, second]), temperature)
    positive = _mean_positive(z, 2)
    # hard = log Σ_k w_k e^{s_k}; the sum and the weights' mean are log-sum-exps of scaled similarities.
    weighted = logsumexp_of_others(z * (1 + beta) ** 0.5, period=n)
    hard = weighted - logsumexp_of_others(z * beta**0.5, period=n) + math.log(negatives)

    # All exponentials are taken relative to the larger of the two, which cancels in the loss.
    top = torch.maximum(positive, hard).detach()
    pull = (positive - top).exp()
    push = ((hard - top).exp() - tau_plus * negatives * pull) / (1 - tau_plus)
    push = torch.maximum(push, negatives * (-1 / temperature - top).exp())
    return ((pull + push).log() + top - positive).mean()


@full_precision
def nt_xent_hardest(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, k: int, temperature: Temperature = 0.5
) -> Float[Tensor, ""]:
    """NT-Xent with only the k most similar negatives of each view, 1 <= k <= 2n - 2.

    Args:
        first: embeddings of n >= 2 samples.
        second: embeddings of another view of them.
        k: number of negatives.
        temperature: T > 0.
    """
    _check_views((first, second), temperature)
    n = len(first)
    check_int(1, 2 * n - 2, k=k)

    def loss(rows: slice, z: Tensor) -> Tensor:
        sample = torch.arange(2 * n, device=z.device) % n
        similarity = (z[rows] @ z.T).masked_fill(sample[rows, None] == sample, -math.inf)
        hardest = similarity.topk(k, dim=1).values
        positive = (z[rows] * z.roll(n, 0)[rows]).sum(1)
        return (torch.logaddexp(positive, hardest.logsumexp(1)) - positive).sum()

    return sum_by_stripes(loss, _scaled(torch.cat([first, second]), temperature), width=2 * n) / (2 * n)


@full_precision
def sup_con(
    *views: Float[Tensor, "n d"], labels: Int[Tensor, " n"], temperature: Temperature = 0.1
) -> Float[Tensor, ""]:
    """Supervised contrastive loss, L_out (Khosla et al. 2020, arXiv:2004.11362).

    Mean over views i of `-1/|P(i)| Σ_{p∈P(i)} log( exp(s(i, p)/T) / Σ_{k≠i} exp(s(i, k)/T) )`, P(i) the other views
    with i's label. Views without any, which is possible with one view of each sample, are left out; the loss is 0 when
    all are.

    Args:
        views: one or more embeddings `(n, d)` of the same n >= 2 samples.
        labels: the class of each sample.
        temperature: T > 0.
    """
    _check_views(views, temperature, minimum=1)
    check_labels(views[0], labels=labels)
    z = _scaled(torch.cat(views), temperature)
    classes, label, count = labels.repeat(len(views)).unique(return_inverse=True, return_counts=True)
    of_class = z.new_zeros(len(classes), z.shape[1]).index_add(0, label, z)
    others = count[label] - 1
    positive = (z * (of_class[label] - z)).sum(1) / others.clamp(min=1)
    paired = others > 0
    return ((logsumexp_of_others(z) - positive) * paired).sum() / paired.sum().clamp(min=1)


@full_precision
def info_nce(
    queries: Float[Tensor, "n d"],
    keys: Float[Tensor, "n d"],
    negatives: Float[Tensor, "m d"] | None = None,
    *,
    temperature: Temperature = 0.07,
    in_batch: bool = True,
) -> Float[Tensor, ""]:
    """InfoNCE (van den Oord et al. 2018, arXiv:1807.03748): identify each query's key among the candidates.

    Mean over queries i of `-log( exp(s(q_i, k_i)/T) / Σ_c exp(s(q_i, c)/T) )`.

    Args:
        queries: q.
        keys: k; row i is the positive of query i.
        negatives: further candidates of every query, such as a queue or a memory bank; m >= 1.
        temperature: T > 0.
        in_batch: whether the keys of other queries are candidates too; MoCo (arXiv:1911.05722) has False and its queue
            as `negatives`.
    """
    check_embeddings({"queries": queries, "keys": keys}, minimum=2 if negatives is None else 1)
    check_positive(temperature=temperature)
    q, k = unit(queries) / temperature, unit(keys)
    positive = (q * k).sum(1)
    if negatives is None:
        require(in_batch, "negatives", "an (m, d) matrix where in_batch is False", None)
        return (logsumexp_of_keys(q, k) - positive).mean()
    check_shape("m", queries.shape[1], negatives=negatives)
    check_like("queries", queries, negatives=negatives)
    check_int(1, **{"len(negatives)": len(negatives)})
    own = logsumexp_of_keys(q, k) if in_batch else positive
    return (torch.logaddexp(own, logsumexp_of_keys(q, unit(negatives))) - positive).mean()


@full_precision
def nce(
    positive: Float[Tensor, " n"],
    negatives: Float[Tensor, "n k"],
    *,
    log_noise: float | tuple[Float[Tensor, " n"], Float[Tensor, "n k"]],
) -> Float[Tensor, ""]:
    """Noise-contrastive estimation (Gutmann and Hyvärinen 2010): classify data against k noise samples each.

    Mean over i of `-log h(positive_i) - Σ_j log(1 - h(negatives_ij))`, with `h(u) = e^u / (e^u + k p)` the probability
    that a sample with model log-density u is data, p its density under the noise.

    Args:
        positive: log-densities of the n data under the model; for embeddings against a memory bank, similarity over
            temperature less the log of the normalizer.
        negatives: log-densities of the k noise samples of each under the model.
        log_noise: log-density under the noise: one number for uniform noise (`-log` of the bank's size), or a pair,
            that of the data and that of the noise samples.
    """
    check_shape("n", positive=positive)
    check_shape(len(positive), "k", negatives=negatives)
    check_int(1, **{"negatives.numel()": negatives.numel()})
    check_like("positive", positive, negatives=negatives)
    of_data, of_noise = log_noise if isinstance(log_noise, tuple | list) else (log_noise, log_noise)
    log_k = math.log(negatives.shape[1])
    data = torch.nn.functional.softplus(of_data + log_k - positive)
    noise = torch.nn.functional.softplus(negatives - log_k - of_noise)
    return (data + noise.sum(1)).mean()


@torch.no_grad()
@full_precision
def pair_matching(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, cross_modal: bool = False
) -> dict[str, Float[Tensor, ""]]:
    """How well each view retrieves its other view by cosine similarity; no gradient.

    Args:
        first: embeddings of n >= 2 samples.
        second: embeddings of another view of them.
        cross_modal: whether a view is compared only with the n views of the other side, as for halves of two kinds;
            else with the 2n - 1 other views of the batch.

    Returns:
        `top1`, `top5`, in [0, 1]: how often the other view is the most similar, or one of the five most similar. Chance
            is
        1 and 5 over the number of candidates: ties are ranked at random, so a collapsed encoder scores chance.
    """
    _check_views((first, second), 1.0)
    n = len(first)
    z = unit(torch.cat([first, second]).detach())
    tie = 16 * torch.finfo(z.dtype).eps
    top1, top5 = z.new_zeros(2)
    for rows in torch.arange(2 * n, device=z.device).split(256):
        similarity = z[rows] @ z.T
        partner = (rows + n) % (2 * n)
        own_side = torch.arange(2 * n, device=z.device) // n == (rows // n)[:, None]
        similarity.masked_fill_(own_side, -math.inf) if cross_modal else similarity.scatter_(
            1, rows[:, None], -math.inf
        )
        positive = similarity.gather(1, partner[:, None])
        better = (similarity > positive + tie).sum(1)
        equal = (~(similarity < positive - tie)).sum(1) - better
        top1 += ((1 - better) / equal).clamp(0, 1).sum()
        top5 += ((5 - better) / equal).clamp(0, 1).sum()
    return {"top1": top1 / (2 * n), "top5": top5 / (2 * n)}


def _scaled(x: Float[Tensor, "m d"], temperature: Temperature) -> Float[Tensor, "m d"]:
    """Unit rows over √T: their products are the similarities over T, and T gets its gradient through them."""
    return unit(x) / temperature**0.5


def _mean_positive(z: Float[Tensor, "m d"], views: int) -> Float[Tensor, " m"]:
    """Mean product of each row with the other views of its sample; the views are stacked."""
    samples = z.view(views, -1, z.shape[1])
    others = (samples.sum(0) - samples) / (views - 1)
    return (samples * others).sum(2).flatten()


def _check_views(views: tuple[Tensor, ...], temperature: float | Tensor, *, minimum: int = 2) -> None:
    check_int(minimum, **{"len(views)": len(views)})
    names = ["first", "second", *(f"views[{i}]" for i in range(2, len(views)))]
    check_embeddings(dict(zip(names, views, strict=False)), minimum=2)
    check_positive(temperature=temperature)
