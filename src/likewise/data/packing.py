"""Shards from files: samples in a shuffled order in .tar files, with the members that WebDataset reads.

The bytes of shards are a function of the files and the seed. What belongs into each shard is known before any file is
read, so that packing that was ended goes on where it was.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from likewise.atomic import replacing, telling_of_the_disk, write_json
from likewise.data import text
from likewise.data.cache import digest
from likewise.data.captions import CAPTIONS, beside
from likewise.data.dispatch import folder_modalities, open_whole
from likewise.data.file_tables import file_rows
from likewise.data.files import File, folder_of, printable, scan
from likewise.data.folder_labels import folder_labelling
from likewise.data.labelling import Labelling
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.data.sampling import order
from likewise.data.shards import MANIFEST
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.registry import load_modality

HEADER = tarfile.BLOCKSIZE
END = 2 * tarfile.BLOCKSIZE
MEGABYTE = 10**6


class Sample(NamedTuple):
    """A sample before it is packed: its members by their endings, each a file or what a file would hold."""

    name: str
    members: dict[str, Path | bytes]
    sizes: tuple[int, ...]
    """Of the members, in bytes."""
    version: str
    """What says whether it is the same as before."""


class Packing(NamedTuple):
    """Samples that are to be packed, in the order of their files."""

    name: str
    modality: str
    samples: int
    sample: Callable[[int], Sample]
    classes: list[str]
    labels: Sequence[int]
    """-1 for a sample without one."""
    skipped: list[tuple[str, str]]


class PackedShard(NamedTuple):
    """A shard that is done, as the manifest has it."""

    name: str
    samples: int
    bytes: int
    content: str
    """A digest of what its samples are."""


def packing_of(data: Any, read_options: ReadOptions, *, progress: bool) -> Packing:
    """What is to be packed of a folder of samples or of pairs, of a table of paths, or of a file of texts.

    Raises:
        UserError: for data of another kind, or without a sample.
    """
    found, split = resolve(data)
    request = Request(found, split, read_options=read_options, progress=progress)
    if isinstance(found, Path) and found.is_dir():
        packing = _folder(request)
    elif isinstance(found, Path):
        packing = _table(request) or _texts(request)
    else:
        packing = None
    if packing is None:
        raise UserError(
            f"{data} cannot be packed: name a folder of images, recordings or texts, of pairs with --modality pair, a "
            "table of their paths, or a file of texts"
        )
    if not packing.samples:
        raise UserError(f"{data} holds no sample to pack")
    return packing


def pack_samples(
    packing: Packing, out: Path, *, megabytes: int, seed: int, report: Callable[[int, int, str], object]
) -> list[PackedShard]:
    """Write shards into `out`, each of them whole or not at all; those that are there already are kept.

    Args:
        megabytes: of a shard, at most, unless a sample alone is larger.
        seed: of the order.
        report: called with (samples done, of how many, what is done).

    Raises:
        UserError: for a folder that holds something else, or a file that cannot be read or written.
    """
    known = _known(out)
    shuffled = order(packing.samples, seed=seed, epoch=0).tolist()
    names = _names(packing, shuffled)
    done: list[PackedShard] = []
    packed = 0
    with telling_of_the_disk(out, "the shards that are done are kept: free some space, and type the same again"):
        out.mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(_parts(packing, shuffled, names, megabytes * MEGABYTE)):
            name = f"{number:06d}.tar"
            samples = [packing.sample(row) for row in rows]
            labels = [packing.labels[row] for row in rows]
            keys = [names[row] for row in rows]
            content = digest([keys, labels, *(sample.version for sample in samples)])
            before = known.get(name)
            if before is None or before.content != content or _size(out / name) != before.bytes:
                with replacing(out / name) as part:
                    _write(part, samples, keys, labels)
                before = PackedShard(name, len(rows), _size(out / name), content)
            done.append(before)
            packed += len(rows)
            _save(out, packing, done, complete=packed == packing.samples)
            report(packed, packing.samples, "packing")
        for left in known.keys() - {shard.name for shard in done}:
            (out / left).unlink(missing_ok=True)  # of an earlier packing of more files
    return done


def _parts(packing: Packing, shuffled: list[int], names: dict[int, str], most: int) -> Iterator[list[int]]:
    """The samples of each shard, by the sizes of their files."""
    rows: list[int] = []
    size = END
    for row in shuffled:
        sample = packing.sample(row)
        sizes = (*sample.sizes, *([len(str(packing.labels[row]))] if packing.labels[row] >= 0 else []))
        larger = sum(HEADER + -(-each // HEADER) * HEADER for each in sizes)
        if rows and size + larger > most:
            yield rows
            rows, size = [], END
        rows.append(row)
        size += larger
    yield rows


def _write(path: Path, samples: list[Sample], keys: list[str], labels: list[int]) -> None:
    """The bytes depend on nothing else: no time, no user."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for sample, key, label in zip(samples, keys, labels, strict=True):
            members: dict[str, Path | bytes] = {**sample.members}
            if label >= 0:
                members[".cls"] = str(label).encode()
            for (ending, content), size in zip(members.items(), (*sample.sizes, len(str(label))), strict=False):
                info = tarfile.TarInfo(key + ending)
                info.size = size
                if isinstance(content, bytes):
                    archive.addfile(info, io.BytesIO(content))
                    continue
                try:
                    with content.open("rb") as file:
                        archive.addfile(info, file)
                        changed = bool(file.read(1))
                except OSError as error:
                    if error.errno is not None and error.filename is None:
                        raise  # of the disk that is written to
                    changed = True
                if changed:
                    raise UserError(f"{content} has changed, or cannot be read any more: type the same again")


def _save(out: Path, packing: Packing, done: list[PackedShard], *, complete: bool) -> None:
    manifest = {
        "packed": packing.name,
        "modality": packing.modality,
        "complete": complete,
        "samples": sum(shard.samples for shard in done),
        "classes": packing.classes,
        "shards": [shard._asdict() for shard in done],
    }
    write_json(out / MANIFEST, manifest)


def _known(out: Path) -> dict[str, PackedShard]:
    """The shards that an earlier packing has written into a folder.

    Raises:
        UserError: for a folder that holds other things.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        shards = [PackedShard(**shard) for shard in manifest["shards"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{out} must be a new folder, or one of likewise pack, got another: name one with --out"
        ) from error
    return {
        shard.name: shard for shard in shards if isinstance(shard.name, str) and shard.name == Path(shard.name).name
    }


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else -1


def _names(packing: Packing, rows: list[int]) -> dict[int, str]:
    """The key of each sample: its name without its ending, without the dots that WebDataset takes for an ending."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for row in sorted(rows):
        parts = [part for part in packing.sample(row).name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        *folders, base = parts or [str(row)]
        key = "/".join([*folders, base.replace(".", "_") or str(row)])
        unique, number = key, 2
        while unique in taken:
            unique, number = f"{key}-{number}", number + 1
        taken.add(unique)
        names[row] = unique
    return names


def _folder(request: Request) -> Packing | None:
    asked = folder_of(request)
    assert asked is not None
    folder, name = asked
    if request.read_options.modality == "pair":
        return _pairs(request, folder, name)
    for modality in folder_modalities(request.read_options):
        if request.read_options.modality is None and not modality.may_hold(folder):
            continue
        if modality.name == "text":
            return _texts(request) if scan(folder, modality.suffixes)[0] else None
        files, unreadable = scan(folder, modality.suffixes, modality.recognises, modality.nouns[0])
        if files:
            labelling, _ = folder_labelling(request, folder, files, modality.nouns[1])
            return _files(folder, files, unreadable, labelling, name=name, modality=modality)
    return None


def _pairs(request: Request, folder: Path, name: str) -> Packing | None:
    for kind in ("image", "audio"):
        modality = load_modality(kind)
        files, unreadable = scan(folder, modality.suffixes, modality.recognises, modality.nouns[0])
        captions, unpaired = beside(folder, files, modality.nouns[0])
        if captions:
            paired = [file for file in files if file.id in captions]
            labelling, _ = folder_labelling(request, folder, paired, modality.nouns[1])
            left = [*((printable(file), why) for file, why in unreadable), *unpaired]
            packing = _files(folder, paired, left, labelling, name=name, modality=modality)
            texts = ["\n".join(captions[file.id]).encode() for file in paired]
            return packing._replace(modality="pair", sample=partial(_captioned, packing.sample, texts))
    return None


def _captioned(of: Callable[[int], Sample], texts: Sequence[bytes], row: int) -> Sample:
    alone, text = of(row), texts[row]
    members = {**alone.members, CAPTIONS: text}
    return Sample(alone.name, members, (*alone.sizes, len(text)), digest([alone.version, text]))


def _table(request: Request) -> Packing | None:
    for kind in ("image", "audio"):
        modality = load_modality(kind)
        if request.read_options.modality in (None, kind):
            rows = file_rows(request, modality.suffixes, modality.recognises, modality.nouns[1])
            if rows is not None:
                name = printable(request.data.stem)
                return _files(rows.folder, rows.files, rows.missing, rows.labelling, name=name, modality=modality)
    return None


def _files(
    folder: Path,
    files: Sequence[File],
    unreadable: Sequence[tuple[str, str]],
    labelling: Labelling,
    *,
    name: str,
    modality: Any,
) -> Packing:
    """Files as they are: nothing is decoded."""
    kept = [i for i, file in enumerate(files) if file.size and os.access(folder / file.id, os.R_OK)]
    left = {i: "empty file" if not file.size else "Permission denied" for i, file in enumerate(files)}
    skipped = [(printable(file), why) for file, why in unreadable]
    skipped += [(printable(files[i].id), left[i]) for i in sorted(left.keys() - set(kept))]
    classes, labels = labelling(np.array(kept, dtype=np.int64)) if kept else ([], "")

    def sample(row: int) -> Sample:
        file = files[kept[row]]
        stem, dot, ending = file.id.rpartition(".")
        known = file.id.lower().endswith(modality.suffixes)
        suffix = dot + ending.lower() if known else modality.suffixes[0]
        version = digest([printable(file.id), file.size, file.modified])
        return Sample(printable(stem if known else file.id), {suffix: folder / file.id}, (file.size,), version)

    numbers = [-1] * len(kept) if isinstance(labels, str) else labels.tolist()
    return Packing(name, modality.name, len(kept), sample, classes, numbers, skipped)


def _texts(request: Request) -> Packing | None:
    """Texts, one member each; their numbers are their names, but for those that are files."""
    options = request.read_options.with_(modality="text")
    if request.read_options.modality not in (None, "text"):
        return None
    source: Source = open_whole(
        request.data if request.split is None else f"{request.data}:{request.split}", options, progress=request.progress
    )
    documents = text.corpus(source)
    width = len(str(len(documents)))

    def sample(row: int) -> Sample:
        content = documents[row].encode("utf-8", "backslashreplace")
        id = source.ids[row].removesuffix(".txt")
        name = f"{int(id):0{width}d}" if id.isdecimal() else id
        return Sample(name, {".txt": content}, (len(content),), digest([content]))

    labels = source.labels().tolist() if source.classes else [-1] * len(source)
    return Packing(source.name, "text", len(source), sample, source.classes, labels, list(source.skipped))
