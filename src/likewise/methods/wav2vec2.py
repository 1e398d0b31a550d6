"""wav2vec 2.0: name the code of a hidden frame among those of other hidden frames of the recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_not_negative, check_whole
from likewise.data.loader import Batch
from likewise.encoders.audio import Wav2Vec2, expect
from likewise.errors import UserError
from likewise.methods.base import EARLY, Method
from likewise.modules.masked_contrast import MaskedContrast
from likewise.modules.span_masking import grey_out, sample_distractors, span_mask
from likewise.modules.temperature import Temperature
from likewise.runs.figures import Figure, FigureRow

FEW = 1.5  # entries of a codebook that are used in effect


class Wav2Vec2Pretraining(Method):
    """Baevski et al. 2020, wav2vec 2.0: A Framework for Self-Supervised Learning of Speech, arXiv:2006.11477.

    Spans of frames are hidden from the Transformer. What it says of a hidden frame is to be nearer to the code of that
    frame, a choice from each of some codebooks, than to those of distractors. The diversity term asks for the use of
    all codes. Left out are the paper's penalty on features and their smaller gradient, which it has for Librispeech.

    `accuracy` takes distractors of the right code for a guess among them. Guessing gives 1/(distractors + 1), or more
    where a recording has fewer hidden frames. `code_perplexity` is how many entries of the codebooks are in use, from
    `codebooks` (a collapse) to `codebooks * codes`.

    Args:
        encoder: view -> `(n, encoder.dim)`, one of the wav2vec2 encoders.
        mask_prob: share of the frames at which a hidden span begins; spans may overlap.
        mask_length: how many frames are hidden together.
        distractors: how many each hidden frame meets, of its own recording.
        temperature: divides the cosine similarities: see `Temperature`.
        diversity: weight of the term for the use of all codes.
        codebooks, codes, code_dim: how many, how many entries each has, and their length.
        projection_dim: length of the embeddings that are compared.

    Raises:
        UserError: for another encoder, a number out of its range, or views of too few frames.
    """

    family = "contrastive"
    modality = "audio"
    paper = "2006.11477"
    when_to_use = "speech: learns what sounds follow each other, from waveforms; wants many hours and many steps"
    min_batch_size = 2
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
        super().__init__(encoder)
        self.encoder = speech = expect(encoder, Wav2Vec2, "wav2vec2-tiny")
        check_whole(distractors=distractors, codebooks=codebooks, code_dim=code_dim, projection_dim=projection_dim)
        check_whole(2, codes=codes)
        check_not_negative(diversity=diversity)
        if not 0 < mask_prob < 1:
            raise UserError(f"mask_prob must be above 0 and below 1, got {mask_prob:g}")
        frames = speech.usual_count
        if not 2 <= mask_length < frames:
            raise UserError(
                f"mask_length must be from 2 to {frames - 1}, below the {frames} frames of a view, got {mask_length}"
            )
        self.mask_prob, self.mask_length, self.distractors, self.diversity = (
            mask_prob,
            mask_length,
            distractors,
            diversity,
        )
        self.temperature = Temperature(temperature)
        self.mask_embedding = nn.Parameter(torch.rand(self.dim))  # what the Transformer sees of a hidden frame
        books = {"books": codebooks, "entries": codes, "entry_dim": code_dim}
        dropout = speech.body.config.feat_quantizer_dropout
        self.masked_contrast = MaskedContrast(
            self.dim, speech.local_dim, projection_dim=projection_dim, dropout=dropout, **books
        )

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        frames = self.encoder.count(view.shape[1])
        masked = span_mask(len(view), frames, share=self.mask_prob, span=self.mask_length, generator=generator)
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
        words = f"nearly all frames have the same code: {used:.2g} of a codebook's entries are in use"
        return f"{words}; try a larger diversity, or a smaller --lr"

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view, masked, *_ = self.make_views(Batch(samples, torch.arange(len(samples))), generator)
        picture = self.views.picture(view)
        caption = (
            f"Of {masked.shape[1]} frames {masked.float().mean():.0%} are hidden from the Transformer: the grey ones."
        )
        return [
            Figure(
                "Hidden spans", caption, [FigureRow("heard", picture), FigureRow("hidden", grey_out(picture, masked))]
            )
        ]
