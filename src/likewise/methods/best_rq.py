"""BEST-RQ: predict the random-projection codes of masked stretches of sound."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from likewise.checks import check_int
from likewise.data.loader import Batch
from likewise.encoders.audio import AudioEncoder, Wav2Vec2, expect, standardize
from likewise.methods.base import TrainingContext
from likewise.methods.masked_frames import MaskedCodes
from likewise.modules.frames import frame_starts, stack_frames
from likewise.modules.masked_prediction import MaskedPrediction
from likewise.modules.random_quantizer import RandomQuantizer
from likewise.seeding import draw_rows, generator_for
from likewise.views.mel import log_mel

BANDS = 80
MASK_NOISE = 0.1  # deviation, as a part of the recording's
MEASURED = 2048  # samples over which the bands' means and deviations are taken


class BestRQ(MaskedCodes):
    """Chiu et al. 2022, Self-supervised Learning with Random-projection Quantizer, arXiv:2202.01855: BEST-RQ.

    A linear layer predicts the code of each masked frame from the encoder's features there. The code is that of the
    log-mel spectrogram, 80 bands, each with mean 0 and deviation 1 over the training samples, stacked to the encoder's
    frame rate: the nearest entry of a random codebook to a random projection. Neither is trained.

    As in the paper, spans of the input are replaced by noise, here of the waveform, so that any encoder can be trained.
    But with the wav2vec2 encoders a learned embedding replaces the masked frames before the Transformer, as in
    wav2vec 2.0: of few recordings they learn nothing from noise.

    `by_frequency` is the loss of a model that knows only how frequent each code is. `code_perplexity` is how many codes
    are in use.

    Args:
        encoder: of recordings.
        mask_prob: share of the frames at which a masked span begins, in (0, 1); spans may overlap.
        mask_length: frames of a span, at least 2.
        codes: entries of the codebook, at least 2.
        code_dim: length of an entry.

    Raises:
        UserError: for an encoder of something else, a number out of its range, or views of too few frames.
    """

    family = "generative"
    paper = "2202.01855"
    when_to_use = "speech and its content; the cheapest of the masked methods, with any encoder"
    band_mean: Tensor
    band_deviation: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_prob: float = 0.02,
        mask_length: int = 20,
        codes: int = 8192,
        code_dim: int = 16,
    ) -> None:
        super().__init__(expect(encoder, AudioEncoder, "wav2vec2-tiny"), mask_prob=mask_prob, mask_length=mask_length)
        check_int(2, codes=codes)
        check_int(code_dim=code_dim)
        self.sample_rate: int = self.encoder.config["sample_rate"]
        samples = round(self.sample_rate * self.encoder.config["seconds"])
        spectrum = log_mel(torch.zeros(1, samples), self.sample_rate, BANDS)
        self.stack = max(1, round(spectrum.shape[2] / self.encoder.grid()[0]))
        self.quantizer = RandomQuantizer(BANDS * self.stack, codes=codes, code_dim=code_dim)
        self.register_buffer("band_mean", torch.zeros(BANDS, 1))
        self.register_buffer("band_deviation", torch.ones(BANDS, 1))
        self.head = nn.Linear(self.dim, codes)
        if isinstance(self.encoder, Wav2Vec2):
            self.mask_embedding = nn.Parameter(torch.rand(self.dim))
        self.prediction = MaskedPrediction(codes)

    def prepare(self, context: TrainingContext, optimizers: Any = None) -> None:
        super().prepare(context, optimizers)
        self.quantizer.draw(generator_for(context.seed, *self.quantizer.codebook.shape))

    def begin_epoch(self, epoch: int) -> None:
        if epoch == 0:
            self.measure_bands()

    def measure_bands(self) -> None:
        """Mean and deviation of each band over the clean samples; every process takes the same ones."""
        context = self.training_context
        assert context.read is not None
        chosen = torch.arange(min(MEASURED, context.samples)) * context.samples // min(MEASURED, context.samples)
        sums = torch.zeros(3, BANDS, dtype=torch.float64)
        for part in chosen.split(context.batch_size):
            waves = self.views.clean(move_data_to_device(context.read(part), self.device))
            bands = self.spectrum(waves).transpose(0, 1).flatten(1).cpu().double()
            sums += torch.stack([torch.full((BANDS,), bands.shape[1]), bands.sum(1), bands.square().sum(1)])
        count, total, squares = sums
        mean = total / count
        self.band_mean.copy_(mean[:, None])
        self.band_deviation.copy_((squares / count - mean.square()).clamp_min(1e-6).sqrt()[:, None])

    def spectrum(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n bands m"]:
        return log_mel(standardize(waves), self.sample_rate, BANDS)

    def codes(self, waves: Float[Tensor, "n samples"]) -> Int[Tensor, "n t"]:
        """The code of each of the encoder's frames."""
        normalized = (self.spectrum(waves) - self.band_mean) / self.band_deviation
        return self.quantizer(stack_frames(normalized, self.encoder.count_frames(waves.shape[1]), self.stack))

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        masked = self.draw_mask(view, generator).to(view.device)
        heard = view if isinstance(self.encoder, Wav2Vec2) else self.with_noise(view, masked, generator)
        return heard, masked, self.codes(view)

    def with_noise(
        self, view: Float[Tensor, "n samples"], masked: Bool[Tensor, "n t"], generator: torch.Generator
    ) -> Float[Tensor, "n samples"]:
        """The standardized view, with white noise in place of the masked frames."""
        frame_of_sample = frame_starts(masked.shape[1], view.shape[1]).to(view.device)
        noise = draw_rows(
            lambda n, whole: torch.randn(n, view.shape[1], generator=whole, dtype=view.dtype), len(view), generator
        )
        return torch.where(masked[:, frame_of_sample], MASK_NOISE * noise.to(view.device), standardize(view))

    def states(self, view: Tensor, masked: Tensor) -> Tensor:
        if isinstance(self.encoder, Wav2Vec2):
            return super().states(view, masked)
        features = self.encode(view, lambda some: self.encoder.features(some).flatten(1))
        return features.unflatten(1, (masked.shape[1], -1))

    def logits(self, states: Tensor) -> Tensor:
        return self.head(states)
