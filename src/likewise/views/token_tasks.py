"""Pretext tasks on texts: deleted and masked tokens, halves to put in order.

Pure functions of ids `(n, t)` and a generator.

A text is `[CLS] tokens [SEP]`, then padding; ordinary tokens are those that are not special. Random numbers come from a
generator on the CPU, a few operations for the whole batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.seeding import draw_rows


def _rand(ids: Int[Tensor, "n t"], generator: torch.Generator) -> Float[Tensor, "n t"]:
    """A number in [0, 1) for every token."""
    drawn = draw_rows(lambda n, whole: torch.rand(n, ids.shape[1], generator=whole), len(ids), generator)
    return drawn.to(ids.device)


def _randint(count: int, n: int, width: int, generator: torch.Generator) -> Int[Tensor, "n width"]:
    """Whole numbers below `count`, on the CPU."""
    return draw_rows(lambda rows, whole: torch.randint(count, (rows, width), generator=whole), n, generator)


def ordinary(ids: Int[Tensor, "n t"], special: tuple[int, ...]) -> Bool[Tensor, "n t"]:
    """Where the tokens are none of `special`."""
    return torch.isin(ids, torch.tensor(special, device=ids.device), invert=True)


def delete_tokens(
    ids: Int[Tensor, "n t"], share: float, generator: torch.Generator, *, pad: int, cls: int, sep: int
) -> Int[Tensor, "n t"]:
    """The texts without some of their tokens; the rest moves up, and padding follows.

    Each token that is no padding, beginning or end goes with the same probability, but one at least stays.

    Args:
        ids: `[CLS] tokens [SEP]`, then `pad`.
        share: the probability, from 0 to 1.
        generator: on the CPU.
        pad: id of padding.
        cls: id of the beginning.
        sep: id of the end.
    """
    there = ids != pad
    candidates = there & (ids != cls) & (ids != sep)
    draws = _rand(ids, generator)
    stays = draws >= share
    # The one that would be the last to go; of a text without ordinary tokens this is another, which stays anyway.
    last = draws.masked_fill(~candidates, -1.0).argmax(dim=1, keepdim=True)
    kept = there & (~candidates | stays.scatter(1, last, True))
    moved = ids.gather(1, kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True))
    places = torch.arange(ids.shape[1], device=ids.device)
    return moved.masked_fill(places >= kept.sum(1, keepdim=True), pad)


def choose_tokens(
    ids: Int[Tensor, "n t"],
    share: float,
    generator: torch.Generator,
    *,
    special: tuple[int, ...],
    continues: Bool[Tensor, " v"] | None = None,
) -> Bool[Tensor, "n t"]:
    """A share of each text's ordinary tokens, rounded, at least one if there is any; all subsets are equally likely.

    Args:
        ids: of the tokens.
        share: from 0 to 1.
        generator: on the CPU.
        special: ids that are never chosen.
        continues: for each id whether it continues the word before it. Then whole words are chosen, a share of the
            words with all their tokens, which is the same share of the tokens on average. None: every token is a word.
    """
    candidates = ordinary(ids, special)
    starts = candidates
    if continues is not None:
        follows = F.pad(candidates[:, :-1], (1, 0), value=False)
        starts = candidates & ~(continues.to(ids.device)[ids] & follows)
    words = starts.sum(1, keepdim=True)
    wanted = (words.double() * share).round().clamp(min=1)
    noise = _rand(ids, generator)
    noise.masked_fill_(torch.arange(ids.shape[1], device=ids.device) >= words, 2.0)  # a text's words come first
    chosen = noise.argsort(dim=1).argsort(dim=1) < wanted
    word = (starts.cumsum(1) - 1).clamp(min=0)
    return chosen.gather(1, word) & candidates


def mask_tokens(
    ids: Int[Tensor, "n t"],
    chosen: Bool[Tensor, "n t"],
    generator: torch.Generator,
    *,
    mask: int,
    special: tuple[int, ...],
    vocab_size: int,
) -> Int[Tensor, "n t"]:
    """The texts with the chosen tokens replaced as in BERT (arXiv:1810.04805, section 3.1), each token independently.

    With probability 0.8 a chosen token becomes `mask`, with 0.1 any ordinary token; else it stays.

    Args:
        ids: of the tokens.
        chosen: which tokens.
        generator: on the CPU.
        mask: id of the mask token.
        special: ids that are never drawn.
        vocab_size: number of ids.
    """
    fate = _rand(ids, generator)
    others = torch.arange(vocab_size)
    others = others[torch.isin(others, torch.tensor(special), invert=True)]
    other = others[_randint(len(others), len(ids), ids.shape[1], generator)].to(ids.device)
    replaced = torch.where(fate < 0.8, mask, torch.where(fate < 0.9, other, ids))
    return torch.where(chosen, replaced, ids)


def halves(
    ids: Int[Tensor, "n t"],
    swapped: Bool[Tensor, " n"],
    generator: torch.Generator,
    *,
    pad: int,
    sep: int,
    max_tokens: int,
) -> Int[Tensor, "n u"]:
    """`[CLS] A [SEP] B [SEP]` of the two halves A and B of each text or, where `swapped`, of B and A.

    If the number of tokens is odd, a random half gets the extra one, so that lengths do not reveal the order.

    Args:
        ids: `[CLS] tokens [SEP]`, then `pad`.
        swapped: for each text.
        generator: on the CPU.
        pad: id of padding.
        sep: id of the separator.
        max_tokens: length at which the result is truncated, at least 3.
    """
    device = ids.device
    count = ((ids != pad).sum(1, keepdim=True) - 2).clamp(min=0, max=max_tokens - 3)
    width = int(count.max()) + 3
    first = (count + _randint(2, len(ids), 1, generator).to(device)) // 2
    swapped = swapped[:, None].to(device)
    ahead = torch.where(swapped, count - first, first)  # tokens before the separator between the halves
    place = torch.arange(width, device=device) - 1  # counted from the first token
    # Before the separator stands A, or B, which begins after A; behind it, at a place one later, the other half.
    before = place + torch.where(swapped, first, 0)
    behind = place - 1 - torch.where(swapped, ahead, 0)
    source = torch.where(place < ahead, before, behind).masked_fill(place < 0, -1) + 1
    taken = ids.gather(1, source.clamp(0, ids.shape[1] - 1))
    taken = torch.where((place == ahead) | (place == count + 1), sep, taken)
    return torch.where(place <= count + 1, taken, pad)
