"""Deep InfoMax: maximize the mutual information between an embedding and the places of its feature map."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_choice, check_int, check_non_negative, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.base import Encoder
from likewise.losses import info_nce_parts, jsd
from likewise.methods.base import Method
from likewise.modules.critic import Critic
from likewise.modules.discriminator import Discriminator
from likewise.modules.places import encode_places, places_dim
from likewise.seeding import draw_rows

ESTIMATORS = {"jsd": jsd, "infonce": info_nce_parts}


class DeepInfoMax(Method):
    """Hjelm et al. 2018, Learning Deep Representations by Mutual Information Estimation, arXiv:1808.06670.

    The summary y is a linear map of the embedding. The loss is `alpha` times an estimate of the mutual information of y
    and the feature map as a whole (its places encoded, then averaged, so that maps may have any size), plus `beta`
    times that of y and each place, plus `gamma` times the loss of a discriminator between sigmoid(y) and uniform noise,
    which is trained in the same step: see `likewise.modules.discriminator`.

    Args:
        encoder: one with `features_dim` and `with_features(view)`: see `likewise.encoders.Encoder`.
        alpha: weight of the global term, 0 or more. The paper's DIM(L) has alpha 0, beta 1, gamma 0.1; DIM(G) 1, 0, 1.
        beta: weight of the local term, 0 or more.
        gamma: weight of the prior term, 0 or more.
        estimator: `jsd`, which needs few negatives; or `infonce`, which gains from many.
        two_views: compare y with the places of another view of its sample (AMDIM, arXiv:1906.00910) instead of those of
            its own view, as in the paper: y then captures what a change of view preserves.
        summary_dim: length of y.
        score_dim: width in which y and places are compared.

    Raises:
        UserError: for a number out of its range, or an encoder without features of places.
    """

    family = "mutual information"
    paper = "1808.06670"
    compares_augmentations = False
    any_size = False  # the loss at chance depends on the number of places
    when_to_use = "when no augmentation is known to preserve the meaning: compares the parts of a view with the whole"
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
        self.features_dim = places_dim(encoder)
        self.estimator, self.each = estimator, 1 + two_views
        self.weights = {"global": alpha, "local": beta, "prior": gamma}
        self.summary = nn.Linear(self.dim, summary_dim)
        compared = [term for term in ("global", "local") if self.weights[term]]
        self.critics = nn.ModuleDict({term: Critic(self.features_dim, summary_dim, score_dim) for term in compared})
        self.discriminator = Discriminator(summary_dim) if gamma else None

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        views = [self.views(batch.samples, generator) for _ in range(self.each)]
        shape = self.each, self.summary.out_features
        noise = draw_rows(lambda n, whole: torch.rand(n, *shape, generator=whole), len(batch.indices), generator)
        return noise.to(views[0]), *views

    def objective(self, noise: Float[Tensor, "n v y"], *views: Any) -> dict[str, Tensor]:
        embedding, places = encode_places(self.encode, self.encoder, torch.cat(views))
        y = self.summary(embedding)
        terms = {}
        for term, critic in self.critics.items():
            parts, wholes = critic(places, y)
            parts = parts.mean(1, keepdim=True) if term == "global" else parts
            # Of two views, the parts of each are compared with the whole of the other.
            all_parts = [*map(gather, parts.chunk(self.each))][::-1]
            all_wholes = [*map(gather, wholes.chunk(self.each))]
            terms[term] = torch.stack([*map(ESTIMATORS[self.estimator], all_parts, all_wholes)]).mean()
            tracked = all_wholes if self.each == 2 else [all_wholes[0], all_parts[0].mean(1)]
            self.track(*(z - z.mean(0) for z in tracked))  # the mean, common to all, does not affect the ranking
        if self.discriminator is not None:
            terms["prior"], terms["discriminator"] = self.discriminator(y, noise.flatten(0, 1))
        return {"loss": self._total(terms), **terms}

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
