"""Manifests of Lance tables: whether one names files outside of its own folder.

The format: https://lance.org/format/table/. A manifest ends with the position of its message (8 bytes), two numbers of
the version (4 bytes) and `LANC`. The message is written in protocol buffers, after its length (4 bytes).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from likewise.errors import UserError
from likewise.runs.files import check_file

MAGIC = b"LANC"
BASE_PATHS = 18
"""The field with the other places that files of the table lie in."""
LONGEST = 10
"""Bytes of a number."""
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def names_other_places(path: Path) -> bool:
    """Whether a table has files elsewhere: in other folders, or in stores that are asked over a network.

    Raises:
        UserError: for what is no manifest.
    """
    check_file(path)
    content = path.read_bytes()
    if len(content) < 16 or not content.endswith(MAGIC):
        raise UserError(f"{path.name} must be the manifest of a Lance table, it is not")
    start = int.from_bytes(content[-16:-8], "little")
    length = int.from_bytes(content[start : start + 4], "little")
    message = content[start + 4 : start + 4 + length]
    if not message or len(message) < length:
        raise UserError(f"{path.name} must be the manifest of a Lance table, it is cut off")
    return BASE_PATHS in fields_of(message)


def fields_of(message: bytes) -> Iterator[int]:
    """The numbers of the fields of a protocol-buffer message, in their order.

    Raises:
        IndexError: for a message that is cut off.
        UserError: for one that is none.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, at = _varint(message, at)
            at += length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        else:
            raise UserError(f"a field of a manifest must be of a known kind, got {kind}")
        yield key >> 3


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place in range(LONGEST):
        byte = message[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise UserError(f"a number of a manifest must have at most {LONGEST} bytes")
