"""Deep InfoMax: an embedding says as much as it can about every place of the feature map that it is made from."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_choice, check_int, check_non_negative, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.base import Encoder, encoder_name
from likewise.losses import info_nce_parts, jsd
from likewise.methods.base import Method
from likewise.modules.critics import Critic, Discriminator

ESTIMATORS = {"jsd": jsd, "infonce": info_nce_parts}


class DeepInfoMax(Method):
    """Hjelm et al. 2018, Learning Deep Representations by Mutual Information Estimation, arXiv:1808.06670.

    The summary y is a linear layer after the embedding. The loss is `alpha` times the estimate of what y says about the
    feature map as a whole (its places encoded, then averaged: maps may have any size), plus `beta` times that of what y
    says about each place, plus `gamma` times how far sigmoid(y) is from uniform noise for a discriminator, which learns
    in the same step: see `likewise.modules.critics`.

    Args:
        encoder: knows `map_dim` and `with_map(view) -> (embedding, feature map)`, as `likewise.encoders`' do.
        alpha, beta, gamma: of the global, the local and the prior term: the paper's DIM(L); DIM(G) is 1, 0, 1.
        estimator: `jsd`, for which few negatives are enough, or `infonce`, which gains from more.
        two_views: compares y with the places of another view of its sample, not with those of its own view as the paper
            does: it then says what a change of view leaves (AMDIM, arXiv:1906.00910).
        summary_dim: length of y.
        score_dim: width in which y and places are compared.

    Raises:
        UserError: for a number out of its range, or an encoder without a feature map.
    """

    family = "mutual information"
    paper = "1808.06670"
    when_to_use = "when no change is known to keep the meaning: the parts of one view are compared with its whole"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        alpha: float = 0.0,
        beta: float = 1.0,
        gamma: float = 0.1,
        estimator: str = "jsd",
        two_views: bool = False,
        summary_dim: int = 64,
        score_dim: int = 2048,
    ) -> None:
        super().__init__(encoder)
        check_non_negative(alpha=alpha, beta=beta, gamma=gamma)
        check_int(summary_dim=summary_dim, score_dim=score_dim)
        require(alpha + beta > 0, "alpha + beta", "above 0", alpha + beta, "with both 0 the loss compares no samples")
        check_choice(ESTIMATORS, estimator=estimator)
        has_places = hasattr(encoder, "with_features") and hasattr(encoder, "features_dim")
        remedy = "give it what `likewise.encoders.Encoder` has: features_dim and with_features(view)"
        require(has_places, "encoder", "one with features of places", encoder_name(encoder), remedy)
        self.features_dim: int = encoder.features_dim  # type: ignore[assignment]
        self.estimator, self.each = estimator, 1 + two_views
        self.weights = {"global": alpha, "local": beta, "prior": gamma}
        self.summary = nn.Linear(self.dim, summary_dim)
        compared = [term for term in ("global", "local") if self.weights[term]]
        self.critics = nn.ModuleDict({term: Critic(self.features_dim, summary_dim, score_dim) for term in compared})
        self.discriminator = Discriminator(summary_dim) if gamma else None

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        views = [self.views(batch.samples, generator) for _ in range(self.each)]
        shape = len(batch.indices), self.each, self.summary.out_features
        return torch.rand(shape, generator=generator).to(views[0]), *views

    def objective(self, noise: Float[Tensor, "n v y"], *views: Any) -> dict[str, Tensor]:
        embedding, places = self.encode_with_places(torch.cat(views))
        y = self.summary(embedding)
        terms = {}
        for term, critic in self.critics.items():
            parts, wholes = critic(places, y)
            parts = parts.mean(1, keepdim=True) if term == "global" else parts
            theirs, ours = [*map(gather, parts.chunk(self.each))][::-1], [*map(gather, wholes.chunk(self.each))]
            terms[term] = torch.stack([*map(ESTIMATORS[self.estimator], theirs, ours)]).mean()
            shown = ours if self.each == 2 else [ours[0], theirs[0].mean(1)]
            self.track(*(z - z.mean(0) for z in shown))  # what all share ranks nothing
        if self.discriminator is not None:
            terms["prior"], terms["discriminator"] = self.discriminator(y, noise.flatten(0, 1))
        return {"loss": self._total(terms), **terms}

    def encode_with_places(self, view: Any) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n m k"]]:
        """The embeddings, and the feature map as a list of places; in micro-batches as `encode`."""

        def rows(view: Any) -> Float[Tensor, "n d"]:
            embedding, places = self.encoder.with_features(view)  # type: ignore[operator]
            return torch.cat([embedding, places.flatten(1)], 1)

        embedding, places = self.encode(view, rows).tensor_split([self.dim], dim=1)
        return embedding, places.unflatten(1, (-1, self.features_dim))

    def embed(self, view: Any) -> Tensor:
        return self.summary(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        terms = dict.fromkeys(self.critics, 2 * math.log(2))
        if self.estimator == "infonce":
            if not isinstance(self.encoder, Encoder):
                return {}
            places = {"global": 1, "local": math.prod(self.encoder.grid())}
            terms = {term: math.log(1 + (batch_size - 1) * places[term]) for term in self.critics}
        if self.discriminator is not None:
            terms |= {"prior": math.log(2), "discriminator": 2 * math.log(2)}
        return {"loss": self._total(terms), **terms}

    def _total(self, terms: dict[str, Any]) -> Any:
        return sum(self.weights.get(term, 1.0) * value for term, value in terms.items())
