"""WebDataset's .tar files: members of one name are a sample, an image, a recording or a text."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from likewise.data import endings, tables
from likewise.data.captions import CAPTIONS, caption_names, captions_in, captions_of, described_by, why_not
from likewise.data.files import could_be, printable
from likewise.data.shard_index import MOST_BYTES, MOST_TEXT, TEXT, FoundSample, Left, Read, kind_of
from likewise.data.stores import Shard
from likewise.errors import UserError

DESCRIBED, CLASS = ".json", ".cls"
LABELS = ("cls", *tables.LABELS)
"""Keys of a sample's JSON that hold its label, the first that is there."""
MOST_HEADER = 1 << 20
NO_SAMPLE = "no image, recording or caption"


class Text(NamedTuple):
    """A text of an archive, with its captions."""

    name: str
    start: int
    length: int
    captions: list[str]


class Members:
    """What an archive holds, by the names of its members without their endings."""

    def __init__(self) -> None:
        self.media: dict[str, FoundSample] = {}
        self.by_content: list[FoundSample] = []
        self.texts: dict[str, Text] = {}
        self.described: dict[str, Text] = {}
        self.labels: dict[str, str] = {}
        self.labelled: dict[str, str] = {}
        """The members that the labels are in, of those that are no JSON."""
        self.left = Left([], [], [])

    @property
    def captions(self) -> dict[str, Text]:
        """Of each name the text, or without one what its JSON says."""
        return {stem: text for stem, text in {**self.described, **self.texts}.items() if text.captions}

    def add_media(self, found: FoundSample, stem: str) -> None:
        if stem in self.media:
            self.left.unpaired.append((printable(found.name), _another(self.media[stem])))
        else:
            self.media[stem] = found


def scan(file: Any, shard: Shard) -> tuple[list[FoundSample], Left, Read]:
    """The samples of an archive in its order; see `shard_index.Scan`.

    A caption is a .txt or, without one, what a .json says. It belongs to the file of the same name but for the ending:
    `a 2.0.jpg` and `a 2.0.txt`. Of files and captions that are left, those with one name before the first dot are a
    sample, as WebDataset has it: `a.input.jpg` and `a.output.txt`. A label is a .cls, or what the .json says. A text
    that belongs to no file is a sample itself.
    """

    def read(found: FoundSample) -> bytes:
        file.seek(found.start)
        return file.read(found.length)

    members = _members(file, shard, read)
    captions = members.captions
    for found in members.by_content:
        members.add_media(found, described_by(found.name, captions) or caption_names(found.name)[0])
    pairs = _pairs(members.media, captions)
    _list_unpaired(members, captions, pairs)
    label_of = _labels(members.labels)
    samples = [
        found._replace(captions=tuple(captions[pairs[stem]].captions) if stem in pairs else (), label=label_of(stem))
        for stem, found in members.media.items()
    ]
    known = {*members.media, *members.texts}
    known |= set(map(_key, known))
    members.left.unread.extend(
        (name, "a label without its sample")
        for stem, name in members.labelled.items()
        if stem not in known and _key(stem) not in known
    )
    taken = set(pairs.values())
    samples += [
        FoundSample(text.name, TEXT, text.start, text.length, label_of(stem))
        for stem, text in members.texts.items()
        if stem not in taken
    ]
    return sorted(samples, key=lambda found: found.start), members.left, read


def _members(file: Any, shard: Shard, read: Callable[[FoundSample], bytes]) -> Members:
    members = Members()
    try:
        headers: Any = _Headers(file)
        with tarfile.open(fileobj=headers, mode="r:") as archive:
            for member in _each(archive):
                _add(members, member, read)
            end = archive.offset
    except (tarfile.TarError, EOFError, RecursionError) as error:
        raise UserError(f"{shard.address} cannot be read as a tar file: {' '.join(str(error).split())}") from error
    # tarfile takes a damaged header, and the end of a file that was cut between two members, for the end of an archive.
    file.seek(end)
    mark = file.read(tarfile.BLOCKSIZE)
    if mark != bytes(tarfile.BLOCKSIZE):
        why = "damaged, the rest was not read" if mark else "no end mark, the archive may have been cut"
        members.left.unread.append((f"{shard.name}, byte {end:,}", why))
    return members


def _each(archive: Any) -> Iterator[tarfile.TarInfo]:
    """The members one by one, none of which is kept."""
    before = -1
    while (member := archive.next()) is not None:
        if member.size < 0 or archive.offset <= before:
            raise tarfile.ReadError(f"damaged after byte {max(before, 0):,}")
        before = archive.offset
        archive.members = []
        yield member


def _add(members: Members, member: tarfile.TarInfo, read: Callable[[FoundSample], bytes]) -> None:
    name = printable(member.name)
    base = member.name.rpartition("/")[2]
    if member.isdir() or base.startswith("."):
        return
    stem, dot, ending = member.name.rpartition(".")
    suffix = dot + ending.lower()
    is_text = suffix in (CAPTIONS, DESCRIBED, CLASS)
    named = is_text or suffix in (*endings.IMAGES, *endings.RECORDINGS)
    if not member.isfile() or member.issparse():
        members.left.others.append((name, "not a regular file"))
        return
    if not (named or could_be(base)):
        members.left.others.append((name, f"{NO_SAMPLE} by its ending"))
        return
    most = MOST_TEXT if is_text else MOST_BYTES
    if member.size > most:
        members.left.unread.append((name, f"larger than {most:,} bytes"))
        return
    found = FoundSample(member.name, TEXT, member.offset_data, member.size)
    if is_text:
        _add_text(members, found, suffix, stem, read(found))
        return
    kind = kind_of(member.name, lambda: read(found))
    if kind is None:
        members.left.others.append((name, f"{NO_SAMPLE} by its content"))
    elif named:
        members.add_media(found._replace(kind=kind), stem)
    else:
        members.by_content.append(found._replace(kind=kind))


def _add_text(members: Members, found: FoundSample, suffix: str, stem: str, content: bytes) -> None:
    """A caption, what a sample's JSON says, or a label."""
    name = printable(found.name)
    try:
        if suffix == CLASS:
            members.labels[stem] = content.decode("utf-8-sig").strip()
            members.labelled[stem] = name
            return
        described = json.loads(content) if suffix == DESCRIBED else None
        label = label_in(described)
        if label is not None:
            members.labels.setdefault(stem, label)
        captions = captions_in(content) if suffix == CAPTIONS else captions_of(described)
    except (ValueError, RecursionError) as error:
        if suffix == DESCRIBED and stem in members.labels:
            return  # its JSON is about the label
        members.left.unpaired.append((name, why_not(error)))
        return
    if not captions:
        members.left.unpaired.append((name, "empty file"))
    else:
        place = members.texts if suffix == CAPTIONS else members.described
        place.setdefault(stem, Text(found.name, found.start, found.length, captions))


def label_in(described: Any) -> str | None:
    """The label that a sample's JSON says; None without one."""
    if isinstance(described, dict):
        for key in LABELS:
            value = described.get(key)
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                return str(value).strip()
    return None


def _pairs(media: Mapping[str, FoundSample], captions: Mapping[str, Text]) -> dict[str, str]:
    """Which caption belongs to which file, both by their names without the endings."""
    pairs = {stem: stem for stem in media if stem in captions}
    first_file, first_caption = _by_key(media, pairs), _by_key(captions, pairs)
    return pairs | {stem: first_caption[key] for key, stem in first_file.items() if key in first_caption}


def _list_unpaired(members: Members, captions: Mapping[str, Text], pairs: Mapping[str, str]) -> None:
    keys = {_key(stem): stem for stem in reversed(list(pairs))}
    unpaired = members.left.unpaired
    for stem, found in members.media.items():
        if stem not in pairs:
            other = keys.get(_key(stem))
            why = "without its caption" if other is None else _another(members.media[other])
            unpaired.append((printable(found.name), why))
    taken = set(pairs.values())
    alone = [text.name for stem, text in captions.items() if stem not in taken]
    unpaired += [(printable(name), "a caption without its file") for name in alone]


def _another(found: FoundSample) -> str:
    return f"another file of the sample of {printable(found.name)}"


def _labels(labels: Mapping[str, str]) -> Callable[[str], str]:
    """What gives the label of a sample, "" without one: that of its own name, or of its name before the first dot."""
    keys: dict[str, str] = {}
    for stem, label in labels.items():
        keys.setdefault(_key(stem), label)
    return lambda stem: labels.get(stem, keys.get(_key(stem), ""))


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


class _Headers:
    """An archive as tarfile reads its headers: a header of more than a megabyte is refused before it is read."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self.file.read(count)

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()
