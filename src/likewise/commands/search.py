"""`likewise search`: the samples most similar to a text, a picture or a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.commands.arguments import opened

if TYPE_CHECKING:
    from likewise.commands.searching import Match
from likewise.errors import UserError


class Matches(list["Match"]):
    """What `search` found, the most alike first."""

    def __rich__(self) -> Any:
        from rich.table import Table

        said = any(match.words for match in self)
        table = Table("rank", "similarity", "id", *(["text"] if said else []), box=None, header_style="bold")
        for match in self:
            table.add_row(str(match.rank), f"{match.similarity:.3f}", match.id, *([match.words] if said else []))
        return table


def search(
    run: Any,
    collection: Any = None,
    *,
    text: str | None = None,
    image: str | Path | None = None,
    audio: str | Path | None = None,
    top: int = 10,
    modality: str | None = None,
    text_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
) -> Matches:
    """Find the samples of a collection that are most alike to a text, a picture or a recording.

    Args:
        run: a finished run, or its folder; of pairs, to ask by one half for the other.
        collection: a .parquet file that `likewise embed` wrote, or data; what the run learned from if not given.
        text: what to ask by: words,
        image: or the path of a picture,
        audio: or the path of a recording.
        top: how many samples to name.
        modality: image, text, audio or pair, where the collection could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
        root: where the files of a named data set lie.

    Returns:
        The samples, the most alike first: rank, cosine similarity, id.

    Raises:
        UserError: for no question or several, or one that the encoder cannot read.
    """
    from likewise.commands.options import read_options_for, read_options_of
    from likewise.commands.searching import search_collection

    run = opened(run)
    asked = {kind: what for kind, what in (("text", text), ("image", image), ("audio", audio)) if what is not None}
    if len(asked) != 1:
        raise UserError(f"ask by one of --text, --image and --audio, got {' and '.join(asked) or 'none'}")
    if top < 1:
        raise UserError(f"top must be at least 1, got {top}")
    read_options = run.read_options
    if collection is None:
        collection = run.config["data"]
        if collection is None:
            raise UserError(f"{run.path} learned from data in memory: name a collection to search")
    else:
        read_options = read_options_for(
            run, read_options_of(modality, text_column, None, per_file, columns), collection
        )
    [(kind, query)] = asked.items()
    return Matches(search_collection(run, collection, str(query), kind, read_options=read_options, root=root, top=top))
