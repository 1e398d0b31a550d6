"""What methods share that mask spans of a recording's frames and ask what was there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.checks import check_interval, require
from likewise.encoders.audio import AudioEncoder, Wav2Vec2
from likewise.methods.base import EARLY, Method
from likewise.modules.masked_prediction import MaskedPrediction
from likewise.modules.span_masking import grey_out, span_mask
from likewise.modules.token_frequencies import only_frequencies
from likewise.runs.figures import Figure, FigureRow


class MaskedFrames(Method):
    """Masks spans of frames.

    Args:
        encoder: of recordings.
        mask_prob: share of the frames at which a masked span begins, in (0, 1).
        mask_length: frames of a span, at least 2.

    Raises:
        UserError: for a number out of its range, or views of too few frames.
    """

    modality = "audio"
    compares_augmentations = False
    encoder: AudioEncoder
    least_spans: ClassVar[int] = 1
    """Of a view."""

    def __init__(self, encoder: AudioEncoder, *, mask_prob: float, mask_length: int) -> None:
        super().__init__(encoder)
        check_interval(0, 1, closed="neither", mask_prob=mask_prob)
        frames = encoder.grid()[0]
        fits = 2 <= mask_length < frames
        require(fits, "mask_length", f"from 2 to {frames - 1}, below the {frames} frames of a view", mask_length)
        self.mask_prob, self.mask_length = mask_prob, mask_length

    def draw_mask(self, view: Float[Tensor, "n samples"], generator: torch.Generator) -> Bool[Tensor, "n t"]:
        """Which frames of a view are masked; on the CPU."""
        frames = self.encoder.count_frames(view.shape[1])
        share, span, least = self.mask_prob, self.mask_length, self.least_spans
        return span_mask(len(view), frames, share=share, span=span, least=least, generator=generator)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views(samples, generator)
        masked = self.draw_mask(view, generator).to(view.device)
        picture = self.views.picture(view)
        caption = f"Of {masked.shape[1]} frames {masked.float().mean():.0%} are masked: the grey ones."
        rows = [FigureRow("recording", picture), FigureRow("masked", grey_out(picture, masked))]
        return [Figure("Masked spans", caption, rows)]


class MaskedCodes(MaskedFrames):
    """Predicts the code of each masked frame, by cross-entropy.

    Subclasses set `prediction` and write `logits`; their `make_views` returns the view, the mask, and the codes of all
    frames.
    """

    prediction: MaskedPrediction
    mask_embedding: Tensor
    """Replaces the masked frames of a wav2vec2 encoder, before its Transformer."""

    def states(self, view: Float[Tensor, "n samples"], masked: Bool[Tensor, "n t"]) -> Float[Tensor, "n t dim"]:
        """The encoder's features of a view whose masked frames it does not see."""
        encoder = self.encoder
        assert isinstance(encoder, Wav2Vec2)

        def encode(rows: Tensor) -> Tensor:
            return encoder.forward_masked(self.mask_embedding, masked[rows], view[rows])[0].flatten(1)

        return self.encode(torch.arange(len(view), device=view.device), encode).unflatten(1, (masked.shape[1], -1))

    def logits(self, states: Float[Tensor, "m dim"]) -> Float[Tensor, "m k"]:
        """How well each of the k codes fits."""
        raise NotImplementedError

    def objective(self, view: Tensor, masked: Bool[Tensor, "n t"], codes: Int[Tensor, "n t"]) -> dict[str, Tensor]:
        return self.prediction(self.logits(self.states(view, masked)[masked]), codes[masked])

    def chance(self, batch_size: int) -> dict[str, float]:
        codes = len(self.prediction.frequencies.counts)
        return {"loss": math.log(codes), "accuracy": 1 / codes}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return None if self.progress < EARLY else only_frequencies(figures, "codes", "the recording")
