"""The addresses of the page's server: the page, the samples' values, samples by their place, searches, labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Lock
from typing import Any

import torch

from likewise.errors import UserError, needs
from likewise.explorer.access import GuardedApplication
from likewise.explorer.exploration import Exploration
from likewise.explorer.page import page_html, security_headers

MOST_AT_ONCE = 200
"""Samples that one request asks about."""
LONGEST_QUERY = 10_000
"""Letters."""

Answer = Callable[[Any], Any]


def application(exploration: Exploration, token: str) -> GuardedApplication:
    """The application; every address begins with the token."""
    routing, applications = needs("starlette.routing", "serve"), needs("starlette.applications", "serve")
    asked = Requests(exploration)
    routes = [
        routing.Route(path, _answering(answer))
        for path, answer in {
            "/": asked.page,
            "/scene": asked.scene,
            "/labels": asked.labels,
            "/values/{name}": asked.values,
            "/samples": asked.samples,
            "/samples/{place:int}/picture/{part:int}": asked.picture,
            "/samples/{place:int}/sound/{part:int}": asked.sound,
            "/find/words": asked.words,
            "/find/meaning": asked.meaning,
            "/find/like": asked.like,
            "/find/faults": asked.faults,
        }.items()
    ]
    routes += [
        routing.Route("/labels", _changing(asked.give), methods=["POST"]),
        routing.Route("/undo", _changing(asked.undo), methods=["POST"]),
    ]
    return GuardedApplication(applications.Starlette(routes=routes), token, security_headers())


class Requests:
    """What each address answers: bytes with their media type, or what becomes JSON."""

    def __init__(self, exploration: Exploration) -> None:
        self.exploration = exploration
        self._page = page_html().encode()
        self._lock = Lock()  # changes of labels, and encoding, one after the other

    def page(self, request: Any) -> tuple[str, bytes]:
        return "text/html; charset=utf-8", self._page

    def scene(self, request: Any) -> Any:
        return self.exploration.summary()

    def labels(self, request: Any) -> Any:
        return self.exploration.labels_state()

    def values(self, request: Any) -> tuple[str, bytes]:
        return "application/octet-stream", self.exploration.values(request.path_params["name"])

    def samples(self, request: Any) -> Any:
        places = request.query_params.get("at", "").split(",")
        if len(places) > MOST_AT_ONCE:
            raise UserError(f"at must have at most {MOST_AT_ONCE} places, got {len(places):,}")
        return self.exploration.about([self._place(place) for place in places])

    def picture(self, request: Any) -> tuple[str, bytes]:
        return self._part(request, lambda seen: seen.pictures)

    def sound(self, request: Any) -> tuple[str, bytes]:
        return self._part(request, lambda seen: [("audio/wav", each) for each in seen.sounds])

    def words(self, request: Any) -> Any:
        return [[place, None] for place in self.exploration.with_words(_query(request))]

    def meaning(self, request: Any) -> Any:
        encode = self.exploration.encode_text
        if encode is None:
            raise UserError("the encoder takes no texts: search for words")
        text = _query(request).strip()
        if not text:
            return []
        with self._lock:
            query = encode(text)
        return self.exploration.similar(query)

    def like(self, request: Any) -> Any:
        place = self._place(request.query_params.get("place", ""))
        return self.exploration.similar(torch.from_numpy(self.exploration.features[place]))

    def faults(self, request: Any) -> Any:
        return [[place, None] for place in self.exploration.with_faults(_query(request))]

    def give(self, body: Any) -> Any:
        places, label = body.get("places"), body.get("label")
        if not isinstance(label, str) or not isinstance(places, list) or not places:
            raise UserError("labels must be given as places and a label")
        with self._lock:
            self.exploration.labels.give([self._place(place) for place in places], label)
        return self.exploration.labels_state()

    def undo(self, body: Any) -> Any:
        with self._lock:
            self.exploration.labels.undo()
        return self.exploration.labels_state()

    def _place(self, given: Any) -> int:
        """The place of a sample; `UserError` for anything else."""
        if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 16:
            given = int(given)
        if type(given) is not int or not 0 <= given < len(self.exploration):
            raise UserError(f"place must be from 0 to {len(self.exploration) - 1}, got {str(given)[:40]!r}")
        return given

    def _part(self, request: Any, parts_of: Callable[[Any], list[tuple[str, bytes]]]) -> tuple[str, bytes]:
        place, part = self._place(request.path_params["place"]), request.path_params["part"]
        seen = self.exploration.appearances
        parts = [] if seen is None else parts_of(seen.of(place))
        if not part < len(parts):
            raise UserError(f"sample {place} has no part {part}")
        return parts[part]


def _query(request: Any) -> str:
    text = str(request.query_params.get("q", ""))
    if len(text) > LONGEST_QUERY:
        raise UserError(f"a query must have at most {LONGEST_QUERY:,} letters, got {len(text):,}")
    return text


def _answering(answer: Answer) -> Callable[[Any], Any]:
    """A GET: answered in a thread, mistakes as one line."""

    def respond(request: Any) -> Any:
        return _response(lambda: answer(request))

    return respond


def _changing(answer: Answer) -> Callable[[Any], Any]:
    """A POST with a JSON object."""
    in_thread = needs("starlette.concurrency", "serve").run_in_threadpool

    async def respond(request: Any) -> Any:
        content = await request.body()
        return await in_thread(_response, lambda: answer(_object(content)))

    return respond


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError("a request must be JSON") from error
    if not isinstance(found, dict):
        raise UserError("a request must be a JSON object")
    return found


def _response(answer: Callable[[], Any]) -> Any:
    responses = needs("starlette.responses", "serve")
    try:
        found = answer()
    except UserError as error:
        return responses.Response(json.dumps({"error": str(error)}), 400, media_type="application/json")
    if isinstance(found, tuple):
        media_type, content = found
        return responses.Response(content, media_type=media_type)
    # Names of files may hold what no UTF-8 can: escapes of JSON can.
    return responses.Response(json.dumps(found), media_type="application/json")
