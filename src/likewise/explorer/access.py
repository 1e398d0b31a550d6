"""Who may ask a local server: whoever has the token of its address, under a name of this machine."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost")
"""Of the Host header. A page of another site that makes its name mean 127.0.0.1 sends its own name (DNS rebinding)."""
LARGEST_BODY = 2**24
"""Bytes of a request: a million places have half."""


class GuardedApplication:
    """An application whose every address begins with a token; all other requests are refused.

    Ports are not compared: a page that is forwarded from another machine has another one.
    """

    def __init__(self, application: Application, token: str, headers: dict[str, str]) -> None:
        self.application = application
        self.token = token.encode()
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"])
        _, token, path = [*scope["path"].split("/", 2), "", ""][:3]
        # All of the token is compared, however early it differs.
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self.token)
        if _name(given.get(b"host", b"")) not in NAMES:
            await self._refuse(send, 421, "this address is not of this server")
        elif not known:
            await self._refuse(send, 403, "the address must have the token that was printed")
        elif not _is_small(given, scope["method"]):
            await self._refuse(send, 413, f"a request must have at most {LARGEST_BODY:,} bytes, and say how many")
        else:
            inner = {**scope, "path": f"/{path}", "raw_path": f"/{path}".encode("utf-8", "replace")}
            await self.application(inner, receive, self._with_headers(send))

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self.headers]}
            await send(message)

        return sent

    async def _refuse(self, send: Send, status: int, why: str) -> None:
        body = f"{why}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *self.headers]})
        await send({"type": "http.response.body", "body": body})


def _name(host: bytes) -> str:
    """The name in a Host header, without the port."""
    return host.decode("latin-1").rpartition(":")[0] or host.decode("latin-1")


def _is_small(headers: dict[bytes, bytes], method: str) -> bool:
    if method in ("GET", "HEAD"):
        return True
    length = headers.get(b"content-length", b"")
    return length.isdigit() and int(length) <= LARGEST_BODY
