"""An HTTP server in a thread of its own, for pages and services of this machine."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from likewise.errors import UserError, needs

STARTING = 30.0  # seconds
OFTEN = 0.02  # seconds
BACKLOG = 2048  # connections that wait to be accepted


class HttpServer:
    """Listens from when it is made, so that a port in use is found before any work, and answers from `start` on.

    Attributes:
        address: such as http://127.0.0.1:8000.

    Args:
        host: a name or an address of this machine.
        port: 0 for any that is free.

    Raises:
        UserError: for a host or a port that cannot be listened at.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, application: Any, *, seconds_to_end: int) -> None:
        """Answer requests from now on; returns when the first can be made.

        Args:
            application: of ASGI.
            seconds_to_end: that answers which are under way may take when it is stopped.
        """
        uvicorn = needs("uvicorn", "serve")
        config = uvicorn.Config(
            application,
            interface="asgi3",
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,  # addresses can hold a token
            server_header=False,
            timeout_graceful_shutdown=seconds_to_end,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="likewise-server", daemon=True
        )
        self._thread.start()
        until = time.monotonic() + STARTING
        while not self._server.started:
            if not self.running or time.monotonic() > until:
                raise RuntimeError("the server did not start")
            time.sleep(OFTEN)

    def stop(self) -> None:
        """End it."""
        if self._thread is None:
            self._socket.close()  # otherwise the server does
            return
        self._server.should_exit = True
        self._thread.join()

    @contextmanager
    def until_asked(self, stop: Callable[[], None]) -> Iterator[None]:
        """Go on after the block until the process is asked to end (SIGTERM, Ctrl-C), then call `stop`.

        Who asks twice does not want to wait: the second time is a `KeyboardInterrupt`.
        """
        asked = threading.Event()

        def ask(number: int, frame: FrameType | None) -> None:
            if asked.is_set():
                raise KeyboardInterrupt
            asked.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
            while not asked.wait(1) and self.running:
                pass
            stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens at this place."""
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
