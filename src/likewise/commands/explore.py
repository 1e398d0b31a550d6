"""`likewise explore`: a local page to look at samples, search them and give them labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.atomic import check_file_place
from likewise.checks import check_int
from likewise.commands import FromPython
from likewise.console import count_of, plain, tell, tell_notes
from likewise.errors import UserError, needs

if TYPE_CHECKING:
    from likewise.http_server import HttpServer

LARGEST_PORT = 65_535
ADDRESS = "127.0.0.1"
SECONDS_TO_END = 3  # for answers that are under way


class Explorer:
    """A page that is served to this machine until it is closed.

    Attributes:
        address: of the page; whoever has it can look at the samples and change labels.
        labels: the file of the labels that are given on the page.
        samples: how many there are.
        notes: what was not looked for, and why.
    """

    def __init__(self, server: HttpServer, address: str, labels: Path, samples: int, notes: list[str]) -> None:
        self.address = address
        self.labels = labels
        self.samples = samples
        self.notes = notes
        self._server = server

    def __repr__(self) -> str:
        return f"Explorer({self.address!r})"

    def __rich__(self) -> Any:
        return plain(f"{count_of(self.samples, 'sample')} at {self.address}")

    def to_json(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "labels": str(self.labels),
            "samples": self.samples,
            "notes": self.notes,
        }

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Serve the page after the block until Ctrl-C, which is how the command ends: with exit status 0."""
        with self._server.until_asked(self.close):
            yield

    def close(self) -> None:
        """End the server; labels are in their file already."""
        self._server.stop()


def explore(
    run: Any,
    data: Any = None,
    *,
    labels: str | Path | None = None,
    classifier: Any = None,
    port: int = 0,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Explorer:
    """Look at samples on a local page: a map, search, copies, outliers, probable label errors, and labels by hand.

    The page is served to this machine only, at an address that is printed. Ctrl-C ends it. What is worked out is kept
    in the run folder, in explore/.

    Args:
        run: a finished run, or its folder.
        data: what to look at: see `likewise pretrain`; or a .parquet file that `likewise embed` wrote. The run's own
            data if not given.
        labels: the .csv file of the labels that you give, with the columns id and label, which is written after each
            change and which `likewise fit` takes; labels.csv in the run folder if not given.
        classifier: the folder that `likewise fit` made: its answers and its doubt are shown.
        port: of the page; 0 for any that is free.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        Where the page is. From Python, it is served until `close` is called or the program ends.

    Raises:
        UserError: for data that the encoder does not take, a port that is in use, or a file of labels that is none.
    """
    import secrets

    import torch

    from likewise.commands.explored import answers_of, explored_features, explored_scene, open_explored
    from likewise.commands.labelled import use_own
    from likewise.commands.options import as_run
    from likewise.explorer.app import application
    from likewise.explorer.appearance import Appearances
    from likewise.explorer.exploration import Coded, Exploration
    from likewise.explorer.label_file import LabelFile
    from likewise.http_server import HttpServer
    from likewise.modalities.encoding import known_modalities
    from likewise.modalities.towers import views_of_whole
    from likewise.training.callbacks.progress import progress_bar

    run = as_run(run)
    check_int(batch_size=batch_size)
    check_int(0, LARGEST_PORT, port=port)
    for package in ("starlette", "uvicorn"):
        needs(package, "serve")
    path = run.path / "labels.csv" if labels is None else Path(labels).expanduser()
    if path.suffix != ".csv":
        raise UserError(f"labels must end in .csv, got {path}")
    check_file_place(path)
    reading = {
        "modality": modality,
        "text_column": text_column,
        "label_column": label_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    own = encoder is not None or views is not None
    server = HttpServer(ADDRESS, port)
    try:
        found = open_explored(run, data, reading, root=root, progress=progress)
        given = LabelFile(path, found.ids)
        its_views = use_own(run, encoder, views, found.source) if found.source is not None else run.views
        with progress_bar(show=progress) as report:
            how: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "report": report}
            features = explored_features(run, its_views, found, keep=not own, **how)
            predicted = None
            if classifier is not None:
                predicted = answers_of(classifier, run, its_views, found, features, **how)
            scene = explored_scene(run, found, features, report)
        notes = [*found.notes, *scene.notes]
        if given.unknown:
            verb = "names" if given.unknown == 1 else "name"
            notes.append(f"{count_of(given.unknown, 'row')} of {path} {verb} no sample of {found.name}, and stay")
        tell_notes(notes, show=progress)
        appearances = None
        if found.source is not None:
            appearances = Appearances(found.source, views_of_whole(found.source.modality, run, its_views))
        takes_texts = not own and "text" in known_modalities(run)
        token = secrets.token_urlsafe(24)
        exploration = Exploration(
            found.name,
            found.modality,
            found.ids,
            features,
            scene,
            given,
            Coded.of(found.words),
            appearances,
            predicted,
            (lambda text: torch.from_numpy(run.encode([text], modality="text")[0])) if takes_texts else None,
            notes,
        )
        server.start(application(exploration, token), seconds_to_end=SECONDS_TO_END)
    except BaseException:
        server.stop()
        raise
    tell("the page is open to this machine only; Ctrl-C ends it", show=progress)
    return Explorer(server, f"{server.address}/{token}/", path, len(found.ids), notes)
