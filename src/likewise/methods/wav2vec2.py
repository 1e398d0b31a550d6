"""wav2vec 2.0: name the code of a hidden frame among those of other hidden frames of the recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.audio import Wav2Vec2, expect
from likewise.errors import UserError
from likewise.methods.base import Method, Row, Sheet
from likewise.methods.codebooks import CodeNaming
from likewise.methods.parts import Temperature, check_not_negative, check_whole
from likewise.methods.spans import greyed, hidden_spans, other_hidden_frames

EARLY = 0.2  # share of the training that may pass before few codes are worth a word
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
        masking: share of the frames at which a hidden span begins; spans may overlap.
        span: how many frames are hidden together.
        distractors: how many each hidden frame meets, of its own recording.
        temperature: divides the cosine similarities: see `likewise.methods.parts.Temperature`.
        diversity: weight of the term for the use of all codes.
        codebooks, codes, code_dim: how many, how many entries each has, and their length.
        projection_dim: length of the embeddings that are compared.

    Raises:
        UserError: for another encoder, a number out of its range, or views of too few frames.
    """

    family = "contrastive"
    modality = "audio"
    paper = "2006.11477"
    choose = "speech: learns what sounds follow each other, from waveforms; wants many hours and many steps"
    smallest_batch = 2
    encoder: Wav2Vec2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        masking: float = 0.065,
        span: int = 10,
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
        if not 0 < masking < 1:
            raise UserError(f"masking must be above 0 and below 1, got {masking:g}")
        frames = speech.usual_count
        if not 2 <= span < frames:
            raise UserError(f"span must be from 2 to {frames - 1}, below the {frames} frames of a view, got {span}")
        self.masking, self.span, self.distractors, self.diversity = masking, span, distractors, diversity
        self.temperature = Temperature(temperature)
        self.veil = nn.Parameter(torch.rand(self.dim))  # what the Transformer sees of a hidden frame
        books = {"books": codebooks, "entries": codes, "entry_dim": code_dim}
        dropout = speech.body.config.feat_quantizer_dropout
        self.naming = CodeNaming(self.dim, speech.local_dim, projection_dim=projection_dim, dropout=dropout, **books)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        frames = self.encoder.count(view.shape[1])
        hidden = hidden_spans(len(view), frames, share=self.masking, span=self.span, generator=generator)
        distractors = other_hidden_frames(hidden, self.distractors, generator)
        noise = self.naming.codebooks.noise(*hidden.shape, generator=generator)
        return view, *(drawn.to(view.device) for drawn in (hidden, distractors, noise))

    def objective(self, view: Tensor, hidden: Tensor, distractors: Tensor, noise: Tensor) -> dict[str, Tensor]:
        def encode(rows: Tensor) -> Tensor:
            return torch.cat(self.encoder.behind(self.veil, hidden[rows], view[rows]), dim=2).flatten(1)

        both = self.encode(torch.arange(len(view), device=view.device), encode).unflatten(1, (hidden.shape[1], -1))
        context, features = both[..., : self.dim], both[..., self.dim :]
        softness = max(0.5, 2 * math.exp(-2 * self.progress))  # as the paper's base model: 0.5 from 69 % on
        scales = {"temperature": self.temperature(self.progress), "softness": softness}
        figures, pairs = self.naming(context, features, hidden, distractors, noise, **scales)
        self.observe(*pairs)
        return {"loss": figures["contrastive"] + self.diversity * figures["diversity"], **figures}

    def chance(self, batch: int) -> dict[str, float]:
        return {"contrastive": math.log(self.distractors + 1)}

    def caution(self, figures: Mapping[str, float]) -> str | None:
        used = figures.get("code_perplexity", math.inf) / len(self.naming.codebooks.entries)
        if self.progress < EARLY or used > FEW:
            return None
        words = f"nearly all frames have the same code: {used:.2g} of a codebook's entries are in use"
        return f"{words}; try a larger diversity, or a smaller --rate"

    def pictures(self, samples: Any, generator: torch.Generator) -> list[Sheet]:
        if not hasattr(self.views, "picture"):
            return []
        view, hidden, *_ = self.make_views(Batch(samples, torch.arange(len(samples))), generator)
        picture = self.views.picture(view)
        caption = (
            f"Of {hidden.shape[1]} frames {hidden.float().mean():.0%} are hidden from the Transformer: the grey ones."
        )
        return [Sheet("Hidden spans", caption, [Row("heard", picture), Row("hidden", greyed(picture, hidden))])]
