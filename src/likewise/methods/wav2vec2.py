"""wav2vec 2.0: identify the code of a masked frame among those of other masked frames of the recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative
from likewise.data.loader import Batch
from likewise.encoders.audio import Wav2Vec2, expect
from likewise.methods.base import EARLY
from likewise.methods.masked_frames import MaskedFrames
from likewise.modules.masked_contrast import MaskedContrast
from likewise.modules.span_masking import sample_distractors
from likewise.modules.temperature import Temperature

FEW = 1.5  # effective number of entries of a codebook: fewer is a collapse


class Wav2Vec2Pretraining(MaskedFrames):
    """Baevski et al. 2020, wav2vec 2.0: A Framework for Self-Supervised Learning of Speech, arXiv:2006.11477.

    Spans of frames are masked before the Transformer. The contrastive loss compares its output at a masked frame with
    the frame's quantized features and with those of distractors; the diversity loss asks for the use of all codes. The
    loss is contrastive + `diversity` diversity. The paper's penalty on features and their scaled gradient, made for
    Librispeech, are left out.

    `accuracy` counts a distractor with the correct code as a tie. Chance is 1/(distractors + 1), or more where a
    recording has fewer masked frames. `code_perplexity` is how many entries of the codebooks are in use, from
    `codebooks` (a collapse) to `codebooks * codes`.

    Args:
        encoder: one of the wav2vec2 encoders, or wav2vec2, hubert or wavlm of a folder, hf:FOLDER.
        mask_prob: share of the frames at which a masked span begins, in (0, 1); spans may overlap.
        mask_length: frames of a span, at least 2.
        distractors: of each masked frame, from its own recording.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        diversity: weight of the diversity loss, 0 or more.
        codebooks: number of codebooks.
        codes: entries of each codebook, at least 2.
        code_dim: length of an entry.
        projection_dim: length of the embeddings that are compared.

    Raises:
        UserError: for another encoder, a number out of its range, or views of too few frames.
    """

    family = "contrastive"
    paper = "2006.11477"
    when_to_use = "speech, from waveforms; needs many hours of it and many steps"
    min_batch_size = 2
    least_spans = 2  # as in the authors' code
    encoder: Wav2Vec2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_prob: float = 0.065,
        mask_length: int = 10,
        distractors: int = 100,
        temperature: float | str = 0.1,
        diversity: float = 0.1,
        codebooks: int = 2,
        codes: int = 320,
        code_dim: int = 128,
        projection_dim: int = 256,
    ) -> None:
        speech = expect(encoder, Wav2Vec2, "wav2vec2-tiny")
        super().__init__(speech, mask_prob=mask_prob, mask_length=mask_length)
        check_int(distractors=distractors, codebooks=codebooks, code_dim=code_dim, projection_dim=projection_dim)
        check_int(2, codes=codes)
        check_non_negative(diversity=diversity)
        self.distractors, self.diversity = distractors, diversity
        self.temperature = Temperature(temperature)
        self.mask_embedding = nn.Parameter(torch.rand(self.dim))  # replaces the masked frames
        books = {"books": codebooks, "entries": codes, "entry_dim": code_dim}
        dropout = getattr(speech.body.config, "feat_quantizer_dropout", 0.0)  # HuBERT has no quantizer
        self.masked_contrast = MaskedContrast(
            self.dim, speech.latent_dim, projection_dim=projection_dim, dropout=dropout, **books
        )

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        masked = self.draw_mask(view, generator)
        distractors = sample_distractors(masked, self.distractors, generator)
        noise = self.masked_contrast.codebooks.noise(*masked.shape, generator=generator)
        return view, *(drawn.to(view.device) for drawn in (masked, distractors, noise))

    def objective(self, view: Tensor, masked: Tensor, distractors: Tensor, noise: Tensor) -> dict[str, Tensor]:
        def encode(rows: Tensor) -> Tensor:
            return torch.cat(self.encoder.forward_masked(self.mask_embedding, masked[rows], view[rows]), dim=2).flatten(
                1
            )

        both = self.encode(torch.arange(len(view), device=view.device), encode).unflatten(1, (masked.shape[1], -1))
        context, features = both[..., : self.dim], both[..., self.dim :]
        gumbel_temperature = max(0.5, 2 * math.exp(-2 * self.progress))  # as the paper's base model: 0.5 from 69 % on
        scales = {"temperature": self.temperature(self.progress), "gumbel_temperature": gumbel_temperature}
        figures, pairs = self.masked_contrast(context, features, masked, distractors, noise, **scales)
        self.track(*pairs)
        return {"loss": figures["contrastive"] + self.diversity * figures["diversity"], **figures}

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"contrastive": math.log(self.distractors + 1)}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        used = figures.get("code_perplexity", math.inf) / len(self.masked_contrast.codebooks.entries)
        if self.progress < EARLY or used > FEW:
            return None
        message = f"nearly all frames have the same code: {used:.2g} of a codebook's entries are in use"
        return f"{message}; try a larger --diversity, or a smaller --lr"
