"""How files become samples: the user's options, kept with the run so that later data is read in the same way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from likewise.checks import check_int
from likewise.data.value_range import checked_range
from likewise.errors import UserError
from likewise.registry import MODALITIES

LARGEST_SIZE = 8192  # px, as views may have
MOST_CHANNELS = 1024  # as views may have
MOST_TOKENS = 2**20


@dataclass(frozen=True)
class ReadOptions:
    """How to read; None, everywhere, is what is usual for the data.

    Attributes:
        modality: what to take the files for where they could be several things, a name of `likewise.registry`.
        size, channels: of images, in pixels, and 1 (grey), 3 (RGB) or how many the files have.
        range: the numbers that become grey levels 0 and 255, of images of more than 8 bits.
        text_column, label_column: of tables.
        labels: the path of a table that says which labels the files in a folder have.
        per_file: whether a text file is one document, not one a line.
        tokenizer: a tokenizer of the `tokenizers` library, as a path or as its JSON text.
        max_tokens: length at which documents are cut off, in tokens.
        sample_rate: of recordings, in Hz.
        columns: the columns of a table that belong together as a pair.
    """

    modality: str | None = None
    size: int | None = None
    channels: int | None = None
    range: Any = None
    text_column: str | None = None
    label_column: str | None = None
    labels: str | None = None
    per_file: bool = False
    tokenizer: str | None = None
    max_tokens: int | None = None
    sample_rate: int | None = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.modality not in (None, *MODALITIES):
            names = list(MODALITIES)
            raise UserError(f"modality must be {', '.join(names[:-1])} or {names[-1]}, got {self.modality!r}")
        if self.size is not None and self.size < 1:
            raise UserError(f"size must be 1 or more pixels, got {self.size}")
        if self.channels is not None and self.channels < 1:
            raise UserError(f"channels must be 1 (grey), 3 (RGB) or another number of 1 or more, got {self.channels}")
        check_int(1, LARGEST_SIZE, size=self.size)
        check_int(1, MOST_CHANNELS, channels=self.channels)
        check_int(1, MOST_TOKENS, max_tokens=self.max_tokens)
        if self.range is not None:
            object.__setattr__(self, "range", checked_range(self.range))
        if self.max_tokens is not None and self.max_tokens < 4:
            raise UserError(f"max_tokens must be at least 4, got {self.max_tokens}")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 192_000:
            raise UserError(f"sample_rate must be from 1,000 to 192,000 Hz, got {self.sample_rate}")
        if self.columns is not None and len(self.columns) not in (2, 3):
            raise UserError(f"columns must be the two or three that belong together, got {list(self.columns)}")

    def with_(self, **changes: Any) -> ReadOptions:
        """A copy with other values; None keeps the value."""
        return dataclasses.replace(self, **{name: value for name, value in changes.items() if value is not None})
