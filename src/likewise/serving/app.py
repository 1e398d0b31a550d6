"""The addresses of the service: /embed, /predict, /search and /health."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from jaxtyping import Float32
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from likewise.console import one_line, tell
from likewise.errors import UserError
from likewise.serving.gate import HEALTH, Gate, refused
from likewise.serving.gathering import Gatherer
from likewise.serving.model import ServedModel
from likewise.serving.questions import BYTES, MOST_SAMPLES, Question, plural, question_of
from likewise.serving.readers import Prepared, prepare_all
from likewise.serving.refusal import Refusal

READ_SECONDS = 30
"""For the body of a request to arrive."""
ANSWER_SECONDS = 60
"""For a request to be answered once it is there."""
MOST_MATCHES = 1000
TOP = 10
Made = TypeVar("Made")


class Answered(NamedTuple):
    """The vectors of a request's samples."""

    vectors: Float32[np.ndarray, "n dim"]
    notes: list[str]


class Endpoint:
    """Answers requests at an address, or says why not; what is our fault is told on stderr.

    Args:
        answer: to one request.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            response = await self.answer(Request(scope, receive))
        except Refusal as refusal:
            response = refused(refusal)
        except UserError as error:
            response = refused(Refusal(400, one_line(str(error))))
        except Exception as error:
            tell(one_line(f"{scope['path']} failed: {type(error).__name__}: {error}"))
            response = refused(Refusal(500, "the service failed, and its log says why"))
        await response(scope, receive, send)


class ServedRequests:
    """Answers requests: what decodes and writes runs in threads, what embeds in the one of the gatherer.

    Args:
        model: what they are answered with.
        gatherer: embeds samples for all requests.
        most_bytes: of a request's body.
    """

    def __init__(self, model: ServedModel, gatherer: Gatherer, *, most_bytes: int) -> None:
        self.model = model
        self.gatherer = gatherer
        self.most_bytes = most_bytes
        # Made in the thread of the server, by the first request.
        self._threads: CapacityLimiter | None = None

    async def embed(self, request: Request) -> Response:
        answered = await self._vectors(request, list(self.model.halves))
        if BYTES in request.headers.get("accept", ""):
            vectors = answered.vectors.astype("<f4", copy=False)
            shape = {"X-Samples": str(len(vectors)), "X-Dim": str(vectors.shape[1])}
            return Response(vectors.tobytes(), media_type=BYTES, headers=shape)
        return await self._as_json(
            lambda: {"vectors": answered.vectors.tolist(), "dim": self.model.dim, "notes": answered.notes}
        )

    async def predict(self, request: Request) -> Response:
        head = self.model.head
        if head is None:
            raise Refusal(404, "this service has no classifier: `likewise serve CLASSIFIER` starts one that has")
        vectors, notes = await self._vectors(request, [head.modality])
        return await self._as_json(lambda: {"predictions": head.answers(vectors), "notes": notes})

    async def search(self, request: Request) -> Response:
        collection = self.model.collection
        if collection is None:
            raise Refusal(404, "this service has no collection: `likewise serve --collection FILE` starts one that has")
        top = _top(request)
        vectors, notes = await self._vectors(request, list(self.model.halves), most=1)
        return await self._as_json(lambda: {"matches": collection.matches(vectors[0], top), "notes": notes})

    async def _vectors(self, request: Request, taken: list[str], *, most: int = MOST_SAMPLES) -> Answered:
        body = await _body_of(request, self.most_bytes)
        content_type = request.headers.get("content-type", "")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._embedded(partial(question_of, content_type, body, taken, most=most))
        except TimeoutError as error:
            raise Refusal(504, f"it took longer than {ANSWER_SECONDS} s: ask for fewer samples at once") from error

    async def _embedded(self, read: Callable[[], Question]) -> Answered:
        modality, prepared = await self._in_thread(lambda: self._prepared(read()))
        vectors = await asyncio.wrap_future(self.gatherer.submit(modality, [one.row for one in prepared]))
        cut = sum(one.is_cut for one in prepared)
        return Answered(vectors, [self.model.halves[modality].reader.cut_note(cut)] if cut else [])

    def _prepared(self, question: Question) -> tuple[str, list[Prepared]]:
        return question.modality, prepare_all(self.model.halves[question.modality].reader, question.given)

    async def _as_json(self, content: Callable[[], dict[str, Any]]) -> Response:
        written = await self._in_thread(lambda: json.dumps(content(), separators=(",", ":")).encode())
        return Response(written, media_type="application/json")

    async def _in_thread(self, work: Callable[[], Made]) -> Made:
        self._threads = self._threads or CapacityLimiter(os.cpu_count() or 1)
        return await to_thread.run_sync(work, limiter=self._threads)


def served_app(
    model: ServedModel,
    gatherer: Gatherer,
    *,
    most_bytes: int,
    room: int,
    token: str | None,
    hosts: frozenset[str] | None,
) -> Gate:
    """The application that a server runs."""
    requests = ServedRequests(model, gatherer, most_bytes=most_bytes)
    answers = {"/embed": requests.embed, "/predict": requests.predict, "/search": requests.search}

    async def health(_: Request) -> Response:
        about = {"model": model.name, "takes": [*map(plural, model.halves)], "dim": model.dim, "queue": gate.inside}
        return JSONResponse(
            {"status": "stopping" if gate.stopping else "ready", **about}, 503 if gate.stopping else 200
        )

    routes = [Route(path, Endpoint(answer), methods=["POST"]) for path, answer in answers.items()]
    routes.append(Route(HEALTH, Endpoint(health), methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_refusal})
    app.router.redirect_slashes = False
    gate = Gate(app, room=room, token=token, hosts=hosts)
    return gate


def _http_refusal(request: Request, error: Any) -> Response:
    """An address or a method that is none."""
    return refused(Refusal(error.status_code, error.detail, error.headers))


async def _body_of(request: Request, most: int) -> bytes:
    """The whole body. Raises `Refusal` for one that is too large, or does not come."""
    too_large = Refusal(413, f"the body must be at most {most:,} bytes")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError as error:
        raise Refusal(408, f"the body must come within {READ_SECONDS} s", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise Refusal(400, "the body ended early") from error
    return b"".join(parts)


def _top(request: Request) -> int:
    given = request.query_params.get("top", str(TOP))
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:5]) <= MOST_MATCHES and len(given) < 5):
        raise Refusal(400, f"top must be a whole number from 1 to {MOST_MATCHES:,}, got {given[:20]!r}")
    return int(given)
