"""Tokenizers that are learned and given, and token ids that are made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from likewise.data import tokens
from likewise.data.tokens import fingerprint, load, read_tokenizer, tokenised, train_tokenizer
from likewise.errors import UserError

WORDS = (
    "the of a tool for reading images text sound library fast small old new file server editor game Zürich 漢字".split()
)
RANDOM = np.random.default_rng(0)
DOCUMENTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 30))) for _ in range(300)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def learned(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, train_tokenizer(DOCUMENTS, request.param, 400)


def made(folder: Path, documents: list[str], tokenizer: str, longest: int = 12, **how: Any) -> tokens.Tokenised:
    return tokenised(documents, tokenizer, longest, content=fingerprint(documents), name="corpus", **how)


def test_a_learned_tokenizer_frames_a_document_with_special_tokens(learned: tuple[str, str]) -> None:
    kind, text = learned
    encoder, special = load(text)
    assert [encoder.id_to_token(i) for i in range(5)] == SPECIAL
    assert special == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert 5 < encoder.get_vocab_size() <= 400
    ids = encoder.encode("images for the Server").ids
    assert (ids[0], ids[-1]) == (2, 3)
    assert not {0, 1, 2, 3, 4} & set(ids[1:-1])
    expected = {"wordpiece": "images for the server", "bpe": " images for the Server"}
    assert encoder.decode(ids) == expected[kind]
    assert encoder.encode("").ids == [2, 3]


def test_what_a_document_says_is_never_a_special_token(learned: tuple[str, str]) -> None:
    encoder, _ = load(learned[1])
    for name in SPECIAL:
        assert not {0, 2, 3, 4} & set(encoder.encode(f"a {name} b").ids[1:-1])


def test_wordpiece_is_berts(learned: tuple[str, str]) -> None:
    kind, text = learned
    if kind == "wordpiece":
        model = json.loads(text)["model"]
        assert (model["type"], model["continuing_subword_prefix"], model["unk_token"]) == ("WordPiece", "##", "[UNK]")
        encoder, _ = load(text)
        assert encoder.encode("ZÜRICH").tokens == encoder.encode("zürich").tokens == ["[CLS]", "zürich", "[SEP]"]
        assert encoder.encode("fastfast").tokens[1] == "fast"
        assert all(token.startswith("##") for token in encoder.encode("fastfast").tokens[2:-1])
        assert encoder.encode("漢字").tokens == ["[CLS]", "漢", "字", "[SEP]"]
        assert encoder.encode("Ж").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_vocabulary_is_no_larger_than_asked_for_whatever_the_letters() -> None:
    documents = ["".join(chr(0x4E00 + (i * j) % 999) for j in range(50)) for i in range(200)]
    encoder, _ = load(train_tokenizer(documents, "wordpiece", 64))
    assert encoder.get_vocab_size() <= 64


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_learning_again_gives_the_same_tokenizer(kind: str) -> None:
    """The order in which a hash table has the letters, another one each time, is in nothing that is learned."""
    documents = ["".join(chr(97 + (i * j * j + j) % 23) for j in range(i % 17 + 3)) for i in range(400)]
    assert len({train_tokenizer(documents, kind, 600) for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("documents", "kind", "vocab_size", "message"),
    [
        (
            ["one two three"] * 50,
            "wordpiece",
            100,
            r"10 different words or more, .* have 3 \(one, three, two\); give more",
        ),
        ([" ".join(WORDS)], "bpe", 400, "a tokenizer is learned from 2 documents or more, there is 1"),
        (["...", "---"], "wordpiece", 100, "these documents have 0"),
        (
            DOCUMENTS,
            "word-piece",
            100,
            "tokenizer must be wordpiece, wordpiece-unaccented or bpe, got 'word-piece', did you mean 'wordpiece'?",
        ),
        (DOCUMENTS, "bpe", 261, "vocab_size must be at least 300 for a bpe tokenizer, got 261"),
        (DOCUMENTS, "wordpiece", 5, "vocab_size must be at least 32 for a wordpiece tokenizer, got 5"),
    ],
)
def test_what_no_tokenizer_is_learned_from(documents: list[str], kind: str, vocab_size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_tokenizer(documents, kind, vocab_size)


def test_one_long_document_is_enough_for_a_tokenizer() -> None:
    encoder, _ = load(train_tokenizer([" ".join(DOCUMENTS)], "wordpiece", 400))
    assert encoder.encode("images").tokens == ["[CLS]", "images", "[SEP]"]


def test_a_tokenizer_is_given_as_text_file_or_folder(learned: tuple[str, str], tmp_path: Path) -> None:
    _, text = learned
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    for given_as in (text, str(tmp_path), str(tmp_path / "tokenizer.json")):
        assert read_tokenizer(given_as) == text


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path, learned: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"tokenizer .*no\.json cannot be read: No such file or directory; give a"):
        read_tokenizer(str(tmp_path / "no.json"))
    (tmp_path / "a.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(UserError, match="cannot be read: it is not UTF-8"):
        read_tokenizer(str(tmp_path / "a.json"))
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"a\.json is no JSON of the tokenizers library: "):
        read_tokenizer(str(tmp_path / "a.json"))
    without = learned[1].replace("[MASK]", "[HIDE]")
    with pytest.raises(UserError, match=r"tokenizer has no token \[MASK\] or <mask>; train one with"):
        read_tokenizer(without)


def test_a_tokenizer_of_another_family_is_made_to_frame_its_documents(tmp_path: Path) -> None:
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "small", "old"]
    other = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    other.enable_padding(length=9)
    other.enable_truncation(1)
    encoder, special = load(other.to_str())
    assert special == {"pad": 1, "unk": 3, "cls": 0, "sep": 2, "mask": 4}
    assert encoder.encode("small old new").ids == [0, 5, 6, 3, 2]
    batch = made(tmp_path, ["old", "small old new old"], other.to_str(), 5).read(torch.arange(2))
    assert batch.tolist() == [[0, 6, 2, 1, 1], [0, 5, 6, 3, 2]]


def test_batches_are_what_the_tokenizer_says_one_by_one(learned: tuple[str, str], tmp_path: Path) -> None:
    encoder, _ = load(learned[1])
    made_of_all = made(tmp_path, DOCUMENTS, learned[1])
    indices = torch.tensor([7, 299, 7, 0, 120])
    batch = made_of_all.read(indices)
    assert batch.dtype == torch.int64
    for row, i in zip(batch.tolist(), indices.tolist(), strict=True):
        ids = encoder.encode(DOCUMENTS[i]).ids
        expected = ids if len(ids) <= 12 else [*ids[:11], 3]
        assert row == expected + [0] * (batch.shape[1] - len(expected))
    lengths = torch.tensor([min(len(encoder.encode(document).ids), 12) for document in DOCUMENTS])
    assert torch.equal(made_of_all.lengths, lengths)
    assert batch.shape[1] == lengths[indices].max()
    assert made_of_all.cut == sum(len(encoder.encode(document).ids) > 12 for document in DOCUMENTS) > 0
    assert made_of_all.read(torch.arange(0)).shape == (0, 0)


def test_two_bytes_an_id_where_they_are_enough(learned: tuple[str, str], tmp_path: Path) -> None:
    assert made(tmp_path, DOCUMENTS, learned[1]).ids.dtype == np.uint16
    names = [*SPECIAL, *(f"w{i}" for i in range(70_000))]
    wide = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    wide.pre_tokenizer = pre_tokenizers.Whitespace()
    large = made(tmp_path, ["w69999 w1", "w5"], wide.to_str())
    assert large.ids.dtype == np.uint32
    assert large.read(torch.arange(2)).tolist() == [[2, 70004, 6, 3], [2, 10, 3, 0]]


def test_ids_are_made_once_and_mapped(
    learned: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    encoded: list[int] = []
    real = tokens._encode

    def encode(building: Path, documents: Any, *rest: Any) -> dict[str, Any]:
        encoded.append(len(documents))
        return real(building, documents, *rest)

    monkeypatch.setattr(tokens, "_encode", encode)
    monkeypatch.setattr(tokens, "CHUNK", 7)
    first = made(tmp_path, DOCUMENTS, learned[1], progress=True)
    assert "corpus: 300 documents tokenised into " in capfd.readouterr().err
    again = made(tmp_path, list(DOCUMENTS), learned[1], progress=True)
    assert encoded == [300]
    assert capfd.readouterr().err == ""
    assert isinstance(again.ids, np.memmap)
    everything = torch.arange(300)
    assert torch.equal(first.read(everything), again.read(everything))
    assert first.cut == again.cut
    made(tmp_path, DOCUMENTS, learned[1], 13)
    made(tmp_path, DOCUMENTS[:-1], learned[1])
    made(tmp_path, DOCUMENTS, train_tokenizer(DOCUMENTS[:200], "wordpiece", 300))
    assert encoded == [300, 299, 300]  # the whole documents serve every length


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=6), st.lists(st.text(max_size=4), max_size=6))
def test_fingerprints_are_equal_for_equal_documents_only(one: list[str], other: list[str]) -> None:
    assert (fingerprint(one) == fingerprint(iter(other))) == (one == other)


def test_fingerprints_tell_documents_apart_that_read_the_same_together() -> None:
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint(["a\0b"]) != fingerprint(["a", "b"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
def test_nothing_is_lost_to_bytes(learned: tuple[str, str], words: list[str]) -> None:
    kind, text = learned
    encoder, _ = load(text)
    said = " ".join(words)
    if kind == "bpe":
        assert encoder.decode(encoder.encode(said).ids).strip() == said


MARKS = ["が か は ば ぱ", "हिन्दी हदी", "élève eleve", "Zürich zurich"] * 20


def test_marks_that_carry_meaning_stay() -> None:
    encoder, _ = load(train_tokenizer([f"{text} and some other words of number {i}" for i, text in enumerate(MARKS)]))
    for one, other in (("が", "か"), ("ぱ", "は"), ("हिन्दी", "हदी"), ("élève", "eleve"), ("ZÜRICH", "zurich")):
        assert encoder.encode(one).ids != encoder.encode(other).ids
        assert encoder.token_to_id("[UNK]") not in encoder.encode(one).ids
    composed, decomposed = "é", "e\u0301"
    assert encoder.encode(composed).ids == encoder.encode(decomposed).ids


def test_they_go_where_that_is_asked_for() -> None:
    documents = [f"{text} and some other words of number {i}" for i, text in enumerate(MARKS)]
    encoder, _ = load(train_tokenizer(documents, "wordpiece-unaccented"))
    assert encoder.encode("ZÜRICH").ids == encoder.encode("zurich").ids


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_an_unbroken_megabyte_is_learned_from_in_pieces(kind: str) -> None:
    pieces = list(tokens.short_words(["ab" * 500_000, "one two"]))
    assert max(len(word) for word in pieces[0].split()) == 200
    assert pieces[0].replace(" ", "") == "ab" * 500_000
    assert pieces[1] == "one two"
    documents = ["ab" * 500_000, *(f"word{i} and others of {i % 7}" for i in range(50))]
    assert load(train_tokenizer(documents, kind, 400))[0].get_vocab_size() <= 400
