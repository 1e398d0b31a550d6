"""The files of an export: a folder that appears whole or not at all."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from likewise.atomic import disk_trouble
from likewise.errors import UserError

MODEL = "model.safetensors"
CARD = "README.md"
PREPARATION = "preprocessing.json"


def check_unused(out: Path) -> None:
    """Raise `UserError` for a folder that holds something, or a file."""
    if out.is_file() or out.is_symlink() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} exists: name another folder with --out, or remove it")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to be written to, which becomes `out` at the end; after an error nothing is left.

    Raises:
        UserError: where it cannot be written, or `out` holds something.
    """
    check_unused(out)
    part = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
    made = [folder for folder in out.absolute().parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        check_unused(out)
        part.replace(out)
    except UserError:
        _remove(part, made)
        raise
    except BaseException as error:
        _remove(part, made)
        in_place = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file is in the place of one of its folders" if in_place else disk_trouble(error)
        if isinstance(error, Exception) and reason is not None:
            raise UserError(f"could not write {out}: {reason}; nothing was left behind") from error
        raise


def _remove(part: Path, made: list[Path]) -> None:
    shutil.rmtree(part, ignore_errors=True)
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors; those that share memory get a copy each."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Not safetensors' own writer, whose error of a full disk does not say that it is one.
    path.write_bytes(save(state, metadata={"format": "pt"}))


def write_object(path: Path, value: Any) -> None:
    """Write JSON, indented for people."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
