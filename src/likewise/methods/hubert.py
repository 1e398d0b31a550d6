"""HuBERT: predict the clusters of masked frames, of MFCC at first and of the model's own features afterwards."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float, Int
from lightning.fabric.utilities import move_data_to_device
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, check_positive, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.audio import Wav2Vec2, expect, standardize
from likewise.losses.precision import full_precision
from likewise.methods.masked_frames import MaskedCodes
from likewise.modules.frames import stack_frames
from likewise.modules.masked_prediction import MaskedPrediction
from likewise.seeding import generator_for
from likewise.views.mel import mfcc

COEFFICIENTS = 13
CLUSTERED = 2**16  # frames
INITIALIZATIONS = 5


class HuBERT(MaskedCodes):
    """Hsu et al. 2021, HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction, arXiv:2106.07447.

    Spans of frames are masked before the Transformer. From its output at a masked frame the frame's cluster is
    predicted: the loss is the cross-entropy of the cosines of a projection with an embedding of each cluster, over T.
    In the first iteration k-means has clustered MFCC, in each later one the features of the Transformer's middle layer
    as they are when the iteration begins. Iterations have equal numbers of epochs. In the paper each one trains a new
    model; here the encoder is trained further, and only the embeddings of the clusters begin anew.

    `by_frequency` is the loss of a model that knows only how frequent each cluster is. `code_perplexity` is how many
    clusters are in use.

    Args:
        encoder: one of the wav2vec2 encoders, or wav2vec2, hubert or wavlm of a folder, hf:FOLDER.
        mask_prob: share of the frames at which a masked span begins, in (0, 1); spans may overlap.
        mask_length: frames of a span, at least 2.
        clusters: of k-means, at least 2; in the paper 100 in the first iteration and 500 in the second.
        iterations: with clusters of their own; 1 for MFCC only.
        temperature: T of the cosines, above 0.
        projection_dim: length of the embeddings that are compared.

    Raises:
        UserError: for another encoder, a number out of its range, or views of too few frames.
    """

    family = "generative"
    paper = "2106.07447"
    when_to_use = "speech and its content, with wav2vec2 encoders; its targets improve as it learns"
    least_spans = 2  # as in the authors' code
    encoder: Wav2Vec2
    iteration: Tensor
    sound_centroids: Tensor
    feature_centroids: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_prob: float = 0.08,
        mask_length: int = 10,
        clusters: int = 100,
        iterations: int = 2,
        temperature: float = 0.1,
        projection_dim: int = 256,
    ) -> None:
        super().__init__(expect(encoder, Wav2Vec2, "wav2vec2-tiny"), mask_prob=mask_prob, mask_length=mask_length)
        check_int(2, clusters=clusters)
        check_int(iterations=iterations, projection_dim=projection_dim)
        check_positive(temperature=temperature)
        self.iterations, self.temperature = iterations, temperature
        self.sample_rate: int = self.encoder.config["sample_rate"]
        self.mask_embedding = nn.Parameter(torch.rand(self.dim))  # replaces the masked frames
        self.projector = nn.Linear(self.dim, projection_dim)
        self.cluster_embeddings = nn.Parameter(torch.randn(clusters, projection_dim))
        self.prediction = MaskedPrediction(clusters)
        self.register_buffer("iteration", torch.zeros((), dtype=torch.long))
        self.register_buffer("sound_centroids", torch.zeros(clusters, 3 * COEFFICIENTS))
        self.register_buffer("feature_centroids", torch.zeros(clusters, self.dim))
        # Its features are those of the encoder's middle layer, at the beginning of the iteration.
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        layers = self.teacher.body.encoder.layers
        del layers[max(1, len(layers) // 2) :]

    def begin_epoch(self, epoch: int) -> None:
        epochs = self.training_context.steps // self.training_context.steps_per_epoch
        starts = [-(-i * epochs // self.iterations) for i in range(self.iterations)]
        if epoch not in starts:
            return
        with torch.autocast(self.device.type, enabled=False):
            self.begin_iteration(starts.index(epoch), generator_for(self.training_context.seed, epoch))

    def begin_iteration(self, iteration: int, generator: torch.Generator) -> None:
        """Clusters what this iteration predicts; later ones begin with a copy of the encoder as it is now."""
        self.iteration.fill_(iteration)
        if iteration:
            state = self.encoder.state_dict()
            self.teacher.load_state_dict({name: state[name] for name in self.teacher.state_dict()})
            self.cluster_embeddings.copy_(torch.randn(self.cluster_embeddings.shape, generator=generator))
            self.prediction.frequencies.counts.fill_(1)
        frames = self.some_frames(generator)
        clusters = len(self.cluster_embeddings)
        enough = clusters <= len(frames)
        require(enough, "clusters", f"at most the {len(frames)} frames of the recordings", clusters)
        seed = int(torch.randint(2**31, (), generator=generator))
        # As in the authors' code, clusters without frames don't restart elsewhere.
        kmeans = MiniBatchKMeans(
            clusters, batch_size=10_000, n_init=INITIALIZATIONS, reassignment_ratio=0.0, random_state=seed
        ).fit(frames.cpu().double().numpy())
        found = torch.from_numpy(kmeans.cluster_centers_).to(frames)
        centroids = self.feature_centroids if iteration else self.sound_centroids
        centroids.copy_(gather(found[None])[0])  # those of the first process: rounding may differ

    def some_frames(self, generator: torch.Generator) -> Float[Tensor, "m d"]:
        """What is clustered: the frames of so many clean samples, drawn at random."""
        context = self.training_context
        assert context.read is not None
        parts: list[Tensor] = []
        for rows in torch.randperm(context.samples, generator=generator).split(context.batch_size):
            waves = self.views.clean(move_data_to_device(context.read(rows), self.device))
            parts.append(self.described(waves).flatten(0, 1))
            if sum(map(len, parts)) >= CLUSTERED:
                break
        return torch.cat(parts)[:CLUSTERED]

    def described(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n t d"]:
        """What is clustered of each of the encoder's frames, in this iteration."""
        if self.iteration:
            return self.teacher.eval().features(waves)
        return stack_frames(mfcc(standardize(waves), self.sample_rate), self.encoder.count_frames(waves.shape[1]), 1)

    def codes(self, waves: Float[Tensor, "n samples"]) -> Int[Tensor, "n t"]:
        """The cluster of each frame."""
        centroids = self.feature_centroids if self.iteration else self.sound_centroids
        frames = self.described(waves)
        return torch.cdist(frames.flatten(0, 1), centroids).argmin(1).view(frames.shape[:2])

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        return view, self.draw_mask(view, generator).to(view.device), self.codes(view)

    def logits(self, states: Tensor) -> Tensor:
        return self.cosines(self.projector(states), self.cluster_embeddings) / self.temperature

    @full_precision
    def cosines(self, x: Float[Tensor, "m d"], y: Float[Tensor, "k d"]) -> Float[Tensor, "m k"]:
        return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
