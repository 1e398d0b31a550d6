"""Retrieval within recordings: the end of each recording by its beginning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.data.source import Source, linked
from likewise.evaluation.mel import mel_statistics
from likewise.evaluation.retrieval import FIGURE_UNITS, FIGURES, chance_figures, duplicates, figures, ranks
from likewise.runs.table import Table

LOG_MEL = "log-mel"

MAX_LEFT_OUT = 0.25
"""Crops are shortened until at most this part of the recordings is too short for two of them."""


def crop_length(lengths: Int[Tensor, " n"], longest: int) -> int:
    """Samples of a crop: `longest`, or less where more than a quarter of the recordings is too short for two.

    All crops have one length: it must not identify a recording.
    """
    return min(longest, int(torch.quantile(lengths.double(), MAX_LEFT_OUT, interpolation="lower")) // 2)


def ends(recordings: Ragged, samples: int) -> tuple[Ragged, Ragged]:
    """The first and the last `samples` of each recording, which do not overlap where it has twice as many."""
    lengths = torch.full_like(recordings.lengths, samples)
    last = (recordings.lengths - samples)[:, None] + torch.arange(samples, device=lengths.device)
    return Ragged(recordings.values[:, :samples], lengths), Ragged(recordings.values.gather(1, last), lengths)


def segment_table(
    source: Source,
    lengths: Int[Tensor, " len"],
    embedders: Mapping[str, Callable[[Ragged], Float[Tensor, "n d"]]],
    *,
    sample_rate: int,
    seconds: float,
    batch_size: int = 64,
) -> Table | None:
    """Retrieval of the last `seconds` of each recording by its first, among those of all, beside chance.

    Log-mel statistics are compared too, each standardised over all crops, which improves their cosine similarity.

    Args:
        source: recordings, `read` as `Ragged` of int16.
        lengths: of each recording, in samples.
        embedders: recordings -> embeddings, by name: of the encoder, of an untrained one.
        sample_rate: in Hz.
        seconds: length of the crops, at most: see `crop_length`.
        batch_size: recordings at a time.

    Returns:
        None when fewer than two recordings are long enough for two crops.
    """
    samples = crop_length(lengths, round(sample_rate * seconds))
    taken = (lengths >= 2 * samples).nonzero()[:, 0]
    if not samples or len(taken) < 2:
        return None
    embedders = {**embedders, LOG_MEL: lambda crop: mel_statistics(crop.values.float() / 2**15, sample_rate)}
    embedded: dict[str, tuple[list[Tensor], list[Tensor]]] = {name: ([], []) for name in embedders}
    digests: tuple[list[bytes], list[bytes]] = ([], [])
    for some in taken.split(batch_size):
        for end, crop in enumerate(ends(source.read(some), samples)):
            digests[end].extend(hashlib.sha256(row.numpy().tobytes()).digest() for row in crop.values)
            for name, embed in embedders.items():
                with torch.inference_mode():
                    embedded[name][end].append(embed(crop).cpu())
    groups = linked(*digests)  # equal crops, such as digital silence, are correct for each other
    rows: list[list[str | float | None]] = []
    for name, halves in embedded.items():
        both = torch.cat(halves[0] + halves[1])
        if name == LOG_MEL:
            both = (both - both.mean(0)) / both.std(0).clamp_min(1e-6)
        first, last = both.chunk(2)
        rows.append([name, *figures(ranks(first, last, groups, groups))])
    short = len(lengths) - len(taken)
    return Table(
        title="retrieval of the end of a recording by its beginning",
        caption=f"first and last {samples / sample_rate:.2g} s of {len(taken):,} recordings{duplicates(groups)}"
        + (f"; {short:,} shorter than two crops left out" if short else ""),
        head=["embeddings", *FIGURES],
        units=["", *FIGURE_UNITS],
        rows=[*rows, ["chance", *chance_figures(groups, groups)]],
    )
