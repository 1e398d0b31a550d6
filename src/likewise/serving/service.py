"""A server in a thread of its own, that stops when nobody waits for an answer."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from likewise.console import count_of, tell
from likewise.errors import UserError
from likewise.serving.app import served_app
from likewise.serving.gathering import Gatherer
from likewise.serving.model import ServedModel
from likewise.serving.questions import plural

WAIT = 0.003  # s that the first of a batch waits for others
OFTEN = 0.02  # s
MOST_SECONDS = 120  # for those inside, of whom each has less
BACKLOG = 2048
LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


class Service:
    """A running service. `likewise.serve` starts one.

    Attributes:
        address: where it listens, such as http://127.0.0.1:8000.
        model: what it answers with.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        host: str,
        port: int,
        room: int,
        most_bytes: int,
        token: str | None,
    ) -> None:
        """Start it; it answers when this returns.

        Args:
            host, port: to listen at; port 0 is any free one.
            room: requests that may wait or be answered at once.
            most_bytes: of a request.
            token: see `likewise.serving.gate.Gate`.

        Raises:
            UserError: for a host or a port that cannot be listened at.
        """
        self.model = model
        listening = _bound(host, port)
        port = listening.getsockname()[1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._gatherer = Gatherer(model.embed, most=model.compute.batch_size, wait=WAIT)
        self._gate = served_app(
            model,
            self._gatherer,
            most_bytes=most_bytes,
            room=room,
            token=token,
            hosts=LOCAL if host in LOCAL else None,
        )
        config = uvicorn.Config(
            self._gate,
            interface="asgi3",
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="likewise-server", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(OFTEN)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __str__(self) -> str:
        takes = " and ".join(map(plural, self.model.halves))
        return f"{self.address}: {self.model.name}, {takes}, {self.model.dim} dimensions: {' '.join(self.paths)}"

    def to_json(self) -> dict[str, Any]:
        takes = [*map(plural, self.model.halves)]
        about = {"model": self.model.name, "takes": takes, "dim": self.model.dim}
        return {"address": self.address, **about, "paths": self.paths}

    @property
    def paths(self) -> list[str]:
        """What it answers."""
        also = {"/predict": self.model.head, "/search": self.model.collection}
        return ["/embed", *(path for path, what in also.items() if what is not None), "/health"]

    @property
    def answered(self) -> int:
        """How many requests have been answered."""
        return self._gate.answered

    def stop(self) -> None:
        """Answer the requests that are inside, let in no others, and end."""
        self._gate.stopping = True
        latest = time.monotonic() + MOST_SECONDS
        while self._gate.inside and self._thread.is_alive() and time.monotonic() < latest:
            time.sleep(OFTEN)
        self._server.should_exit = True
        self._thread.join()
        self._gatherer.close()

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Go on after the block until the process is asked to end (SIGTERM, Ctrl-C), then stop.

        Who asks twice does not want to wait: the second time ends it at once.
        """
        asked = threading.Event()

        def ask(number: int, frame: FrameType | None) -> None:
            if asked.is_set():
                raise KeyboardInterrupt
            asked.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
            while not asked.wait(1) and self._thread.is_alive():
                pass
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        tell(f"stopped: {count_of(self.answered, 'request')} answered")


def _bound(host: str, port: int) -> socket.socket:
    """A socket at this place."""
    try:
        [(family, kind, protocol, _, place), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"host must be an address of this machine, got {host}: 127.0.0.1 is this machine only"
        ) from error
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere, it would share a port that is in use
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            why = "which another program listens at: name another with --port; 0 is any free one"
        elif error.errno == errno.EACCES:
            why = "which this user may not listen at: name one above 1023 with --port"
        else:
            raise UserError(f"host must be an address of this machine, got {host}") from error
        raise UserError(f"port must be a free one, got {port}, {why}") from error
    return listening
