"""`likewise report`: the page of a run."""

from __future__ import annotations

from typing import Any

from likewise.commands.written_file import WrittenFile


def write_report(run: Any) -> WrittenFile:
    """Write the run's page: report.html, one file that opens in any browser without a network.

    Args:
        run: a run, or its folder.

    Returns:
        The path of the page.
    """
    from likewise.commands.options import as_run
    from likewise.report.page import write_page

    return WrittenFile(write_page(as_run(run).path))
