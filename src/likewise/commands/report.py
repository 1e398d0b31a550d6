"""`likewise report`: the page of a run."""

from __future__ import annotations

from typing import Any

from likewise.commands.written_file import WrittenFile
from likewise.console import tell


def write_report(run: Any) -> WrittenFile:
    """Write the run's page: report.html, one file that opens in any browser without a network.

    Args:
        run: a run, or its folder.

    Returns:
        The path of the page. A damaged file of the run is left out and named, on the page and on stderr; the exit
        status is then 2.
    """
    from likewise.commands.options import as_run
    from likewise.report.contents import read_contents
    from likewise.report.page import write_page

    folder = as_run(run).path
    contents = read_contents(folder)
    page = WrittenFile(write_page(folder, contents=contents))
    for line in contents.unreadable:
        tell(f"likewise: {folder}/{line}; the page does without it")
        page.incomplete = True
    return page
