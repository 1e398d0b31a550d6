"""`likewise report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likewise.commands.arguments import opened


def write_report(run: Any) -> Path:
    """Write the run's page: report.html, one file that opens in any browser without a network.

    Args:
        run: a run, or its folder.

    Returns:
        The page.
    """
    from likewise.report.page import write_page

    return write_page(opened(run).path)
