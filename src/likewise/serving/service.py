"""A running service, that stops when nobody waits for an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from likewise.console import count_of, tell
from likewise.http_server import HttpServer
from likewise.serving.app import served_app
from likewise.serving.gathering import Gatherer
from likewise.serving.model import ServedModel
from likewise.serving.questions import plural

WAIT = 0.003  # s that the first of a batch waits for others
OFTEN = 0.02  # s
SECONDS_TO_END = 10  # for answers, after the gate is closed
MOST_SECONDS = 120  # for those inside, of whom each has less
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
        self._server = HttpServer(host, port)
        self.address = self._server.address
        self._gatherer = Gatherer(model.embed, most=model.compute.batch_size, wait=WAIT)
        self._gate = served_app(
            model,
            self._gatherer,
            most_bytes=most_bytes,
            room=room,
            token=token,
            hosts=LOCAL if host in LOCAL else None,
        )
        self._server.start(self._gate, seconds_to_end=SECONDS_TO_END)

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
        while self._gate.inside and self._server.running and time.monotonic() < latest:
            time.sleep(OFTEN)
        self._server.stop()
        self._gatherer.close()

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Go on after the block until the process is asked to end (SIGTERM, Ctrl-C), then stop.

        Who asks twice does not want to wait: the second time ends it at once.
        """
        with self._server.until_asked(self.stop):
            yield
        tell(f"stopped: {count_of(self.answered, 'request')} answered")
