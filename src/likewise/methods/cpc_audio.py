"""CPC on waveforms: predict the latents of the next frames from the past."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.checks import check_int, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.audio import ConvGRU, expect
from likewise.losses import info_nce
from likewise.methods.base import Method
from likewise.modules.sequence_prediction import SequencePrediction
from likewise.modules.temperature import Temperature
from likewise.views.pretext import random_orders


def centered(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Less the mean of the rows. Dot products ignore what all latents have in common; cosines do not."""
    return x - x.mean(0)


class AudioCPC(Method):
    """Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, section 3.1, arXiv:1807.03748.

    At random frames of each recording the encoder's GRU predicts the latents of the next frames. The loss is the
    InfoNCE of predictions and latents: negatives are the latents at the same distance from all chosen frames of all
    recordings. Similarities are cosines over T, after the batch's mean is subtracted, where the paper has dot products.

    Args:
        encoder: one of the conv-gru encoders.
        steps: number of frames ahead that are predicted.
        times: number of frames of each recording from which they are predicted.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).

    Raises:
        UserError: for another encoder, a number out of its range, or views of too few frames.
    """

    family = "mutual information"
    modality = "audio"
    paper = "1807.03748"
    compares_augmentations = False
    when_to_use = "streaming audio: the encoder is causal"
    min_batch_size = 2
    encoder: ConvGRU

    def __init__(self, encoder: nn.Module, *, steps: int = 12, times: int = 16, temperature: float | str = 0.1) -> None:
        super().__init__(encoder)
        self.encoder = expect(encoder, ConvGRU, "conv-gru-tiny")
        check_int(steps=steps, times=times)
        frames = self.encoder.grid()[0]
        fits = steps + times <= frames
        require(fits, "steps + times", f"at most the {frames} frames of a view", f"{steps} + {times}")
        self.sequence = SequencePrediction(self.encoder.latent_dim, context_dim=self.dim, steps=steps)
        self.sequence.context = self.encoder.context  # it outlives training
        self.times = times
        self.temperature = Temperature(temperature)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        usable = self.encoder.count_frames(view.shape[1]) - len(self.sequence.predict)
        times = random_orders(len(view), usable, generator)[:, : self.times]
        return view, times.to(view.device)

    def objective(self, view: Float[Tensor, "n samples"], times: Int[Tensor, "n k"]) -> Tensor:
        latents = self.encode(view, lambda some: self.encoder.latents(some).flatten(1))
        latents = latents.unflatten(1, (-1, self.encoder.latent_dim))
        rows = torch.arange(len(view), device=view.device)[:, None]
        temperature = self.temperature(self.progress)
        losses = []
        for predicted, targets in self.sequence(latents):
            p, q = (centered(gather(x[rows, times]).flatten(0, 1)) for x in (predicted, targets))
            losses.append(info_nce(p, q, temperature=temperature))
            if len(losses) == 1:
                self.track(p[:: self.times], q[:: self.times])  # one pair of each recording
        return torch.stack(losses).mean()

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(batch_size * self.times)}
