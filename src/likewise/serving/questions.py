"""What a request asks: samples of one modality, by the type of its body."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from typing import Any, NamedTuple

from likewise.registry import load_modality
from likewise.serving.refusal import Refusal

MOST_SAMPLES = 256
"""In one request."""
JSON = "application/json"
BYTES = "application/octet-stream"
OF_FILES = ("image", "audio")


class Question(NamedTuple):
    """The samples of a request, not yet decoded."""

    modality: str
    given: list[Any]
    """Bytes of files, or texts."""


def question_of(content_type: str, body: bytes, taken: Collection[str], *, most: int = MOST_SAMPLES) -> Question:
    """What a body holds.

    A body of type `image/…`, `audio/…` or `text/plain` is one sample; `application/octet-stream` too, where one kind of
    files is taken. JSON is an object of one list: {"images": [base64, …]}, {"recordings": [base64, …]} or
    {"texts": [text, …]}.

    Args:
        content_type: as the header has it.
        body: the whole of it.
        taken: the modalities that are taken.
        most: samples.

    Raises:
        Refusal: for a body of another type (415), one that is not what its type says (400), or too many samples (413).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        return _of_json(body, taken, most)
    modality = _modality_of(kind, taken)
    if modality is None or modality not in taken:
        raise Refusal(415, f"content-type must be {_types(taken)}, got {kind[:80] or 'none'}")
    return Question(modality, [_text(body) if modality == "text" else body])


def plural(modality: str) -> str:
    """The key of samples of a modality in JSON: images, texts, recordings."""
    return load_modality(modality).nouns[1]


def _modality_of(kind: str, taken: Collection[str]) -> str | None:
    if kind == "text/plain":
        return "text"
    if kind == BYTES:
        files = [modality for modality in OF_FILES if modality in taken]
        return files[0] if len(files) == 1 else None
    top = kind.partition("/")[0]
    return top if top in OF_FILES else None


def _types(taken: Collection[str]) -> str:
    """The types of bodies that are taken, for a message."""
    single = ["text/plain" if modality == "text" else f"{modality}/…" for modality in taken]
    return f"{', '.join(single)} (one sample) or {JSON} ({_shapes(taken)})"


def _shapes(taken: Collection[str]) -> str:
    shown = [f'{{"{plural(modality)}": [{"text" if modality == "text" else "base64"}, …]}}' for modality in taken]
    return " or ".join(shown)


def _of_json(body: bytes, taken: Collection[str], most: int) -> Question:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is no JSON") from error
    by_key = {plural(modality): modality for modality in ("image", "text", "audio")}
    if not isinstance(asked, dict) or len(asked) != 1 or not set(asked) <= set(by_key):
        raise Refusal(400, f"the JSON must be {_shapes(taken)}, and nothing else")
    [(key, given)] = asked.items()
    modality = by_key[key]
    if modality not in taken:
        raise Refusal(415, f"samples must be {' or '.join(map(plural, taken))}, got {key}")
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise Refusal(400, f"{key} must be a list of at least one {'text' if modality == 'text' else 'file as base64'}")
    if len(given) > most:
        raise Refusal(413, f"{key} must be at most {most} in a request here, got {len(given):,}: ask several times")
    return Question(modality, given if modality == "text" else [_bytes(one, place) for place, one in enumerate(given)])


def _bytes(text: str, place: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"sample {place} must be the bytes of a file as base64") from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "the text must be UTF-8") from error
