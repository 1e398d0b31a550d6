"""What `likewise serve` answers under load: requests a second, how long they take, and whether one is lost at its end.

    python -m benchmarks.serve [--encoder resnet18] [--run RUN] [--clients 1 4 16] [--seconds 10] [--rounds 3]
                               [--picture FILE.svg]

Clients in a process of their own ask for the embedding of one JPEG of 256 x 256 pixels, each again as soon as it is
answered, over a connection that stays open. The service runs as it is usually (`together`), and with `--batch-size 1`,
which embeds request by request (`one by one`); the two take turns. The encoder is that of a run, or one for images of
64 pixels that has hardly been trained, which costs the same. At the end the service is stopped under load: what it says
it has answered is compared with what the clients got.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

import likewise as lw
from benchmarks.drawing import Axis, Line, draw
from benchmarks.proof import workplace

SETTINGS: dict[str, list[str]] = {"together": [], "one by one": ["--batch-size", "1"]}
SIDE = 256
PICTURES = 64


def pictures() -> list[bytes]:
    """Parts of the two photographs that come with scikit-learn, as JPEG."""
    random = np.random.default_rng(0)
    found = []
    for i in range(PICTURES):
        photograph = load_sample_images().images[i % 2]
        y, x = (int(random.integers(0, side - SIDE)) for side in photograph.shape[:2])
        content = io.BytesIO()
        Image.fromarray(photograph[y : y + SIDE, x : x + SIDE]).save(content, "JPEG", quality=90)
        found.append(content.getvalue())
    return found


def small_run(folder: Path, encoder: str, contents: list[bytes]) -> Path:
    """A run whose encoder takes images of 64 pixels."""
    (folder / "photos").mkdir()
    for i, content in enumerate(contents):
        (folder / "photos" / f"{i:02}.jpg").write_bytes(content)
    how: dict[str, Any] = {"encoder": encoder, "size": 64, "epochs": 1, "batch_size": 32, "progress": False}
    lw.pretrain(folder / "photos", out=folder / "run", **how)
    return folder / "run"


def started(run: Path, options: list[str]) -> tuple[subprocess.Popen[str], str]:
    words = ["serve", str(run), "--port", "0", "--queue", "256", "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "likewise.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


def client(address: str, contents: list[bytes], place: int, until: float, found: list[tuple[float, int]]) -> None:
    """Ask until the time is over, or the service is: appends seconds and status of each request that has an answer."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=100)
    while (began := perf_counter()) < until:
        try:
            connection.request("POST", "/embed", contents[place % len(contents)], {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return
        found.append((perf_counter() - began, response.status))
        if response.status == 503:
            return
        place += 1


def clients(address: str, contents: list[bytes], count: int, seconds: float, answers: Any) -> None:
    found: list[tuple[float, int]] = []
    until = perf_counter() + seconds
    threads = [threading.Thread(target=client, args=(address, contents, 5 * i, until, found)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(found)


def load(address: str, contents: list[bytes], count: int, seconds: float) -> tuple[Any, Any]:
    """Clients at work in another process, and where their answers will be."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=clients, args=(address, contents, count, seconds, answers))
    process.start()
    return process, answers


def measured(run: Path, options: list[str], contents: list[bytes], counts: list[int], seconds: float) -> dict[str, Any]:
    """Of one service: figures for each number of clients, and what is lost when it is stopped."""
    service, address = started(run, options)
    received = 0
    figures: dict[str, Any] = {"clients": {}}
    for count in [1, *counts]:  # the first are to warm up
        process, answers = load(address, contents, count, seconds if figures["clients"] or count != 1 else 3)
        found = answers.get()
        process.join()
        taken = np.array([each for each, status in found if status == 200])
        received += len(taken)
        figures["clients"][count] = {
            "per_second": len(taken) / (sum(each for each, _ in found) / count),
            "p50": float(np.quantile(taken, 0.5)),
            "p99": float(np.quantile(taken, 0.99)),
            "others": len(found) - len(taken),
        }
    process, answers = load(address, contents, max(counts), 1000)
    while not received_some(address):
        pass
    service.send_signal(signal.SIGTERM)
    _, err = service.communicate()
    received += sum(status == 200 for _, status in answers.get())
    process.join()
    said = re.search(r"stopped: ([\d,]+) requests? answered", err)
    figures["lost"] = int(said[1].replace(",", "")) - received if said else None
    figures["status"] = service.returncode
    return figures


def received_some(address: str) -> bool:
    """Whether requests are inside now."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=100)
    connection.request("GET", "/health")
    return bool(json.loads(connection.getresponse().read())["queue"] > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="also draw the requests a second there")
    asked = parser.parse_args()
    contents = pictures()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in SETTINGS}
    with workplace() as folder:
        run = asked.run or small_run(folder, asked.encoder, contents)
        for _ in range(asked.rounds):
            for name, options in SETTINGS.items():
                rounds[name].append(measured(run, options, contents, asked.clients, asked.seconds))
    show(rounds, asked.clients)
    if asked.json is not None:
        asked.json.write_text(json.dumps(rounds))
    if asked.picture is not None:
        lines = {}
        for name, found in rounds.items():
            speeds = [
                float(np.median([one["clients"][count]["per_second"] for one in found])) for count in asked.clients
            ]
            lines[name] = Line(list(map(float, asked.clients)), speeds)
        most = max(max(line.y) for line in lines.values())
        ticks = {float(value): f"{value}" for value in range(0, int(most) + 50, 50)}
        shown = {float(count): f"{count}" for count in asked.clients}
        draw(asked.picture, lines, Axis("clients at once", shown, log=True), Axis("requests a second", ticks))


def show(rounds: dict[str, list[dict[str, Any]]], counts: list[int]) -> None:
    """The medians of all rounds."""
    print(f"{'':12}{'clients':>8}{'requests/s':>12}{'p50':>12}{'p99':>12}")
    for count in counts:
        for name, found in rounds.items():
            speed, p50, p99 = (
                float(np.median([one["clients"][count][what] for one in found]))
                for what in ("per_second", "p50", "p99")
            )
            print(f"{name:12}{count:8}{speed:12.0f}{1000 * p50:9.1f} ms{1000 * p99:9.1f} ms")
    for name, found in rounds.items():
        others = sum(each["others"] for one in found for each in one["clients"].values())
        lost, statuses = [one["lost"] for one in found], {one["status"] for one in found}
        print(f"{name}: {others} requests refused; lost when it was stopped: {lost}, exit status {statuses}")


if __name__ == "__main__":
    main()
