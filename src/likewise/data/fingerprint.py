"""What the samples of a training were, in a few lines: a resumed training must see the same ones."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.console import count_of
from likewise.data.cache import digest
from likewise.data.source import Source

COMPARED = 64  # samples whose content is compared


def fingerprint(source: Source) -> dict[str, Any]:
    """The number of samples, a digest of their ids, and digests of the content of up to 64 of them, as they are read.

    A sample that is read differently each time, or that is no tensor, has no digest.
    """
    count, ids = len(source), source.ids
    content = {}
    with torch.random.fork_rng():
        for index in torch.linspace(0, count - 1, min(count, COMPARED), dtype=torch.float64).round().long().tolist():
            first, again = (_digest(source.read(torch.tensor([index]))) for _ in range(2))
            if first is not None and first == again:
                content[_name(ids[index])] = first
    return {"samples": count, "ids": digest(map(str, ids)), "content": content}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What differs between two fingerprints, in a few words; None if nothing does."""
    more = now["samples"] - before["samples"]
    if more:
        change = f"{count_of(abs(more), 'sample')} {'is' if abs(more) == 1 else 'are'} {'new' if more > 0 else 'gone'}"
        return f"{change} ({now['samples']:,}, not {before['samples']:,})"
    if now["ids"] != before["ids"]:
        gone = next((name for name in before["content"] if name not in now["content"]), None)
        return "the names of its samples differ" + (f", {gone} among them" if gone else "")
    both = [name for name in before["content"] if name in now["content"]]
    different = [name for name in both if before["content"][name] != now["content"][name]]
    if not different:
        return None
    others = f" and {len(different) - 1} others of the {len(both)} compared" if len(different) > 1 else ""
    return f"sample {different[0]}{others} differ{'' if others else 's'}"


def _name(id: object) -> str:
    """An id as JSON can hold it: a file's name may be no text."""
    return str(id).encode("utf-8", "backslashreplace").decode()


def _digest(batch: Any) -> str | None:
    hashed = hashlib.sha256()
    for tensor in _tensors(batch):
        if tensor is None:
            return None
        array = tensor.detach().cpu()
        hashed.update(f"{array.dtype}{tuple(array.shape)}".encode())
        hashed.update(np.ascontiguousarray(array.contiguous().flatten().view(torch.uint8).numpy()).data)
    return hashed.hexdigest()[:16]


def _tensors(batch: Any) -> Iterable[Tensor | None]:
    """The tensors of a batch, and None for what is none."""
    if isinstance(batch, Tensor):
        yield batch
    elif dataclasses.is_dataclass(batch):
        for field in dataclasses.fields(batch):
            yield from _tensors(getattr(batch, field.name))
    elif isinstance(batch, tuple | list):
        for part in batch:
            yield from _tensors(part)
    else:
        yield None
