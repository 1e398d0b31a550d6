"""A service that is asked to end: whoever was let in is answered, and nobody else is let in."""

from __future__ import annotations

import http.client
import io
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

import likewise as lw
from likewise.errors import UserError
from likewise.modalities.run import Run
from served import Serving, ask, connect, health, reply_of, serving
from typed_commands import refused


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 30)).save(content, "PNG")
    return content.getvalue()


def started(process: Serving, content: bytes) -> http.client.HTTPConnection:
    """A request that is let in, but not all there."""
    connection = connect(process.address)
    connection.putrequest("POST", "/embed")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:20])
    while health(process.address).json["queue"] == 0:
        pass
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_who_is_inside_is_answered_and_nobody_else_is_let_in(images_run: Run, number: signal.Signals) -> None:
    content = picture()
    with serving(images_run.path) as process:
        connection = started(process, content)
        process.process.send_signal(number)
        while (told := health(process.address)).status == 200:
            pass
        assert (told.status, told.json["status"]) == (503, "stopping")
        other = ask(process.address, "/embed", content, content_type="image/png")
        assert (other.status, other.error) == (503, "the service is stopping")
        assert other.headers["retry-after"] == "5"
        connection.send(content[20:])
        reply = reply_of(connection)
        assert reply.status == 200
        assert len(reply.json["vectors"]) == 1
        out, err = process.process.communicate(timeout=500)
        assert (process.process.returncode, out) == (0, "")
        assert err.splitlines()[-1] == "stopped: 1 request answered"


def test_none_is_lost_under_load(images_run: Run) -> None:
    """Of eight clients that ask without a pause, each request that was let in has its answer."""
    content = picture()
    answered, lock = [0], threading.Lock()
    running = threading.Event()

    def client(address: str) -> None:
        connection = connect(address)
        while True:
            try:
                connection.request("POST", "/embed", content, {"Content-Type": "image/png"})
                reply = reply_of(connection)
            except (ConnectionError, http.client.HTTPException):
                return  # it was not let in: the service counts who was
            if reply.status != 200:
                assert reply.status == 503
                return
            with lock:
                answered[0] += 1
                if answered[0] >= 30:
                    running.set()

    with serving(images_run.path) as process:
        clients = [threading.Thread(target=client, args=[process.address]) for _ in range(8)]
        for each in clients:
            each.start()
        assert running.wait(500)
        status, err = process.end()
        for each in clients:
            each.join()
    assert status == 0
    assert err.splitlines()[-1] == f"stopped: {answered[0]} requests answered"


def test_a_second_interrupt_ends_it_at_once(images_run: Run) -> None:
    with serving(images_run.path) as process:
        connection = started(process, picture())
        process.process.send_signal(signal.SIGINT)
        while health(process.address).status == 200:
            pass
        status, err = process.end(signal.SIGINT)
        connection.close()
    assert status == 130
    assert "Traceback" not in err


def test_from_python_it_stops_at_the_end_of_the_block(images_run: Run) -> None:
    with lw.serve(images_run, port=0) as service:
        address = service.address
        assert ask(address, "/embed", picture(), content_type="image/png").status == 200
        assert str(service) == f"{address}: images, images, 256 dimensions: /embed /health"
    assert service.answered == 1
    with pytest.raises(ConnectionError):
        health(address)


def test_a_port_in_use(images_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(capsys, "serve", images_run.path, "--port", port) == (
            f"port must be a free one, got {port}, which another program listens at: name another with --port; "
            "0 is any free one"
        )


def test_hosts_that_are_not_of_this_machine(images_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    message = "host must be an address of this machine, got 192.0.2.1"
    assert refused(capsys, "serve", images_run.path, "--host", "192.0.2.1", "--port", 0) == message
    assert refused(capsys, "serve", images_run.path, "--host", "no such host", "--port", 0).startswith("host must be ")


def test_what_cannot_be_served(
    images_run: Run, texts_run: Run, served_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, vectors = images_run.path, served_folder / "vectors.parquet"
    assert refused(capsys, "serve", run, "--port", 70_000) == "port must be from 0 to 65535, got 70000"
    assert refused(capsys, "serve", run, "--queue", 0) == "queue must be at least 1, got 0"
    assert refused(capsys, "serve", run, "--run", run).startswith("--run names the run of a classifier, and ")
    assert refused(capsys, "serve", served_folder).startswith(str(served_folder))
    assert refused(capsys, "serve", run, "--collection", "none.parquet").startswith("no collection none.parquet: ")
    assert refused(capsys, "serve", run, "--collection", run).startswith("collection must be a .parquet file of ")
    other = refused(capsys, "serve", texts_run.path, "--collection", vectors)
    assert other.startswith("collection must hold vectors of ")
    assert refused(capsys, "serve", served_folder / "classifier", "--run", texts_run.path).startswith("run must be the")


def test_another_host_is_told(images_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with lw.serve(images_run, host="0.0.0.0", port=0) as service:
        said = capsys.readouterr().err
        assert said == f"{service.address} answers whoever reaches this machine: LIKEWISE_TOKEN asks for a token\n"


def test_an_extra_that_is_missing(images_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("likewise.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"this needs uvicorn, .*: pip install 'likewise\[serve\]'"):
        lw.serve(images_run)
