"""Views of texts: which tokens are deleted, what never is, and what the ids say."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from likewise.data import tokens
from likewise.data.tokens import load, train_tokenizer
from likewise.errors import UserError
from likewise.views import text as room
from likewise.views.text import Special, TextViews

PAD, CLS, SEP = 0, 2, 3
NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "c", "##d", "é"]


def tokenizer(names: list[str] = NAMES) -> str:
    made = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token=names[1]))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made.to_str()


WORDPIECE = tokenizer()
CORPUS = [
    "naïve text of small words",
    "the old reader, and the new one",
    "éternal 漢字 texts of words",
    "reads small",
] * 9


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(rows: list[list[int]]) -> Tensor:
    longest = max((len(row) for row in rows), default=0) + 2
    return torch.tensor([[CLS, *row, SEP, *[PAD] * (longest - 2 - len(row))] for row in rows]).reshape(-1, longest)


def texts(batch: Tensor) -> list[list[int]]:
    return [[i for i in row if i != PAD] for row in batch.tolist()]


def is_part_of(part: list[int], whole: list[int]) -> bool:
    """Whether `part` is `whole` without some of its items."""
    left = iter(whole)
    return all(item in left for item in part)


BATCHES = st.lists(st.lists(st.sampled_from([1, 4, 5, 6, 7, 8, 9]), max_size=12), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(BATCHES, st.floats(0, 0.99), st.integers(0, 2**32))
def test_deletion_keeps_the_order_the_frame_and_a_token(rows: list[list[int]], delete: float, seed: int) -> None:
    batch = batch_of(rows)
    before = batch.clone()
    view = TextViews(WORDPIECE, 20, delete)(batch, generator(seed))
    assert torch.equal(batch, before)
    assert view.dtype == torch.int64
    for row, kept in zip(rows, texts(view), strict=True):
        assert (kept[0], kept[-1]) == (CLS, SEP)
        assert is_part_of(kept[1:-1], row)
        assert len(kept) > 2 or not row
    padding = view == PAD
    assert not (padding[:, :-1] & ~padding[:, 1:]).any()
    assert view.shape == batch.shape  # views of a batch can be put side by side, whatever each has lost


@pytest.mark.parametrize("delete", [0.1, 0.5, 0.9])
def test_each_token_is_deleted_with_its_probability(delete: float) -> None:
    n, length = 4000, 20
    batch = torch.arange(10, 10 + length).expand(n, -1)
    batch = torch.cat([torch.full((n, 1), CLS), batch, torch.full((n, 1), SEP), torch.full((n, 5), PAD)], dim=1)
    views = TextViews(tokenizer([*NAMES, *map(str, range(30))]), 40, delete)
    view = views(batch, generator())
    stayed = torch.stack([(view == token).sum() for token in range(10, 10 + length)]) / n
    # One stays where all would go.
    expected = 1 - delete + delete**length / length
    assert (stayed - expected).abs().max() < 5 * (delete * (1 - delete) / n) ** 0.5


def test_where_almost_all_are_deleted_any_token_may_be_the_one_that_stays() -> None:
    batch = torch.tensor([[CLS, 5, 6, 7, SEP]]).expand(3000, -1)
    view = TextViews(WORDPIECE, 20, 0.999)(batch, generator())
    one = view[view[:, 2] == SEP][:, 1]
    assert len(one) > 2900
    assert (one.bincount(minlength=8)[5:] / len(one) - 1 / 3).abs().max() < 0.05


def test_a_view_is_a_function_of_batch_and_generator() -> None:
    views = TextViews(WORDPIECE, 20, 0.4)
    batch = batch_of([[5, 6, 7, 8, 9, 5, 6, 7]] * 50)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = views(batch, generator(1))
    assert torch.equal(first, views(batch, generator(1)))
    assert not torch.equal(first, views(batch, generator(2)))
    assert torch.equal(state, torch.get_rng_state())
    one_generator = generator(1)
    assert torch.equal(first, views(batch, one_generator))
    assert not torch.equal(first, views(batch, one_generator))
    assert len(set(map(tuple, texts(first)))) > 25


def test_without_deletion_views_are_the_texts_themselves() -> None:
    batch = batch_of([[5, 6, 7], [8]])
    padded = torch.cat([batch, torch.zeros(2, 4, dtype=torch.int64)], dim=1)
    none, some = TextViews(WORDPIECE, 20), TextViews(WORDPIECE, 20, 0.5)
    for view in (none(padded, generator()), some.clean(padded), some.weak(padded, generator())):
        assert torch.equal(view, batch)
    untouched = generator(5).get_state()
    one_generator = generator(5)
    none(padded, one_generator)
    assert torch.equal(one_generator.get_state(), untouched)


@pytest.mark.parametrize("delete", [0.0, 0.5])
def test_no_texts_and_texts_without_tokens(delete: float) -> None:
    views = TextViews(WORDPIECE, 20, delete)
    assert views(torch.zeros(0, 7, dtype=torch.int64), generator()).shape == (0, 0)
    empty = torch.tensor([[CLS, SEP, PAD, PAD]] * 3)
    assert views(empty, generator()).tolist() == [[CLS, SEP]] * 3


def test_what_is_too_long_ends_like_any_other() -> None:
    batch = batch_of([[5, 6, 7, 8, 9], [5, 6, 7], [5, 6], [5]])
    assert texts(TextViews(WORDPIECE, 5).clean(batch)) == [
        [CLS, 5, 6, 7, SEP], [CLS, 5, 6, 7, SEP], [CLS, 5, 6, SEP], [CLS, 5, SEP]
    ]  # fmt: skip


def test_special_tokens_vocabulary_and_what_continues_a_word() -> None:
    views = TextViews(WORDPIECE, 16)
    assert views.special == Special(pad=0, unk=1, cls=2, sep=3, mask=4)
    assert views.vocab_size == 10
    assert views.continues.tolist() == [name.startswith("##") for name in NAMES]
    other = TextViews(tokenizer(["<s>", "<unk>", "</s>", "<pad>", "##a", "<mask>"]), 16)
    assert other.special == Special(pad=3, unk=1, cls=0, sep=2, mask=5)
    assert other.continues.tolist() == [False] * 4 + [True, False]
    assert tokens.NAMES == room.NAMES


def test_what_continues_a_word_of_bytes() -> None:
    text = train_tokenizer(CORPUS, "bpe", 400)
    views = TextViews(text, 64)
    encoder, _ = load(text)
    ids = torch.tensor(encoder.encode("reads small xylophones").ids)
    starts = ~views.continues[ids]
    assert starts[[0, -1]].all()
    assert starts.sum() == 2 + 3
    assert not views.continues[:5].any()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("naïve text of small words old reads 漢".split()), min_size=1), min_size=1))
def test_ids_say_what_the_text_said(kind: str, said: list[list[str]]) -> None:
    views = VIEWS[kind]
    encoder, _ = load(views.tokenizer)
    rows = [encoder.encode(" ".join(words)).ids for words in said]
    longest = max(map(len, rows))
    batch = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    expected = [" ".join(words) for words in said]
    assert views.decode(batch) == expected
    assert views.texts(batch) == views.decode(batch)


VIEWS = {kind: TextViews(train_tokenizer(CORPUS, kind, 400), 500) for kind in ("wordpiece", "bpe")}


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_what_is_hidden_or_unknown_can_be_seen(kind: str) -> None:
    (said,) = VIEWS[kind].decode(torch.tensor([[CLS, 1, 4, SEP, PAD]]))
    assert said.replace(" ", "") == "[UNK][MASK]"


def test_views_are_made_again_from_their_config() -> None:
    views = TextViews(WORDPIECE, 16, 0.25)
    config = json.loads(json.dumps(views.config()))
    again = TextViews.from_config(config)
    assert again.config() == config == {"tokenizer": WORDPIECE, "max_tokens": 16, "delete": 0.25}
    batch = batch_of([[5, 6, 7, 8, 9]] * 20)
    assert torch.equal(views(batch, generator()), again(batch, generator()))
    assert str(views) == "texts of up to 16 tokens of 10, 25% of the tokens deleted"
    assert str(TextViews(WORDPIECE, 16)) == "texts of up to 16 tokens of 10, as they are"


@pytest.mark.parametrize(
    ("text", "length", "delete", "message"),
    [
        (WORDPIECE, 2, 0.0, "max_tokens must be at least 3, got 2"),
        (WORDPIECE, True, 0.0, "max_tokens must be a whole number, got True"),
        (WORDPIECE, 16, 1.0, r"delete must be from 0 to below 1, got 1\.0"),
        (WORDPIECE, 16, -0.1, r"delete must be from 0 to below 1, got -0\.1"),
        ("wordpiece", 16, 0.0, "tokenizer must be JSON of the tokenizers library, got 'wordpiece': "),
        (tokenizer(["[PAD]", "[UNK]", "[SEP]"]), 16, 0.0, r"tokenizer has no token \[CLS\] or <s> or <cls>; train one"),
    ],
)
def test_impossible_values(text: str, length: int, delete: float, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        TextViews(text, length, delete)
    assert "\n" not in str(raised.value)
