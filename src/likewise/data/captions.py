"""Captions: in text files beside what they describe, or in the .tar shards of WebDataset."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from likewise.data import endings
from likewise.data.cache import cached, digest
from likewise.data.files import File, Recognises, could_be, printable, scan
from likewise.data.pictures import reason
from likewise.errors import UserError

CAPTIONS = ".txt"
KEYS = ("caption", "text", "sentence", "description")  # of a sample's JSON, the first that is there
# Part of every cache key: raise it when the same shard would become other files.
READER = 3


def captions_in(content: bytes) -> list[str]:
    """What a caption's file says: each line that is not empty is a caption, as in the field's data sets.

    Raises:
        UnicodeDecodeError: for what is not UTF-8.
    """
    return [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]


def beside(folder: Path, media: Sequence[File], thing: str) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """The captions in .txt files that lie beside the files they are named after.

    Args:
        media: the files that may have captions.
        thing: what these are, in one word.

    Returns:
        The captions of each file that has some, as `media` has them; and (file, reason) of what is left over.
    """
    files, unreadable = scan(folder, (CAPTIONS,))
    unpaired = [(printable(file), why) for file, why in unreadable]
    named = {_stem(file.id) for file in files}
    caption_of = {file.id: stem for file in media if (stem := described_by(file.id, named)) is not None}
    taken = set(caption_of.values())
    captions: dict[str, list[str]] = {}
    for file in files:
        if _stem(file.id) not in taken:
            unpaired.append((printable(file.id), f"a caption without its {thing}"))
            continue
        try:
            captions[_stem(file.id)] = captions_in((folder / file.id).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            unpaired.append((printable(file.id), why_not(error)))
        else:
            if not captions[_stem(file.id)]:
                unpaired.append((printable(file.id), "empty file"))
    found = {file.id: captions.get(caption_of.get(file.id, "")) or [] for file in media}
    unpaired += [(printable(file), f"{thing} without its caption") for file, texts in found.items() if not texts]
    return {file: texts for file, texts in found.items() if texts}, unpaired


def described_by(path: str, captions: Container[str]) -> str | None:
    """The caption of a file, None without one.

    Args:
        captions: paths of caption files, without their endings.
    """
    return next((each for each in caption_names(path) if each in captions), None)


def caption_names(path: str) -> tuple[str, str]:
    """What the caption of a file may be called, without its ending: of `a.png` `a` or `a.png`, of `b` itself `b`."""
    stem = _stem(path) if "." in path.rpartition("/")[2] else path
    # What stands behind a dot need not be an ending: `tour.day 2`.
    return (stem, path) if path.lower().endswith((*endings.IMAGES, *endings.RECORDINGS)) else (path, stem)


def unpacked(
    shard: Path, suffixes: tuple[str, ...], kinds: Mapping[str, Recognises]
) -> tuple[Path, dict[str, list[Any]]]:
    """The folder of the cache with the files of a shard that end like this, and what `unpack` returned."""
    stat = shard.stat()
    key = digest([READER, shard.resolve(), stat.st_size, stat.st_mtime_ns, suffixes])
    return cached("shards", key, partial(unpack_whole, shard, suffixes, kinds))


def unpack_whole(
    shard: Path, suffixes: tuple[str, ...], kinds: Mapping[str, Recognises], building: Path
) -> dict[str, list[Any]]:
    """What `unpack` returns, with a line among "unpaired" where a shard was not read to its end.

    tarfile takes a damaged header, and the end of a file that was cut between two members, for the end of the archive.
    """
    found = unpack(shard, suffixes, kinds, building)
    with tarfile.open(shard) as archive:
        archive.getmembers()
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        mark = archive.fileobj.read(tarfile.BLOCKSIZE)
    if mark != bytes(tarfile.BLOCKSIZE):
        why = "damaged, the rest was not read" if mark else "no end mark, the archive may have been cut"
        found["unpaired"].append((f"{shard.name}, byte {archive.offset:,}", why))
    return found


def unpack(
    shard: Path, suffixes: tuple[str, ...], kinds: Mapping[str, Recognises], building: Path
) -> dict[str, list[Any]]:
    """Put the files of a shard that end like this into `building`, and find their captions.

    A caption is a .txt or, without one, what a .json says. It belongs to the file of the same name but for the ending:
    `a 2.0.jpg` and `a 2.0.txt`. Of files and captions that are left, those with one name before the first dot are a
    sample, as WebDataset has it: `a.input.jpg` and `a.output.txt`.

    Args:
        kinds: what knows files of other endings, or of none, by their content; they get this ending in `building`.

    Returns:
        "samples": (member, its file in `building`, captions); "unpaired": (member, reason) of what is left over.

    Raises:
        UserError: for what is no sound tar file.
    """
    files: dict[str, tuple[str, str]] = {}
    by_content: list[tuple[str, str]] = []
    captions: dict[str, tuple[str, list[str]]] = {}
    unpaired: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    try:
        with tarfile.open(shard) as archive:
            for number, member in enumerate(archive):
                base = member.name.rpartition("/")[2]
                if member.isdir() or base.startswith("."):
                    continue
                stem, dot, ending = member.name.rpartition(".")
                suffix = dot + ending.lower()
                named = suffix in (*suffixes, ".txt", ".json")
                if not member.isfile() or not (named or could_be(base)):
                    why = "no image, recording or caption by its ending" if member.isfile() else "not a regular file"
                    others.append((member.name, why))
                    continue
                if not named:
                    if (file := _put_by_content(archive, member, building / f"{number:08d}", kinds)) is None:
                        others.append((member.name, "no image, recording or caption by its content"))
                    else:
                        by_content.append((member.name, file.name))
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                content = stream.read()
                if suffix in suffixes:
                    if stem in files:
                        unpaired.append((member.name, f"another file of the sample of {files[stem][0]}"))
                    else:
                        files[stem] = member.name, f"{number:08d}{suffix}"
                        (building / files[stem][1]).write_bytes(content)
                    continue
                try:
                    found = captions_in(content) if suffix == ".txt" else _captions_of(json.loads(content))
                except ValueError as error:
                    unpaired.append((member.name, why_not(error)))
                else:
                    if not found:
                        unpaired.append((member.name, "empty file"))
                    elif suffix == ".txt" or stem not in captions:
                        captions[stem] = member.name, found
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{shard} cannot be read as a tar file: {' '.join(str(error).split())}") from error
    for name, file_name in by_content:
        stem = described_by(name, captions) or caption_names(name)[0]
        if stem in files:
            unpaired.append((name, f"another file of the sample of {files[stem][0]}"))
        else:
            files[stem] = name, file_name
    pairs = {stem: stem for stem in files if stem in captions}
    first_file, first_caption = _by_key(files, pairs), _by_key(captions, pairs)
    pairs |= {stem: first_caption[key] for key, stem in first_file.items() if key in first_caption}
    keys = {_key(stem): stem for stem in reversed(pairs)}
    samples = [(*files[stem], captions[pairs[stem]][1]) for stem in files if stem in pairs]
    for stem in files:
        if stem not in pairs:
            other = keys.get(_key(stem))
            why = "without its caption" if other is None else f"another file of the sample of {files[other][0]}"
            unpaired.append((files[stem][0], why))
    taken = set(pairs.values())
    unpaired += [(captions[stem][0], "a caption without its file") for stem in captions if stem not in taken]
    return {"samples": samples, "unpaired": unpaired + others}


def _put_by_content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, kinds: Mapping[str, Recognises]
) -> Path | None:
    """The file of a member, named `path` and the ending of its kind; None, and no file, for one of no kind."""
    stream = archive.extractfile(member)
    assert stream is not None
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out)
    for ending, recognises in kinds.items():
        if recognises(path):
            return path.rename(path.with_name(path.name + ending))
    path.unlink()
    return None


def _key(stem: str) -> str:
    """What WebDataset knows a sample by: the path up to the first dot of the file's name."""
    folder, slash, base = stem.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _by_key(stems: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """The first of the stems that are not taken, by the key of each."""
    found: dict[str, str] = {}
    for stem in stems:
        if stem not in taken:
            found.setdefault(_key(stem), stem)
    return found


def why_not(error: Exception) -> str:
    """Why a caption could not be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start + 1:,}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} in line {error.lineno:,}"
    return reason(error)


def _captions_of(described: Any) -> list[str]:
    """The caption in a sample's JSON, or the list of them. Raises `ValueError` where there is none."""
    if isinstance(described, dict):
        for key in KEYS:
            value = described.get(key)
            texts = value if isinstance(value, list) else [value]
            if found := [text.strip() for text in texts if isinstance(text, str) and text.strip()]:
                return found
    raise ValueError(f"no text under {', '.join(KEYS)}")


def _stem(path: str) -> str:
    return path.rpartition(".")[0]
