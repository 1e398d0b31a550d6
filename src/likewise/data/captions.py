"""Captions: in text files beside what they describe, or in the JSON of a sample."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from likewise.data import endings
from likewise.data.files import File, printable, scan
from likewise.data.pictures import reason

CAPTIONS = ".txt"
KEYS = ("caption", "text", "sentence", "description")  # of a sample's JSON, the first that is there


def captions_in(content: bytes) -> list[str]:
    """What a caption's file says: each line that is not empty is a caption, as in the field's data sets.

    Raises:
        UnicodeDecodeError: for what is not UTF-8.
    """
    return [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]


def beside(folder: Path, media: Sequence[File], thing: str) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """The captions in .txt files that lie beside the files they are named after.

    Args:
        media: the files that may have captions.
        thing: what these are, in one word.

    Returns:
        The captions of each file that has some, as `media` has them; and (file, reason) of what is left over.
    """
    files, unreadable = scan(folder, (CAPTIONS,))
    unpaired = [(printable(file), why) for file, why in unreadable]
    named = {_stem(file.id) for file in files}
    caption_of = {file.id: stem for file in media if (stem := described_by(file.id, named)) is not None}
    taken = set(caption_of.values())
    captions: dict[str, list[str]] = {}
    for file in files:
        if _stem(file.id) not in taken:
            unpaired.append((printable(file.id), f"a caption without its {thing}"))
            continue
        try:
            captions[_stem(file.id)] = captions_in((folder / file.id).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            unpaired.append((printable(file.id), why_not(error)))
        else:
            if not captions[_stem(file.id)]:
                unpaired.append((printable(file.id), "empty file"))
    found = {file.id: captions.get(caption_of.get(file.id, "")) or [] for file in media}
    unpaired += [(printable(file), f"{thing} without its caption") for file, texts in found.items() if not texts]
    return {file: texts for file, texts in found.items() if texts}, unpaired


def described_by(path: str, captions: Container[str]) -> str | None:
    """The caption of a file, None without one.

    Args:
        captions: paths of caption files, without their endings.
    """
    return next((each for each in caption_names(path) if each in captions), None)


def caption_names(path: str) -> tuple[str, str]:
    """What the caption of a file may be called, without its ending: of `a.png` `a` or `a.png`, of `b` itself `b`."""
    stem = _stem(path) if "." in path.rpartition("/")[2] else path
    # What stands behind a dot need not be an ending: `tour.day 2`.
    return (stem, path) if path.lower().endswith((*endings.IMAGES, *endings.RECORDINGS)) else (path, stem)


def why_not(error: Exception) -> str:
    """Why a caption could not be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start + 1:,}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} in line {error.lineno:,}"
    return reason(error)


def captions_of(described: Any) -> list[str]:
    """The caption in a sample's JSON, or the list of them. Raises `ValueError` where there is none."""
    if isinstance(described, dict):
        for key in KEYS:
            value = described.get(key)
            texts = value if isinstance(value, list) else [value]
            if found := [text.strip() for text in texts if isinstance(text, str) and text.strip()]:
                return found
    raise ValueError(f"no text under {', '.join(KEYS)}")


def _stem(path: str) -> str:
    return path.rpartition(".")[0]
