"""Opens damaged files, in a process of its own: a crash, a hang or a huge memory ends this process, not the tests.

    python worker.py FOLDER SEED COUNT NAME…

FOLDER gets a cache, and `inputs/`, of which the last is what a crash was about. One line of JSON on stdout: how many
inputs ended how, and `finds`, what should not have happened.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import traceback
from collections import Counter
from pathlib import Path

from formats import Format, formats

from hostile import damaged
from likewise.errors import UserError

MEMORY = 3 * 2**30
"""Bytes of addresses more than at the start: no input is larger than a megabyte."""


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


def lay_out(folder: Path, form: Format, count: int, draw: random.Random) -> None:
    """Sound files and damaged ones in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in (form.others or {}).items():
        (folder / name).write_bytes(content)
    for i in range(count):
        content = damaged(form.sound, draw)
        for _ in range(draw.choice((0, 0, 1, 3))):
            content = damaged(content, draw)
        (folder / form.name.format(i)).write_bytes(content)


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_size for path in folder.rglob("*")}


def main() -> None:
    scratch, seed, count, *names = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
    os.environ["LIKEWISE_CACHE"] = str(scratch / "cache")
    made = formats(scratch / "scratch", set(names))
    os.chdir(scratch / "empty")
    limit_memory()
    ends: Counter[str] = Counter()
    finds = []
    for name, form in made.items():
        draw = random.Random(f"{seed} {name}")
        left = count
        while left > 0:
            some = min(left, form.together)
            left -= some
            inputs = scratch / "inputs"
            lay_out(inputs, form, some, draw)
            before = tree(inputs)
            try:
                form.read(inputs)
                ends[f"{name} read"] += some
            except UserError as error:
                ends[f"{name} refused"] += some
                if "\n" in str(error):
                    finds.append(f"{name}: a message of several lines: {error}")
            except BaseException as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                finds.append(f"{name}: {type(error).__name__}: {str(error)[:300]} in {place.filename}:{place.lineno}")
                shutil.copytree(inputs, scratch / "finds" / str(len(finds)))
            written = set(tree(inputs)) - set(before) - {str(inputs / "map.npz")}
            if written or tree(scratch / "empty"):
                finds.append(f"{name}: wrote {written or tree(scratch / 'empty')}")
                shutil.rmtree(scratch / "empty")
                (scratch / "empty").mkdir()
    print(json.dumps({"inputs": sum(ends.values()) + len(finds), "ends": ends, "finds": finds}))


if __name__ == "__main__":
    main()
