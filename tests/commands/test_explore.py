"""`likewise explore` as it is typed: who is answered, what is served of each kind of samples, and labels."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

import likewise as lw
from forked import Typed
from likewise.commands.explore import Explorer
from small_data import SAMPLE_RATE, recordings, sentences
from small_files import captioned, lines
from typed_commands import answered, refused

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

HOSTILE = "<img src=x onerror=document.title=1>.png"


def photos(folder: Path, count: int = 120) -> Path:
    """Digits in a subfolder for each, with a copy, and a name that is markup."""
    digits = load_digits()
    for i, (pixels, label) in enumerate(zip(digits.images[:count], digits.target, strict=False)):
        path = folder / str(label) / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(path)
    (folder / "4" / "copy.png").write_bytes((folder / "4" / "004.png").read_bytes())
    Image.fromarray((digits.images[count] * 255 / 16).astype(np.uint8)).save(folder / "1" / HOSTILE)
    return folder


def get(address: str, *, host: str | None = None, body: Any = None) -> tuple[int, Any, bytes]:
    """Status, headers and content of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(address, data, {} if host is None else {"Host": host})
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as error:
        return error.code, error.headers, error.read()


def told(address: str, path: str, body: Any = None) -> Any:
    """What the server says, as JSON."""
    status, _, content = get(address + path, body=body)
    assert status == 200, content
    return json.loads(content)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


@contextmanager
def typed(*words: object) -> Iterator[tuple[Typed, dict[str, Any]]]:
    """`likewise explore …` as a process of its own, and what it prints with --json."""
    process = Typed("explore", *words, "--json")
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def closing(explorer: Explorer) -> Iterator[Explorer]:
    try:
        yield explorer
    finally:
        explorer.close()


def test_a_process_answers_whoever_has_the_token_and_ctrl_c_ends_it(digits_run: Path) -> None:
    folder = photos(Path("photos"))
    with typed(digits_run, folder, "--labels", "labels.csv") as (process, said):
        address = said["address"]
        assert said["samples"] == 122
        assert said["labels"] == "labels.csv"
        whole = urlsplit(address)
        assert whole.hostname == "127.0.0.1"
        token = whole.path.strip("/")
        assert len(token) >= 32
        here = f"http://{whole.netloc}"
        status, headers, page = get(address)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"<canvas" in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        for path in ("", "/", "/scene", f"/{token[:-1]}/scene", f"/{token}x/scene", f"//{token}/scene", "/é/scene"):
            assert get(here + path.replace("é", "%C3%A9"))[0] == 403, path
        assert get(f"{address}labels", host="likewise.example")[0] == 421
        assert get(f"{address}labels", host=f"likewise.example:{whole.port}", body={})[0] == 421
        assert get(f"{address}labels", host="localhost:9000")[0] == 200
        for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "samples//etc/passwd", "page.js"):
            assert get(address + path)[0] == 404, path
        told(address, "labels", {"places": [3, 4], "label": "round"})
        assert [row["label"] for row in rows(Path("labels.csv"))] == ["round", "round"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert token not in err


def test_what_is_known_of_images_is_served(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(Path("photos"))
    Path("some.csv").write_text(
        "id,label\n" + "".join(f"{p.relative_to(folder)},{p.parent.name}\n" for p in folder.glob("[0-4]/0*.png"))
    )
    answered(capsys, "fit", digits_run, folder, "--labels", "some.csv", "--out", "classifier", "--no-progress")
    with closing(lw.explore(digits_run, folder, classifier="classifier", progress=False)) as explorer:
        scene = told(explorer.address, "scene")
        count = scene["count"]
        assert (scene["name"], count, scene["modality"]) == ("photos", 122, "image")
        assert scene["predicted"] == ["0", "1", "2", "3", "4"]
        assert scene["faults"]["duplicate"] == 1
        assert scene["shown"]
        assert scene["doubt"]
        assert not scene["by_meaning"]
        assert sum(cluster["count"] for cluster in scene["clusters"]) == count
        places = np.frombuffer(get(f"{explorer.address}values/places")[2], "<f4").reshape(count, 2)
        assert places.min() >= 0
        assert places.max() <= 1
        assert np.ptp(places, axis=0).max() == pytest.approx(1)
        labels = np.frombuffer(get(f"{explorer.address}values/label")[2], "<i4")
        names = told(explorer.address, "labels")["names"]
        [[first, _], [second, _]] = told(explorer.address, "find/faults?q=duplicate")
        copy, original = told(explorer.address, f"samples?at={first},{second}")
        assert (copy["id"], original["id"]) == ("4/copy.png", "4/004.png")
        assert copy["faults"] == [{"kind": "duplicate", "reason": "equal to 4/004.png", "partner": second}]
        assert names[labels[first]] == copy["label"] == "4"
        assert copy["predicted"] in scene["predicted"]
        doubt = np.frombuffer(get(f"{explorer.address}values/doubt")[2], "<f4")
        assert doubt[first] == pytest.approx(1 - copy["probability"], abs=1e-3)
        assert len(np.frombuffer(get(f"{explorer.address}values/unusual")[2], "<f4")) == count
        status, headers, content = get(f"{explorer.address}samples/{first}/picture/0")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        stored = np.asarray(Image.open(folder / "4" / "copy.png"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), stored)
        assert told(explorer.address, f"find/like?place={first}")[0][0] in (first, second)
        assert [place for place, _ in told(explorer.address, "find/words?q=ONERROR")] == [
            place for place in range(count) if told(explorer.address, f"samples?at={place}")[0]["id"] == f"1/{HOSTILE}"
        ]
        wrong = [
            "values/../scene",
            "values/secret",
            "samples?at=-1",
            f"samples?at={count}",
            "samples?at=1e3",
            "samples?at=",
        ]
        wrong += [f"samples/{first}/picture/1", f"samples/{first}/sound/0", "find/meaning?q=four", "find/like?place=x"]
        wrong += ["samples?at=" + ",".join(["1"] * 201)]
        for path in wrong:
            status, _, content = get(explorer.address + path)
            assert status in (400, 404), path
            assert b"Traceback" not in content
    with pytest.raises(OSError, match="refused"):
        get(explorer.address)
    # What was worked out is kept, and comes out the same.
    kept = {path.name: path.stat().st_mtime_ns for path in (digits_run / "explore").iterdir()}
    assert set(kept) == {"embeddings.npz", "map.npz"}
    with closing(lw.explore(digits_run, folder, progress=False)) as explorer:
        np.testing.assert_array_equal(
            np.frombuffer(get(f"{explorer.address}values/places")[2], "<f4").reshape(count, 2), places
        )
        assert told(explorer.address, "scene")["faults"] == scene["faults"]
    assert {path.name: path.stat().st_mtime_ns for path in (digits_run / "explore").iterdir()} == kept


def test_labels_are_kept_undone_and_learned_from(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(Path("photos"))
    Path("labels.csv").write_text("id,who,label\nelsewhere.png,me,other\n0/000.png,me,round\n")
    with closing(lw.explore(digits_run, folder, labels="labels.csv", progress=False)) as explorer:
        assert explorer.notes[-1] == "1 row of labels.csv names no sample of photos, and stay"
        ids = {
            each["id"]: each["place"]
            for start in (0, 100)
            for each in told(explorer.address, "samples?at=" + ",".join(map(str, range(start, min(start + 100, 122)))))
        }
        before = Path("labels.csv").read_bytes()
        assert told(explorer.address, f"samples?at={ids['0/000.png']}")[0]["label"] == "round"
        zeros = [place for id, place in ids.items() if id.startswith("0/")]
        ones = [place for id, place in ids.items() if id.startswith("1/")]
        assert told(explorer.address, "labels", {"places": zeros, "label": " round "})["undo"] == 1
        state = told(explorer.address, "labels", {"places": ones, "label": "straight"})
        assert (state["undo"], state["given"]) == (2, len(zeros) + len(ones))
        assert {"round", "straight"} <= set(state["names"])
        found = {row["id"]: row["label"] for row in rows(Path("labels.csv"))}
        assert found == {"elsewhere.png": "other"} | {
            id: "round" if id[0] == "0" else "straight" for id, place in ids.items() if place in (*zeros, *ones)
        }
        assert rows(Path("labels.csv"))[0]["who"] == "me"
        answered(capsys, "fit", digits_run, folder, "--labels", "labels.csv", "--out", "classifier", "--no-progress")
        info = json.loads(Path("classifier/classifier.json").read_text())
        assert (info["classes"], info["counts"]) == (["round", "straight"], [len(zeros), len(ones)])
        for label in ("x\ny", "=1+1", "nan", "y" * 201, "a\x1b[2J"):
            status, _, content = get(f"{explorer.address}labels", body={"places": [1], "label": label})
            assert (status, "label must" in json.loads(content)["error"]) == (400, True)
        for body in (
            {"places": [122], "label": "a"},
            {"places": [True], "label": "a"},
            {"places": [], "label": "a"},
            [1],
            {},
        ):
            assert get(f"{explorer.address}labels", body=body)[0] == 400, body
        assert told(explorer.address, "labels", {"places": zeros[:1], "label": ""})["given"] == state["given"] - 1
        for _ in range(3):
            told(explorer.address, "undo", {})
        assert Path("labels.csv").read_bytes() == before
        assert told(explorer.address, "undo", {})["undo"] == 0
        Path("labels.csv").write_text("id,label\n")
        status, _, content = get(f"{explorer.address}labels", body={"places": [1], "label": "a"})
        assert (status, "changed by another program" in json.loads(content)["error"]) == (400, True)
        assert Path("labels.csv").read_text() == "id,label\n"


def test_texts_are_served_and_searched(working_folder: Path) -> None:
    pytest.importorskip("tokenizers")
    texts = [*sentences(79), "<script>document.title=1</script> and so on"]
    lines(Path("texts.txt"), texts)
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run"}
    lw.pretrain("texts.txt", method="simcse", max_tokens=32, vocab_size=200, **how)
    with closing(lw.explore("run", progress=False)) as explorer:
        assert explorer.labels == Path("run/labels.csv")
        scene = told(explorer.address, "scene")
        assert scene["by_meaning"]
        assert any(cluster["name"].split(" ", 1)[1:] for cluster in scene["clusters"])
        [[place, similarity], *others] = told(explorer.address, "find/meaning?q=" + texts[5].replace(" ", "%20"))
        assert told(explorer.address, f"samples?at={place}")[0]["texts"] == [texts[5]]
        assert similarity == pytest.approx(1, abs=1e-3)
        assert len(others) == 79
        [[place, _]] = told(explorer.address, "find/words?q=%3CSCRIPT")
        assert told(explorer.address, f"samples?at={place}")[0]["texts"] == [texts[-1]]


def test_recordings_are_served(working_folder: Path) -> None:
    pytest.importorskip("soxr")
    Path("notes").mkdir()
    for i, sound in enumerate(recordings(40)[0]):
        soundfile.write(f"notes/{i:02}.wav", sound, SAMPLE_RATE)
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run"}
    lw.pretrain("notes", method="cola", seconds=0.2, **how)
    with closing(lw.explore("run", progress=False)) as explorer:
        [sample] = told(explorer.address, "samples?at=3")
        assert (sample["id"], sample["sounds"]) == ("03.wav", 1)
        status, headers, content = get(f"{explorer.address}samples/3/sound/0")
        assert (status, headers["Content-Type"]) == (200, "audio/wav")
        with wave.open(io.BytesIO(content)) as file:
            assert file.getframerate() == SAMPLE_RATE
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(heard) > 0.1 * SAMPLE_RATE
        assert np.abs(heard).max() > 1000


def test_pairs_are_served_and_searched(working_folder: Path) -> None:
    pytest.importorskip("tokenizers")
    captioned(Path("squares"), 60)
    how: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False, "out": "run", "batch_size": 20}
    lw.pretrain("squares", method="clip", **how)
    with closing(lw.explore("run", progress=False)) as explorer:
        [sample] = told(explorer.address, "samples?at=3")
        assert sample["pictures"] == 1
        assert sample["texts"][0].startswith("a yellow square")
        assert Image.open(io.BytesIO(get(f"{explorer.address}samples/3/picture/0")[2])).size == (16, 16)
        assert len(told(explorer.address, "find/meaning?q=a%20red%20square")) == 60
        assert "square" not in " ".join(cluster["name"] for cluster in told(explorer.address, "scene")["clusters"])


def test_embeddings_in_a_file(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the samples where they are the run's own data, otherwise without."""
    lw.embed(digits_run, "digits:test", out="test.parquet", progress=False)
    with closing(lw.explore(digits_run, "test.parquet", labels="labels.csv", progress=False)) as explorer:
        scene = told(explorer.address, "scene")
        assert not scene["shown"]
        assert "its samples can't be shown" in explorer.notes[0]
        [sample] = told(explorer.address, "samples?at=0")
        assert (sample["id"], sample["pictures"]) == ("0", 0)
        assert sample["label"] in map(str, range(10))
    lw.embed(digits_run, "digits:train", out="own.parquet", progress=False)
    with closing(lw.explore(digits_run, "own.parquet", labels="labels.csv", progress=False)) as explorer:
        assert told(explorer.address, "scene")["shown"]
        assert told(explorer.address, "samples?at=7")[0]["pictures"] == 1
    other = np.zeros((3, 5), dtype=np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(other.ravel()), 5)
    pq.write_table(pa.table({"id": ["a", "b", "c"], "vector": vectors}), "other.parquet")
    assert refused(capsys, "explore", digits_run, "other.parquet", "--no-progress") == (
        "other.parquet has vectors of 5 numbers, the encoder gives 256: embed the data again"
    )


def test_mistakes_are_one_line(
    digits_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        # Before the data is even looked for: there is none of this name.
        assert refused(capsys, "explore", digits_run, "nowhere", "--port", port) == (
            f"port must be a free one, got {port}, which another program listens at: name another with "
            "--port; 0 is any free one"
        )
    assert refused(capsys, "explore", digits_run, "--port", 65536).startswith("port must be from 0 to 65535, got 65536")
    assert refused(capsys, "explore", digits_run, "--labels", "x.txt") == "labels must end in .csv, got x.txt"
    Path("file").write_text("no folder")
    assert refused(capsys, "explore", digits_run, "nowhere", "--labels", "file/x.csv").startswith("could not write")
    Path("bad.csv").write_text("file,class\na,b\n")
    assert refused(capsys, "explore", digits_run, "digits:test", "--labels", "bad.csv", "--no-progress") == (
        "labels must have the columns id and label, got file, class in bad.csv: name another file"
    )
    Path("bad.csv").write_bytes(b"id,label\n\xff\xfe\x00,b\n")
    assert "bad.csv can't be read as CSV" in refused(
        capsys, "explore", digits_run, "digits:test", "--labels", "bad.csv", "--no-progress"
    )
    lines(Path("texts.txt"), sentences(10))
    assert "must be image" in refused(capsys, "explore", digits_run, "texts.txt", "--modality", "text", "--no-progress")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert refused(capsys, "explore", digits_run) == (
        "this needs uvicorn, which is not installed: pip install 'likewise[serve]'"
    )
