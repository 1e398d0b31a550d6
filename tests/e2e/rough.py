"""Commands in processes that can be killed, and what must be equal afterwards.

As a program it is a server: it has imported all that commands need, and forks a process for each command, which begins
at once. A line of JSON on stdin asks for one: {"words", "folder", "cache", "log"}. It answers with the process's id
and, when it has ended, with its exit status, that of a signal being negative.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

OF_THE_CLOCK = ("seconds", "samples_per_second", "created")
"""What differs between equal runs."""
PRETRAIN = [
    *"pretrain ../photos --size 16 --epochs 4 --batch-size 8 --precision 32-true --out run".split(),
    *"--checkpoint-minutes 0.001 --no-progress --resume".split(),
]
EVALUATE = [
    *"evaluate run --train ../photos --test ../others --seeds 2 --labels-per-class 1 2".split(),
    *"--protocols scratch frozen --steps 8 --no-progress --json".split(),
]
EMBED = "embed run ../others --out vectors.parquet --no-progress".split()
REPORT = ["report", "run"]


class Ended(NamedTuple):
    """A command that has ended: its exit status, what it said, and how long it took."""

    status: int
    out: str
    err: str
    seconds: float


class Commands:
    """The server, seen from a test."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._answer() == 0

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(self, words: list[str], folder: Path, *, cache: Path, kill: tuple[int, float] | None = None) -> Ended:
        """Run a command to its end, or until it gets a signal so many seconds after its beginning."""
        log = folder.with_name(f"{folder.name}-log")
        asked = {"words": words, "folder": str(folder), "cache": str(cache), "log": str(log)}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        pid, began = self._answer(), time.monotonic()
        if kill is not None:
            time.sleep(kill[1])
            os.kill(pid, kill[0])  # not yet waited for: it is this process or what is left of it
            self._server.stdin.write("killed\n")
        else:
            self._server.stdin.write("\n")
        self._server.stdin.flush()
        status = self._answer()
        out, err = (Path(f"{log}.{name}").read_text(errors="replace") for name in ("out", "err"))
        return Ended(status, out, err, time.monotonic() - began)

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())


def photos(folder: Path, count: int, seed: int) -> None:
    """Pictures of noise in two classes, large enough that their decoding takes a while."""
    draw = np.random.default_rng(seed)
    for i in range(count):
        pixels = draw.integers(0, 200, (240, 320, 3)) + np.array([[[0, 20, 40 * (i % 2)]]])
        path = folder / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def results(folder: Path) -> dict[str, Any]:
    """All that commands have left in a folder, without what the clock decides."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "run").glob("*")):
        if path.suffix == ".json":
            found[path.name] = _timeless(json.loads(path.read_text()))
        elif path.name == "metrics.csv":
            rows = [line.split(",") for line in path.read_text().splitlines()]
            kept = [i for i, name in enumerate(rows[0]) if name not in OF_THE_CLOCK]
            found[path.name] = [[row[i] for i in kept] for row in rows]
        elif path.is_file() and path.suffix not in (".lock", ".html", ".part"):
            found[path.name] = path.read_bytes()
    found |= {path.name: path.read_bytes() for path in folder.glob("vectors.*")}
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in OF_THE_CLOCK}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def different(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of what is not equal."""
    return [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of so many bytes, mounted at a folder; see `enlarge`.

    Raises:
        PermissionError: for who may not mount.
    """
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def serve() -> None:
    import torch

    import likewise
    from likewise.cli import build_app, main

    torch.set_num_threads(1)
    build_app(["--help"])
    for name in likewise.__all__:
        getattr(likewise, name)
    from likewise.commands import options  # noqa: F401
    from likewise.evaluation import evaluate_encoder  # noqa: F401
    from likewise.modalities import image  # noqa: F401
    from likewise.report import page  # noqa: F401
    from likewise.training import fit  # noqa: F401

    print(0, flush=True)
    while asked := sys.stdin.readline():
        job = json.loads(asked)
        pid = os.fork()
        if pid == 0:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{job['log']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(job["folder"])
            os.environ["LIKEWISE_CACHE"] = job["cache"]
            status = 70
            try:
                status = main(job["words"])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)
        sys.stdin.readline()  # the signal has been sent: before that the process's id must stay taken
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve()
