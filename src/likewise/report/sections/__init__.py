"""The sections of the page, in order: one function each, from a run's contents to text, pictures and charts.

To add one, write a function `(Contents) -> Section | None` and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from likewise.report.contents import Contents
from likewise.report.pieces import Section
from likewise.report.sections.adaptation import adaptation
from likewise.report.sections.annotated import detection_examples, segmentation_examples
from likewise.report.sections.evaluation import errors, learning_curves, other_measures, results
from likewise.report.sections.figures import method_figures
from likewise.report.sections.gallery import embedding_map, nearest_neighbours
from likewise.report.sections.matches import retrieval_examples
from likewise.report.sections.recognition import speech_recognition
from likewise.report.sections.run import reproduce
from likewise.report.sections.training import metrics, similarity_snapshots, training_views

SECTIONS: Sequence[Callable[[Contents], Section | None]] = (
    training_views,
    metrics,
    similarity_snapshots,
    method_figures,
    adaptation,
    learning_curves,
    results,
    speech_recognition,
    errors,
    segmentation_examples,
    detection_examples,
    other_measures,
    retrieval_examples,
    embedding_map,
    nearest_neighbours,
    reproduce,
)
