"""Views of texts: token ids, some of them deleted at random, for the whole batch at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.checks import check_int, check_interval, require
from likewise.distributed import largest
from likewise.errors import UserError, needs, no_panic
from likewise.seeding import PartGenerator
from likewise.views.token_tasks import delete_tokens

# What tokenizers call their special tokens; `likewise.data.tokens` has the same.
NAMES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
}
MOST_UNUSED = 16
"""Times as many ids as tokens that a tokenizer may have: some leave gaps, and an embedding is made for each id."""
# The mark that words begin with, by what splits texts into words.
MARKS = {"ByteLevel": "Ġ", "Metaspace": "▁"}


class Special(NamedTuple):
    """The ids of a tokenizer's special tokens: padding, unknown, beginning, end, hidden."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


class TextViews:
    """Random views of a batch of texts, int64 `(n, t)` token ids: `[CLS] tokens [SEP]`, then padding.

    A view loses each token other than these with probability `delete`, but one at least stays; the rest moves up.
    Columns that are padding everywhere in the batch are left out, so that all views of a batch are equally wide. A text
    longer than `max_tokens` ends there. A view is a pure function of the batch and the generator; a generator on
    the CPU serves every device.

    Args:
        tokenizer: as the JSON text of the `tokenizers` library.
        max_tokens: length of the longest view, at least 3.
        delete: from 0 to below 1.

    Attributes:
        special: the ids of the special tokens.
        vocab_size: how many ids there are.
        continues: of each id, whether the token continues a word: of WordPiece what has a "##", of byte-level BPE what
            has no "Ġ".

    Raises:
        UserError: for impossible values, or a tokenizer that lacks a special token.
    """

    modality: ClassVar[str] = "text"

    def __init__(self, tokenizer: str, max_tokens: int, delete: float = 0.0) -> None:
        check_int(3, max_tokens=max_tokens)
        check_interval(0, 1, closed="left", delete=delete)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.delete = float(delete)
        self._tokenizer = _loaded(tokenizer)
        self.special = _special(self._tokenizer)
        ids = self._tokenizer.get_vocab().values()
        self.vocab_size = 1 + max(ids)
        require(
            max(ids) < MOST_UNUSED * len(ids), "ids of the tokenizer", f"below {MOST_UNUSED * len(ids):,}", max(ids)
        )
        self.continues = _continues(tokenizer, self._tokenizer, self.special, self.vocab_size)

    def __call__(self, batch: Int[Tensor, "n _"], generator: torch.Generator) -> Int[Tensor, "n t"]:
        """One random view of every text."""
        batch = self.weak(batch, generator)
        if self.delete == 0 or batch.numel() == 0:
            return batch
        pad, _, cls, sep, _ = self.special
        return delete_tokens(batch, self.delete, generator, pad=pad, cls=cls, sep=sep)

    def weak(self, batch: Int[Tensor, "n _"], generator: torch.Generator) -> Int[Tensor, "n t"]:
        """The texts themselves: a word less can be another label, and dropout is random enough."""
        batch = self.clean(batch)
        if not isinstance(generator, PartGenerator):
            return batch
        width = largest(batch.shape[1], batch.device)  # that of the whole batch, for which all numbers are drawn
        return F.pad(batch, (0, width - batch.shape[1]), value=self.special.pad)

    def clean(self, batch: Int[Tensor, "n _"]) -> Int[Tensor, "n t"]:
        """The texts themselves, without columns that are padding everywhere."""
        if batch.shape[1] > self.max_tokens:
            last = batch[:, self.max_tokens - 1 : self.max_tokens]
            end = torch.where(last == self.special.pad, last, self.special.sep)
            batch = torch.cat([batch[:, : self.max_tokens - 1], end], dim=1)
        return self._trimmed(batch)

    def encode(self, texts: list[str]) -> Int[Tensor, "n t"]:
        """The ids of texts, as sources have them: `[CLS] tokens [SEP]`, then padding; an empty text has no tokens."""
        return self.framed(self.tokenize(texts))

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """The ids of whole texts, without special tokens."""
        with no_panic("the tokenizer"):
            return [encoding.ids for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def framed(self, ids: list[list[int]]) -> Int[Tensor, "n t"]:
        """`[CLS] tokens [SEP]`, `max_tokens` at most, then padding."""
        pad, _, cls, sep, _ = self.special
        rows = [torch.tensor([cls, *row[: self.max_tokens - 2], sep]) for row in ids]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)

    def decode(self, ids: Int[Tensor, "n t"]) -> list[str]:
        """What the ids say, without padding, beginning and end; what is hidden or unknown is shown as such."""
        silent = {self.special.pad, self.special.cls, self.special.sep}
        rows = [[i for i in row if i not in silent] for row in ids.tolist()]
        with no_panic("the tokenizer"):
            decoded = self._tokenizer.decode_batch(rows, skip_special_tokens=False)
        return [text.strip() for text in decoded]

    def texts(self, view: Int[Tensor, "n t"]) -> list[str]:
        """A view as something to read."""
        return self.decode(view)

    def config(self) -> dict[str, Any]:
        """Everything about these views in plain values; see `from_config`."""
        return {"tokenizer": self.tokenizer, "max_tokens": self.max_tokens, "delete": self.delete}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextViews:
        """The views whose `config()` this is."""
        return cls(**config)

    def __str__(self) -> str:
        deleted = f"{self.delete:.0%} of the tokens deleted" if self.delete else "as they are"
        return f"texts of up to {self.max_tokens} tokens of {self.vocab_size:,}, {deleted}"

    def _trimmed(self, ids: Int[Tensor, "n _"]) -> Int[Tensor, "n t"]:
        longest = int((ids != self.special.pad).sum(1).max()) if ids.numel() else 0
        return ids[:, :longest]


def _loaded(text: str) -> Any:
    try:
        with no_panic("the tokenizer"):
            return needs("tokenizers", "text").Tokenizer.from_str(text)
    except UserError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())
        raise UserError(f"tokenizer must be JSON of the tokenizers library, got {text[:20]!r}: {why}") from error


def _special(tokenizer: Any) -> Special:
    found = {}
    for role, names in NAMES.items():
        ids = [i for name in names if (i := tokenizer.token_to_id(name)) is not None]
        if not ids:
            raise UserError(f"tokenizer has no token {' or '.join(names)}; train one with tokenizer wordpiece or bpe")
        found[role] = ids[0]
    return Special(**found)


def _continues(text: str, tokenizer: Any, special: Special, vocab_size: int) -> Bool[Tensor, " v"]:
    parts = json.loads(text)
    model, splitting = parts["model"], json.dumps(parts.get("pre_tokenizer"))
    marks = [mark for name, mark in MARKS.items() if f'"{name}"' in splitting]
    max_tokens = [tokenizer.id_to_token(i) or "" for i in range(vocab_size)]
    if model["type"] == "WordPiece":
        prefix = model["continuing_subword_prefix"]
        continues = torch.tensor([token.startswith(prefix) for token in max_tokens])
    elif marks:
        continues = torch.tensor([not token.startswith(marks[0]) for token in max_tokens])
    else:
        continues = torch.zeros(vocab_size, dtype=torch.bool)
    continues[list(special)] = False
    return continues
