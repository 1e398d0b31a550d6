"""Captions: in text files beside what they describe, or in the .tar shards of WebDataset."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from likewise.data.cache import cached, digest
from likewise.data.files import File, printable, scan
from likewise.data.pictures import reason
from likewise.errors import UserError

KEYS = ("caption", "text", "sentence", "description")  # of a sample's JSON, the first that is there
# Part of every cache key: raise it when the same shard would become other files.
READER = 1


def caption_in(content: bytes) -> str:
    """What a caption's file says: its first line that is not empty. Others are often translations, or other captions.

    Raises:
        UnicodeDecodeError: for what is not UTF-8.
    """
    return next((line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()), "")


def beside(folder: Path, media: Sequence[File], thing: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The captions in .txt files that lie beside the files they are named after.

    Args:
        media: the files that may have captions.
        thing: what these are, in one word.

    Returns:
        The caption of each file that has one, as `media` has them; and (file, reason) of what is left over.
    """
    files, unreadable = scan(folder, (".txt",))
    unpaired = [(printable(file), why) for file, why in unreadable]
    described = {_stem(file.id) for file in media}
    captions: dict[str, str] = {}
    for file in files:
        if _stem(file.id) not in described:
            unpaired.append((printable(file.id), f"a caption without its {thing}"))
            continue
        try:
            captions[_stem(file.id)] = caption_in((folder / file.id).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            unpaired.append((printable(file.id), why_not(error)))
        else:
            if not captions[_stem(file.id)]:
                unpaired.append((printable(file.id), "empty file"))
    without = [file.id for file in media if not captions.get(_stem(file.id))]
    unpaired += [(printable(file), f"{thing} without its caption") for file in without]
    return {file.id: caption for file in media if (caption := captions.get(_stem(file.id)))}, unpaired


def unpacked(shard: Path, suffixes: tuple[str, ...]) -> tuple[Path, dict[str, list[Any]]]:
    """The folder of the cache with the files of a shard that end like this, and what `unpack` returned."""
    stat = shard.stat()
    key = digest([READER, shard.resolve(), stat.st_size, stat.st_mtime_ns, suffixes])
    return cached("shards", key, partial(unpack_whole, shard, suffixes))


def unpack_whole(shard: Path, suffixes: tuple[str, ...], building: Path) -> dict[str, list[Any]]:
    """What `unpack` returns, with a line among "unpaired" where a shard was not read to its end.

    tarfile takes a damaged header, and the end of a file that was cut between two members, for the end of the archive.
    """
    found = unpack(shard, suffixes, building)
    with tarfile.open(shard) as archive:
        archive.getmembers()
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        mark = archive.fileobj.read(tarfile.BLOCKSIZE)
    if mark != bytes(tarfile.BLOCKSIZE):
        why = "damaged, the rest was not read" if mark else "no end mark, the archive may have been cut"
        found["unpaired"].append((f"{shard.name}, byte {archive.offset:,}", why))
    return found


def unpack(shard: Path, suffixes: tuple[str, ...], building: Path) -> dict[str, list[Any]]:
    """Put the files of a shard that end like this into `building`, and find their captions.

    Members of one sample have one name before the first dot of their file name. A caption is a .txt or, without one,
    what a .json says.

    Returns:
        "samples": (member, its file in `building`, caption); "unpaired": (member, reason) of what is left over.

    Raises:
        UserError: for what is no sound tar file.
    """
    files: dict[str, tuple[str, str]] = {}
    captions: dict[str, tuple[str, str]] = {}
    unpaired: list[tuple[str, str]] = []
    try:
        with tarfile.open(shard) as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                sample, suffix = f"{folder}/{stem}", f".{suffix.lower()}"
                if not member.isfile() or not stem or suffix not in (*suffixes, ".txt", ".json"):
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                content = stream.read()
                if suffix in suffixes:
                    if sample not in files:
                        files[sample] = member.name, f"{len(files):08d}{suffix}"
                        (building / files[sample][1]).write_bytes(content)
                    continue
                try:
                    found = caption_in(content) if suffix == ".txt" else _caption_of(json.loads(content))
                except ValueError as error:
                    unpaired.append((member.name, why_not(error)))
                else:
                    if found and (suffix == ".txt" or sample not in captions):
                        captions[sample] = member.name, found
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{shard} cannot be read as a tar file: {' '.join(str(error).split())}") from error
    samples = [(*files[sample], captions[sample][1]) for sample in files if sample in captions]
    unpaired += [(files[sample][0], "without its caption") for sample in files if sample not in captions]
    unpaired += [(captions[sample][0], "a caption without its file") for sample in captions if sample not in files]
    return {"samples": samples, "unpaired": unpaired}


def why_not(error: Exception) -> str:
    """Why a caption could not be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start + 1:,}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} in line {error.lineno:,}"
    return reason(error)


def _caption_of(described: Any) -> str:
    """The caption in a sample's JSON. Raises `ValueError` where there is none."""
    if isinstance(described, dict):
        for key in KEYS:
            if isinstance(described.get(key), str) and described[key].strip():
                return described[key].strip()
    raise ValueError(f"no text under {', '.join(KEYS)}")


def _stem(path: str) -> str:
    return path.rpartition(".")[0]
