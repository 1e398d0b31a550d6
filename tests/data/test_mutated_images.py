"""Damaged images of every format that is read end as a sample or with a reason, within bounds."""

from __future__ import annotations

import io
import random
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from likewise.data import pictures
from likewise.data.levels import Levels
from likewise.data.open import open_source
from likewise.errors import UserError

RNG = np.random.default_rng(0)
COLOURS = Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8))
SCAN = Image.fromarray(RNG.integers(0, 4096, (40, 40)).astype(np.uint16))
FLOATS = Image.fromarray(RNG.random((40, 40)).astype(np.float32))
BANDS = RNG.integers(0, 4096, (40, 40, 6)).astype(np.uint16)


def whole_files() -> dict[str, bytes]:
    pytest.importorskip("tifffile")
    import tifffile

    made: dict[str, bytes] = {}

    def keep(name: str, write: Any) -> None:
        buffer = io.BytesIO()
        write(buffer)
        made[name] = buffer.getvalue()

    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "QOI", "ICO", "SGI", "JPEG2000", "TGA"):
        keep(f"colours.{kind.lower()}", lambda file, kind=kind: COLOURS.save(file, kind))
    if features.check("avif"):
        keep("colours.avif", lambda file: COLOURS.save(file, "AVIF"))
    keep("scan.png", lambda file: SCAN.save(file, "PNG"))
    keep("floats.tif", lambda file: FLOATS.save(file, "TIFF"))
    keep("colours16.tif", lambda file: tifffile.imwrite(file, BANDS[..., :3], photometric="rgb"))
    how: dict[str, dict[str, Any]] = {"strips": {}, "zlib": {"compression": "zlib"}, "tiles": {"tile": (16, 16)}}
    for name, options in how.items():
        flat = {"photometric": "minisblack", "planarconfig": "contig"} | options
        keep(f"{name}.tif", lambda file, flat=flat: tifffile.imwrite(file, BANDS, **flat))
    return made


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, mostly at the start, cut off, or put in between."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if len(data) < 2:
            break
        what = chance.random()
        place = chance.randrange(min(len(data), 200) if chance.random() < 0.6 else len(data))
        if what < 0.6:
            data[place] = chance.randrange(256)
        elif what < 0.8:
            del data[max(1, place) :]
        else:
            data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
    return bytes(data)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the memory of the process")
def test_two_thousand_damaged_files_end_as_samples_or_are_listed(tmp_path: Path) -> None:
    chance, files = random.Random(1), whole_files()
    names: dict[str, bytes] = {}
    for i in range(2000):
        name = chance.choice(list(files))
        names[f"{i:04}-{name}"] = mutated(files[name], chance)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for part in range(0, 2000, 250):
        folder = tmp_path / str(part)
        folder.mkdir()
        some = dict(list(names.items())[part : part + 250])
        for name, content in some.items():
            (folder / name).write_bytes(content)
        source = open_source(folder, size=16, channels=3, progress=False)
        left_out = dict(source.skipped)
        assert {*source.ids, *left_out} == set(some)
        assert all(why and "\n" not in why for why in left_out.values())
        assert 0 < len(left_out) < 250
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * 2**20  # KiB


def test_what_a_damaged_header_promises_is_bounded(tmp_path: Path) -> None:
    """A TIFF file of a few kilobytes that claims millions of rows is refused at once."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BANDS, photometric="minisblack", planarconfig="contig", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(4_000_000)
    for read in (pictures.numbers, lambda path: pictures.decode(path, 16, 6, Levels((0, 4095)))):
        with pytest.raises((ValueError, Image.DecompressionBombError), match=r"holds less than an image|exceeds limit"):
            read(path)
    with pytest.raises(UserError, match="none of its 1 image files can be read"):
        open_source(tmp_path)
