"""Trials in several processes: one that is killed takes its trial with it, and nothing else.

Where the processes are, of this machine or of a cluster, is another matter: see `Hire`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, NamedTuple, Protocol, runtime_checkable

from likewise.tuning.loop import Told, TrialQueue
from likewise.tuning.search import KILLED, Search
from likewise.tuning.trials import FAILED, Asked, Ended, Train

INTERRUPTED = "interrupted"
"""What a process says of a trial that was asked to stop."""
LISTEN = 0.5  # seconds, after which it is looked whether this process was asked to stop


@runtime_checkable
class Hired(Protocol):
    """A process that trains one trial after the other, until the connection to it is closed."""

    def interrupt(self) -> None:
        """Ask it to stop."""

    def wait(self) -> str:
        """Until it has ended; why, for people."""

    def kill(self) -> None:
        """End it at once."""


Hire = Callable[[Train], tuple[Any, Hired]]
"""Starts a process; the connection over which trials are sent to it, and the process."""


class LocalProcess(NamedTuple):
    """A process of this machine."""

    process: Any

    def interrupt(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGINT)

    def wait(self) -> str:
        self.process.join()
        status = self.process.exitcode
        return KILLED if status is None or status < 0 else f"its process ended with exit status {status}"

    def kill(self) -> None:
        self.process.terminate()


def hire_process(train: Train) -> tuple[Any, Hired]:
    """A process of this machine."""
    context = multiprocessing.get_context("spawn")  # a copy of this process would have its threads, as they stand
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, train))
    process.start()
    theirs.close()
    return ours, LocalProcess(process)


@dataclass
class Worker:
    """A process, and the trial that it has."""

    hired: Hired
    asked: Asked


@dataclass
class Crew:
    """The processes, by the connection to each.

    Only this process reads and writes the study: the others ask it whether their trial is worth its rest.
    """

    search: Search
    queue: TrialQueue
    train: Train
    told: Told
    hire: Hire
    workers: dict[Any, Worker] = field(default_factory=dict)
    stopping: bool = False

    def start(self, asked: Asked) -> None:
        """A process that begins with a trial."""
        ours, hired = self.hire(self.train)
        self.workers[ours] = Worker(hired, asked)
        self._send(ours, asked)

    def hear(self, connection: Any) -> None:
        """Answer what a process says."""
        worker = self.workers[connection]
        try:
            said = connection.recv()
        except (EOFError, OSError):
            reason = self.leave(connection)
            if self.stopping:  # an interrupt can end it before it says so: another on top of the first, or in an import
                self.search.interrupt(worker.asked.number)
            else:
                self._end(worker.asked, Ended(FAILED, reason=reason))
            return
        if said == INTERRUPTED:
            self.stopping = True
            self.search.interrupt(worker.asked.number)
            self.leave(connection)
        elif isinstance(said, Ended):
            self._end(worker.asked, said)
            following = None if self.stopping else self.queue.next()
            if following is None:
                self.leave(connection)
            else:
                worker.asked = following
                self._send(connection, following)
        else:
            self._send(connection, self.search.report(worker.asked.number, *said))

    def stop(self) -> None:
        """Ask all to stop."""
        self.stopping = True
        for worker in self.workers.values():
            worker.hired.interrupt()

    def leave(self, connection: Any) -> str:
        """A process has nothing more to do: it ends when its connection is closed. Why it has, for people."""
        worker = self.workers.pop(connection)
        connection.close()
        return worker.hired.wait()

    def _end(self, asked: Asked, ended: Ended) -> None:
        self.search.end(asked.number, ended)
        self.told(asked, ended)

    def _send(self, connection: Any, what: Any) -> None:
        with suppress(OSError):  # it has died: that is heard next
            connection.send(what)


def train_in_processes(
    search: Search, queue: TrialQueue, train: Train, told: Told, *, workers: int, hire: Hire = hire_process
) -> None:
    """Train what is in the queue, as many trials at once as there are workers.

    Args:
        train: can be pickled.
        hire: starts a worker.

    Raises:
        KeyboardInterrupt: this process was asked to stop; the trials were, too.
    """
    crew = Crew(search, queue, train, told, hire)
    try:
        with _interrupts() as interrupts:
            while True:
                while not crew.stopping and len(crew.workers) < workers and (asked := queue.next()) is not None:
                    crew.start(asked)
                if not crew.workers:
                    break
                ready = wait(list(crew.workers), LISTEN)
                if interrupts:  # a terminal interrupts the workers as well: their end is understood from it
                    interrupts.clear()
                    crew.stop()
                for connection in ready:
                    crew.hear(connection)
    finally:
        for connection, worker in crew.workers.items():  # after an error of ours
            connection.close()
            worker.hired.kill()
    if crew.stopping:
        raise KeyboardInterrupt


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The interrupts of this process, which are looked at between messages: none is lost in the middle of one."""
    found: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, lambda number, _: found.append(number))
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


def work(connection: Any, train: Train) -> None:
    """What a process does: train what it is sent, until the connection is closed, as it is when the search ends."""

    def report(epoch: int, value: float) -> bool:
        connection.send((epoch, value))
        return bool(connection.recv())

    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            asked = connection.recv()
            try:
                ended = train(asked, report)
            except KeyboardInterrupt:
                connection.send(INTERRUPTED)
                return
            connection.send(ended)
