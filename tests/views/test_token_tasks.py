from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likewise.views.token_tasks import choose_tokens, halves, mask_tokens, ordinary

PAD, UNK, CLS, SEP, MASK = SPECIAL = (0, 1, 2, 3, 4)
VOCABULARY = 30
CONTINUES = torch.arange(VOCABULARY) % 3 == 0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(*lengths: int, seed: int = 0) -> Tensor:
    ids = torch.zeros(len(lengths), max(lengths) + 3, dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[0], row[length + 1] = CLS, SEP
        row[1 : length + 1] = torch.randint(5, VOCABULARY, (length,), generator=generator(seed + length))
    return ids


def words_of(row: list[int], whole: bool) -> list[list[int]]:
    """The places of each word, read from left to right."""
    words: list[list[int]] = []
    for place, token in enumerate(row):
        if token in SPECIAL:
            continue
        goes_on = whole and bool(CONTINUES[token]) and words and row[place - 1] not in SPECIAL
        if goes_on:
            words[-1].append(place)
        else:
            words.append([place])
    return words


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20), min_size=1, max_size=6),
    share=st.floats(0.01, 0.99),
    whole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_of_each_text_exactly_its_share_of_whole_words_is_chosen(
    rows: list[list[int]], share: float, whole: bool, seed: int
) -> None:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    chosen = choose_tokens(ids, share, generator(seed), special=SPECIAL, continues=CONTINUES if whole else None)
    for row, picked in zip(ids.tolist(), chosen.tolist(), strict=True):
        words = words_of(row, whole)
        taken = [word for word in words if any(picked[place] for place in word)]
        assert all(picked[place] for word in taken for place in word)
        assert sum(picked) == sum(map(len, taken))  # nothing that is no word
        assert len(taken) == (max(1, round(share * len(words))) if words else 0)


def test_every_set_of_words_is_as_likely() -> None:
    ids = torch.tensor([[CLS, 5, 7, 8, 10, SEP]]).expand(6000, -1)
    chosen = choose_tokens(ids, 0.5, generator(), special=SPECIAL)
    counts = Counter(map(tuple, chosen.tolist()))
    assert len(counts) == 6  # two of four
    assert all(abs(count - 1000) < 5 * (6000 * 5 / 36) ** 0.5 for count in counts.values())


def test_whole_words_have_the_same_share_of_the_tokens() -> None:
    ids = texts(*[40] * 500)
    chosen = choose_tokens(ids, 0.25, generator(), special=SPECIAL, continues=CONTINUES)
    assert chosen.sum().item() / (500 * 40) == pytest.approx(0.25, abs=0.01)


def test_what_is_hidden_becomes_a_mask_another_token_or_stays() -> None:
    ids = texts(*[50] * 2000)
    chosen = choose_tokens(ids, 0.5, generator(1), special=SPECIAL)
    hidden = mask_tokens(ids, chosen, generator(2), mask=MASK, special=SPECIAL, vocab_size=VOCABULARY)
    assert torch.equal(hidden[~chosen], ids[~chosen])
    total = int(chosen.sum())
    assert total == 2000 * 25
    before, after = ids[chosen], hidden[chosen]
    masked, same = int((after == MASK).sum()), int((after == before).sum())
    other = total - masked - same
    # A token that is drawn may be the one that was there.
    for count, share in ((masked, 0.8), (same, 0.1 + 0.1 / 25), (other, 0.1 - 0.1 / 25)):
        assert abs(count - share * total) < 5 * (total * share * (1 - share)) ** 0.5
    drawn = after[(after != MASK) & (after != before)].bincount(minlength=VOCABULARY)
    assert drawn[:5].sum() == 0
    assert (drawn[5:] - other / 25).abs().max() < 5 * (other / 25) ** 0.5


def test_choices_are_a_function_of_the_generator() -> None:
    ids = texts(*[20] * 10)

    def hidden(seed: int) -> Tensor:
        source = generator(seed)
        chosen = choose_tokens(ids, 0.3, source, special=SPECIAL)
        return mask_tokens(ids, chosen, source, mask=MASK, special=SPECIAL, vocab_size=VOCABULARY)

    assert torch.equal(hidden(1), hidden(1))
    assert not torch.equal(hidden(1), hidden(2))


def test_ordinary_tokens_are_all_but_the_special_ones() -> None:
    ids = torch.tensor([[CLS, 5, UNK, 29, MASK, SEP, PAD]])
    assert ordinary(ids, SPECIAL).tolist() == [[False, True, False, True, False, False, False]]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    max_tokens=st.integers(3, 16),
    seed=st.integers(0, 1000),
)
def test_halves_are_put_in_order_or_swapped(lengths: list[int], max_tokens: int, seed: int) -> None:
    ids = texts(*lengths)
    swapped = torch.rand(len(ids), generator=generator(seed)) < 0.5
    shown = halves(ids, swapped, generator(seed), pad=PAD, sep=SEP, max_tokens=max_tokens)
    longest = 0
    for row, length, swap, seen in zip(ids.tolist(), lengths, swapped.tolist(), shown.tolist(), strict=True):
        kept = min(length, max_tokens - 3)
        words = row[1 : 1 + kept]
        possible = []
        for cut in {kept // 2, kept - kept // 2}:
            a, b = words[:cut], words[cut:]
            first, second = (b, a) if swap else (a, b)
            possible.append([CLS, *first, SEP, *second, SEP])
        assert seen[: kept + 3] in possible
        assert not any(seen[kept + 3 :])
        longest = max(longest, kept + 3)
    assert shown.shape[1] == longest <= max_tokens


def test_the_lengths_of_the_halves_do_not_tell_their_order() -> None:
    ids = texts(5).expand(4000, -1)
    for swap in (False, True):
        shown = halves(ids, torch.full((4000,), swap), generator(int(swap)), pad=PAD, sep=SEP, max_tokens=16)
        longer = int((shown[:, 3] != SEP).sum())  # the first has three tokens, not two
        assert abs(longer - 2000) < 5 * 1000**0.5
