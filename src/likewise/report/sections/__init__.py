"""The sections of the page, in order: one function each, from a run's contents to words, pictures and charts.

To add one, write a function `(Contents) -> Section | None` and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from likewise.report.contents import Contents
from likewise.report.pieces import Section
from likewise.report.sections.figures import pictures
from likewise.report.sections.gallery import embedding_map, neighbours
from likewise.report.sections.matches import matches
from likewise.report.sections.run import repeat
from likewise.report.sections.training import stages, training, views
from likewise.report.sections.worth import curves, errors, measures, results

SECTIONS: Sequence[Callable[[Contents], Section | None]] = (
    views,
    training,
    stages,
    pictures,
    curves,
    results,
    errors,
    measures,
    matches,
    embedding_map,
    neighbours,
    repeat,
)
