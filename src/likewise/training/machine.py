"""Device, precision, threads and memory layout for this machine."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import nn

from likewise.atomic import write_json
from likewise.checks import require
from likewise.data.cache import cache_folder
from likewise.data.loader import Batch
from likewise.methods.base import Method, TrainingContext
from likewise.seeding import generator_for

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

WORTH = 1.15  # what is not the usual must be this much faster; bfloat16 costs three digits of the mantissa
MEASURED_SAMPLES = 64  # at most, to measure with: enough to be representative, few enough to be quick
ROUNDS, FEWEST_ROUNDS = 5, 2
MEASURED_SECONDS = 10.0  # after so many no further round is begun: a busy machine is slow
PRECISIONS = ("32-true", "bf16-mixed")


def device_name() -> str:
    """The device that Lightning's `auto` chooses: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_count(devices: str) -> int:
    """How many devices Lightning takes for `devices`, a number or `auto`."""
    if devices.isdigit():
        return int(devices)
    return torch.cuda.device_count() if device_name() == "cuda" else 1


def check_devices(devices: str) -> None:
    """Raise `UserError` for more processes than a CPU has cores: each holds a copy, and they wait for each other."""
    cores = os.cpu_count() or 1
    remedy = f"this machine has no GPU, and a CPU needs one process only: leave it out, or --devices {cores}"
    allowed = device_name() != "cpu" or not devices.isdecimal() or int(devices) <= cores
    require(allowed, "devices", f"at most {cores}, the cores of the CPU", devices, remedy)


def check_strategy(strategy: str) -> None:
    """Raise `UserError` for a strategy that leaves each process a part of the weights, of which no run is made."""
    allowed = not strategy.startswith("fsdp") and "stage_3" not in strategy
    remedy = "ddp is; --micro-batch-size needs less memory, and docs/guides/large.md says what ranks need"
    require(allowed, "strategy", "one that keeps whole weights in each process", repr(strategy), remedy)


def forget_peak_memory() -> None:
    """From now on, `peak_memory` of a GPU is that of what follows."""
    if device_name() == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> int | None:
    """Bytes that were needed at most: of a GPU those allocated, else those of this process; None where not known."""
    if device_name() == "cuda":
        return torch.cuda.max_memory_allocated()
    if resource is None:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # elsewhere in KiB


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its convolutions' weights in channels-last layout, which is faster on most processors."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


class Plan(NamedTuple):
    """How a training uses this machine."""

    precision: str
    """Of Lightning."""
    threads: int
    """Of a CPU."""


def fastest_plan(
    method: Method, context: TrainingContext, *, precision: str = "auto", threads: int | str = "auto"
) -> Plan:
    """The precision and the number of threads with which a step of this method is fastest here and now.

    `bf16-mixed` is chosen where it is clearly faster than `32-true`. This is measured once for each machine, number of
    threads, method and architecture, then read from the cache: repeating a training repeats its precision. The number
    of threads is measured each time, for it depends on what else the machine does: threads wait for each other, and
    beside other programs one thread may be many times as fast as all.

    Args:
        method: prepared for its context.
        context: of the training.
        precision: `auto`, or the one to take.
        threads: `auto`, or how many.
    """
    measures_precision = precision == "auto" and device_name() != "mps"
    trial = cache(lambda: _Trial(method, context))  # copied when it is needed
    with torch.random.fork_rng():  # whether it is measured or remembered must not change what is drawn afterwards
        if threads == "auto":
            usual = _remembered(method, torch.get_num_threads()) if measures_precision else precision
            threads = fastest_threads(lambda: trial().step(usual if usual in PRECISIONS else PRECISIONS[0]))
        if precision == "auto":
            precision = PRECISIONS[0]
        if measures_precision and (known := _remembered(method, int(threads))) is not None:
            precision = known
        elif measures_precision:
            with threads_of(int(threads)):
                ratio = speed_ratios([partial(trial().step, each) for each in PRECISIONS])[-1]
            precision = PRECISIONS[ratio > WORTH]
            _remember(method, int(threads), {"precision": precision, "ratio": ratio})
    return Plan(precision, int(threads))


def fastest_threads(step: Callable[[], object]) -> int:
    """How many threads of a CPU end `step` soonest now: all, unless fewer are clearly faster.

    All where the environment says how many there are (OMP_NUM_THREADS).
    """
    most = torch.get_num_threads()
    if device_name() != "cpu" or os.environ.get("OMP_NUM_THREADS"):
        return most
    counts = [most >> halvings for halvings in range(most.bit_length())]

    def with_threads(number: int) -> None:
        with threads_of(number):
            step()

    ratios = speed_ratios([partial(with_threads, number) for number in counts])
    best = max(ratios)
    return counts[ratios.index(best)] if best > WORTH else most


def unmeasured_plan(*, precision: str, threads: int | str) -> Plan:
    """The precision and the threads of processes that begin together: all must choose alike, so nothing is measured."""
    if precision == "auto":
        precision = PRECISIONS[device_name() == "cuda" and torch.cuda.is_bf16_supported()]
    return Plan(precision, torch.get_num_threads() if threads == "auto" else int(threads))


@contextmanager
def threads_of(number: int) -> Iterator[None]:
    """Compute with this number of threads of a CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def speed_ratios(ways: Sequence[Callable[[], object]]) -> list[float]:
    """How many times as fast as the first way each of them is, measured in turns.

    In a round all are as slow as the machine then is: their ratios hold where other programs come and go.
    """
    if len(ways) < 2:
        return [1.0] * len(ways)
    for way in ways:
        way()  # the first time prepares the others
    began, rounds = time.perf_counter(), list[list[float]]()
    while len(rounds) < ROUNDS and (len(rounds) < FEWEST_ROUNDS or time.perf_counter() - began < MEASURED_SECONDS):
        rounds.append([_seconds(way) for way in ways])
    return [median(each[0] / each[place] for each in rounds) for place in range(len(ways))]


def _seconds(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


class _Trial:
    """A copy of a method, to measure with: views, objective and gradients of a small batch."""

    def __init__(self, method: Method, context: TrainingContext) -> None:
        assert context.read is not None
        # A divisor of the batch: what a method keeps in memory is sized for whole batches.
        whole, unit = context.batch_size, method.inseparable
        some = next((n for n in range(MEASURED_SAMPLES, 7, -1) if whole % n == 0 and n % unit == 0), whole)
        trial = copy.deepcopy(method, {id(method.training_context): method.training_context})  # the data is not copied
        trial.prepare(context._replace(batch_size=some, micro_batch_size=None))
        self.device = device_name()
        self.method = trial.to(self.device).train()
        indices = torch.arange(some)
        self.batch = move_data_to_device(Batch(context.read(indices), indices, indices // 2), self.device)

    def step(self, precision: str) -> None:
        with torch.no_grad():
            views = self.method.make_views(self.batch, generator_for(0))
        with torch.autocast(self.device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            result = self.method.objective(*views)
        loss = result["loss"] if isinstance(result, dict) else result
        loss.backward()
        if self.device == "cuda":
            torch.cuda.synchronize()


def _memory(method: Method, threads: int) -> tuple[str, Path]:
    """What is measured, in words, and the file in the cache that remembers it."""
    chip = torch.cuda.get_device_name() if device_name() == "cuda" else f"{platform.machine()} {_processor()}"
    shapes = [(name, tuple(value.shape)) for name, value in method.state_dict().items()]
    words = f"{chip} x{threads} torch {torch.__version__} {type(method).__name__} {method.views} {shapes}"
    return chip, cache_folder() / "precision" / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.json"


def _remembered(method: Method, threads: int) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_memory(method, threads)[1].read_text())["precision"]
        return known if known in PRECISIONS else None
    return None


def _remember(method: Method, threads: int, measured: dict[str, object]) -> None:
    chip, file = _memory(method, threads)
    with suppress(OSError):  # it is measured again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"chip": chip, "threads": threads} | measured)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.processor()
