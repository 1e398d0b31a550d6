"""A server for this machine only, in a thread of its own."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from likewise.errors import UserError, needs

ADDRESS = "127.0.0.1"
STARTING = 30.0
"""Seconds."""
SECONDS_TO_END = 3
"""That answers which are under way may take when the server is closed."""
ENDING = 60.0
"""Seconds, on a busy machine."""


class LocalServer:
    """A server on 127.0.0.1. The port is taken at once, so that one that is in use is found before any work.

    Attributes: `port`.

    Args:
        port: 0 for any that is free.

    Raises:
        UserError: for a port that is in use, or may not be used.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two programs have one port
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((ADDRESS, port))
        except OSError as error:
            self._socket.close()
            used = error.errno == errno.EADDRINUSE
            why = "which another program uses" if used else f"which can't be used ({error.strerror})"
            raise UserError(f"port must be a free one, got {port}, {why}: leave it out, or name another") from error
        self.port = int(self._socket.getsockname()[1])
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self, application: Any) -> None:
        """Answer requests from now on; returns when the first can be made."""
        uvicorn = needs("uvicorn", "serve")
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,  # addresses hold a token
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_END,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="likewise explore", daemon=True
        )
        self._thread.start()
        until = time.monotonic() + STARTING
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("the server did not start")
            time.sleep(0.01)

    def wait(self) -> None:
        """Until Ctrl-C, or until `close` is called."""
        with suppress(KeyboardInterrupt):
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(1.0)
        self.close()

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(ENDING)
        else:
            self._socket.close()  # otherwise the server does
