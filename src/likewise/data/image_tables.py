"""A table of image files: a row is an image, with its label where there is a column of labels."""

from __future__ import annotations

from likewise.data.file_tables import file_rows
from likewise.data.files import printable
from likewise.data.images import SUFFIXES, ImageFolder
from likewise.data.pictures import recognises
from likewise.data.request import Request


def open_source(request: Request) -> ImageFolder | None:
    """The source of a table with a column of paths of images, None for anything else; see `file_rows`."""
    rows = file_rows(request, SUFFIXES, recognises, "images")
    if rows is None:
        return None
    return ImageFolder(
        rows.folder,
        rows.files,
        rows.missing,
        name=printable(request.data.stem),
        size=request.read_options.size,
        channels=request.read_options.channels,
        range=request.read_options.range,
        progress=request.progress,
        notes=rows.notes,
        labelling=rows.labelling,
    )
