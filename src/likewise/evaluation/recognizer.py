"""A recognizer of speech: an encoder of frames and a CTC head, its training and its transcriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from likewise.data.batches import Ragged
from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.supervised import WARMUP, WEIGHT_DECAY, Rates
from likewise.tasks.ctc import Characters, CTCHead, ctc_loss, greedy_decode
from likewise.training.optimizers import lr_at, parameter_groups
from likewise.views.mel import log_mel

BATCH_RECORDINGS = 8
BATCH_SECONDS = 60
"""A step takes at most so many recordings, of at most so many seconds together; one at least."""
POOL = 8 * BATCH_RECORDINGS
"""Of so many recordings at a time, those of about the same length become batches."""
SHORTEST = 0.1
"""Seconds to which shorter recordings are filled up with silence: encoders have a few frames of that."""
MEL_BANDS = 64
STACKED = 2
"""Frames of 10 ms of a spectrogram that make one: of 20 ms, as those of wav2vec 2.0."""
MAX_NORM = 1.0
"""Gradients are clipped to this norm: those of LSTMs can be large once in a while."""


class FrameEncoder(nn.Module):
    """The features of the frames of an encoder as its output, `(n, t, d)`."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n t d"]:
        return self.encoder.features(view)


class LogMelFrames(nn.Module):
    """Log-mel spectrograms as frames of 20 ms: what an encoder must be better than."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate = sample_rate

    def forward(self, view: Float[Tensor, "n samples"]) -> Float[Tensor, "n t d"]:
        bands = log_mel(view, self.sample_rate, MEL_BANDS).transpose(1, 2)
        frames = bands.shape[1] // STACKED
        return bands[:, : frames * STACKED].reshape(len(bands), frames, STACKED * MEL_BANDS)


class Transcribed(NamedTuple):
    """Recordings and what is said in them."""

    source: Source
    """Recordings, `read` as `Ragged` of int16."""
    texts: list[str]
    """Of each recording, at least one character."""


@dataclass
class Recognizer:
    """An encoder of frames and a head, both on `compute.device`."""

    encoder: nn.Module
    """A view -> frames."""
    head: CTCHead
    characters: Characters
    sample_rate: int
    compute: ComputeSettings

    def transcribe(self, frames: Sequence[Float[Tensor, "_ d"]]) -> list[str]:
        """The texts of recordings whose frames these are."""
        texts = []
        self.head.eval()
        for start in range(0, len(frames), BATCH_RECORDINGS):
            padded, lengths = filled_up(frames[start : start + BATCH_RECORDINGS], self.compute.device)
            with torch.inference_mode():
                numbers = greedy_decode(self.head(padded, lengths), lengths)
            texts += [" ".join(self.characters.decode(each).split()) for each in numbers]
        return texts


def encode_frames(
    encoder: nn.Module, recordings: Ragged, sample_rate: int, compute: ComputeSettings
) -> list[Float[Tensor, "_ d"]]:
    """The frames of whole recordings, on the device.

    Only recordings of the same length are encoded together: encoders standardize over a whole recording and attend to
    all of it, so silence that fills one up would change its features.
    """
    found: dict[int, Tensor] = {}
    shortest = round(SHORTEST * sample_rate)
    for length in recordings.lengths.unique().tolist():
        rows = (recordings.lengths == length).nonzero()[:, 0]
        waves = recordings.values[rows, :length].to(compute.device).float() / 2**15
        waves = nn.functional.pad(waves, (0, max(0, shortest - length)))
        found |= dict(zip(rows.tolist(), compute.forward(encoder, waves), strict=True))
    return [found[row] for row in range(len(recordings))]


def filled_up(
    frames: Sequence[Float[Tensor, "_ d"]], device: torch.device
) -> tuple[Float[Tensor, "n t d"], Int[Tensor, " n"]]:
    """Frames of recordings as one tensor, filled up with zeros, and how many each has, on the CPU."""
    lengths = torch.tensor([len(each) for each in frames])
    return pad_sequence([each.to(device) for each in frames], batch_first=True), lengths


def all_frames(
    encoder: nn.Module, source: Source, indices: Int[Tensor, " n"], sample_rate: int, compute: ComputeSettings
) -> list[Float[Tensor, "_ d"]]:
    """The frames of these recordings, on the CPU. The encoder is in evaluation mode meanwhile."""
    encoder.eval()
    found = []
    for some in indices.split(BATCH_RECORDINGS):
        with torch.inference_mode():
            found += [each.cpu() for each in encode_frames(encoder, source.read(some), sample_rate, compute)]
    return found


def train_recognizer(
    recognizer: Recognizer,
    frames: Callable[[Int[Tensor, " b"]], list[Float[Tensor, "_ d"]]],
    targets: Sequence[Int[Tensor, " _"]],
    seconds: Float[Tensor, " n"],
    *,
    rates: Rates,
    steps: int,
    seed: int,
    callback: Callable[[int], None],
) -> None:
    """Minimise the CTC loss: AdamW, linear warm-up, cosine to zero. The head is changed in place.

    Args:
        recognizer: its encoder is trained, too, if `rates` has a rate for it.
        frames: of the recordings at some positions.
        targets: the numbers of the characters of each recording's text.
        seconds: how long each recording is.
        rates: peak learning rates.
        steps: of the optimizer.
        seed: of the order of the recordings.
        callback: called with the number of each step.
    """
    trained = [(recognizer.head, rates.head), *([(recognizer.encoder, rates.encoder)] if rates.encoder else [])]
    modules = nn.ModuleList([module for module, _ in trained])
    groups = [group | {"lr": rate} for module, rate in trained for group in parameter_groups(module, WEIGHT_DECAY)]
    optimizer = torch.optim.AdamW(groups, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    order = batches(seconds, torch.Generator().manual_seed(seed))
    modules.train()
    for step in range(steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * lr_at(step, steps=steps, warmup=round(WARMUP * steps), schedule="cosine")
        chosen = next(order)
        padded, lengths = filled_up(frames(chosen), recognizer.compute.device)
        loss = ctc_loss(recognizer.head(padded, lengths), lengths, [targets[i] for i in chosen.tolist()])
        optimizer.zero_grad()
        loss.backward()
        # See `supervised.train_classifier`: a step whose gradient is not finite is skipped.
        if nn.utils.clip_grad_norm_(modules.parameters(), MAX_NORM).isfinite():
            optimizer.step()
        callback(step)
    modules.eval()


def batches(seconds: Float[Tensor, " n"], generator: torch.Generator) -> Iterator[Int[Tensor, " b"]]:
    """Endless batches of positions, each epoch in a new order; see `BATCH_RECORDINGS`.

    Recordings of about the same length are together: heads take as long as the longest of a batch.
    """
    durations = seconds.tolist()
    while True:
        found: list[list[int]] = []
        for pool in torch.randperm(len(durations), generator=generator).split(POOL):
            batch: list[int] = []
            for position in sorted(pool.tolist(), key=durations.__getitem__):
                together = sum(durations[each] for each in batch) + durations[position]
                if batch and (len(batch) == BATCH_RECORDINGS or together > BATCH_SECONDS):
                    found.append(batch)
                    batch = []
                batch.append(position)
            found.append(batch)
        for place in torch.randperm(len(found), generator=generator).tolist():
            yield torch.tensor(found[place])
