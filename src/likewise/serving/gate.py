"""What lets requests in: as many as there is room for, of those who may ask, until the service stops."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from likewise.serving.refusal import Refusal

HEALTH = "/health"


def refused(refusal: Refusal) -> JSONResponse:
    """The response to a request that is not answered."""
    return JSONResponse({"error": refusal.reason}, refusal.status, refusal.headers)


class Gate:
    """Lets requests into an application, and counts them. All of it runs in the thread of the server.

    Args:
        app: answers those that are let in.
        room: how many may be inside at once, waiting or being answered.
        token: what requests must bear; None: anything is let in.
        hosts: the names by which the service may be called; None: any. A page in a browser, whose own name was made to
            lead to this machine, has another one.

    Attributes:
        inside: how many requests are inside.
        answered: how many have left, their response sent.
        stopping: whether no more are let in.
    """

    def __init__(self, app: Any, *, room: int, token: str | None, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.room = room
        self.token = token
        self.hosts = hosts
        self.inside = self.answered = 0
        self.stopping = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            self._check(scope)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
            return
        if scope["path"] == HEALTH:
            await self.app(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
            self.answered += 1

    def _check(self, scope: Mapping[str, Any]) -> None:
        headers = dict(scope["headers"])
        host = _name_of(headers.get(b"host", b"").decode("latin-1"))
        if self.hosts is not None and host and host not in self.hosts:
            raise Refusal(400, f"host must be {' or '.join(sorted(self.hosts))}, got another one")
        if scope["path"] == HEALTH:
            return
        if self.token is not None and not _bears(headers.get(b"authorization", b""), self.token):
            raise Refusal(401, "the header authorization must be Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if self.stopping:
            raise Refusal(503, "the service is stopping", {"Retry-After": "5"})
        if self.inside >= self.room:
            raise Refusal(429, f"{self.room} requests are waiting already: ask again later", {"Retry-After": "1"})


def _bears(authorization: bytes, token: str) -> bool:
    kind, _, given = authorization.partition(b" ")
    return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


def _name_of(host: str) -> str:
    """Without the port: of `[::1]:8000`, ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
