"""`likewise search`: the samples most similar to a text, a picture or a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.checks import check_int
from likewise.commands.option_names import flag
from likewise.console import plain, tell, tell_notes
from likewise.errors import UserError

MOST_SHOWN = 200
"""Of what was found, on the sheet."""


class Match(NamedTuple):
    """One of the collection's samples."""

    rank: int
    similarity: float
    """Cosine, in [-1, 1]."""
    id: str
    text: str | None = None
    """The sample itself, where it is a text."""


class Matches(list[Match]):
    """The samples that `search` found, the most similar first.

    Attributes:
        sheet: the file that shows them, where one was asked for.
    """

    sheet: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"matches": [match._asdict() for match in self], "sheet": self.sheet}

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        texts = any(match.text for match in self)
        table = Table("rank", "similarity", "id", *(["text"] if texts else []), box=None, header_style="bold")
        for match in self:
            shown = [match.id, *([match.text or ""] if texts else [])]
            table.add_row(str(match.rank), f"{match.similarity:.3f}", *map(plain, shown))
        return Group(table, *([plain(self.sheet)] if self.sheet else []))


def search(
    run: Any,
    collection: Any = None,
    *,
    text: str | None = None,
    image: str | Path | None = None,
    audio: str | Path | None = None,
    top: int = 10,
    where: str | None = None,
    exact: bool = False,
    sheet: str | Path | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
) -> Matches:
    """Find the samples of a collection that are most similar to a text, a picture or a recording.

    The search is exact, but for an index of many samples. A run on pairs searches samples of one modality by a query of
    the other.

    Args:
        run: a finished run, or its folder.
        collection: a .parquet file or an index (lance://FOLDER) that `likewise embed` wrote, or data; the run's own
            data if not given.
        text: the query, a text.
        image: the query, the path of a picture.
        audio: the query, the path of a recording.
        top: number of samples to return.
        where: of an index, a condition on id, label, text or content in SQL, such as "label = 'cat'".
        exact: of an index, compare all vectors; those of fewer than 100,000 samples always are.
        sheet: an .html file that shows the query and what was found: up to 200 pictures, texts or sounds.
        modality: image, text, audio or pair, where the collection could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.

    Returns:
        The samples, the most similar first: rank, cosine similarity, id, and the text where they are texts.

    Raises:
        UserError: for no query or several, one that the encoder does not take, or an index of another encoder.
    """
    import torch

    from likewise.commands.indexed import open_index, search_index
    from likewise.commands.options import as_run, check_read_options, name_own_data, read_options_for, read_options_of
    from likewise.commands.searched import look_of, look_of_indexed, look_of_stored
    from likewise.data.blocks import cut_notes
    from likewise.data.open import open_source
    from likewise.data.pairs import open_files
    from likewise.data.request import Request
    from likewise.data.text import corpus
    from likewise.evaluation import ComputeSettings, encode
    from likewise.evaluation.embedding_file import StoredEmbeddings
    from likewise.evaluation.most_similar import most_similar
    from likewise.index.address import index_folder
    from likewise.modalities.embed import stream_embeddings
    from likewise.modalities.lookup import part_modalities
    from likewise.modalities.towers import encoder_for
    from likewise.report.contact_sheet import check_sheet, write_sheet
    from likewise.report.search_sheet import SimilarSample, search_sheet
    from likewise.runs.samples import Samples
    from likewise.training.machine import device_name

    run = as_run(run)
    check_sheet(sheet)
    queries = {kind: query for kind, query in (("text", text), ("image", image), ("audio", audio)) if query is not None}
    if len(queries) != 1:
        raise UserError(f"give one query: --text, --image or --audio; got {' and '.join(queries) or 'none'}")
    check_int(top=top)
    [(kind, query)] = queries.items()
    reading: dict[str, Any] = {
        "modality": modality,
        "text_column": text_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    asked = read_options_of(**reading)
    read_options = run.read_options if collection is None else read_options_for(run, asked, collection)

    reads_own = collection is None
    folder = index_folder(collection)
    if folder is None and (exact or where is not None):
        raise UserError(
            f"{flag('exact' if exact else 'where')} applies to an index: make one with `likewise embed {run.path} DATA "
            "--out lance://FOLDER`, or leave it out"
        )
    index = None if folder is None else open_index(run, folder)
    is_file = folder is None and str(collection).endswith(".parquet")
    embedded = StoredEmbeddings.open(Path(collection)) if is_file else None
    holds_embeddings = index is not None or embedded is not None
    if collection is None or holds_embeddings:
        what = "the run's own data" if collection is None else f"{collection}, which holds embeddings"
        given = [name for name, value in reading.items() if value] + ["root"] * (root is not None and holds_embeddings)
        if given:
            raise UserError(f"{flag(given[0])} says how to read data, and does not apply to {what}: leave it out")
    else:
        check_read_options({**reading, "root": root}, collection)
    if collection is None:
        collection = run.config["data"]
        if collection is None:
            raise UserError(f"{run.path} learned from data in memory: name a collection to search")

    compute = ComputeSettings(torch.device(device_name()), 256, channels_last=True)
    encoder, views = encoder_for(kind, run.encoder, run.views)
    if views is run.views and kind != run.modality:
        raise UserError(f"{run.path} has learned from {run.modality} samples: its encoder takes no {kind} query")
    if kind == "text":
        source = open_source(
            [str(query).encode("utf-8", "replace").decode()],
            read_options=read_options.with_(modality="text"),
            progress=False,
        )
        source.name = "the query"
        tell_notes(cut_notes(source))
    else:
        path = Path(query).expanduser()
        request = Request(path, read_options=read_options, progress=False)
        media = open_files(kind, path.parent, [path.name], request, path.name)
        if media.source is None or media.unread:
            raise UserError(f"{kind} {query} can't be read: {media.unread[0][1]}")
        source = media.source
    vector = encode(compute.place(encoder), views, source, compute=compute)[0]

    query_look = Samples(texts=[str(query)]) if kind == "text" else look_of(run, source, [0])

    def told(found: list[Match], look: Callable[[], Samples | None]) -> Matches:
        matches = Matches(found)
        if sheet is not None:
            are_texts = any(match.text for match in found)
            samples = None if are_texts else look()
            if samples is None and not are_texts:
                tell(f"{collection} holds no samples, only their ids: the sheet does not show them")
            shown = [SimilarSample(match.id, match.similarity, match.text) for match in found[:MOST_SHOWN]]
            name = "a text" if kind == "text" else str(query)
            write_sheet(Path(sheet), search_sheet(str(collection), name, query_look, shown, samples))
            matches.sheet = str(sheet)
        return matches

    if index is not None:
        rows = search_index(index, vector, top, where, exact)
        found = [Match(rank, each.similarity, each.id, each.text) for rank, each in enumerate(rows, start=1)]
        return told(found, lambda: look_of_indexed(run, rows[:MOST_SHOWN]))
    documents = None
    if embedded is not None:
        ids, parts = embedded.ids, embedded.parts()
    else:
        if reads_own:
            name_own_data(run, None)
        source = open_source(collection, root=root, read_options=read_options, progress=False)
        if source.modality == "pair":
            other = next((i for i, other in enumerate(part_modalities(source)) if other != kind), 0)
            source = source.parts[other]
        tell_notes(cut_notes(source))
        if source.modality == "text":
            documents = corpus(source)
        ids, parts = source.ids, stream_embeddings(run.encoder, run.views, source, compute=compute)

    def checked(part: Any) -> Any:
        if part.shape[1] != len(vector):
            raise UserError(f"{collection} has vectors of {part.shape[1]} numbers, the encoder gives {len(vector)}")
        return part

    best = most_similar(vector, map(checked, parts), top)
    found = [
        Match(rank, similarity, str(ids[i]), documents[i] if documents else None)
        for rank, (i, similarity) in enumerate(best, start=1)
    ]
    places = [i for i, _ in best[:MOST_SHOWN]]
    return told(
        found,
        lambda: look_of(run, source, places) if embedded is None else look_of_stored(run, embedded, places),
    )
