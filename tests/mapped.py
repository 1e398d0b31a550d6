"""Whether Arrow data lies in files that are mapped: what the allocator holds also changes with other tests' garbage."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa


def is_mapped(column: pa.ChunkedArray, folder: Path) -> bool:
    """Whether all of `column` lies in files below `folder`; it holds a buffer at least."""
    regions = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, path = line.split(maxsplit=5)
        if path.startswith(str(folder.resolve())):
            first, last = (int(address, 16) for address in span.split("-"))
            regions.append(range(first, last))
    buffers = [buffer for chunk in column.chunks for buffer in chunk.buffers() if buffer is not None]
    return bool(buffers) and all(any(buffer.address in region for region in regions) for buffer in buffers)
