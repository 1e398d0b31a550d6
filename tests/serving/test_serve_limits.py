"""What a service refuses, and what it never does, whatever strangers send."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from PIL import Image

import likewise as lw
from likewise.modalities.run import Run
from likewise.serving import app as app_module
from likewise.serving import readers
from likewise.serving.service import Service
from served import AS_JSON, Reply, ask, ask_json, base64_of, connect, health, reply_of

MOST = 16_000_000


def picture(side: int = 16, **how: object) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(content, "PNG", **how)
    return content.getvalue()


@pytest.fixture(scope="module")
def service(images_run: Run) -> Iterator[Service]:
    with lw.serve(images_run, port=0) as running:
        yield running


def embed(service: Service, body: bytes, **headers: str) -> Reply:
    return ask(service.address, "/embed", body, **headers or {"content_type": "image/png"})


def test_a_sample_that_is_no_image_is_named(service: Service) -> None:
    good = picture()
    reply = ask_json(service.address, "/embed", images=base64_of(good, good[:40], good))
    assert reply.status == 400
    assert reply.error.startswith("sample 1 is no image that can be read: ")
    assert embed(service, b"").error == "sample 0 is no image that can be read: it is empty"
    heic = embed(service, b"\0\0\0\x18ftypheic" + bytes(300))
    assert heic.error == "sample 0 is no image that can be read: HEIC, which is not read: convert it to PNG or TIFF"
    not_base64 = ask_json(service.address, "/embed", images=[base64_of(good)[0], "photo.png"])
    assert (not_base64.status, not_base64.error) == (400, "sample 1 must be the bytes of a file as base64")


def test_no_name_in_a_request_is_opened(service: Service, images_run: Run, working_folder: Path) -> None:
    """Neither a path, nor an address, whether as text or as bytes; and nothing says whether a file is there."""
    own = next((images_run.path.parent / "colours").rglob("*.png"))
    names = [str(own), own.as_uri(), "/etc/passwd", "http://127.0.0.1:1/x.png"]
    replies = [embed(service, name.encode()) for name in names]
    replies += [ask_json(service.address, "/embed", images=[name]) for name in names]
    replies += [ask_json(service.address, "/embed", images=base64_of(name.encode())) for name in names]
    assert {reply.status for reply in replies} == {400}
    assert not any("passwd" in reply.error or str(own) in reply.error for reply in replies)
    assert len({reply.error for reply in replies}) == 2  # no image, and no base64


def test_nothing_is_left_of_a_request(service: Service, working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(working_folder))
    assert embed(service, picture()).status == 200
    assert embed(service, picture()[:50]).status == 400
    assert list(working_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "the body is no JSON"),
        (b"[" * 100_000, 400, "the body is no JSON"),
        (b"\xff\xfe", 400, "the body is no JSON"),
        (b"[]", 400, 'the JSON must be {"images": [base64, …]}, and nothing else'),
        (b'{"images": [], "top": 3}', 400, 'the JSON must be {"images": [base64, …]}, and nothing else'),
        (b'{"path": ["x.png"]}', 400, 'the JSON must be {"images": [base64, …]}, and nothing else'),
        (b'{"images": []}', 400, "images must be a list of at least one file as base64"),
        (b'{"images": "x"}', 400, "images must be a list of at least one file as base64"),
        (b'{"images": [1]}', 400, "images must be a list of at least one file as base64"),
        (b'{"texts": ["x"]}', 415, "samples must be images, got texts"),
    ],
)
def test_json_of_another_shape(service: Service, body: bytes, status: int, said: str) -> None:
    reply = ask(service.address, "/embed", body, **AS_JSON)
    assert (reply.status, reply.error) == (status, said)


def test_other_types_of_bodies(service: Service) -> None:
    for kind in ("text/plain", "audio/wav", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        reply = embed(service, picture(), content_type=kind)
        assert reply.status == 415
        assert reply.error.startswith("content-type must be image/… (one sample) or application/json (")


def test_too_many_samples(service: Service) -> None:
    reply = ask_json(service.address, "/embed", images=["AA=="] * 257)
    assert reply.status == 413
    assert reply.error == "images must be at most 256 in a request here, got 257: ask several times"


def test_a_body_that_is_too_large_is_not_read(service: Service) -> None:
    connection = connect(service.address)
    connection.putrequest("POST", "/embed")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", str(MOST + 1))
    connection.endheaders()  # and nothing of it
    reply = reply_of(connection)
    assert (reply.status, reply.error) == (413, "the body must be at most 16,000,000 bytes")


def test_a_body_of_unknown_length_ends_where_it_is_too_large(images_run: Run) -> None:
    with lw.serve(images_run, port=0, max_megabytes=1) as service:
        connection = connect(service.address)
        connection.request("POST", "/embed", iter([bytes(10**6), b"x"]), {"Content-Type": "image/png"})
        assert reply_of(connection).status == 413
        assert embed(service, picture()).status == 200


def test_a_body_that_does_not_come(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "READ_SECONDS", 0.2)
    connection = connect(service.address)
    connection.putrequest("POST", "/embed")
    connection.putheader("Content-Length", "10")
    connection.endheaders(b"only")
    reply = reply_of(connection)
    assert (reply.status, reply.error) == (408, "the body must come within 0.2 s")
    assert health(service.address).json["queue"] == 0


def test_an_answer_that_takes_too_long(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder's thread waits; what is cancelled is not computed."""
    monkeypatch.setattr(app_module, "ANSWER_SECONDS", 0.2)
    go_on, computed = threading.Event(), []
    usual = service._gatherer.compute

    def slow(modality: str, rows: object) -> np.ndarray:
        go_on.wait(100)
        computed.append(modality)
        return usual(modality, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(service._gatherer, "compute", slow)
    replies = [embed(service, picture()) for _ in range(2)]
    go_on.set()
    assert [reply.status for reply in replies] == [504, 504]
    monkeypatch.undo()
    assert embed(service, picture()).status == 200
    assert len(computed) == 1


def test_requests_above_the_queue_are_to_come_again(images_run: Run) -> None:
    """One whose body is on its way has its place: no other is let in until it is answered."""
    with lw.serve(images_run, port=0, queue=1) as service:
        content = picture()
        connection = connect(service.address)
        connection.putrequest("POST", "/embed")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content[:20])
        while health(service.address).json["queue"] == 0:
            pass
        refused = embed(service, content)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.error == "1 requests are waiting already: ask again later"
        connection.send(content[20:])
        assert reply_of(connection).status == 200
        assert embed(service, content).status == 200


def test_a_failure_of_ours_is_told_on_stderr_only(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(modality: str, rows: object) -> np.ndarray:
        raise RuntimeError("secret of /home/someone\x1b[2J")

    monkeypatch.setattr(service._gatherer, "compute", broken)
    reply = embed(service, picture())
    assert (reply.status, reply.error) == (500, "the service failed, and its log says why")
    assert capsys.readouterr().err == "/embed failed: RuntimeError: secret of /home/someone\\x1b[2J\n"


def test_other_addresses_and_methods(service: Service) -> None:
    replies = [
        ask(service.address, "/predict", picture()),
        ask(service.address, "/search", picture()),
        ask(service.address, "/embed/", picture()),
        ask(service.address, "/../etc/passwd", method="GET"),
        ask(service.address, "/embed", method="GET"),
        ask(service.address, "/health"),
    ]
    assert [reply.status for reply in replies] == [404, 404, 404, 404, 405, 405]
    assert replies[0].error.startswith("this service has no classifier: ")
    assert all(reply.headers["content-type"] == "application/json" for reply in replies)


def test_top_is_a_number_of_matches(images_run: Run) -> None:
    collection = images_run.path.parent / "vectors.parquet"
    with lw.serve(images_run, port=0, collection=collection) as service:

        def search(query: str, content: bytes = picture()) -> Reply:
            return ask(service.address, f"/search{query}", content, content_type="image/png")

        assert len(search("").json["matches"]) == 10
        assert len(search("?top=1000").json["matches"]) == 48
        for wrong in ("0", "1001", "-1", "1e2", "", "99999999999999999999", "%F0%9F%98%80"):
            reply = search(f"?top={wrong}")
            assert reply.status == 400
            assert reply.error.startswith("top must be a whole number from 1 to 1,000, got ")
        several = ask_json(service.address, "/search", images=base64_of(picture(), picture()))
        assert (several.status, several.error.partition(":")[0]) == (
            413,
            "images must be at most 1 in a request here, got 2",
        )


def test_another_name_of_this_machine_is_refused(service: Service) -> None:
    """A page whose name was made to lead here reads nothing, not even what is served."""
    port = urlsplit(service.address).port
    for path, method in (("/health", "GET"), ("/embed", "POST")):
        reply = ask(service.address, path, picture(), method, host=f"example.org:{port}", content_type="image/png")
        assert (reply.status, reply.error) == (400, "host must be 127.0.0.1 or ::1 or localhost, got another one")
        for own in (f"localhost:{port}", f"[::1]:{port}"):
            assert ask(service.address, path, picture(), method, host=own, content_type="image/png").status == 200


def test_a_token_of_the_environment(images_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_TOKEN", "sesame")
    with lw.serve(images_run, port=0) as service:
        for wrong in ({}, {"authorization": "Bearer sesam"}, {"authorization": "sesame"}, {"authorization": "Bearer"}):
            reply = embed(service, picture(), content_type="image/png", **wrong)
            assert (reply.status, reply.error) == (401, "the header authorization must be Bearer TOKEN")
        assert embed(service, picture(), content_type="image/png", authorization="Bearer sesame").status == 200
        assert health(service.address).status == 200


def test_no_bytes_make_it_fail(service: Service) -> None:
    """Requests that are none, on a connection of their own each; it answers others as before."""
    place = urlsplit(service.address)
    random = np.random.default_rng(0)
    noise = [random.bytes(200) for _ in range(5)]
    heads = [b"POST /embed HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50]
    for content in (*noise, *heads, b"POST /embed HTTP/1.1\r\nHost: x\r\nHost: " + b"y" * 70_000):
        with socket.create_connection((place.hostname, place.port), timeout=100) as connection:
            connection.sendall(content)
    assert embed(service, picture()).status == 200


def test_a_picture_that_is_too_large_to_be_decoded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    reply = embed(service, picture(64))
    assert reply.status == 400
    assert "too large to be decoded safely" in reply.error


def recording(seconds: float, rate: int = 2000, channels: int = 1) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.zeros((int(seconds * rate), channels), np.float32), rate, format="WAV")
    return content.getvalue()


def test_recordings_that_take_long_to_decode(recordings_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with lw.serve(recordings_run, port=0) as service:

        def said(content: bytes) -> Reply:
            return ask(service.address, "/embed", content, content_type="audio/wav")

        assert said(recording(601)).error.endswith(": it is longer than 10 minutes")
        assert said(recording(0.1, channels=65)).error.endswith(": it has 65 channels, and 64 at most are read")
        long = said(recording(61))
        assert long.json["notes"] == ["1 recording is longer than 30 s: only the first piece is embedded"]
        monkeypatch.setattr(readers, "MOST_VALUES", 1000)
        assert said(recording(1)).error.endswith(": it is longer than 10 minutes")
