"""A run folder, shown: one web page (`write_report`) and one picture (`story_png`)."""

from likewise.report.page import write_report
from likewise.report.story import story_png

__all__ = ["story_png", "write_report"]
