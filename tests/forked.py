"""Processes forked from a server that has imported what takes seconds, and commands typed in them.

A child has the environment and the folder of this process as they are when it begins, not those of the server.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.multiprocessing as mp

from likewise.cli import main

START = "forkserver" if "forkserver" in mp.get_all_start_methods() else "spawn"
if START == "forkserver":
    mp.set_forkserver_preload(
        [
            *("lightning", "pyarrow.parquet", "pytest", "sklearn.linear_model", "timm", "torchvision", "transformers"),
            *("likewise.commands.pretrain", "likewise.commands.serve", "likewise.commands.explore"),
            *("likewise.encoders", "likewise.modalities.build", "likewise.training.fit"),
        ]
    )


class Typed:
    """`likewise …` in a process of its own, with what `subprocess.Popen` has of it."""

    def __init__(self, *words: object, folder: Path | None = None, **environment: str) -> None:
        context = mp.get_context(START)
        (out, its_out), (err, its_err) = context.Pipe(duplex=False), context.Pipe(duplex=False)
        place, known = str(folder or Path.cwd()), os.environ | environment
        self._process = context.Process(target=_type, args=([*map(str, words)], place, known, its_out, its_err))
        self._process.start()
        its_out.close()
        its_err.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno()), "r", encoding="utf-8") for end in (out, err))

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of stdout and stderr, once the process has ended."""
        with ThreadPoolExecutor(2) as readers:
            out, err = (readers.submit(end.read) for end in (self.stdout, self.stderr))
            self._process.join(timeout)
            if self._process.is_alive():
                self.kill()
                raise TimeoutError(f"not ended after {timeout} s: {err.result()}")
            return out.result(), err.result()


def take_over(environment: dict[str, str]) -> None:
    """Have the environment of who has started this process."""
    os.environ.clear()
    os.environ |= environment
    with suppress(KeyError):
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))


def _type(words: list[str], place: str, environment: dict[str, str], out: Connection, err: Connection) -> None:
    take_over(environment)
    os.chdir(place)
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.argv = [str(Path(sys.executable).with_name("likewise")), *words]  # Lightning starts other processes by it
    sys.exit(main())
