"""Contrastive MAML: an inner loop and an outer loss with a contrastive term, with labels, clusters or neither."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_choice, check_int, check_non_negative, check_positive, require
from likewise.data.episode_sampling import ViewEpisodeSampling
from likewise.data.loader import Batch
from likewise.data.sampling import Sampling
from likewise.data.source import Clustered, Source
from likewise.errors import UserError
from likewise.losses.precision import full_precision
from likewise.methods.base import Method
from likewise.methods.maml import MAML, Scored
from likewise.modules.inner_loop import Weights, class_scores, embed_with
from likewise.modules.kmeans import spherical_kmeans
from likewise.seeding import generator_for

TASKS = ("views", "clusters", "labelled")


class ContrastiveMAML(MAML):
    """MAML with a contrastive term, on tasks made from views as UMTRA (Khodadadeh et al. 2018, arXiv:1811.11819).

    As `MAML`, with two views of each sample in an episode, and with `contrast` times the supervised contrastive loss
    (arXiv:2004.11362) of the embeddings added to the cross-entropy, in the inner loop and after it. Without labels each
    sample is a class of its own, and support and query are random views of it; or classes are clusters, by k-means, of
    what the encoder of another run makes of the samples (CACTUs, Hsu et al. 2018, arXiv:1810.02334).

    Args:
        encoder: view -> `(n, encoder.dim)`.
        way: classes of an episode, 2 or more.
        shot: samples of each class to learn from; of tasks from views, pairs of views.
        query: samples of each class to classify; of tasks from views, pairs of views.
        inner_steps: steps of gradient descent on the support, from 1 to 1000.
        inner_lr: their learning rate, above 0.
        tasks: `views`, each sample a class of its own; `clusters`, of the embeddings of a run; or `labelled`, classes
            by the labels of the data.
        clusters_of: of tasks from clusters, the folder of a finished run whose encoder takes the samples.
        clusters: of tasks from clusters, how many, 2 or more.
        contrast: weight of the contrastive term, 0 or more.
        temperature: T of its similarities, above 0.

    Raises:
        UserError: for an unknown kind of tasks, or a number out of its range.
    """

    paper = "1811.11819"
    when_to_use = "no labels, and new classes are to be learned by a few steps of fine-tuning; can use labels too"
    compares_augmentations = True

    def __init__(
        self,
        encoder: nn.Module,
        *,
        way: int = 5,
        shot: int = 1,
        query: int = 5,
        inner_steps: int = 5,
        inner_lr: float = 0.1,
        tasks: str = "views",
        clusters_of: str | None = None,
        clusters: int = 50,
        contrast: float = 1.0,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(encoder, way=way, shot=shot, query=query, inner_steps=inner_steps, inner_lr=inner_lr)
        check_choice(TASKS, tasks=tasks)
        check_int(2, clusters=clusters)
        if tasks == "clusters" and clusters_of is None:
            raise UserError("tasks clusters need --clusters-of RUN, a finished run whose embeddings are clustered")
        if tasks != "clusters" and clusters_of is not None:
            raise UserError(
                f"clusters_of applies to the tasks clusters, got {clusters_of} and the tasks {tasks}: leave it out"
            )
        check_non_negative(contrast=contrast)
        check_positive(temperature=temperature)
        self.tasks, self.clusters_of, self.clusters = tasks, clusters_of, clusters
        self.supervised = tasks == "labelled"
        self.embeddings: Tensor | None = None
        self.contrast, self.temperature = contrast, temperature

    def sampling(self, source: Source, *, batch_size: int, seed: int) -> Sampling:
        if self.tasks == "clusters":
            source = self.clustered(source, seed)
        if self.tasks != "views":
            return super().sampling(source, batch_size=batch_size, seed=seed)
        each = self.shot + self.query
        self.drawn = ViewEpisodeSampling(source, way=self.way, each=each, batch_size=batch_size, seed=seed)
        return self.drawn

    def use_embeddings(self, embeddings: Float[Tensor, "samples dim"]) -> None:
        """Cluster these, one for each sample: what another encoder makes of them."""
        self.embeddings = F.normalize(embeddings, dim=1)

    def clustered(self, source: Source, seed: int) -> Clustered:
        """The samples with the number of their cluster as their label."""
        assert self.embeddings is not None
        rule = f"at most the {len(source):,} samples of {source.name}"
        require(self.clusters <= len(source), "clusters", rule, self.clusters)
        return Clustered(source, spherical_kmeans(self.embeddings, self.clusters, generator=generator_for(seed))[1])

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return Method.make_views(self, batch, generator)

    def objective(self, first: Any, second: Any) -> dict[str, Tensor]:
        return super().objective(first, second)

    def loss(self, weights: Weights, view: Any, classes: Int[Tensor, " n"]) -> Scored:
        z = embed_with(self.encoder, weights, view)
        scores = class_scores(weights, z)
        contrast = contrast_of_few(z, classes, temperature=self.temperature) if self.contrast else 0.0
        return F.cross_entropy(scores, classes) + self.contrast * contrast, scores

    @torch.no_grad()
    def look_back(self, *views: Any) -> None:
        self.track(*self.encoder(torch.cat(views)).chunk(2))

    def chance(self, batch_size: int) -> dict[str, float]:
        """Of embeddings that are all equal."""
        others = 2 * self.way * self.query - 1
        return {"loss": math.log(self.way) + self.contrast * math.log(others), "accuracy": 1 / self.way}


@full_precision
def contrast_of_few(z: Float[Tensor, "n dim"], classes: Int[Tensor, " n"], *, temperature: float) -> Float[Tensor, ""]:
    """`likewise.losses.sup_con` of the few samples of an episode, with gradients that can be differentiated.

    It holds all similarities at once, which the tiles of the other avoid for large batches.

    Args:
        z: embeddings, at least two of each class.
        classes: of each row.
        temperature: T > 0.
    """
    unit = F.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    share = (unit @ unit.T / temperature).masked_fill(itself, -math.inf).log_softmax(1).masked_fill(itself, 0)
    positive = (classes[:, None] == classes) & ~itself
    return -((share * positive).sum(1) / positive.sum(1)).mean()
