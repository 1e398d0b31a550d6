"""`likewise serve` of each modality, as it is typed: the same answers as `embed`, `predict` and `search`."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pyarrow.parquet as pq
import pytest

import likewise as lw
from likewise.modalities.run import Run
from served import AS_JSON, Serving, ask, ask_json, base64_of, health, serving
from small_data import sentences
from typed_commands import refused

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "serve.md"
TOLERANCE = 1e-5
"""Of embeddings, relative to their length: those of other batches differ in rounding."""


def same(found: Any, expected: Any) -> bool:
    found, expected = np.array(found, dtype=np.float32), np.array(expected)
    lengths = np.linalg.norm(expected, axis=-1)
    return bool((np.linalg.norm(found - expected, axis=-1) <= TOLERANCE * lengths).all())


@pytest.fixture(scope="module")
def pictures(images_run: Run, served_folder: Path) -> list[Path]:
    """What the run has learned from, in the order of `vectors.parquet`."""
    ids = pq.read_table(served_folder / "vectors.parquet")["id"].to_pylist()
    return [served_folder / "colours" / id for id in ids]


@pytest.fixture(scope="module")
def vectors(images_run: Run, served_folder: Path) -> np.ndarray:
    """What `likewise embed` says."""
    return np.array(pq.read_table(served_folder / "vectors.parquet")["vector"].to_pylist(), dtype=np.float32)


@pytest.fixture(scope="module")
def images(images_run: Run, served_folder: Path) -> Any:
    """A classifier with a collection, served."""
    collection = served_folder / "vectors.parquet"
    with serving(served_folder / "classifier", "--collection", collection, is_new=True) as process:
        yield process


def test_it_says_what_it_serves(images: Serving, images_run: Run) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", images.address)
    about = {"model": "classifier", "takes": ["images"], "dim": 256}
    assert images.about == {
        "address": images.address,
        **about,
        "paths": ["/embed", "/predict", "/search", "/health"],
    }
    ready = health(images.address)
    assert ready.status == 200
    assert ready.json == {"status": "ready", **about, "queue": 0}


def test_images_one_by_one_and_several(images: Serving, pictures: list[Path], vectors: np.ndarray) -> None:
    one = ask(images.address, "/embed", pictures[3].read_bytes(), content_type="image/png")
    assert one.json.keys() == {"vectors", "dim", "notes"}
    assert (one.status, one.json["dim"], one.json["notes"]) == (200, 256, [])
    assert same(one.json["vectors"], vectors[3:4])
    as_bytes = ask(images.address, "/embed", pictures[3].read_bytes(), content_type="application/octet-stream")
    assert as_bytes.json == one.json
    several = ask_json(images.address, "/embed", images=base64_of(*(path.read_bytes() for path in pictures)))
    assert same(several.json["vectors"], vectors)
    assert not same(several.json["vectors"][::-1], vectors)


def test_vectors_as_bytes(images: Serving, pictures: list[Path], vectors: np.ndarray) -> None:
    body = json.dumps({"images": base64_of(*(path.read_bytes() for path in pictures[:5]))}).encode()
    reply = ask(images.address, "/embed", body, accept="application/octet-stream", **AS_JSON)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert (reply.headers["x-samples"], reply.headers["x-dim"]) == ("5", "256")
    assert same(np.frombuffer(reply.content, "<f4").reshape(5, 256), vectors[:5])


def test_labels_are_those_of_predict(images: Serving, pictures: list[Path], served_folder: Path) -> None:
    found = ask_json(images.address, "/predict", images=base64_of(*(path.read_bytes() for path in pictures)))
    table = lw.predict(served_folder / "classifier", served_folder / "colours", progress=False).table
    assert table is not None
    predictions = found.json["predictions"]
    for column in ("label", "abstained"):
        assert [row[column] for row in predictions] == [row[column] for row in table]
    assert np.allclose([row["probability"] for row in predictions], [row["probability"] for row in table], atol=1e-5)
    assert sum(row["abstained"] for row in predictions) == 24
    assert predictions[0].keys() == {"label", "probability", "abstained"}


def test_a_fine_tuned_classifier_answers_with_its_own_encoder(
    images_run: Run, pictures: list[Path], served_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = served_folder / "colours"
    lw.fit(images_run, labels=data, protocol="fine-tuned", out="tuned", progress=False)
    table = lw.predict("tuned", data, progress=False).table
    assert table is not None
    with lw.serve("tuned", port=0) as service:
        bodies = base64_of(*(path.read_bytes() for path in pictures))
        predictions = ask_json(service.address, "/predict", images=bodies).json["predictions"]
    assert [row["label"] for row in predictions] == [row["label"] for row in table]
    assert np.allclose([row["probability"] for row in predictions], [row["probability"] for row in table], atol=1e-5)
    line = refused(capsys, "serve", "tuned", "--collection", served_folder / "vectors.parquet", "--port", 0)
    assert line == (
        "collection holds embeddings of the run's encoder, and tuned has one of its own: serve the run to search"
    )


@pytest.mark.slow
def test_the_page_shows_what_a_fine_tuned_classifier_answers(
    images_run: Run, served_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, vectors = served_folder / "colours", served_folder / "vectors.parquet"
    lw.fit(images_run, labels=data, protocol="fine-tuned", out="tuned", progress=False)
    pq.write_table(pq.read_table(vectors).slice(1), "others.parquet")  # of samples that are not at hand
    table = lw.predict("tuned", data, progress=False).table
    assert table is not None
    places = ",".join(map(str, range(len(table))))
    with (
        closing(lw.explore(images_run, data, classifier="tuned", progress=False)) as explorer,
        urlopen(f"{explorer.address}samples?at={places}", timeout=60) as answer,
    ):
        shown = json.loads(answer.read())
    assert [sample["predicted"] for sample in shown] == [row["label"] for row in table]
    assert np.allclose([sample["probability"] for sample in shown], [row["probability"] for row in table], atol=1e-5)
    line = refused(capsys, "explore", images_run.path, "others.parquet", "--classifier", "tuned", "--no-progress")
    assert line.startswith("data must be samples for a classifier with an encoder of its own, as tuned is, got ")


def test_matches_are_those_of_search(images: Serving, images_run: Run, pictures: list[Path]) -> None:
    found = ask(images.address, "/search?top=4", pictures[7].read_bytes(), content_type="image/png").json["matches"]
    collection = images_run.path.parent / "vectors.parquet"
    expected = lw.search(images_run, collection, image=pictures[7], top=4)
    assert [match["id"] for match in found] == [match.id for match in expected]
    assert [match["rank"] for match in found] == [1, 2, 3, 4]
    assert np.allclose([match["similarity"] for match in found], [match.similarity for match in expected], atol=1e-5)
    assert found[0]["id"] == "/".join(pictures[7].parts[-2:])


def test_many_clients_get_their_own_answers(images: Serving, pictures: list[Path], vectors: np.ndarray) -> None:
    """Requests of one, two and three images, of 12 clients at once."""

    def asked(client: int) -> bool:
        places = [(7 * client + i) % len(pictures) for i in range(1 + client % 3)]
        for _ in range(4):
            contents = base64_of(*(pictures[place].read_bytes() for place in places))
            reply = ask_json(images.address, "/embed", images=contents)
            if reply.status != 200 or not same(reply.json["vectors"], vectors[places]):
                return False
        return True

    with ThreadPoolExecutor(12) as clients:
        assert all(clients.map(asked, range(24)))


def test_the_examples_of_the_guide_work(
    images: Serving, pictures: list[Path], working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of curl, and the client in Python, with this service's address."""
    guide = GUIDE.read_text(encoding="utf-8").replace("http://127.0.0.1:8000", images.address)
    (working_folder / "photos").mkdir()
    for place, path in enumerate(pictures[:3]):
        (working_folder / "photos" / f"{place}.png").write_bytes(path.read_bytes())
    (working_folder / "photo.png").write_bytes(pictures[0].read_bytes())
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL))
    lines = [line for line in shell.replace("\\\n", " ").splitlines() if line.startswith("curl ")]
    assert len(lines) > 4
    for line in lines:
        ran = subprocess.run(shlex.split(line, comments=True), capture_output=True, check=True)
        if "--output" in line:
            assert len(Path("vector.f32").read_bytes()) == 4 * 256
        elif "text/plain" in line or "texts" in line:
            assert "got text" in json.loads(ran.stdout)["error"]  # this service takes images
        else:
            assert json.loads(ran.stdout).keys() & {"vectors", "predictions", "matches", "status"}, line
    [client] = [
        text for text in re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL) if "urllib" in text
    ]
    found: dict[str, Any] = {}
    exec(client, found)
    assert np.array(found["vectors"]).shape == (3, 256)
    assert len(found["predictions"]) == 3


def test_texts(texts_run: Run) -> None:
    asked = [*sentences(5, seed=9), "word " * 40]
    with serving(texts_run.path) as process:
        assert process.about["takes"] == ["texts"]
        assert process.about["paths"] == ["/embed", "/health"]
        found = ask_json(process.address, "/embed", texts=asked).json
        alone = ask(process.address, "/embed", asked[2].encode(), content_type="text/plain; charset=utf-8").json
        refused = [
            ask_json(process.address, "/embed", texts=["good", " \n"]),
            ask(process.address, "/embed", b'{"texts": ["\\ud800"]}', **AS_JSON),
            ask(process.address, "/embed", b"\xff", content_type="text/plain"),
            ask(process.address, "/embed", b"", content_type="image/png"),
        ]
    expected = lw.embed(texts_run, asked, progress=False).vectors
    assert same(found["vectors"], expected)
    assert same(alone["vectors"], expected[2:3])
    cut = sum(2 + len(ids) > 16 for ids in texts_run.views.tokenize(asked))
    assert cut > 1
    assert found["notes"] == [f"{cut} texts are longer than 16 tokens: only the beginning is embedded"]
    assert [reply.status for reply in refused] == [400, 400, 400, 415]
    assert refused[0].error == "sample 1 is no text that can be read: it is empty"
    assert refused[1].error.startswith("sample 0 is no text that can be read: ")
    assert refused[3].error.startswith('content-type must be text/plain (one sample) or application/json ({"texts": ')


def test_recordings(recordings_run: Run, served_folder: Path) -> None:
    files = sorted((served_folder / "recordings").rglob("*.wav"))[:6]
    with serving(recordings_run.path) as process:
        found = ask_json(process.address, "/embed", recordings=base64_of(*(path.read_bytes() for path in files))).json
        alone = ask(process.address, "/embed", files[4].read_bytes(), content_type="audio/wav").json
        broken = ask(process.address, "/embed", files[4].read_bytes()[:20], content_type="audio/wav")
    expected = lw.embed(recordings_run, files, progress=False).vectors
    assert same(found["vectors"], expected)
    assert same(alone["vectors"], expected[4:5])
    assert found["notes"] == []
    assert broken.status == 400
    assert broken.error.startswith("sample 0 is no recording that can be read: ")


def test_each_tower_of_pairs(pairs_run: Run, served_folder: Path) -> None:
    """The embeddings of both are comparable: a text finds images."""
    files = sorted((served_folder / "pairs").glob("*.png"))[:4]
    captions = [path.with_suffix(".txt").read_text().strip() for path in files]
    collection = served_folder / "pair-images.parquet"
    lw.embed(pairs_run, files, out=collection, modality="image", progress=False)
    with serving(pairs_run.path, "--collection", collection) as process:
        assert process.about["takes"] == ["images", "texts"]
        of_images = ask_json(process.address, "/embed", images=base64_of(*(path.read_bytes() for path in files))).json
        of_texts = ask_json(process.address, "/embed", texts=captions).json
        matches = ask(process.address, "/search", captions[0].encode(), content_type="text/plain").json["matches"]
        other = ask_json(process.address, "/embed", recordings=base64_of(b"RIFF"))
    assert same(of_images["vectors"], pairs_run.encode(files, modality="image"))
    assert same(of_texts["vectors"], pairs_run.encode(captions, modality="text"))
    expected = lw.search(pairs_run, collection, text=captions[0])
    assert [match["id"] for match in matches] == [match.id for match in expected]
    assert (other.status, other.error) == (415, "samples must be images or texts, got recordings")
