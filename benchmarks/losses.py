"""NT-Xent, forward and backward: time and peak memory beside other implementations.

    python -m benchmarks.losses [--quick] [--json]

Each implementation runs in a process of its own for each N, so that its peak memory is its own; the processes
take turns step by step (A B C A B C ...), so that what else the machine does falls on all alike. Memory is
the peak resident size above what the process, inputs included, held before its first step. A process that
wants more than the cap is refused by its allocator and reported as out of memory.

The flops counted are those the algorithm of `likewise.losses.tiles` needs, and the limit is what this
machine's matrix product reaches in the same minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

DIM = 128
TEMPERATURE = 0.5
OURS = "likewise"
PRODUCT, SIDE, PRODUCTS = "matrix product", 2048, 3


def main() -> None:
    parser = argparse.ArgumentParser(description="NT-Xent beside other implementations of it.")
    parser.add_argument("--quick", action="store_true", help="up to N = 2048, three turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of pairs N")
    parser.add_argument("--threads", type=int, help="threads of each process (default: torch's choice)")
    parser.add_argument("--memory", type=float, default=8.0, help="cap on a process's memory, in GiB")
    arguments = parser.parse_args()
    quick = [256, 1024, 2048]
    sizes = arguments.sizes or (quick if arguments.quick else [256, 1024, 4096, 8192, 16384, 65536])

    results = []
    for n in sizes:
        turns = 3 if arguments.quick or n > 8192 else 5 if n > 1024 else 15
        results += compare(n, turns, arguments.threads, arguments.memory)
        if not arguments.json:
            show(results[-len(IMPLEMENTATIONS) :], header=n == sizes[0])
    if arguments.json:
        settings = {"dim": DIM, "temperature": TEMPERATURE, "cap_gib": arguments.memory}
        print(json.dumps({**settings, "results": results}))


def compare(n: int, turns: int, threads: int | None, cap: float) -> list[dict[str, Any]]:
    """One result for each implementation at N = n, ours first."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, Connection] = {}
    failures: dict[str, str] = {}
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in (*IMPLEMENTATIONS, PRODUCT)}
    processes = []
    for name in steps:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, name, n, threads, cap), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        workers[name] = ours
    for _ in range(turns + 1):
        for name, worker in workers.items():
            if name in failures:
                continue
            try:
                worker.send("step")
                answer = worker.recv()
            except (EOFError, BrokenPipeError):
                answer = "killed"
            if isinstance(answer, str):
                failures[name] = answer
            else:
                steps[name].append(answer)
    for worker in workers.values():
        worker.close()
    for process in processes:
        process.join()
    results = [summary(name, n, steps[name][1:], failures.get(name), steps[OURS][1:]) for name in IMPLEMENTATIONS]
    if not results[0]["failure"]:
        results[0]["gflops"] = flops_needed(n) / results[0]["seconds"] / 1e9
        product = statistics.median(step["seconds"] for step in steps[PRODUCT][1:])
        results[0]["matrix_product_gflops"] = PRODUCTS * 2 * SIDE**3 / product / 1e9
    return results


def summary(
    name: str, n: int, steps: list[dict[str, float]], failure: str | None, ours: list[dict[str, float]]
) -> dict[str, Any]:
    result: dict[str, Any] = {"n": n, "implementation": name, "failure": failure}
    if failure or not steps:
        return result
    result["seconds"] = statistics.median(step["seconds"] for step in steps)
    result["peak_mib"] = steps[-1]["peak_mib"]
    result["loss"] = steps[-1]["loss"]
    if abs(result["loss"] - ours[-1]["loss"]) > 1e-4 * ours[-1]["loss"]:
        result["failure"] = f"another value: {result['loss']:.6f}, ours {ours[-1]['loss']:.6f}"
    # Turn by turn: both steps of a turn met the same machine.
    result["times_ours"] = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(steps, ours, strict=False))
    result["memory_times_ours"] = result["peak_mib"] / max(ours[-1]["peak_mib"], 1e-3)
    return result


def show(results: list[dict[str, Any]], *, header: bool) -> None:
    if header:
        print(f"{'N':>6}  {'implementation':<26}{'seconds':>10}{'x ours':>8}{'peak MiB':>10}{'x ours':>8}")
    for result in results:
        line = f"{result['n']:>6}  {result['implementation']:<26}"
        if result["failure"]:
            print(f"{line}{result['failure']:>10}")
            continue
        line += f"{result['seconds']:>10.4f}{result['times_ours']:>8.1f}"
        line += f"{result['peak_mib']:>10.1f}{result['memory_times_ours']:>8.1f}"
        if "gflops" in result:
            share = result["gflops"] / result["matrix_product_gflops"]
            line += f"   {result['gflops']:.0f} GFLOP/s, {share:.0%} of the matrix product's"
        print(line, flush=True)


def work(turns: Connection, name: str, n: int, threads: int | None, cap: float) -> None:
    """A process with one implementation: a step of forward and backward each time it is asked."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    loss = matrix_product if name == PRODUCT else IMPLEMENTATIONS[name]()
    generator = torch.Generator().manual_seed(n)
    small = torch.randn(2, 8, DIM, generator=generator).requires_grad_()
    loss(small[0], small[1]).backward()  # what libraries allocate once is not the loss's memory
    views = torch.randn(2, n, DIM, generator=generator)
    first, second = views[0].requires_grad_(), views[1].requires_grad_()

    held = memory("VmRSS")
    reset_peak()
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory("VmData") * 2**20 + cap * 2**30), -1))
    peak = 0.0
    while True:
        try:
            turns.recv()
        except EOFError:
            return
        reset_peak()
        first.grad = second.grad = None
        start = time.perf_counter()
        try:
            value = loss(first, second)
            value.backward()
        except (RuntimeError, MemoryError) as error:
            turns.send("out of memory" if "memory" in str(error) else f"failed: {error}")
            return
        seconds = time.perf_counter() - start
        peak = max(peak, memory("VmHWM") - held)
        turns.send(
            {
                "seconds": seconds,
                "peak_mib": peak,
                "loss": float(value.detach()),
            }
        )


def flops_needed(n: int) -> float:
    """Of `likewise.losses.tiles`: two full products of the matrix, one and a half where tiles are kept."""
    from likewise.losses import tiles

    rows = 2 * n
    return (1.5 if rows**2 // 2 <= tiles.KEPT_ELEMENTS else 2.0) * 2 * rows**2 * DIM


def matrix_product(first: Any, second: Any) -> Any:
    """Some large matrix products in the place of a loss: how fast the machine is in this turn."""
    import torch

    a = torch.ones(SIDE, SIDE)
    for _ in range(PRODUCTS):
        a @ a
    return (first[0, 0] * 0).sum()


def memory(field: str) -> float:
    """A field of the process's status, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def reset_peak() -> None:
    """Peak resident size counts from here."""
    Path("/proc/self/clear_refs").write_text("5")


def ours() -> Callable[..., Any]:
    from likewise.losses import nt_xent

    return lambda first, second: nt_xent(first, second, temperature=TEMPERATURE)


def lightly() -> Callable[..., Any]:
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature=TEMPERATURE)


def metric_learning() -> Callable[..., Any]:
    from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

    return SelfSupervisedLoss(NTXentLoss(temperature=TEMPERATURE))


def plain() -> Callable[..., Any]:
    import torch
    from torch import Tensor
    from torch.nn import functional

    def loss(first: Tensor, second: Tensor) -> Tensor:
        z = functional.normalize(torch.cat([first, second]))
        similarity = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        partner = torch.arange(len(z)).roll(len(first))
        return functional.cross_entropy(similarity, partner)

    return loss


IMPLEMENTATIONS: dict[str, Callable[[], Callable[..., Any]]] = {
    OURS: ours,
    "plain PyTorch": plain,
    "lightly": lightly,
    "pytorch-metric-learning": metric_learning,
}

if __name__ == "__main__":
    main()
