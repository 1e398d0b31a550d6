"""`likewise pack`: files become shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from likewise.atomic import check_file_place
from likewise.checks import check_int, check_seed
from likewise.console import count_of, tell


class PackedShards(NamedTuple):
    """The shards that were written."""

    out: str
    shards: list[str]
    """Their names."""
    samples: int
    bytes: int
    modality: str
    classes: list[str]
    skipped: list[tuple[str, str]]
    """(file, reason) of what was not packed."""

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:,.1f} MB"
        return f"{self.out}: {count_of(self.samples, 'sample')} in {count_of(len(self.shards), 'shard')}, {size}"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def pack(
    data: Any,
    *,
    out: str | Path,
    megabytes: int = 256,
    seed: int = 0,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    progress: bool = True,
) -> PackedShards:
    """Write files into shards: .tar files of WebDataset's layout, with a shuffled part of the samples each.

    Files are copied as they are. The same files give the same bytes. A command that was killed goes on where it was.

    Args:
        data: a folder of images, recordings or texts, a folder of pairs (with --modality pair), a table of paths of
            images or recordings, or a file of texts.
        out: a new folder for the shards, and for shards.json, which names them and the classes. What was not packed is
            listed in skipped.csv there.
        megabytes: size of a shard, at most, unless a sample alone is larger.
        seed: of the order of the samples.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        progress: show progress on stderr.

    Returns:
        The shards, how many samples they hold, and what was left out.

    Raises:
        UserError: for data that cannot be packed, or a folder that holds something else.
    """
    from likewise.commands.options import check_read_options, read_options_of
    from likewise.data.packing import pack_samples, packing_of
    from likewise.runs.skipped import Skipped
    from likewise.training.callbacks.progress import progress_bar

    check_int(megabytes=megabytes)
    check_seed(seed)
    out = Path(out)
    check_file_place(out / "shards.json")
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
    }
    check_read_options(reading, data)
    packing = packing_of(data, read_options_of(modality, **reading), progress=progress)
    with progress_bar(show=progress) as report:
        shards = pack_samples(packing, out, megabytes=megabytes, seed=seed, report=report)
    listing = out / Skipped.FILE
    if packing.skipped or listing.is_file():
        Skipped(packing.skipped).write(listing)
    if packing.skipped:
        tell(f"{packing.name}: {count_of(len(packing.skipped), 'file')} not packed (see {listing})", show=progress)
    return PackedShards(
        str(out),
        [shard.name for shard in shards],
        packing.samples,
        sum(shard.bytes for shard in shards),
        packing.modality,
        packing.classes,
        packing.skipped,
    )
