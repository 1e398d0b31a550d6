"""What a stranger, or a bad disk, makes of the files of a run: values of other types, absent keys, damaged bytes."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from typing import Any

ABSENT = object()
VALUES: list[Any] = [
    ABSENT, None, True, -1, 0, 3, 10**30, 1.5, -1e308, math.nan, math.inf, "", "x", "\x1b]0;title\x07", "[bold]", [],
    [None], [[]], {}, {"x": 1}, ["x"], [1, 2, 3], "long" * 50_000,
]  # fmt: skip


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys to every value of a JSON document; of a list, to its first and its last."""
    if place:
        yield place
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*place, key))
    elif isinstance(document, list):
        for index in sorted({0, len(document) - 1} if document else set()):
            yield from places(document[index], (*place, index))


def replaced(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of a document with another value there."""
    changed = copy.deepcopy(document)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def wrong_documents(document: Any, count: int, seed: int) -> Iterator[tuple[str, Any]]:
    """`count` copies of a document, each with one wrong value, and what was done to each."""
    found = [(place, value) for place in places(document) for value in VALUES]
    for place, value in random.Random(seed).sample(found, min(count, len(found))):
        what = "absent" if value is ABSENT else repr(value)[:40]
        yield f"{'.'.join(map(str, place))}: {what}", replaced(document, place, value)


def damaged(content: bytes, random: random.Random) -> bytes:
    """The content after one accident: flipped bits, a cut, a part of it doubled, moved, zeroed, or another's."""
    kind = random.choice(("flip", "cut", "splice", "repeat", "zero", "noise", "shorten", "grow"))
    if not content:
        return random.randbytes(16)
    data = bytearray(content)
    at, length = random.randrange(len(data)), random.randint(1, max(1, min(len(data), 64)))
    part = bytes(data[at : at + length])
    if kind == "flip":
        for _ in range(random.choice((1, 1, 4, 32))):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "splice":
        to = random.randrange(len(data))
        data[to : to + length] = part
    elif kind == "repeat":
        data[at:at] = part * random.choice((1, 3, 200))
    elif kind == "zero":
        data[at : at + length] = bytes(len(part))
    elif kind == "noise":
        data[at : at + length] = random.randbytes(len(part))
    elif kind == "shorten":
        del data[at : at + length]
    else:
        data += random.randbytes(length)
    return bytes(data)
