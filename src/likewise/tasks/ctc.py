"""Connectionist temporal classification: from features of frames to characters (Graves et al. 2006).

At each frame the head gives probabilities of the characters and of a blank. A text is spelled by every path of frames
that becomes it when repeats are merged and blanks are left out; the loss is the negative logarithm of the sum of their
probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BLANK = 0
WIDTH = 128
"""Of the LSTM, in each direction. SUPERB (arXiv:2105.01051) has two layers of 1,024, for 100 hours of speech."""


class Characters:
    """The characters of some texts as numbers from 1 on; 0 is the blank."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.characters = sorted(set().union(*texts))
        self._numbers = {character: number for number, character in enumerate(self.characters, start=BLANK + 1)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Int[Tensor, " length"]:
        """The numbers of the characters of a text; those that are not known are left out."""
        numbers = [self._numbers[character] for character in text if character in self._numbers]
        return torch.tensor(numbers, dtype=torch.long)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text whose `encode` this is."""
        return "".join(self.characters[number - BLANK - 1] for number in numbers)


class CTCHead(nn.Module):
    """Features of frames -> log-probabilities of the blank and the characters: a bidirectional LSTM, a linear layer.

    Args:
        dim: of the features.
        characters: how many there are, without the blank.
        mean, scale: of the features of each dimension, which are standardized by them; 0 and 1 if not given.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        characters: int,
        *,
        mean: Float[Tensor, " dim"] | None = None,
        scale: Float[Tensor, " dim"] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim) if mean is None else mean)
        self.register_buffer("scale", torch.ones(dim) if scale is None else scale)
        self.recurrent = nn.LSTM(dim, WIDTH, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * WIDTH, characters + 1)

    def forward(self, frames: Float[Tensor, "n t dim"], lengths: Int[Tensor, " n"]) -> Float[Tensor, "n t outputs"]:
        """Of rows that are filled up to one length: the result of a row does not depend on what it is filled up with.

        Args:
            frames: features of each recording.
            lengths: how many frames each has, on the CPU.
        """
        standardized = (frames - self.mean) / self.scale
        packed = pack_padded_sequence(standardized, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=frames.shape[1])
        return self.output(states).log_softmax(-1)


def frames_needed(numbers: Sequence[int]) -> int:
    """How many frames a text needs: one a character, and a blank between two equal ones."""
    return len(numbers) + sum(one == other for one, other in pairwise(numbers))


def ctc_loss(
    log_probabilities: Float[Tensor, "n t outputs"], lengths: Int[Tensor, " n"], targets: Sequence[Int[Tensor, " _"]]
) -> Float[Tensor, ""]:
    """The mean over recordings of the negative log-likelihood of a text, by character.

    Args:
        log_probabilities: of the blank and the characters, at each frame.
        lengths: how many frames of each row belong to the recording, at least `frames_needed` of its text.
        targets: the numbers of the characters of each text, at least one.
    """
    sizes = torch.tensor([len(target) for target in targets])
    losses = F.ctc_loss(
        log_probabilities.transpose(0, 1),
        torch.cat(list(targets)).to(log_probabilities.device),
        lengths,
        sizes,
        blank=BLANK,
        reduction="none",
    )
    return (losses / sizes.to(losses)).mean()


def greedy_decode(log_probabilities: Float[Tensor, "n t outputs"], lengths: Int[Tensor, " n"]) -> list[list[int]]:
    """The most probable character of each frame, repeats merged, blanks left out."""
    best = log_probabilities.argmax(-1).cpu()
    rows = (row[:length].unique_consecutive() for row, length in zip(best, lengths.tolist(), strict=True))
    return [row[row != BLANK].tolist() for row in rows]
