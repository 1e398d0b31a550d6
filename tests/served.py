"""A service as a user starts it, in a process of its own, and requests to it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from forked import Typed

AS_JSON = {"Content-Type": "application/json"}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        return self.json["error"]


def connect(address: str) -> http.client.HTTPConnection:
    place = urlsplit(address)
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=100)


def reply_of(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def ask(address: str, path: str, body: bytes | None = None, method: str = "POST", **headers: str) -> Reply:
    """One request; underscores of the headers' names are hyphens."""
    connection = connect(address)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return reply_of(connection)
    finally:
        connection.close()


def ask_json(address: str, path: str, **content: Any) -> Reply:
    return ask(address, path, json.dumps(content).encode(), **AS_JSON)


def health(address: str) -> Reply:
    return ask(address, "/health", method="GET")


def base64_of(*contents: bytes) -> list[str]:
    return [base64.b64encode(content).decode() for content in contents]


@dataclass
class Serving:
    """A process that serves."""

    process: Typed | subprocess.Popen[str]
    about: dict[str, Any]
    """What it said when it was ready."""

    @property
    def address(self) -> str:
        return self.about["address"]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Ask it to end; its exit status and what it said on stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=500)
        assert out == ""
        return self.process.returncode, err


@contextmanager
def serving(*words: object, is_new: bool = False, **environment: str) -> Iterator[Serving]:
    """`likewise serve …` on any free port; `is_new`: by a Python that begins with it, which takes seconds."""
    words, environment = ("serve", *words, "--port", "0", "--json"), {"OMP_NUM_THREADS": "1"} | environment
    process: Typed | subprocess.Popen[str]
    if is_new:
        process = subprocess.Popen(
            [sys.executable, "-m", "likewise.cli", *map(str, words)],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    else:
        process = Typed(*words, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Serving(process, json.loads(line))
    finally:
        process.kill()
        process.communicate()
