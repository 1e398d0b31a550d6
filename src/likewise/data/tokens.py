"""From documents to token ids: a tokenizer learned from them, and the ids of all of them, made once and mapped."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt
from torch import Tensor

from likewise.checks import check_int
from likewise.console import count_of, tell
from likewise.data.cache import cached, digest
from likewise.data.random_rows import foreseen
from likewise.errors import UserError, nearest, needs, no_panic

KINDS = {"wordpiece": 32, "wordpiece-unaccented": 32, "bpe": 300}
"""Each kind of tokenizer, and the smallest vocabulary that it can have."""
MOST_TOKENS = 2**20  # of a vocabulary
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first tokens of every vocabulary that is learned here."""
NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
}
"""What those that others have learned call them (`likewise.views.text` has the same)."""
CHUNK = 1024  # documents
LONG_CHUNK = 1 << 22  # characters
LONG_WORD = re.compile(r"\S{200}(?=\S)")
MANY = 20_000  # documents that take long enough to say so beforehand
# Part of every cache key: raise it when the same document would become other ids.
ENCODER = 2
LONE = 10_000  # characters of a document that is enough for a tokenizer on its own


def train_tokenizer(documents: Sequence[str], kind: str = "wordpiece", vocab_size: int = 8192) -> str:
    """A tokenizer learned from documents, as the JSON text of the `tokenizers` library.

    It makes `[CLS] tokens [SEP]` of a document. The same documents give the same text, on any number of threads.

    - `wordpiece` is BERT's (arXiv:1810.04805): in lower case, "##" before what continues a word. Accents stay.
    - `wordpiece-unaccented` drops accents and other marks, as BERT's uncased models do. This is wrong for scripts in
      which marks are letters or vowels.
    - `bpe` is GPT-2's, of bytes: nothing is lost. A "Ġ" stands before the first token of a word.

    Args:
        vocab_size: how many tokens it may have at most, the five special ones among them.

    Raises:
        UserError: for another kind, a vocabulary that is too small for it, fewer than 2 documents (but one long one
            will do), or fewer than 10 different words.
    """
    if kind not in KINDS:
        raise UserError(f"tokenizer must be wordpiece, wordpiece-unaccented or bpe, got {kind!r}{nearest(kind, KINDS)}")
    if vocab_size < KINDS[kind]:
        raise UserError(f"vocab_size must be at least {KINDS[kind]} for a {kind} tokenizer, got {vocab_size}")
    check_int(1, MOST_TOKENS, vocab_size=vocab_size)
    _check_corpus(documents)
    needs("tokenizers", "text")
    if kind == "bpe":
        return _bpe(documents, vocab_size).to_str()
    return _wordpiece(documents, vocab_size, accents=kind == "wordpiece").to_str()


def read_tokenizer(given: str) -> str:
    """The JSON text of a tokenizer that is given so, or as the path of its file or of the folder that it lies in.

    Raises:
        UserError: for what cannot be read, is no tokenizer, or lacks one of the special tokens in `NAMES`.
    """
    if given.lstrip().startswith("{"):
        load(given)
        return given
    path = Path(given).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UserError(
            f"tokenizer {path} cannot be read: {why}; give a tokenizer.json, {' or '.join(KINDS)}"
        ) from error
    load(text, str(path))
    return text


def load(text: str, called: str = "") -> tuple[Any, dict[str, int]]:
    """The `tokenizers.Tokenizer` of a JSON text, made to say `[CLS] tokens [SEP]`, and its special tokens' ids."""
    tokenizers = needs("tokenizers", "text")
    where = f"tokenizer {called}".strip()
    try:
        with no_panic(where):
            tokenizer = tokenizers.Tokenizer.from_str(text)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where} is no JSON of the tokenizers library: {' '.join(str(error).split())}") from error
    special = {}
    for role, names in NAMES.items():
        ids = [i for name in names if (i := tokenizer.token_to_id(name)) is not None]
        if not ids:
            raise UserError(f"{where} has no token {' or '.join(names)}; train one with tokenizer wordpiece or bpe")
        special[role] = ids[0]
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # What a document says is no instruction: "[PAD]" in it is text.
    tokenizer.encode_special_tokens = True
    with no_panic(where):
        framed = tokenizer.encode("").ids == [special["cls"], special["sep"]]
    if not framed:
        _frame(tokenizer, special)
    return tokenizer, special


class Tokenised(NamedTuple):
    """The token ids of whole documents, one after the other, mapped from the cache; `read` takes up to `max_tokens`."""

    ids: UInt[np.ndarray, " all"]
    offsets: Int[np.ndarray, " n+1"]
    max_tokens: int
    special: dict[str, int]

    @property
    def whole_lengths(self) -> Int[np.ndarray, " n"]:
        """How many tokens each document has, `[CLS]` and `[SEP]` among them."""
        return np.diff(self.offsets)

    @property
    def lengths(self) -> Int[Tensor, " n"]:
        """How many tokens of each document are read."""
        return torch.from_numpy(self.whole_lengths.clip(max=self.max_tokens))

    @property
    def cut(self) -> int:
        """How many documents have more tokens than are read."""
        return int((self.whole_lengths > self.max_tokens).sum())

    def read(self, indices: Int[Tensor, " n"]) -> Int[Tensor, "n longest"]:
        """`[CLS] tokens [SEP]`, then padding; a longer document ends after `max_tokens`, with `[SEP]`."""
        rows = indices.cpu().numpy()
        starts = self.offsets[rows]
        whole = self.offsets[rows + 1] - starts
        batch = self.rows(starts, whole.clip(max=self.max_tokens))
        if (cut := whole > self.max_tokens).any():
            batch[cut, -1] = self.special["sep"]
        return torch.from_numpy(batch)

    def rows(self, starts: Int[np.ndarray, " n"], lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n longest"]:
        """The ids from each start on, then padding."""
        places = np.arange(lengths.max(initial=0))
        there = places < lengths[:, None]
        batch = np.full(there.shape, self.special["pad"], dtype=np.int64)
        with foreseen(self.ids, starts, starts + lengths):
            batch[there] = self.ids[(starts[:, None] + places)[there]]
        return batch


def tokenised(
    documents: Sequence[str], tokenizer: str, max_tokens: int, *, content: str, name: str, progress: bool = False
) -> Tokenised:
    """The token ids of all documents, `[CLS] tokens [SEP]`, to be read up to `max_tokens` of each; encoded once.

    Args:
        tokenizer: its JSON text.
        content: the documents' `fingerprint`.
        name: what people call them, for the line on stderr that `progress` gives.
    """
    encoder, special = load(tokenizer)
    kind = np.dtype(np.uint16 if max(encoder.get_vocab().values()) < 1 << 16 else np.uint32)
    key = digest([ENCODER, content, hashlib.sha256(tokenizer.encode()).hexdigest()])

    def build(building: Path) -> dict[str, Any]:
        _encode(building, documents, encoder, kind, name if progress else None)
        return {}

    folder, _ = cached("tokens", key, build)
    ids = np.memmap(folder / "ids.bin", dtype=kind, mode="r")
    offsets = np.memmap(folder / "offsets.bin", dtype=np.int64, mode="r")
    return Tokenised(ids, offsets, max_tokens, special)


def fingerprint(documents: Iterable[str]) -> str:
    """A name for what the documents say: 64 hexadecimal digits."""
    hashed = hashlib.sha256()
    for chunk in chunks(documents):
        encoded = [document.encode() for document in chunk]
        hashed.update(np.array([len(one) for one in encoded], dtype=np.int64).tobytes())
        hashed.update(b"".join(encoded))
    return hashed.hexdigest()


def _encode(building: Path, documents: Sequence[str], encoder: Any, kind: np.dtype[Any], name: str | None) -> None:
    if name and len(documents) >= MANY:
        tell(f"{name}: tokenising {count_of(len(documents), 'document')}, once")
    started = time.perf_counter()
    end = 0
    with (building / "ids.bin").open("wb") as ids, (building / "offsets.bin").open("wb") as offsets:
        offsets.write(np.zeros(1, dtype=np.int64).tobytes())
        for chunk in chunks(documents):
            with no_panic("the tokenizer"):
                rows = [encoding.ids for encoding in encoder.encode_batch_fast(chunk)]
            ends = end + np.cumsum([len(row) for row in rows], dtype=np.int64)
            end = int(ends[-1])
            offsets.write(ends.tobytes())
            ids.write(np.fromiter(chain.from_iterable(rows), dtype=kind).tobytes())
    if name:
        seconds = time.perf_counter() - started
        tell(f"{name}: {count_of(len(documents), 'document')} tokenised into {end:,} tokens in {seconds:.1f} s")


def chunks(documents: Iterable[str]) -> Iterator[list[str]]:
    """Some documents at a time: many short ones, or a few long ones."""
    chunk: list[str] = []
    characters = 0
    for document in documents:
        chunk.append(document)
        characters += len(document)
        if len(chunk) == CHUNK or characters >= LONG_CHUNK:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _check_corpus(documents: Sequence[str]) -> None:
    if len(documents) < 2 and not (documents and len(documents[0]) >= LONE):
        raise UserError(
            f"a tokenizer is learned from 2 documents or more, there is {len(documents)}; give more text, or a "
            f"document of {LONE:,} characters or more"
        )
    words: set[str] = set()
    for document in documents:
        words.update(re.findall(r"\w+", document.lower()))
        if len(words) >= 10:
            return
    raise UserError(
        f"a tokenizer is learned from 10 different words or more, these documents have {len(words)}"
        f" ({', '.join(sorted(words))}); give more text, or a tokenizer"
    )


def short_words(documents: Iterable[str]) -> Iterator[str]:
    """The documents with spaces inside what is longer than any word: learning from unbroken megabytes is quadratic."""
    for document in documents:
        yield LONG_WORD.sub(r"\g<0> ", document)


def _wordpiece(documents: Sequence[str], vocab_size: int, *, accents: bool = True) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    def made(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        # BERT's removes accents with the case: in Japanese, Hindi or French these are other letters or other words.
        bert = normalizers.BertNormalizer(lowercase=True, strip_accents=not accents)
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), bert]) if accents else bert
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(prefix="##")
        return tokenizer

    learning = made(models.WordPiece(unk_token="[UNK]"))
    # The trainer numbers "##a" in the order of a hash table, another one each time, and breaks ties between equally
    # frequent pairs by number: only where all letters have their numbers beforehand is what it learns always the same.
    first = _alphabet(learning.normalizer, documents, vocab_size // 4)
    pieces = [learning.pre_tokenizer.pre_tokenize_str(learning.normalizer.normalize_str(f"a{c}")) for c in first]
    later = [f"##{c}" for c, words in zip(first, pieces, strict=True) if len(words) == 1]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIAL, *first, *later],
        initial_alphabet=first,
        limit_alphabet=len(first),
        show_progress=False,
    )
    learning.train_from_iterator(short_words(documents), trainer)
    tokenizer = made(models.WordPiece(learning.get_vocab(), unk_token="[UNK]"))
    return _frame(tokenizer, {"cls": SPECIAL.index("[CLS]"), "sep": SPECIAL.index("[SEP]")}, SPECIAL)


def _bpe(documents: Sequence[str], vocab_size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    # The space before the first word too: else it would be another token there than elsewhere.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(short_words(documents), trainer)
    return _frame(tokenizer, {"cls": SPECIAL.index("[CLS]"), "sep": SPECIAL.index("[SEP]")})


def _alphabet(normalizer: Any, documents: Sequence[str], most: int) -> list[str]:
    """The most frequent characters."""
    counts: Counter[str] = Counter()
    for chunk in chunks(documents):
        counts.update(normalizer.normalize_str("\n".join(chunk)))
    letters = sorted((-count, c) for c, count in counts.items() if not c.isspace())
    return sorted(c for _, c in letters[:most])


def _frame(tokenizer: Any, ids: dict[str, int], special: Sequence[str] = ()) -> Any:
    """Make it say `[CLS] tokens [SEP]`, under its own names for the two."""
    from tokenizers import processors

    tokenizer.add_special_tokens(list(special))
    cls, sep = (tokenizer.id_to_token(ids[role]) for role in ("cls", "sep"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, ids["cls"]), (sep, ids["sep"])]
    )
    return tokenizer
