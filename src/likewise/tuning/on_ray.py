"""Trials on a Ray cluster: each worker is a task of its own, with a GPU where the cluster has some.

A task cannot be sent anything while it runs. Its messages therefore lie in an actor's boxes, and a thread beside the
search carries them between these and the end of a pipe, which is what the search listens to.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from likewise.console import one_line
from likewise.ray_cluster import SHOWN, RayCluster
from likewise.tuning.search import KILLED
from likewise.tuning.trials import Train
from likewise.tuning.workers import Hired, work

LISTEN = 0.5  # seconds, after which it is looked whether a task has ended


class Mail:
    """Boxes of messages, by name; an actor of Ray."""

    def __init__(self) -> None:
        self._boxes: dict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)

    async def put(self, box: str, what: Any) -> None:
        await self._boxes[box].put(what)

    async def get(self, box: str, seconds: float | None = None) -> list[Any]:
        """The next message, alone; nothing where none has come after so many seconds."""
        try:
            return [await asyncio.wait_for(self._boxes[box].get(), seconds)]
        except TimeoutError:
            return []


class Mailed(NamedTuple):
    """A connection over two boxes of the mail. A message None closes it."""

    ray: Any
    mail: Any
    receives: str
    sends: str

    def send(self, what: Any) -> None:
        self.ray.get(self.mail.put.remote(self.sends, what))

    def poll(self, seconds: float | None) -> list[Any]:
        found: list[Any] = self.ray.get(self.mail.get.remote(self.receives, seconds))
        return found

    def recv(self) -> Any:
        (said,) = self.poll(None)
        if said is None:
            raise EOFError
        return said


class RayTask(NamedTuple):
    """A task that trains trials."""

    ray: Any
    task: Any

    def interrupt(self) -> None:
        self.ray.cancel(self.task, recursive=False)

    def wait(self) -> str:
        errors = self.ray.exceptions
        try:
            self.ray.get(self.task)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError):
            return KILLED
        except errors.RayError as error:
            return f"its task ended: {one_line(str(error))[:SHOWN]}"
        return "its task ended"

    def kill(self) -> None:
        self.ray.cancel(self.task, force=True, recursive=False)


class RayOffice:
    """Hires workers of a cluster.

    Args:
        cluster: it stays connected.
        threads: of the processor, of each worker.
        folder: where the machines find what relative paths name.
    """

    def __init__(self, cluster: RayCluster, *, threads: int, folder: Path) -> None:
        self.ray, self.gpus = cluster.ray, cluster.gpus
        self.threads, self.folder = threads, folder
        self.mail = self.ray.remote(Mail).options(num_cpus=0, max_concurrency=1000).remote()
        self.count = 0

    def hire(self, train: Train) -> tuple[Any, Hired]:
        """Start a task; a trial that is lost is not begun again."""
        self.count += 1
        to, back = f"to {self.count}", f"from {self.count}"
        # A process is not used again: trainings leave much behind.
        start = self.ray.remote(max_calls=1, max_retries=0, num_cpus=self.threads, num_gpus=min(self.gpus, 1))(
            _work_on_ray
        )
        task = start.remote(self.mail, to, back, train, str(self.folder))
        ours, theirs = multiprocessing.Pipe()
        far = Mailed(self.ray, self.mail, receives=back, sends=to)
        threading.Thread(target=self._carry, args=(theirs, far, task), daemon=True).start()
        return ours, RayTask(self.ray, task)

    def _carry(self, near: Any, far: Mailed, task: Any) -> None:
        """Carry messages, in turns, until one side has no more."""
        with contextlib.closing(near), suppress(self.ray.exceptions.RayError):
            try:
                while True:
                    far.send(near.recv())
                    while not (said := far.poll(LISTEN)):
                        if self.ray.wait([task], timeout=0)[0] and not (said := far.poll(LISTEN)):
                            return
                    near.send(said[0])
            except (EOFError, OSError):
                far.send(None)


def _work_on_ray(mail: Any, receives: str, sends: str, train: Train, folder: str) -> None:
    """What a task does."""
    import ray

    with contextlib.chdir(folder):
        work(Mailed(ray, mail, receives, sends), train)
