"""Device, precision and memory layout for this machine."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import nn

from likewise.atomic import write_json
from likewise.data.cache import cache_folder
from likewise.data.loader import Batch
from likewise.methods.base import Method, TrainingContext
from likewise.seeding import generator_for

WORTH = 1.15  # bfloat16 must be this much faster: it costs three digits of the mantissa
SAMPLES = 64  # at most, to measure with: enough to be representative, few enough to be quick
REPEATS = 3


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


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its convolutions' weights in channels-last layout, which is faster on most processors."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def fastest_precision(method: Method, context: TrainingContext) -> str:
    """`bf16-mixed` where a step of this method is clearly faster with it than with `32-true` on this machine.

    Measured once for each machine, method and architecture, then read from the cache: repeating a training repeats its
    precision.
    """
    device = device_name()
    if device == "mps":
        return "32-true"
    chip = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} {_processor()}"
    shapes = [(name, tuple(value.shape)) for name, value in method.state_dict().items()]
    name = f"{chip} x{os.cpu_count()} torch {torch.__version__} {type(method).__name__} {method.views} {shapes}"
    memory = cache_folder() / "precision" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError):
        return json.loads(memory.read_text())["precision"]
    with torch.random.fork_rng():  # whether it is measured or remembered must not change what is drawn afterwards
        seconds = {name: _step_seconds(method, context, device, name) for name in ("32-true", "bf16-mixed")}
    precision = "bf16-mixed" if seconds["32-true"] > WORTH * seconds["bf16-mixed"] else "32-true"
    with suppress(OSError):  # it is measured again next time
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"chip": chip, "precision": precision, "seconds": seconds})
    return precision


def _step_seconds(method: Method, context: TrainingContext, device: str, precision: str) -> float:
    assert context.read is not None
    # A divisor of the batch: what a method keeps in memory is sized for whole batches.
    some = next((n for n in range(SAMPLES, 7, -1) if context.batch_size % n == 0), context.batch_size)
    trial = copy.deepcopy(method, {id(method.training_context): method.training_context})  # the data is not copied
    trial.prepare(context._replace(batch_size=some, micro_batch_size=None))
    trial = trial.to(device).train()
    indices = torch.arange(some)
    batch = move_data_to_device(Batch(context.read(indices), indices, indices // 2), device)
    views = trial.make_views(batch, generator_for(0))
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            result = trial.objective(*views)
        loss = result["loss"] if isinstance(result, dict) else result
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.processor()
