"""Types `likewise pretrain` and `likewise views` with extreme values of options, in a process of its own.

    python extreme_options.py FOLDER METHOD

A crash, a hang or a huge memory ends this process, not the tests. Each command is a line on stderr before it begins.
One line of JSON on stdout: how many commands ended how, and `finds`, what should not have happened.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from likewise.cli import main
from likewise.commands.hyperparameters import default_recipe, method_hyperparameters, recipe_hyperparameters
from likewise.data.open import open_source
from likewise.methods import method_class, method_options
from small_data import SAMPLE_RATE, sentences
from small_files import captioned, lines, notes

VALUES = ("0", "-1", "1", str(2**31), str(2**63), "1e308", "nan", "inf", "")
SMALL = {"queue": 32, "prototypes": 8, "hidden_dim": 16, "projection_dim": 8, "permutations": 10, "local_crops": 1}
"""Options of methods, so that what is left as it is costs no time."""
OF_RECIPES = ("simclr", "simcse", "cola", "clip")
"""The methods, one of each modality, with which the options of every recipe are tried."""
UNMEASURED = ("--precision=32-true", "--threads=1")
SAMPLES = 32
MEMORY = 2 * 2**30
"""Bytes of addresses more than after the first command: no training on so few samples needs them."""
SECONDS = 300
"""That no command takes, on any machine."""


def data_of(modality: str | None, folder: Path) -> list[str]:
    """A little data of a modality, and what must be said of it."""
    if modality == "text":
        return [str(lines(folder / "texts.txt", sentences(SAMPLES))), "--max-tokens=32", "--vocab-size=100"]
    if modality == "audio":
        return [str(notes(folder / "notes", SAMPLES)), f"--sample-rate={SAMPLE_RATE}", "--seconds=0.4"]
    if modality == "pair":
        return [str(captioned(folder / "squares", SAMPLES)), "--max-tokens=16", "--vocab-size=100"]
    np.savez(folder / "digits.npz", x=open_source("digits:train").read(torch.arange(SAMPLES)).numpy())
    return [str(folder / "digits.npz")]


def flag(name: str, value: str) -> str:
    return f"--{name.replace('_', '-')}={value}"


def commands(method: str, folder: Path) -> Iterator[list[str]]:
    """The words of each command; the option that it is about is the last one."""
    data, *needed = data_of(method_class(method).modality, folder)
    recipe = default_recipe(method)
    of_method = [each.name for each in method_hyperparameters(recipe)]
    of_recipe = [each.name for each in recipe_hyperparameters(recipe) if each.name != "method"]
    small = {name: value for name, value in SMALL.items() if name in method_options(method)}
    usual = [
        *needed,
        "--epochs=1",
        "--batch-size=16",
        *UNMEASURED,
        *(flag(name, str(value)) for name, value in small.items()),
    ]
    for name in (*of_method, *(of_recipe if method in OF_RECIPES else ())):
        for value in VALUES:
            rest = [word for word in usual if not word.startswith(flag(name, ""))]
            yield ["pretrain", data, f"--method={method}", f"--out={folder / 'run'}", *rest, flag(name, value)]
    if method in OF_RECIPES:
        for name in ("size", "channels", "seed", "augment", "range"):
            for value in VALUES:
                yield ["views", data, f"--out={folder / 'views.png'}", flag(name, value)]


def end_of(words: list[str]) -> tuple[str, str]:
    """How a command ended, and what is wrong with that, if anything."""
    err = io.StringIO()
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        status = main(words)
    faulthandler.cancel_dump_traceback_later()
    if status == 0:
        return "done", ""
    said = [line for line in err.getvalue().splitlines() if line.startswith("likewise: ")]
    if status == 2 and len(said) == 1 and "memory is full" not in said[0]:
        return "refused", ""
    return "wrong", f"exit {status}: {' '.join(said) or err.getvalue()[-500:]}"


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


def sweep(folder: Path, method: str) -> None:
    os.environ["LIKEWISE_CACHE"] = str(folder / "cache")
    ends: Counter[str] = Counter()
    finds = []
    for number, words in enumerate(commands(method, folder)):
        if number == 0:
            first, why = end_of(words[:-1])
            assert first == "done", why
            limit_memory()
        print(*words, file=sys.stderr, flush=True)
        shutil.rmtree(folder / "run", ignore_errors=True)
        end, wrong = end_of(words)
        ends[end] += 1
        if wrong:
            finds.append(f"{words[0]} {words[-1]}: {wrong}")
    print(json.dumps({"ends": ends, "finds": finds}))


if __name__ == "__main__":
    sweep(Path(sys.argv[1]), sys.argv[2])
