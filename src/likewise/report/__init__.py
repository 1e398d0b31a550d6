"""A run folder, shown: one web page (`write_report`) and one picture (`story_png`)."""

import sys

from likewise.callable_module import CallableModule
from likewise.report.page import write_report
from likewise.report.story import story_png

sys.modules[__name__].__class__ = CallableModule

__all__ = ["story_png", "write_report"]
