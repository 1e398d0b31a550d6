"""How good and how fast the approximate search of an index is, beside the exact one.

    python -m benchmarks.index [--rows 1000000] [--dim 128] [--vectors FILE.npy] [--queries 200] [--probed 0.05 …]

Without --vectors, the vectors are synthetic: 1,000 clusters of 24 dimensions, which a random linear map takes to --dim,
and some noise in all of them. With --vectors, embeddings that `likewise embed` wrote (.npy) are repeated, with noise of
a fifth of the deviation of each dimension. Queries are drawn in the same way, and are not in the index.

The index is filled, built and searched by the code that `likewise embed` and `likewise search` use, each step in a
process of its own, whose largest memory is shown. Times are of one query after the other, in one process, after one
that is not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.proof import workplace
from likewise.index import table
from likewise.index.table import EmbeddingIndex
from likewise.own_files import INDEX_TABLE

CLUSTERS, LATENT, SPREAD, NOISE = 1000, 24, 0.5, 0.05
REPEAT_NOISE = 0.2
PART = 50_000
NEIGHBOURS = 10


def drawer(dim: int, vectors: Path | None) -> Callable[[np.random.Generator, int], np.ndarray]:
    """What draws vectors, float32 `(n, dim)`."""
    if vectors is not None:
        given = np.load(vectors).astype(np.float32)
        scale = REPEAT_NOISE * given.std(0)
        return lambda random, n: (
            given[random.integers(len(given), size=n)] + scale * random.standard_normal((n, given.shape[1]), np.float32)
        )
    fixed = np.random.default_rng(0)
    centres = fixed.standard_normal((CLUSTERS, LATENT), np.float32)
    basis = fixed.standard_normal((LATENT, dim), np.float32) / LATENT**0.5

    def draw(random: np.random.Generator, n: int) -> np.ndarray:
        latent = centres[random.integers(CLUSTERS, size=n)] + SPREAD * random.standard_normal((n, LATENT), np.float32)
        return latent @ basis + NOISE * random.standard_normal((n, dim), np.float32)

    return draw


def fill(folder: Path, rows: int, dim: int, vectors: Path | None) -> dict[str, Any]:
    draw, random = drawer(dim, vectors), np.random.default_rng(1)
    dim = draw(random, 1).shape[1]
    encoder = {"run": "benchmark", "relative": None, "digest": "0", "dim": dim, "modality": "image"}
    index = EmbeddingIndex.create(folder, {"likewise": "benchmark", "created": "now", "encoder": encoder})
    taken = 0.0
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        part = pa.FixedSizeListArray.from_arrays(pa.array(draw(random, count).ravel()), dim)
        numbers = [f"{i}" for i in range(start, start + count)]
        labels, contents = [str(i % 10) for i in range(start, start + count)], [f"{int(i):016x}" for i in numbers]
        columns = {"id": numbers, "label": labels, "content": contents, "vector": part}
        began = perf_counter()
        index.add(pa.table(columns, schema=index.schema))
        taken += perf_counter() - began
    return {"seconds": taken, "memory": memory(), "dim": dim}


def build(folder: Path) -> dict[str, Any]:
    index = EmbeddingIndex.open(folder)
    began = perf_counter()
    index.settle(build=True)
    return {"seconds": perf_counter() - began, "memory": memory()}


def search(folder: Path, queries: np.ndarray, *, exact: bool, probed: float, where: str | None) -> dict[str, Any]:
    table.PROBED = probed
    index = EmbeddingIndex.open(folder)
    index.nearest(queries[0], NEIGHBOURS, exact=exact, where=where)
    found, seconds = [], []
    for query in queries:
        began = perf_counter()
        found.append({row.id for row in index.nearest(query, NEIGHBOURS, exact=exact, where=where)})
        seconds.append(perf_counter() - began)
    return {"found": found, "median": median(seconds), "worst": max(seconds), "memory": memory()}


def memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a step returns that runs in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(step).result()


def sizes(folder: Path) -> Iterator[int]:
    return (path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="vectors in the index (1,000,000)")
    parser.add_argument("--dim", type=int, default=128, help="dimensions of synthetic vectors (128)")
    parser.add_argument("--vectors", type=Path, help="a .npy file of embeddings to repeat with noise")
    parser.add_argument("--queries", type=int, default=200, help="queries (200)")
    parser.add_argument("--probed", type=float, nargs="+", default=[table.PROBED], help="shares of the partitions")
    asked = parser.parse_args()
    queries = drawer(asked.dim, asked.vectors)(np.random.default_rng(2), asked.queries)
    with workplace() as work:
        folder = work / "index"
        filled = alone(partial(fill, folder, asked.rows, asked.dim, asked.vectors))
        built = alone(partial(build, folder))
        print(f"{asked.rows:,} vectors of {filled['dim']} dimensions, load {os.getloadavg()[0]:.1f}")
        print(f"added in {filled['seconds']:.0f} s, memory {filled['memory'] / 2**20:,.0f} MiB")
        print(f"indexed in {built['seconds']:.0f} s, memory {built['memory'] / 2**20:,.0f} MiB")
        indexed = sum(sizes(folder / INDEX_TABLE / "_indices"))
        print(f"on the disk {sum(sizes(folder)) / 2**20:,.0f} MiB, of which the index {indexed / 2**20:,.0f} MiB")
        print("| | recall@10 | median | worst | memory, MiB | times as fast |\n| --- | --- | --- | --- | --- | --- |")
        for where in (None, "label IN ('0', '1', '2', '3', '4')"):
            how = partial(search, folder, queries, where=where)
            exact = alone(partial(how, exact=True, probed=0.0))
            show("exact" + " with a filter" * (where is not None), exact, exact)
            for share in asked.probed:
                label = f"{table.probes(asked.rows)} partitions" if share == table.PROBED else f"{share:.1%} of them"
                show(
                    label + " with a filter" * (where is not None),
                    alone(partial(how, exact=False, probed=share)),
                    exact,
                )
        print(f"load {os.getloadavg()[0]:.1f}")


def show(name: str, found: dict[str, Any], exact: dict[str, Any]) -> None:
    recall = np.mean([len(mine & its) / len(its) for mine, its in zip(found["found"], exact["found"], strict=True)])
    print(
        f"| {name} | {recall:.3f} | {1000 * found['median']:.1f} ms | {1000 * found['worst']:.1f} ms | "
        f"{found['memory'] / 2**20:,.0f} | {exact['median'] / found['median']:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
